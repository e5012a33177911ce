"""Progress of long work: a bar on a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Any

from tqdm import tqdm

SECONDS_PER_LINE = 15.0
SECONDS_PER_SHARED_LINE = 60.0
_shared = False


def share_terminal() -> None:
    """From now on this process is one of several that speak: plain lines, and fewer of them."""
    global _shared
    _shared = True


class Progress:
    """Counts towards a total, on standard error.

    Args:
        total: units of work in all.
        label: what is being done.
        unit: of the work, in the plural; bytes are shown in thousands and millions.
        part: of longer work with a bar of its own: nothing is left of this one at the end.

    Example:
        >>> with Progress(3, "counting", "numbers") as progress:
        ...     for _ in range(3):
        ...         progress.advance()
    """

    def __init__(self, total: int, label: str, unit: str = "frames", part: bool = False) -> None:
        self.total, self.label, self.unit, self.part = total, label, unit, part
        self.done = 0
        self.note = ""
        self._started = self._spoken = time.monotonic()
        self._said = (-1, "")
        self._bar: tqdm[Any] | None = None
        if sys.stderr.isatty() and not _shared:
            self._bar = tqdm(
                total=total, desc=label, unit=f" {unit}", unit_scale=unit == "bytes",
                dynamic_ncols=True, smoothing=0.1, leave=not part,
            )  # fmt: skip

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.close()
            return
        unsaid = self.total and self._said != (self.done, self.note)
        if kind is None and unsaid and not self.part:
            self._say()

    def advance(self, count: int = 1) -> None:
        """`count` more units are done; fewer, where some must be done again, if it is negative."""
        self.done += count
        if self._bar is not None:
            self._bar.update(count)
        elif time.monotonic() - self._spoken >= _pause():
            self._say()

    def show(self, note: str) -> None:
        """A few words on how things stand, shown beside the count."""
        self.note = note
        if self._bar is not None:
            self._bar.set_postfix_str(note, refresh=False)

    def announce(self, line: str) -> None:
        """A line that stays: something happened."""
        line = f"{self.label}: {line}" if _shared else line
        if self._bar is None:
            print(line, file=sys.stderr, flush=True)
        else:
            self._bar.write(line, file=sys.stderr)

    def _say(self) -> None:
        self._spoken, self._said = time.monotonic(), (self.done, self.note)
        seconds = self._spoken - self._started
        share = self.done / max(self.total, 1)
        note = f", {self.note}" if self.note else ""
        print(
            f"{self.label}: {self.done:,} of {self.total:,} {self.unit} ({share:.0%}), "
            f"{seconds:.0f} s{note}",
            file=sys.stderr,
            flush=True,
        )


def _pause() -> float:
    return SECONDS_PER_SHARED_LINE if _shared else SECONDS_PER_LINE


def say(line: str) -> None:
    """Tell the person who waits, on standard output, at once even where that is a file."""
    print(line, flush=True)
