"""One episode of a recording."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from .reader import Entry, Images, Reader, Steps, TrajectoryError

CHUNK_BYTES = 8 << 20
"""Frames that are read at once, where the caller does not say how many."""


class Episode:
    """One episode, whose frames are read when they are asked for.

    Attributes:
        path: the file or folder that holds it.
        number: 0-based place in that file.
    """

    def __init__(
        self, entry: Entry, reader: Reader, damaged: Callable[[TrajectoryError], None]
    ) -> None:
        self.path, self.number = entry.path, entry.number
        self._entry, self._reader, self._damaged = entry, reader, damaged

    def __len__(self) -> int:
        return self._entry.frames

    def read(self, start: int = 0, stop: int | None = None) -> Images:
        """Frames `start` to `stop`, uint8 (stop − start, H, W, C), C 1 or 3 (RGB).

        Raises:
            ValueError: not 0 ≤ start < stop ≤ length.
            TrajectoryError: they cannot be decoded, also with `skip_bad`.
        """
        stop = len(self) if stop is None else stop
        if not 0 <= start < stop <= len(self):
            raise ValueError(f"start and stop must be 0 <= start < stop <= {len(self)}, "
                             f"got {start} and {stop}")  # fmt: skip
        return self._reader.frames(self._entry, start, stop)

    def chunks(self, frames: int | None = None) -> Iterator[Images]:
        """The frames in order, `frames` at a time (the last piece may be shorter).

        Without `frames` the first piece is one frame, and from its size follow pieces of 8 MiB.
        With `skip_bad`, frames that cannot be decoded end the episode and are counted in
        `RecordedTrajectories.bad`.

        Raises:
            TrajectoryError: frames cannot be decoded, or change their shape.
        """
        if frames is not None and frames < 1:
            raise ValueError(f"frames must be an integer of at least 1, got {frames!r}")
        start, size = 0, frames or 1
        shape: tuple[int, ...] = ()
        while start < len(self):
            stop = min(start + size, len(self))
            try:
                piece = self.read(start, stop)
                shape = shape or piece.shape[1:]
                self._check_shape(piece, shape)
            except TrajectoryError as error:
                self._damaged(error)
                return
            start, size = stop, frames or max(1, CHUNK_BYTES // piece[0].nbytes)
            yield piece

    def _check_shape(self, piece: Images, shape: tuple[int, ...]) -> None:
        if piece.shape[1:] != shape:
            reason = f"frames must have one shape, got {piece.shape[1:]} after {shape}"
            raise TrajectoryError(self.path, reason, episode=self.number)

    def __iter__(self) -> Iterator[Images]:
        """One frame (H, W, C) after the other, read in `chunks`."""
        for piece in self.chunks():
            yield from piece

    def steps(self) -> Steps:
        """Actions, rewards and whatever else was recorded beside the frames.

        Raises:
            TrajectoryError: it cannot be decoded.
        """
        return self._reader.steps(self._entry)
