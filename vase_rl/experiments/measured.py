"""Seconds that things take, measured in turn, so that what slows the machine slows all of them."""

from __future__ import annotations

import signal
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection

import torch

Work = Callable[[], object]
SHORTEST = 2e-3
"""What takes less is repeated until it takes as long; clocks and loops would tell otherwise."""


@dataclass(frozen=True)
class Times:
    """Seconds per call, by name, round by round."""

    rounds: dict[str, list[float]]

    def median(self, name: str) -> float:
        """Of all rounds."""
        return statistics.median(self.rounds[name])

    def ratio(self, name: str, other: str) -> float:
        """How many times as long `name` takes as `other`: the median over rounds."""
        pairs = zip(self.rounds[name], self.rounds[other], strict=True)
        return statistics.median(a / b for a, b in pairs)

    def spread(self, name: str, other: str) -> tuple[float, float]:
        """Quartiles of that ratio."""
        pairs = zip(self.rounds[name], self.rounds[other], strict=True)
        low, _, high = statistics.quantiles([a / b for a, b in pairs], n=4, method="inclusive")
        return low, high


def in_turn(
    work: Mapping[str, Work], rounds: int, done: Callable[[], object] = lambda: None
) -> Times:
    """Time everything once per round, one after the other, after two calls to warm up.

    Args:
        work: by name.
        rounds: 2 or more.
        done: called after each measurement.
    """
    calls = {name: _calls(call) for name, call in work.items()}
    seconds: dict[str, list[float]] = {name: [] for name in work}
    for _ in range(rounds):
        for name, call in work.items():
            seconds[name].append(_seconds(call, calls[name]))
            done()
    return Times(seconds)


def _calls(call: Work) -> int:
    """How many make a measurement."""
    call()
    return max(1, round(SHORTEST / max(_seconds(call, 1), 1e-9)))


def _seconds(call: Work, calls: int) -> float:
    _settle()
    start = time.perf_counter()
    for _ in range(calls):
        call()
    _settle()
    return (time.perf_counter() - start) / calls


def _settle() -> None:
    """Wait for what accelerators were given to do: they answer before it is done."""
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        torch.cuda.synchronize()
    if torch.backends.mps.is_available():
        torch.mps.synchronize()


@contextmanager
def elsewhere(make: Callable[[], Work]) -> Iterator[Work]:
    """Work in a process of its own with as many threads, so that nothing else of this process's
    settings is in it.

    Args:
        make: builds the work, over there; a function of a module, or a `partial` of one.

    Raises:
        ChildProcessError: (the work, too) the process has ended; what it raised it has printed.
    """
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    threads = torch.get_num_threads()
    process = context.Process(target=_serve, args=(make, threads, theirs), daemon=True)
    process.start()
    theirs.close()

    def wait() -> None:
        try:
            ours.recv()
        except (EOFError, OSError) as error:
            process.join()
            raise ChildProcessError(
                f"what is measured in a process of its own ended with exit code {process.exitcode}"
            ) from error

    def call() -> None:
        with suppress(OSError):
            ours.send(True)
        wait()

    try:
        wait()
        yield call
    finally:
        ours.close()
        process.join()


def _serve(make: Callable[[], Work], threads: int, calls: Connection) -> None:
    """Do the work whenever asked, until no one will ask again."""
    # From here on Ctrl-C is for the one who asks.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(threads)
    work = make()
    while _asked_again(calls):
        work()


def _asked_again(calls: Connection) -> bool:
    """Say that all is done, and wait for the next call; False once no one listens."""
    try:
        calls.send(True)
        calls.recv()
    except (EOFError, OSError):
        return False
    return True
