"""Batches of a recording's frames, drawn at random without more than a pool of them in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np

from ...endings import is_dead
from .reader import Images

Prepare = Callable[[Images], Images]


class Pool:
    """Up to `capacity` frames, put in as they come, drawn at random or in their order."""

    def __init__(self, capacity: int, rng: np.random.Generator | None) -> None:
        self.capacity, self.count = capacity, 0
        self._rng = rng
        self._frames: Images | None = None

    def add(self, frames: Images) -> int:
        """Takes as many of `frames` (n, H, W, C) as there is room for; says how many."""
        if self._frames is None:
            self._frames = np.empty((self.capacity, *frames.shape[1:]), frames.dtype)
        taken = min(len(frames), self.capacity - self.count)
        self._frames[self.count : self.count + taken] = frames[:taken]
        self.count += taken
        return taken

    def draw(self, n: int) -> Images:
        """Removes and returns `n` frames, at most as many as there are; the caller's own."""
        assert self._frames is not None
        kept = self.count - n
        if self._rng is None:
            drawn: Images = self._frames[:n].copy()
            self._frames[:kept] = self._frames[n : self.count].copy()
        else:
            places = self._rng.choice(self.count, n, replace=False)
            drawn = self._frames[places]
            last = np.setdiff1d(np.arange(kept, self.count), places)
            self._frames[places[places < kept]] = self._frames[last]
        self.count = kept
        return drawn


def draw_batches(pieces: Iterable[Images], batch_size: int, pool: Pool) -> Iterator[Images]:
    """Every frame of `pieces` once, in batches of `batch_size`; the last one may be smaller."""
    for piece in pieces:
        rest = piece
        while len(rest):
            rest = rest[pool.add(rest) :]
            if pool.count == pool.capacity:
                yield pool.draw(batch_size)
    while pool.count:
        yield pool.draw(min(batch_size, pool.count))


def without_dead_end(pieces: Iterable[Images], frames: int) -> Iterator[Images]:
    """Pieces of an episode of so many frames, without a last frame that shows no world."""
    seen, before = 0, None
    for piece in pieces:
        seen += len(piece)
        previous = piece[-2] if len(piece) > 1 else before
        ends = seen == frames and is_dead(piece[-1], previous)
        before = piece[-1]
        if len(piece) > ends:
            yield piece[: len(piece) - ends]
