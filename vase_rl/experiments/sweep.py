"""Many runs side by side: in processes of this machine, or on a Ray cluster."""

from __future__ import annotations

import os
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch

from ..files import write_whole
from .options import THIS_OR_RUNNING
from .progress import Progress, share_terminal
from .results import Stored


@dataclass(frozen=True)
class Outcome:
    """Where a run's result goes.

    Attributes:
        stored: the file, beside those that the run leaves.
        leaves: files by name without which the result counts for nothing, unless the run diverged.
    """

    stored: Stored
    leaves: tuple[str, ...] = ()

    @property
    def folder(self) -> Path:
        """Where everything goes."""
        return self.stored.path.parent

    def result(self) -> dict[str, Any] | None:
        """That on disk; None where there is none of these settings, or a file is missing."""
        found = self.stored.load()
        whole = all((self.folder / name).exists() for name in self.leaves)
        return found if found is None or "diverged" in found or whole else None

    def make_room(self) -> Path | None:
        """Set a result of other settings aside, with its files; where it went, if there was one."""
        if not self.stored.is_of_others:
            return None
        made = time.localtime(self.stored.path.stat().st_mtime)
        aside = self.folder / time.strftime("earlier-%Y-%m-%d-%H-%M-%S", made)
        aside.mkdir(exist_ok=True)
        for name in (self.stored.path.name, *self.leaves):
            if (self.folder / name).exists():
                (self.folder / name).replace(aside / name)
        return aside


@dataclass(frozen=True)
class Task:
    """One run, or several that are made together.

    Attributes:
        label: for the one who waits.
        outcomes: of its runs, in one folder.
        work: called with a folder for files, on another machine perhaps; returns a result for each
            run, plain values of a JSON file.
        gpu: whether it asks Ray for one.
    """

    label: str
    outcomes: tuple[Outcome, ...]
    work: Callable[[Path], Sequence[dict[str, Any]]]
    gpu: bool = False

    @property
    def folder(self) -> Path:
        """Where everything goes."""
        return self.outcomes[0].folder

    @property
    def done(self) -> bool:
        """Whether every result is on disk."""
        return all(outcome.result() is not None for outcome in self.outcomes)

    def save(self, results: Sequence[dict[str, Any]]) -> None:
        """Write those of `work`."""
        for outcome, result in zip(self.outcomes, results, strict=True):
            outcome.stored.save(result)


@dataclass(frozen=True)
class Workers:
    """Who runs tasks.

    Attributes:
        count: processes side by side, of one thread each; None: as many as cores.
        ray: address of a Ray cluster, or `THIS_OR_RUNNING`; None: processes of this machine.
        replicas: learners of one condition that a process trains together (`vase_rl.replicas`),
            where a command makes such runs.

    Raises:
        ValueError: Ray is asked for and not installed, or nothing answers at its address.
    """

    count: int | None = None
    ray: str | None = None
    replicas: int = 1

    def __post_init__(self) -> None:
        if self.ray is not None and not _ray().is_initialized():
            _check_address(self.address)

    @property
    def address(self) -> str | None:
        """Of the cluster; None where Ray finds or starts one."""
        return os.environ.get("RAY_ADDRESS") if self.ray == THIS_OR_RUNNING else self.ray


HERE = Workers()
"""Processes of this machine, as many as cores."""


def sweep(tasks: Sequence[Task], workers: Workers, label: str) -> None:
    """Run those whose results are not yet on disk; each leaves its own when it is done.

    Raises:
        KeyboardInterrupt: what was finished is on disk.
    """
    due = [task for task in tasks if not task.done]
    for folder in {task.folder for task in due}:
        folder.mkdir(parents=True, exist_ok=True)
    if not due:
        return
    for outcome in (outcome for task in due for outcome in task.outcomes):
        aside = outcome.make_room()
        if aside is not None:
            name = outcome.stored.path.name
            print(f"{name} was made with other settings: it is now in {aside}", file=sys.stderr)
    finished = _here(due, workers) if workers.ray is None else _on_ray(due, workers.address)
    with Progress(len(due), label, "runs") as progress:
        for task in finished:
            progress.announce(f"finished: {task.label}")
            progress.advance()


def _here(due: Sequence[Task], workers: Workers) -> Iterator[Task]:
    count = min(workers.count or _cores(), len(due))
    if count == 1:
        with _one_thread():
            yield from map(_run, due)
        return
    # Leaving the block on Ctrl-C ends the processes; finished runs are on disk.
    with get_context("spawn").Pool(count, _start_process) as pool:
        yield from (due[index] for index in pool.imap_unordered(_run_indexed, enumerate(due)))


def _run_indexed(numbered: tuple[int, Task]) -> int:
    index, task = numbered
    _run(task)
    return index


def _run(task: Task) -> Task:
    task.save(task.work(task.folder))
    return task


def _start_process() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(1)
    share_terminal()


@contextmanager
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _on_ray(due: Sequence[Task], address: str | None) -> Iterator[Task]:
    """Results and files come back over the network: the machines need not share a disk."""
    ray = _ray()
    with _cluster(ray, address):
        remote = ray.remote(num_cpus=1)(_carry)
        pending = {remote.options(num_gpus=int(task.gpu)).remote(task): task for task in due}
        while pending:
            (ready, *_), _ = ray.wait(list(pending))
            task = pending.pop(ready)
            results, files = ray.get(ready)
            for name, content in files.items():
                write_whole(task.folder / name, content)
            task.save(results)
            yield task


@contextmanager
def _cluster(ray: Any, address: str | None) -> Iterator[None]:
    """Connected to it; a connection that the caller has is used and kept."""
    if ray.is_initialized():
        yield
        return
    ray.init(address=address)
    try:
        yield
    finally:
        ray.shutdown()  # ends what still runs of these tasks


def _check_address(address: str | None) -> None:
    """Ray itself would try for minutes, and then end the process."""
    if address is None:
        return
    host, _, port = address.removeprefix("ray://").rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=5).close()
    except (OSError, ValueError) as error:
        raise ValueError(
            "--ray must be the address of a running Ray cluster, HOST:PORT or ray://HOST:PORT, "
            f"got {address!r}: {error}"
        ) from error


def _carry(task: Task) -> tuple[Sequence[dict[str, Any]], dict[str, bytes]]:
    """Run a task of another machine: its results, and the files that it left, by name."""
    share_terminal()
    with tempfile.TemporaryDirectory() as folder, _one_thread():
        results = task.work(Path(folder))
        left = {path.name: path.read_bytes() for path in Path(folder).iterdir()}
    return results, left


def _ray() -> Any:
    try:
        import ray
    except ImportError as error:
        raise ValueError("--ray needs Ray: pip install 'vase_rl[ray]'") from error
    return ray


def _cores() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:
        return os.cpu_count() or 1
