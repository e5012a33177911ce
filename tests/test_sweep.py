"""Runs side by side: what they leave, here and on a real Ray cluster of this machine."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import ray
import torch

from vase_rl.experiments import cli
from vase_rl.experiments.results import Stored
from vase_rl.experiments.studies import LATENTS, STUDIES, Cell, Study
from vase_rl.experiments.study import run_study
from vase_rl.experiments.sweep import Outcome, Task, Workers, sweep


def _double(number: int, folder: Path) -> list[dict[str, Any]]:
    (folder / f"{number}.txt").write_text(str(2 * number))
    return [{"double": 2 * number, "process": os.getpid(), "threads": torch.get_num_threads()}]


def _fail(folder: Path) -> list[dict[str, Any]]:
    raise ValueError("--steps must be enough, got 1")


def _die(folder: Path) -> list[dict[str, Any]]:
    os.kill(os.getpid(), signal.SIGKILL)
    return []


def _diverge(folder: Path) -> list[dict[str, Any]]:
    return [{"diverged": "loss 'kl' is not finite"}]


def doubling(folder: Path, count: int = 3) -> list[Task]:
    stored = [Stored(folder / f"{n}.json", {"n": n}) for n in range(count)]
    return [
        Task(f"number {n}", (Outcome(stored[n], (f"{n}.txt",)),), partial(_double, n))
        for n in range(count)
    ]


def results(tasks: list[Task]) -> list[dict[str, Any]]:
    found = [task.outcomes[0].result() for task in tasks]
    assert all(result is not None for result in found)
    return [result for result in found if result is not None]


@pytest.fixture(name="cluster", scope="module")
def _cluster() -> Iterator[None]:
    """Its workers import this file by its name."""
    paths = {"env_vars": {"PYTHONPATH": os.pathsep.join(sys.path)}}
    ray.init(address="local", num_cpus=2, include_dashboard=False, runtime_env=paths)
    yield
    ray.shutdown()


# These come first: with a connection to a cluster, as `cluster` leaves one, no other is made.
@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--ray", "127.0.0.1:1"], "--ray must be the address of a running Ray cluster, HOST:PORT "
         "or ray://HOST:PORT, got '127.0.0.1:1': "),
        (["--ray", "ray://127.0.0.1:1"], "got 'ray://127.0.0.1:1'"),
        (["--ray", "nonsense"], "got 'nonsense'"),
        (["--ray", "--workers", "2"], "--workers: not allowed with argument --ray"),
    ],
)  # fmt: skip
def test_bad_input_is_one_line(
    arguments: list[str], says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["reproduce", "fig2", "--out", str(tmp_path), *arguments]) == 2
    assert says in capsys.readouterr().err.strip().splitlines()[-1]


def test_without_ray_its_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    assert cli.main(["reproduce", "fig2", "--ray", "--out", str(tmp_path)]) == 2
    assert "--ray needs Ray: pip install 'vase_rl[ray]'" in capsys.readouterr().err


@pytest.mark.parametrize("workers", [Workers(1), Workers(2), Workers()])
def test_every_task_leaves_its_result_and_its_files(workers: Workers, tmp_path: Path) -> None:
    tasks = doubling(tmp_path / "new" / "folder")
    sweep(tasks, workers, "doubling")
    assert [found["double"] for found in results(tasks)] == [0, 2, 4]
    assert (tmp_path / "new" / "folder" / "2.txt").read_text() == "4"
    assert {found["threads"] for found in results(tasks)} == {1}


def test_one_worker_is_this_process_with_its_threads_as_before(tmp_path: Path) -> None:
    before = torch.get_num_threads()
    tasks = doubling(tmp_path)
    sweep(tasks, Workers(1), "doubling")
    assert {found["process"] for found in results(tasks)} == {os.getpid()}
    assert torch.get_num_threads() == before


def test_several_workers_are_other_processes(tmp_path: Path) -> None:
    tasks = doubling(tmp_path)
    sweep(tasks, Workers(2), "doubling")
    assert os.getpid() not in {found["process"] for found in results(tasks)}


def test_only_what_is_missing_is_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tasks = doubling(tmp_path)
    sweep(tasks[:1], Workers(1), "doubling")
    capsys.readouterr()
    sweep(tasks, Workers(1), "doubling")
    assert "number 0" not in capsys.readouterr().err
    (tmp_path / "1.txt").unlink()
    (tmp_path / "2.json").write_text("{half a file")
    sweep(tasks, Workers(1), "doubling")
    told = capsys.readouterr().err
    assert "finished: number 1\nfinished: number 2\n" in told
    assert "number 0" not in told
    sweep(tasks, Workers(1), "doubling")
    assert capsys.readouterr().err == ""


def test_results_of_other_settings_are_set_aside(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sweep(doubling(tmp_path), Workers(1), "doubling")
    (tmp_path / "0.txt").write_text("of the first settings")
    stored = Stored(tmp_path / "0.json", {"n": 0, "steps": 7})
    other = Task("number 0", (Outcome(stored, ("0.txt",)),), partial(_double, 0))
    capsys.readouterr()
    sweep([other], Workers(1), "doubling")
    (aside,) = tmp_path.glob("earlier-*")
    said = f"0.json was made with other settings: it is now in {aside}\n"
    assert capsys.readouterr().err.startswith(said)
    assert Stored(aside / "0.json", {"n": 0}).load() is not None
    assert (aside / "0.txt").read_text() == "of the first settings"
    # Made in the same second, and in nobody's way.
    os.utime(tmp_path / "0.json", (aside / "0.json").stat()[7:9])
    sweep(doubling(tmp_path, 1), Workers(1), "doubling")
    assert Stored(Path(f"{aside}-2") / "0.json", {"n": 0, "steps": 7}).load() is not None
    assert Stored(aside / "0.json", {"n": 0}).load() is not None
    assert (tmp_path / "1.json").exists()


def test_a_run_that_diverged_leaves_no_file_and_is_not_run_again(tmp_path: Path) -> None:
    task = Task("one", (Outcome(Stored(tmp_path / "one.json", {}), ("one.pt",)),), _diverge)
    sweep([task], Workers(1), "diverging")
    assert task.done
    assert task.outcomes[0].result() == {"diverged": "loss 'kl' is not finite"}


def test_a_cluster_brings_results_and_files_home(cluster: None, tmp_path: Path) -> None:
    tasks = doubling(tmp_path / "home")
    sweep(tasks, Workers(ray="auto"), "doubling")
    found = results(tasks)
    assert [result["double"] for result in found] == [0, 2, 4]
    assert os.getpid() not in {result["process"] for result in found}
    assert {result["threads"] for result in found} == {1}
    assert sorted(path.name for path in (tmp_path / "home").iterdir()) == sorted(
        f"{n}.{kind}" for n in range(3) for kind in ("json", "txt")
    )


@pytest.mark.parametrize("workers", [Workers(1), Workers(2), Workers(ray="auto")])
def test_what_a_task_raises_comes_out(cluster: None, workers: Workers, tmp_path: Path) -> None:
    stored = [Stored(tmp_path / f"{n}.json", {}) for n in range(2)]
    bad = [Task("bad", (Outcome(one),), _fail) for one in stored]
    good = doubling(tmp_path / "good", 1)
    with pytest.raises(ValueError, match=r"^--steps must be enough, got 1$"):
        sweep([*bad, *good], workers, "failing")
    assert [task.done for task in (*bad, *good)] == [False, False, True]


@pytest.mark.parametrize("workers", [Workers(2), Workers(ray="auto")])
def test_a_process_that_is_killed_is_told(cluster: None, workers: Workers, tmp_path: Path) -> None:
    tasks = [Task("bad", (Outcome(Stored(tmp_path / "bad.json", {})),), _die)]
    tasks += doubling(tmp_path, 1)
    with pytest.raises(ChildProcessError) as caught:
        sweep(tasks, workers, "dying")
    assert len(str(caught.value).splitlines()) == 1
    assert not tasks[0].done


def test_a_study_on_a_cluster_is_the_study_here(
    cluster: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = dict(image_size=16, filters=(8, 8), hidden=32, latents=6, max_environments=4)
    study = Study("?", (Cell("one", small),), LATENTS, ("garments", "glyphs"), 12, pictures=True)
    monkeypatch.setitem(STUDIES, "tiny", study)
    for name, who in (("here", Workers(1)), ("there", Workers(ray="auto"))):
        run_study("tiny", tmp_path / name, [], seeds=[0], workers=who, device="cpu")
    here, there = ((tmp_path / name / "table.csv").read_text() for name in ("here", "there"))
    assert here == there
    assert (tmp_path / "there" / "runs" / "one-seed0.pt").exists()
    assert (tmp_path / "there" / "runs" / "one-seed0.png").exists()
