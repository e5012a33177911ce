"""`vase-rl detect`: scores by hand, every detector on streams without doubt, and the command."""

from __future__ import annotations

import json
import sys
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics.pairwise import rbf_kernel

from vase_rl import VASE, VASEConfig
from vase_rl.config import AS_PRINTED, PRESETS
from vase_rl.experiments import baselines, cli, detection_streams, detectors
from vase_rl.experiments import detection as detection_module
from vase_rl.experiments.baselines import MMD, REFERENCE, SETTLING, welch_t
from vase_rl.experiments.detection_plots import sweep
from vase_rl.experiments.detection_scores import Detection, judge, recognise, together
from vase_rl.experiments.detection_streams import KINDS, STREAMS, DetectionStream, Kind, plan
from vase_rl.experiments.detection_tables import matched_setting
from vase_rl.experiments.detection_worlds import GROUPS
from vase_rl.experiments.detectors import BLOCK, DEFAULT_METHODS, METHODS, Method
from vase_rl.experiments.onlooker import Onlooker, Stretch
from vase_rl.experiments.printed_rule import SEED, PrintedRule
from vase_rl.experiments.scoring import Visit
from vase_rl.wrappers.stream import FrameStream, StreamConfig

A_B_A = (Visit(0, 100, "a"), Visit(100, 200, "b"), Visit(200, 300, "a"))


# ---------------------------------------------------------------- scores


@pytest.mark.parametrize(
    ("alarms", "delays", "censored", "false"),
    [
        ([], (), (100, 100), 0),
        ([110, 230], (10, 30), (), 0),
        ([100, 299], (0, 99), (), 0),
        # All of the first visit, and every second one, are false.
        ([0, 99, 110, 111, 230], (10, 30), (), 3),
        ([110, 120, 199], (10,), (100,), 2),
    ],
)
def test_alarms_are_scored_by_visit(
    alarms: list[int], delays: tuple[int, ...], censored: tuple[int, ...], false: int
) -> None:
    assert judge(A_B_A, alarms) == Detection(300, delays, censored, false)


def test_where_nothing_changes_every_alarm_is_false() -> None:
    numbers = judge([Visit(0, 2000, "a")], [3, 1500]).to_dict()
    assert numbers["false_alarms_per_million"] == 1000.0
    assert numbers["run_length_mean"] == 1000.0
    assert (numbers["precision"], numbers["recall"], numbers["missed"]) == (0.0, None, 0)
    assert numbers["delay_frames_median"] is numbers["wait_frames_median"] is None


def test_streams_are_scored_together() -> None:
    both = together([judge(A_B_A, [110, 120, 199]), judge(A_B_A, [110, 230])])
    assert both == Detection(600, (10, 10, 30), (100,), 2)
    numbers = both.to_dict()
    assert numbers["precision"] == 0.6
    assert numbers["recall"] == 0.75
    assert numbers["delay_frames_median"] == 10.0
    assert numbers["delay_frames_p90"] == pytest.approx(26.0)
    assert numbers["wait_frames_median"] == 20.0
    assert numbers["run_length_mean"] == 300.0


@pytest.mark.parametrize(
    ("track", "opened", "expected"),
    [
        ([(10, 0), (110, 1), (230, 0)], [0, 1], (2, 1)),
        # b was never noticed, so the return to a ends in its environment.
        ([(10, 0)], [0], (1, 1)),
        # The returning world is opened again.
        ([(10, 0), (110, 1), (230, 2)], [0, 1, 2], (3, 0)),
        # ... and merged back later.
        ([(10, 0), (110, 1), (230, 2)], [0, 1, 0], (2, 1)),
        # It comes back too late for its visit.
        ([(10, 0), (110, 1), (300, 0)], [0, 1], (2, 0)),
        # A false environment of a's first visit is not its home; nor is one of this visit.
        ([(10, 0), (60, 1), (110, 2), (230, 1)], [0, 1, 2], (3, 0)),
        ([(210, 0)], [0], (1, 0)),
        ([], [], (0, 0)),
    ],
)
def test_returns_are_recognised_by_their_first_environment(
    track: list[tuple[int, int]], opened: list[int], expected: tuple[int, int]
) -> None:
    found = recognise(A_B_A, track, opened, merges=0)
    assert (found.worlds, found.returns) == (2, 1)
    assert (found.environments, found.recognised) == expected


def test_the_most_sensitive_setting_that_keeps_to_the_rate() -> None:
    assert matched_setting([300.0, 90.0, 0.0], 100.0) == 1
    assert matched_setting([300.0, 90.0, 0.0], 90.0) == 1
    assert matched_setting([300.0, 90.0], 10.0) is None
    assert matched_setting([], 10.0) is None


# ---------------------------------------------------------------- detectors


def stretches(switch: int | None, frames: int) -> list[Stretch]:
    """Dim noise, from `switch` on bright, with losses and latents to match."""
    rng = np.random.default_rng(0)
    bright = np.arange(frames) >= (frames if switch is None else switch)
    base = np.where(bright, 200, 20)[:, None, None, None]
    pictures = (base + rng.integers(0, 40, (frames, 32, 32, 1))).astype(np.uint8)
    losses = (rng.normal(100, 3, frames) + 60 * bright).astype(np.float32)
    latents = (rng.normal(0, 1, (frames, 4)) + 5 * bright[:, None]).astype(np.float32)
    onlooker = Onlooker(1, plain=False, seed=0, device="cpu")
    return [
        replace(onlooker.look(pictures[part]), losses=losses[part], latents=latents[part])
        for part in (slice(i, i + 50) for i in range(0, frames, 50))
    ]


def alarms_of(name: str, seen: list[Stretch]) -> list[int]:
    detector = METHODS[name].make(METHODS[name].default)
    alarms, start = [], 0
    for stretch in seen:
        alarms += [start + place for place in detector.observe(stretch)]
        start += len(stretch)
    return alarms


REAL = [name for name in DEFAULT_METHODS if name not in ("always", "never")]
SWITCHED, STATIONARY = stretches(2000, 2800), stretches(None, 3000)


@pytest.mark.parametrize("name", REAL)
def test_a_plain_switch_raises_one_alarm_soon(name: str) -> None:
    (alarm,) = alarms_of(name, SWITCHED)
    assert 2000 <= alarm < 2000 + 4 * BLOCK


@pytest.mark.parametrize("name", REAL)
def test_nothing_raises_no_alarm(name: str) -> None:
    # One frame of 20 at the default settings may be odd, three in a thousand blocks may not.
    assert alarms_of(name, STATIONARY) == []


def test_always_and_never() -> None:
    assert alarms_of("always", STATIONARY) == list(range(BLOCK - 1, 3000, BLOCK))
    assert alarms_of("never", SWITCHED) == []


def test_environments_are_named_and_recognised() -> None:
    detector = METHODS["blocks"].make(METHODS["blocks"].default)
    beliefs = detector.beliefs
    assert beliefs is not None
    assert (beliefs.environment, list(beliefs.opened), beliefs.merges) == (0, [0], 0)
    there = stretches(2000, 4000)
    back = there[:10]
    places = []
    for seen in (there[:40], there[40:], back):
        for stretch in seen:
            detector.observe(stretch)
        places.append(beliefs.environment)
    assert places == [0, 1, 0]
    assert list(beliefs.opened) == [0, 1]


@pytest.mark.parametrize(
    ("name", "visits", "frames"),
    [("sprites-short", (500, 1000), 2560), ("reach-trained-short", (1800, 2000), 6144)],
)
def test_blocks_say_what_the_learner_behind_the_wrapper_does(
    name: str, visits: tuple[int, int], frames: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(KINDS, "short", Kind(*visits))
    stream = DetectionStream(name, frames, seed=0)
    vase = VASE(VASEConfig.preset("compact", shift_deviations=3.5), seed=0, device="cpu")
    learner = FrameStream(vase, StreamConfig(frames_per_update=100_000), seed=0)
    onlooker, detector = (
        Onlooker(1, plain=False, seed=0, device="cpu"),
        METHODS["blocks"].make(3.5),
    )
    assert detector.beliefs is not None
    switches: dict[str, list[int]] = {"learner": [], "detector": []}
    for number, chunk in enumerate(stream.chunks()):
        start = number * len(chunk)
        changes = [learner.observe(frame[None]) for frame in chunk]
        switches["learner"] += [start + i for i, change in enumerate(changes) if change.shift]
        switches["detector"] += [start + i for i in detector.observe(onlooker.look(chunk))]
        if vase.environments:
            assert detector.beliefs.opened == vase.registry.opened
        assert detector.beliefs.environment == vase.registry.serial(vase.environment)
    assert switches["learner"] == switches["detector"]
    assert len(switches["learner"]) >= 2


@pytest.fixture(name="small")
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Networks that learn fast enough for a test."""
    monkeypatch.setitem(PRESETS["compact"], "filters", (4, 8))
    monkeypatch.setitem(PRESETS["compact"], "hidden", 32)
    monkeypatch.setitem(AS_PRINTED, "learning_rate", 0.01)


@pytest.mark.usefixtures("small")
def test_algorithm1_says_what_a_learner_of_the_papers_recipe_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(KINDS, "short", Kind(400, 400))
    monkeypatch.setitem(AS_PRINTED, "max_environments", 3)
    config = VASEConfig.preset("compact", as_printed=True, loss_tolerance=1.1)
    learner = FrameStream(VASE(config, seed=SEED, device="cpu"), seed=SEED)
    onlooker = Onlooker(1, plain=False, seed=0, device="cpu")
    detector = METHODS["algorithm1"].make(1.1)
    beliefs = detector.beliefs
    assert isinstance(beliefs, PrintedRule)
    assert (beliefs.environment, list(beliefs.opened), beliefs.merges) == (0, [], 0)
    alarms, expected = [], []
    for number, chunk in enumerate(DetectionStream("sprites-short", 800, seed=9).chunks()):
        start = number * 64
        alarms += [start + place for place in detector.observe(onlooker.look(chunk))]
        with warnings.catch_warnings():
            # The detector does not say when there is no room for more environments.
            warnings.simplefilter("ignore", RuntimeWarning)
            changes = [learner.observe(frame[None]) for frame in chunk]
        expected += [start + place for place, change in enumerate(changes) if change.shift]
        assert alarms == expected
        assert list(beliefs.opened) == learner.vase.registry.opened
        assert beliefs.environment == learner.vase.registry.serial(learner.vase.environment)
    assert len(expected) >= len(beliefs.opened) - 1 == config.max_environments - 1


def test_mmd_is_that_of_two_double_loops() -> None:
    rng = np.random.default_rng(0)
    reference = rng.normal(0, 1, (REFERENCE, 3))
    block = rng.normal(0.5, 1, (BLOCK, 3))
    rule = MMD(1.0)
    for part in [*[block] * (SETTLING // BLOCK), *np.split(reference, REFERENCE // BLOCK)]:
        assert not rule(part)
    distances = [
        float(((a - b) ** 2).sum()) for i, a in enumerate(reference) for b in reference[:i]
    ]
    gamma = 1 / float(np.median(distances))
    xx, yy = rbf_kernel(block, gamma=gamma), rbf_kernel(reference, gamma=gamma)
    n, m = len(block), len(reference)
    expected = (
        (xx.sum() - n) / (n * (n - 1))
        + (yy.sum() - m) / (m * (m - 1))
        - 2 * rbf_kernel(block, reference, gamma=gamma).mean()
    )
    assert rule.statistic(block) == pytest.approx(expected, rel=1e-9)


def test_permutations_are_mmds_of_the_parts() -> None:
    rng = np.random.default_rng(0)
    within = rbf_kernel(rng.normal(0, 1, (8, 2)))
    found = baselines.permuted(within, 3, 500, rng)
    every = []
    for chosen in [[i, j, k] for k in range(8) for j in range(k) for i in range(j)]:
        others = [i for i in range(8) if i not in chosen]
        a, b = within[np.ix_(chosen, chosen)], within[np.ix_(others, others)]
        ab = within[np.ix_(chosen, others)]
        every.append((a.sum() - 3) / 6 + (b.sum() - 5) / 20 - 2 * ab.mean())
    assert set(np.round(found, 9)) == set(np.round(every, 9))


def test_welch_is_scipys() -> None:
    stats = pytest.importorskip("scipy.stats")
    rng = np.random.default_rng(0)
    a, b = rng.normal(0, 1, 64), rng.normal(1, 3, 256)
    assert welch_t(a, b) == pytest.approx(stats.ttest_ind(a, b, equal_var=False).statistic)


def test_the_plain_vae_learns_after_it_was_asked() -> None:
    frames = DetectionStream("sprites-still", 1024, seed=0)
    plain, again = (Onlooker(1, plain=True, seed=0, device="cpu") for _ in range(2))
    losses = []
    for number, chunk in enumerate(frames.chunks()):
        stretch = plain.look(chunk)
        assert stretch.losses is not None
        assert stretch.latents is not None
        assert stretch.latents.shape == (64, plain.vase.config.latents)
        losses.append(float(stretch.losses.mean()))
        if number < 6:
            np.testing.assert_array_equal(again.look(chunk).losses, stretch.losses)
    assert np.mean(losses[-4:]) < 0.5 * np.mean(losses[:4])
    # The first block of 256 frames, then a step for every 8 frames.
    assert plain.vase.updates == pytest.approx(1 + (1024 - 256) / 8, abs=2)
    assert len(plain.vase.environments) == 1


# ---------------------------------------------------------------- the command

SHORT = Kind(400, 500)
FEW = ["--streams", "sprites-short", "sprites-still", "--frames", "1000", "--device", "cpu"]


@pytest.fixture(name="out", scope="module")
def _out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("detect")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(KINDS, "short", SHORT)
        assert cli.main(["detect", "--workers", "1", *FEW, "--out", str(out)]) == 0
    return out


def metrics(out: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((out / "metrics.json").read_text())
    return loaded


def test_the_command_leaves_numbers_table_and_pictures(out: Path) -> None:
    found = metrics(out)
    assert found["finished"]
    assert list(found["detectors"]) == [name for name in METHODS if name != "algorithm1"]
    for name, numbers in found["detectors"].items():
        assert {"delay_frames_median", "false_alarms_per_million", "missed"} <= set(numbers)
        assert list(numbers["streams"]) == ["sprites-short", "sprites-still"]
        for row in numbers["streams"].values():
            assert [r["setting"] for r in row["sweep"]] == list(METHODS[name].settings)
            assert row["setting"] == METHODS[name].default
    always, never = found["detectors"]["always"], found["detectors"]["never"]
    assert (always["missed"], always["streams"]["sprites-still"]["false_alarms"]) == (0, 15)
    assert always["streams"]["sprites-short"]["matched"] is None
    assert never["missed"] == never["boundaries"] > 0
    assert never["streams"]["sprites-short"]["matched"]["false_alarms"] == 0
    blocks = found["detectors"]["blocks"]["streams"]["sprites-short"]
    assert blocks["missed"] == 0
    assert blocks["environments"] == blocks["worlds"]
    table = (out / "table.md").read_text()
    assert table.count("| sprites-short | blocks |") == 2
    assert table.count("| sprites-still | blocks |") == 1
    for name in ("sweep.svg", "timeline.svg"):
        assert "<svg" in (out / name).read_text()


@pytest.mark.usefixtures("small")
def test_algorithm1_runs_where_it_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(METHODS, "algorithm1", replace(METHODS["algorithm1"], settings=(1.5,)))
    few = ["--streams", "sprites-still", "--detectors", "algorithm1", "--frames", "1000"]
    assert cli.main(["detect", "--workers", "1", *few, "--out", str(tmp_path)]) == 0
    (row,) = metrics(tmp_path)["detectors"]["algorithm1"]["streams"]["sprites-still"]["sweep"]
    assert row["setting"] == 1.5
    assert (row["worlds"], row["boundaries"], row["merges"]) == (1, 0, 0)
    assert row["environments"] >= 1


def test_a_finished_stream_is_not_run_again(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(KINDS, "short", SHORT)
    before = metrics(out)["detectors"]

    def fail(*_: object) -> None:
        raise AssertionError("run again")

    monkeypatch.setattr(detection_module, "_watch", fail)
    assert cli.main(["detect", "--workers", "1", *FEW, "--out", str(out)]) == 0
    assert metrics(out)["detectors"] == before
    with pytest.raises(AssertionError, match="run again"):
        cli.main(["detect", "--workers", "1", *FEW, "--seeds", "1", "--out", str(out)])
    monkeypatch.setitem(
        METHODS, "never", Method(METHODS["never"].make, (1.0, 2.0), 1.0, plain=False)
    )
    with pytest.raises(AssertionError, match="run again"):
        cli.main(["detect", "--workers", "1", *FEW, "--out", str(out)])


def test_an_interrupted_run_keeps_what_it_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch = detection_module._watch

    def once(job: detection_module.Job, folder: Path) -> list[dict[str, Any]]:
        if job.seed == 1:
            raise KeyboardInterrupt
        return watch(job, folder)

    monkeypatch.setattr(detection_module, "_watch", once)
    few = ["--streams", "sprites-still", "--detectors", "never", "mmd-pixels", "--frames", "1000"]
    assert (
        cli.main(["detect", "--workers", "1", *few, "--seeds", "0,1", "--out", str(tmp_path)])
        == 130
    )
    found = metrics(tmp_path)
    assert not found["finished"]
    assert found["detectors"]["never"]["boundaries"] == 0
    assert (tmp_path / "table.md").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--streams", "rivers"], "of gradual, short, recurring, still, got 'rivers'"),
        (["--streams", "reach-trainde"], "got 'reach-trainde'; near it: reach-trained, "),
        (
            ["--streams", "sprites-still", "atari", "--frames", "10999"],
            "--frames must be at least 11,000 for atari, whose visits last 3,000 to 8,000 frames",
        ),
        (["--streams", "sprites-short", "--frames", "1499"], "at least 1,500 for sprites-short"),
        (["--detectors", "nose"], "--detectors must be among blocks, "),
        (["--frames", "10"], "must be a whole number of at least 1000, got '10'"),
        (["--seeds", "b"], "must be different seeds as in 0,1,2 or 10-14, got 'b'"),
        (["--false-alarms-per-million", "-1"], "finite number of at least 0, got '-1'"),
        (["--false-alarms-per-million", "nan"], "finite number of at least 0, got 'nan'"),
        (["--data-dir", "gone", "--seeds", "0-4", "--detectors", "never"], "gone"),
    ],
)
def test_bad_input_is_one_line(
    options: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["detect", *options, "--out", str(tmp_path / "x")]) == 2
    *_, last = capsys.readouterr().err.strip().splitlines()
    assert message in last


@pytest.mark.parametrize("name", ["sprites", "sprites-gradual", "sprites-short"])
def test_the_least_number_of_frames_holds_a_switch(name: str) -> None:
    kind = KINDS[STREAMS[name][1]]
    assert kind.shortest is not None
    least = kind.shortest + kind.longest
    detection_streams.check_length(name, least)
    for seed in range(200):
        assert len(plan(("a", "b"), kind, least, np.random.default_rng(seed))) >= 2


def test_without_river_the_message_says_what_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "river.drift", None)
    with pytest.raises(ValueError, match=r'river: pip install "vase_rl\[detect\]"'):
        detectors.check_methods(["adwin"])
    assert detectors.check_methods(["blocks", "never", "blocks"]) == ["blocks", "never"]


def test_help_names_every_stream_and_detector(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["detect", "--help"])
    text = capsys.readouterr().out
    kinds = [f"X-{kind}" for kind in KINDS if kind != "abrupt"]
    assert all(name in text for name in (*GROUPS, *kinds, *METHODS))
    assert len(STREAMS) == len(GROUPS) * len(KINDS)


@pytest.mark.parametrize("rate", [0.0, 40.0])
def test_the_axis_of_false_alarms_has_plain_ticks(rate: float) -> None:
    rows = [
        {"false_alarms_per_million": rate, "wait_frames_median": 100.0 + setting}
        for setting in METHODS["blocks"].settings
    ]
    (axes,) = sweep({"blocks": {"streams": {"sprites": {"boundaries": 2, "sweep": rows}}}}).axes
    left, right = axes.get_xlim()
    assert left < 0 <= rate < right
    assert [tick for tick in axes.get_xticks() if left <= tick <= right] == [0, 10]


@pytest.mark.parametrize("name", METHODS)
def test_settings_include_the_default(name: str) -> None:
    assert METHODS[name].default in METHODS[name].settings
