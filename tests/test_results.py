"""Run directories, progress lines and pictures: what a command shows and leaves."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vase_rl import UpdateReport
from vase_rl.experiments import progress as progress_module
from vase_rl.experiments.cross_domain import SHOWN, CrossDomain, cross_domain_png
from vase_rl.experiments.history import MERGED, History
from vase_rl.experiments.pictures import PAUSE, gif, png, stack, strip, together
from vase_rl.experiments.plots import save_timeline
from vase_rl.experiments.progress import Progress
from vase_rl.experiments.results import RunDirectory, Stored, plain, settings_of
from vase_rl.experiments.scoring import Switch, Visit
from vase_rl.files import write_whole


def test_metrics_are_kept_up_to_date_and_say_whether_the_run_is_over(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path / "new" / "run", "stream", ["--sequence", "a b"])
    run.record(loss=np.float32(1.5), delays=np.array([1, 2]), gap=float("nan"))
    path = run.path / "metrics.json"
    first = json.loads(path.read_text())
    assert first["command"] == "vase-rl stream --sequence 'a b'"
    assert (first["loss"], first["delays"], first["gap"]) == (1.5, [1, 2], None)
    assert first["finished"] is False
    assert first["versions"]["numpy"] == np.__version__
    assert first["peak_memory_mib"] > 10
    run.finish()
    assert json.loads(path.read_text()) == {
        **first,
        "finished": True,
        "seconds": run.metrics["seconds"],
        "peak_memory_mib": run.metrics["peak_memory_mib"],
    }


def test_a_new_run_removes_the_results_of_the_old_one_and_nothing_else(tmp_path: Path) -> None:
    for name in ("metrics.json", "report.html", "mine.txt"):
        (tmp_path / name).write_text("old")
    RunDirectory(tmp_path, "demo", stale=("report.html",))
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_a_file_cannot_be_a_run_directory(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match=r"--out must be a directory that can be written, got '"):
        RunDirectory(tmp_path / "file", "demo")


def test_results_of_another_command_are_not_overwritten(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path, "detect", ["--seeds", "0"])
    run.finish()
    with pytest.raises(ValueError, match=r"--out must be .*, which holds those of vase-rl detect"):
        RunDirectory(tmp_path, "stream", stale=("report.html",))
    assert (tmp_path / "metrics.json").exists()
    RunDirectory(tmp_path, "detect", ["--seeds", "1"])


@pytest.mark.parametrize("content", ["[1]", "{}", '{"command": 1}', '{"command": "other stream"}'])
def test_what_is_no_result_of_a_command_does_not_stop_one(content: str, tmp_path: Path) -> None:
    (tmp_path / "metrics.json").write_text(content)
    RunDirectory(tmp_path, "demo").finish()
    assert json.loads((tmp_path / "metrics.json").read_text())["finished"]


def test_a_stored_result_counts_for_its_settings_alone(tmp_path: Path) -> None:
    @dataclass(frozen=True)
    class Job:
        steps: int
        place: str

    def stored(job: Job) -> Stored:
        return Stored(tmp_path / "one.json", settings_of(job, but=("place",)))

    assert stored(Job(3, "here")).load() is None
    stored(Job(3, "here")).save({"loss": np.float32(0.5)})
    assert stored(Job(3, "there")).load() == {"loss": 0.5}
    assert stored(Job(4, "here")).load() is None
    (tmp_path / "one.json").write_text("{half")
    assert stored(Job(3, "here")).load() is None


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    write_whole(tmp_path / "a", b"one")
    with pytest.raises(TypeError):
        write_whole(tmp_path / "a", "two")  # type: ignore[arg-type]
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert (tmp_path / "a").read_bytes() == b"one"


def test_plain_values_nest() -> None:
    value = {1: (np.int64(2), [np.inf, {"x": np.bool_(True)}]), "s": "t", "n": None}
    assert plain(value) == {"1": [2, [None, {"x": True}]], "s": "t", "n": None}


def test_without_a_terminal_progress_is_plain_lines(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = iter(range(0, 1000, 10))
    monkeypatch.setattr(progress_module.time, "monotonic", lambda: float(next(clock)))
    with Progress(4, "counting", "sheep") as progress:
        for _ in range(4):
            progress.advance()
        progress.show("all asleep")
        progress.announce("done")
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("counting: 2 of 4 sheep (50%), ")
    assert lines[-2] == "done"
    assert lines[-1].startswith("counting: 4 of 4 sheep (100%), ")
    assert lines[-1].endswith(", all asleep")
    assert not any("\r" in line for line in lines)


def test_the_end_is_said_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = iter(range(0, 1000, 20))
    monkeypatch.setattr(progress_module.time, "monotonic", lambda: float(next(clock)))
    with Progress(2, "counting", "sheep") as progress:
        progress.advance()
        progress.advance()
    assert capsys.readouterr().err.count("2 of 2") == 1


def test_an_interrupted_count_does_not_claim_its_end(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(KeyboardInterrupt), Progress(4, "counting"):
        raise KeyboardInterrupt
    assert capsys.readouterr().err == ""


def test_nothing_to_do_is_not_counted(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress(0, "counting"):
        pass
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("worlds", [2, 5])
def test_labels_of_a_cross_domain_picture_stay_inside(worlds: int) -> None:
    frames = np.zeros((SHOWN, 16, 16, 1), np.uint8)
    views = [CrossDomain(f"world-{i}", i, frames, [frames] * worlds) for i in range(worlds)]
    picture = np.array(Image.open(io.BytesIO(cross_domain_png(views, "all"))).convert("L"))
    assert (picture[:, 0] == 255).all()
    assert (picture[0] == 255).all()


def _info(source: str, environment: int, **vase: object) -> dict[str, object]:
    seen = {"environment": environment, "shift": False, "new_environment": False}
    seen |= {"reconstruction_loss": 5.0, "updates": 1} | vase
    return {"source": source, "vase": seen}


def test_history_tells_visits_switches_and_openings_and_survives_a_file(tmp_path: Path) -> None:
    history = History()
    history.add(_info("a", 0, updates=0), None)
    history.add(_info("a", 0, new_environment=True), None)
    history.add(_info("b", 0), None)
    switch = history.add(_info("b", 1, shift=True, new_environment=True), None)
    history.add(_info("a", 1), None)
    assert switch == Switch(3, 1, True)
    history.save(tmp_path / "history.npz")
    for kept in (history, History.load(tmp_path / "history.npz")):
        assert kept.visits == [Visit(0, 2, "a"), Visit(2, 4, "b"), Visit(4, 5, "a")]
        assert kept.environment == [-1, 0, 0, 1, 1]
        assert kept.switches == [Switch(3, 1, True)]
        assert kept.openings == [1, 3]
        assert np.isnan(kept.loss[0])
        assert kept.loss[1:] == [5.0] * 4
        assert kept.score.missed == 1


def test_a_candidate_that_is_merged_back_was_no_environment(tmp_path: Path) -> None:
    def report(merged: bool) -> UpdateReport:
        nothing = np.zeros(2, np.float32)
        return UpdateReport(
            0, False, merged, merged, False, True, 2, "confirmed", nothing > 0, nothing, {}, 1
        )

    history = History()
    history.add(_info("a", 0, new_environment=True), report(merged=False))
    history.add(_info("a", 1, shift=True, new_environment=True), report(merged=False))
    history.add(_info("a", 1), None)
    assert history.score.false_environments == 1
    history.add(_info("a", 0, shift=True), report(merged=True))
    assert history.environment == [0, MERGED, MERGED, 0]
    assert history.openings == [0]
    assert [(s.frame, s.new) for s in history.switches] == [(1, False), (3, False)]
    assert history.score.false_environments == 0
    save_timeline(history, tmp_path / "timeline.svg")
    history.add(_info("b", 1, shift=True, new_environment=True), report(merged=False))
    assert history.score.owners == ("a", "b")


def test_strips_and_stacks_place_every_image(tmp_path: Path) -> None:
    grey = np.stack([np.full((2, 3, 1), value, np.uint8) for value in (10, 20)])
    row = strip(grey, gap=1, shade=255)
    assert row.shape == (2, 7, 3)
    assert row[0, :, 0].tolist() == [10, 10, 10, 255, 20, 20, 20]
    both = stack([row, row + 1], gap=1, shade=0)
    assert both.shape == (5, 7, 3)
    assert both[:, 0, 0].tolist() == [10, 10, 0, 11, 11]
    read = np.asarray(Image.open(io.BytesIO(png(both, scale=3))))
    np.testing.assert_array_equal(read[::3, ::3], both)


def test_worlds_run_side_by_side_until_the_longer_episode_ends() -> None:
    def episode(length: int, shade: int) -> np.ndarray:
        return np.full((length, 4, 4, 3), shade, np.uint8)

    film = together([episode(3, 50), episode(2, 60)], [episode(5, 150), episode(1, 160)])
    assert len(film) == (5 + PAUSE) + (2 + PAUSE)
    assert film[0].shape == (4, 4 + 12 + 4, 3)
    assert (film[-1][0, 0, 0], film[-1][0, -1, 0]) == (60, 160)
    moving = Image.open(io.BytesIO(gif(film, milliseconds=40)))
    assert moving.n_frames >= 2
    assert moving.info["loop"] == 0
    first = np.asarray(moving.convert("RGB"))
    assert abs(int(first[0, 0, 0]) - 50) <= 8
    assert abs(int(first[0, -1, 0]) - 150) <= 8
