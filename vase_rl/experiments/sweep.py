"""Many runs side by side: in processes of this machine, or on a Ray cluster."""

from __future__ import annotations

import os
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from multiprocessing import active_children, get_context
from pathlib import Path
from typing import Any

import torch

from ..files import write_whole
from .options import THIS_OR_RUNNING
from .progress import Progress, share_terminal
from .results import Stored, releases

Results = Sequence[dict[str, Any]]


@dataclass(frozen=True)
class Outcome:
    """Where a run's result goes.

    Attributes:
        stored: the file, beside those that the run leaves.
        leaves: files by name without which the result counts for nothing, unless the run diverged.
        others: files that there may be, too.
    """

    stored: Stored
    leaves: tuple[str, ...] = ()
    others: tuple[str, ...] = ()

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
        names = (self.stored.path.name, *self.leaves, *self.others)
        aside = self._free(time.strftime("earlier-%Y-%m-%d-%H-%M-%S", made), names)
        aside.mkdir(exist_ok=True)
        for name in set(names):
            if (self.folder / name).exists():
                (self.folder / name).replace(aside / name)
        return aside

    def _free(self, name: str, files: Sequence[str]) -> Path:
        """A folder of that name, or with a number behind it, that has none of these files."""
        aside, number = self.folder / name, 1
        while any((aside / file).exists() for file in files):
            number += 1
            aside = self.folder / f"{name}-{number}"
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
    work: Callable[[Path], Results]
    gpu: bool = False

    @property
    def folder(self) -> Path:
        """Where everything goes."""
        return self.outcomes[0].folder

    @property
    def done(self) -> bool:
        """Whether every result is on disk."""
        return all(outcome.result() is not None for outcome in self.outcomes)

    def save(self, results: Results) -> None:
        """Write those of `work`."""
        for outcome, result in zip(self.outcomes, results, strict=True):
            outcome.stored.save(result)


@dataclass(frozen=True)
class Workers:
    """Who runs tasks.

    Attributes:
        count: processes side by side, of one thread each; None: as many as cores, and where only
            one task is due, this process with all its threads.
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
            _check_address(self.ray)


HERE = Workers()
"""Processes of this machine, as many as cores."""
Finished = Iterator[tuple[Task, Exception | None]]
"""Tasks in the order in which they end, and what they raised."""


def sweep(tasks: Sequence[Task], workers: Workers, label: str) -> None:
    """Run those whose results are not yet on disk; each leaves its own when it is done.

    Raises:
        Exception: the first that a task raised, once the others have run.
        ChildProcessError: a process was killed.
        KeyboardInterrupt: what was finished is on disk.
    """
    due = [task for task in tasks if not task.done]
    if not due:
        return
    for task in due:
        _make_room(task)
    finished = _here(due, workers.count) if workers.ray is None else _on_ray(due, workers.ray)
    failures = []
    with Progress(sum(len(task.outcomes) for task in due), label, "runs") as progress:
        for task, error in finished:
            if error is None:
                progress.announce(f"finished: {task.label}")
            else:
                failures.append(error)
                if len(due) > 1:
                    progress.announce(f"failed: {task.label}: {error}")
            progress.advance(len(task.outcomes))
    if failures:
        raise failures[0]


def _make_room(task: Task) -> None:
    task.folder.mkdir(parents=True, exist_ok=True)
    for outcome in task.outcomes:
        aside = outcome.make_room()
        if aside is not None:
            name = outcome.stored.path.name
            print(f"{name} was made with other settings: it is now in {aside}", file=sys.stderr)


# ---------------------------------------------------------------- this machine


def _here(due: Sequence[Task], wanted: int | None) -> Finished:
    count = min(wanted or _cores(), len(due))
    if count == 1:
        with _one_thread() if wanted == 1 else nullcontext():
            for task in due:
                yield task, _run(task)
        return
    with _processes(count) as pool:
        pending = {pool.submit(_run, task): task for task in due}
        for future in as_completed(pending):
            try:
                yield pending[future], future.result()
            except BrokenProcessPool as error:
                raise ChildProcessError(
                    "a process was killed, perhaps for want of memory (fewer --workers take less); "
                    "what was finished is on disk"
                ) from error


def _run(task: Task) -> Exception | None:
    try:
        task.save(task.work(task.folder))
    except Exception as error:
        return error
    return None


@contextmanager
def _processes(count: int) -> Iterator[ProcessPoolExecutor]:
    """They end at once where the one who waits gives up, as on Ctrl-C."""
    before = set(active_children())
    pool = ProcessPoolExecutor(count, get_context("spawn"), _start_process)
    try:
        yield pool
    except BaseException:
        for process in set(active_children()) - before:
            process.terminate()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


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


def _cores() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:
        return os.cpu_count() or 1


# ---------------------------------------------------------------- a cluster


def _on_ray(due: Sequence[Task], address: str) -> Finished:
    """Results and files come back over the network: the machines need not share a disk."""
    ray = _ray()
    with _cluster(ray, address):
        remote = ray.remote(num_cpus=1)(_carry)
        pending = {remote.options(num_gpus=int(task.gpu)).remote(task): task for task in due}
        try:
            while pending:
                (ready, *_), _ = ray.wait(list(pending))
                task = pending.pop(ready)
                yield task, _bring_home(ray, ready, task)
        finally:
            for left in pending:
                ray.cancel(left, force=True)


def _bring_home(ray: Any, ready: Any, task: Task) -> Exception | None:
    try:
        results, files, made_with = ray.get(ready)
    except ray.exceptions.RayTaskError as error:
        cause: Exception = error.cause
        return cause
    except ray.exceptions.RayError as error:
        return ChildProcessError(str(error).strip().splitlines()[0])
    if made_with != releases():
        return ValueError(f"the cluster runs {made_with}, this machine {releases()}")
    for name, content in files.items():
        write_whole(task.folder / name, content)
    task.save(results)
    return None


def _carry(task: Task) -> tuple[Results, dict[str, bytes], dict[str, str]]:
    """Run a task of another machine: its results, the files that it left by name, and the releases
    that results depend on."""
    share_terminal()
    with tempfile.TemporaryDirectory() as folder, _one_thread():
        results = task.work(Path(folder))
        left = {path.name: path.read_bytes() for path in Path(folder).iterdir()}
    return results, left, releases()


@contextmanager
def _cluster(ray: Any, address: str) -> Iterator[None]:
    """Connected to it; a connection that the caller has is used and kept."""
    if ray.is_initialized():
        yield
        return
    # Ray takes the signal over, and would end without a word.
    terminate = signal.getsignal(signal.SIGTERM)
    data = os.environ.get("VASE_RL_DATA")
    ray.init(
        address=None if address == THIS_OR_RUNNING else address,
        runtime_env=None if data is None else {"env_vars": {"VASE_RL_DATA": data}},
    )
    signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    finally:
        ray.shutdown()


def _check_address(given: str) -> None:
    """Ray itself would try for minutes, and then end the process."""
    source, address = "--ray", given
    if given == THIS_OR_RUNNING:
        source, address = "$RAY_ADDRESS", os.environ.get("RAY_ADDRESS", "")
        if address in ("", "auto", "local"):
            return
    host, _, port = address.removeprefix("ray://").rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=5).close()
    except (OSError, ValueError) as error:
        raise ValueError(
            f"{source} must be the address of a running Ray cluster, HOST:PORT or "
            f"ray://HOST:PORT, got {address!r}: {error}"
        ) from error


def _ray() -> Any:
    try:
        import ray
    except ImportError as error:
        raise ValueError("--ray needs Ray: pip install 'vase_rl[ray]'") from error
    return ray
