"""Recorded trajectories of any format: episodes, frames and batches, read as they are needed."""

from __future__ import annotations

import operator
import weakref
from bisect import bisect_right
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import SupportsIndex

import numpy as np

from .batches import Pool, Prepare, draw_batches, without_dead_end
from .episode import Episode
from .formats import open_reader
from .reader import Entry, Images, TrajectoryError


class RecordedTrajectories:
    """Episodes of recorded frames in any format, found and read as they are needed.

    Iteration gives `Episode`s and finds them as it goes; `len` and `frames` find all of them.
    The index holds a few numbers per episode, frames are not kept.

    Args:
        path: a file or folder in one of the `formats.FORMATS`, or a local Minari data set's name.
        format: its format's name; without it, guessed from the path.
        skip_bad: go on after damaged episodes and files, and count them in `bad`. Episodes of
            which only some frames are damaged stay in the index, and end at the damage wherever
            frames are read in their order (`Episode.chunks`, `batches`).
        pixels_key: which array holds the frames, where a format can have several.

    Attributes:
        path, format, skip_bad: as above.

    Raises:
        ValueError: no such format.
        TrajectoryError: nothing is there, or what is there cannot be read.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        format: str | None = None,
        skip_bad: bool = False,
        pixels_key: str | None = None,
    ) -> None:
        self.path, self.skip_bad = Path(path), skip_bad
        self._bad: dict[tuple[Path, int | None, int | None], TrajectoryError] = {}
        self.format, self._reader = open_reader(path, format, pixels_key)
        # For those who do not close it. The reader knows nothing of its recording, so this works.
        weakref.finalize(self, self._reader.close)
        self._index: list[Entry] = []
        self._ends: list[int] = []
        self._rest = self._reader.entries(self._damaged)
        self._failure: TrajectoryError | None = None
        self._shape: tuple[int, int, int] | None = None

    def __iter__(self) -> Iterator[Episode]:
        number = 0
        while self._find(number):
            yield self[number]
            number += 1

    def __len__(self) -> int:
        while self._find_next():
            pass
        return len(self._index)

    def __getitem__(self, number: SupportsIndex) -> Episode:
        """Episode `number`, counted from the end where it is negative.

        Raises:
            IndexError: there are not as many.
        """
        wanted = operator.index(number)
        place = wanted + len(self) if wanted < 0 else wanted
        if place < 0 or not self._find(place):
            raise IndexError(f"{self.path} holds {len(self)} episodes, got number {wanted}")
        return Episode(self._index[place], self._reader, self._damaged)

    @property
    def bad(self) -> list[TrajectoryError]:
        """What was found damaged so far, each place once; reading frames may find more."""
        return list(self._bad.values())

    @property
    def frames(self) -> int:
        """How many frames all episodes have together."""
        return self._ends[-1] if len(self) else 0

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width and channels of the first frame that can be read.

        Raises:
            TrajectoryError: there is none.
        """
        if self._shape is None:
            frame = next((piece[0] for episode in self for piece in episode.chunks(1)), None)
            if frame is None:
                raise TrajectoryError(self.path, "holds no frame that can be read")
            height, width, channels = frame.shape
            self._shape = height, width, channels
        return self._shape

    def frame(self, number: SupportsIndex) -> Images:
        """Frame `number` (H, W, C) of all episodes one after the other; negative from the end.

        Raises:
            IndexError: there are not as many.
            TrajectoryError: it cannot be decoded, also with `skip_bad`.
        """
        wanted = operator.index(number)
        place = wanted + self.frames if wanted < 0 else wanted
        while place >= (self._ends[-1] if self._ends else 0) and self._find_next():
            pass
        if not 0 <= place < (self._ends[-1] if self._ends else 0):
            raise IndexError(f"{self.path} holds {self.frames} frames, got number {wanted}")
        episode = bisect_right(self._ends, place)
        start = place - (self._ends[episode] - self._index[episode].frames)
        frame: Images = self[episode].read(start, start + 1)[0]
        return frame

    def batches(
        self,
        batch_size: int,
        *,
        seed: int = 0,
        shuffle: bool = True,
        pool_frames: int = 4096,
        prepare: Prepare | None = None,
        epochs: int | None = None,
    ) -> Iterator[Images]:
        """Batches (batch_size, H, W, C) with every frame once per epoch; an epoch's last is short.

        The last frame of an episode is left out where it is black or repeats the one before.

        No format allows quick access to single frames in random order, so the episodes are read
        from end to end in a random order into a pool, from which batches are drawn at random
        whenever it is full. Frames that lie much further apart in an epoch than `pool_frames`
        therefore do not meet in a batch. Memory is that of the pool, whatever the recording's size.

        Args:
            batch_size: frames per batch.
            seed: decides the order, which differs between epochs.
            shuffle: False for the recorded order.
            pool_frames: frames to draw from, at least `batch_size`.
            prepare: applied to each piece (n, H, W, C) of an episode before it enters the pool.
            epochs: how often; without end if None.

        Raises:
            ValueError: an argument is none of the above; frames have different shapes and no
                `prepare` makes them equal.
            TrajectoryError: frames cannot be decoded, or no frame at all can with `skip_bad`.
        """
        _check_positive(batch_size=batch_size, pool_frames=pool_frames)
        if epochs is not None:
            _check_positive(epochs=epochs)
        if pool_frames < batch_size:
            raise ValueError(f"pool_frames must be at least batch_size = {batch_size}, "
                             f"got {pool_frames}")  # fmt: skip
        rng = np.random.default_rng(seed) if shuffle else None
        capacity = pool_frames if shuffle else batch_size
        return self._batches(batch_size, capacity, rng, prepare, epochs)

    def _batches(
        self,
        batch_size: int,
        capacity: int,
        rng: np.random.Generator | None,
        prepare: Prepare | None,
        epochs: int | None,
    ) -> Iterator[Images]:
        epoch = 0
        while epochs is None or epoch < epochs:
            pieces = self._pieces(rng, prepare)
            batch = None
            for batch in draw_batches(pieces, batch_size, Pool(capacity, rng)):
                yield batch
            if batch is None:
                raise TrajectoryError(self.path, "holds no frame that can be read")
            epoch += 1

    def _pieces(self, rng: np.random.Generator | None, prepare: Prepare | None) -> Iterator[Images]:
        """All frames, in pieces of equal frame shape."""
        shape: tuple[int, ...] | None = None
        episodes = self if rng is None else (self[i] for i in rng.permutation(len(self)))
        for episode in episodes:
            for piece in without_dead_end(episode.chunks(), len(episode)):
                ready = piece if prepare is None else prepare(piece)
                shape = shape or ready.shape[1:]
                if ready.shape[1:] != shape:
                    raise ValueError(
                        f"frames of a batch must have one shape, got {ready.shape[1:]} in episode "
                        f"{episode.number} of {episode.path} after {shape}: make them equal with "
                        "prepare"
                    )
                yield ready

    def close(self) -> None:
        """Closes what is open; the recording can be read again."""
        self._reader.close()

    def __enter__(self) -> RecordedTrajectories:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _find(self, number: int) -> bool:
        """Whether there is an episode `number`; the index grows until it has it."""
        while len(self._index) <= number and self._find_next():
            pass
        return number < len(self._index)

    def _find_next(self) -> bool:
        """Puts one more episode on the index, if there is one."""
        if self._failure is not None:
            raise self._failure
        try:
            entry = next(self._rest, None)
        except TrajectoryError as error:
            # A generator that has raised would say from now on that there are no more episodes.
            self._failure = error
            raise
        if entry is not None:
            self._index.append(entry)
            self._ends.append(entry.frames + (self._ends[-1] if self._ends else 0))
        return entry is not None

    def _damaged(self, error: TrajectoryError) -> None:
        if not self.skip_bad:
            raise error
        self._bad.setdefault((error.path, error.episode, error.offset), error)


def _check_positive(**values: int) -> None:
    for name, value in values.items():
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
            raise ValueError(f"{name} must be an integer of at least 1, got {value!r}")
