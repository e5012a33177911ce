"""NPZ and HDF5 files of frames, one or several episodes in each.

The layout of a shard, in arrays of the file (in HDF5: data sets at its top):

- `frames`: uint8 (T, H, W) or (T, H, W, C), C 1, 3 (RGB) or 4 (the alpha channel is dropped);
- `episode_starts` or `is_first`, optional: (T,), true where an episode starts. The first frame of
  a file starts one in any case, so a file without marks is one episode;
- `actions`, `rewards`, optional: (T, ...), or (T − 1, ...) in a file of one episode;
- `terminated`, optional: (T,), true at the last frame of an episode that ended by itself;
- any other array of T numbers or rows of numbers is given in `Steps.extra`.

A folder of such files is one recording, in the natural order of their names; no episode goes on
from one file to the next.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from .damage import damage
from .extras import open_hdf5, require
from .listing import files_of
from .npz import NPZ
from .reader import Entry, Images, Steps, TrajectoryError

MARKS = ("episode_starts", "is_first")


class Column(Protocol):
    """An array in a file, read in slices along its first axis."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def dtype(self) -> np.dtype[Any]: ...

    def __getitem__(self, rows: slice, /) -> npt.NDArray[Any]: ...


class Shard:
    """An open file: its arrays by name."""

    def __init__(self, columns: Mapping[str, Column], close: Callable[[], None]) -> None:
        self.columns, self.close = columns, close


def npz_reader(path: Path, frames_key: str = "frames") -> ShardReader:
    """A reader of NPZ files, best uncompressed: only these allow to go back without starting again.

    Raises:
        TrajectoryError: there is none.
    """

    def open_shard(file: Path) -> Shard:
        archive = NPZ(file)
        return Shard(archive, archive.close)

    return ShardReader(path, "npz", open_shard, frames_key)


def hdf5_reader(path: Path, frames_key: str = "frames") -> ShardReader:
    """A reader of HDF5 files.

    Raises:
        MissingLibraryError: h5py is not installed.
    """
    h5py = require("h5py")

    def open_shard(file: Path) -> Shard:
        archive = open_hdf5(file)
        top = {name: item for name, item in archive.items() if isinstance(item, h5py.Dataset)}
        return Shard(top, archive.close)

    return ShardReader(path, "hdf5", open_shard, frames_key)


class ShardReader:
    """Reads shards in slices; keeps the last one open.

    Args:
        path: a file or a folder of files.
        format: decides which files of a folder belong to it.
        open_shard: opens one.
        frames_key: name of the array that holds the frames.
    """

    def __init__(
        self, path: Path, format: str, open_shard: Callable[[Path], Shard], frames_key: str
    ) -> None:
        self.path, self.format, self.frames_key = path, format, frames_key
        self._open_shard = open_shard
        self._shard: tuple[Path, Shard] | None = None

    def entries(self, bad: Callable[[TrajectoryError], None]) -> Iterator[Entry]:
        """Opens file after file, and looks at shapes and marks only."""
        for path in files_of(self.path, self.format):
            try:
                starts = self._starts(path)
            except TrajectoryError as error:
                bad(error)
                continue
            for number, (start, stop) in enumerate(pairwise(starts)):
                yield Entry(path, number, stop - start, key=start)

    def frames(self, entry: Entry, start: int, stop: int) -> Images:
        """See `Reader.frames`."""
        with damage(entry.path, entry.number):
            column = self._columns(entry.path)[self.frames_key]
            frames = column[entry.key + start : entry.key + stop]
        frames = frames[..., None] if frames.ndim == 3 else frames[..., :3]
        return np.asarray(frames, np.uint8)

    def steps(self, entry: Entry) -> Steps:
        """See `Reader.steps`."""
        with damage(entry.path, entry.number):
            arrays = {
                name: column[entry.key : entry.key + entry.frames]
                for name, column in self._columns(entry.path).items()
                if name not in (self.frames_key, *MARKS) and self._is_per_step(name, column, entry)
            }
        terminated = arrays.pop("terminated", None)
        rewards = arrays.pop("rewards", None)
        return Steps(
            actions=arrays.pop("actions", None),
            rewards=None if rewards is None else np.asarray(rewards, np.float32),
            terminated=None if terminated is None else bool(terminated[-1]),
            extra=arrays,
        )

    def close(self) -> None:
        """Closes the open file."""
        if self._shard is not None:
            self._shard[1].close()
            self._shard = None

    def _columns(self, path: Path) -> Mapping[str, Column]:
        if self._shard is None or self._shard[0] != path:
            self.close()
            self._shard = path, self._open_shard(path)
        return self._shard[1].columns

    def _starts(self, path: Path) -> list[int]:
        """First frames of the episodes, and behind them the number of all frames."""
        with damage(path):
            columns = self._columns(path)
            if self.frames_key not in columns:
                raise TrajectoryError(path, f"must hold an array {self.frames_key!r}, got "
                                            f"{sorted(columns)}")  # fmt: skip
            total = _check_frames(path, columns[self.frames_key])
            marks = next((columns[name] for name in MARKS if name in columns), None)
            if marks is None:
                return [0, total]
            if marks.shape != (total,):
                raise TrajectoryError(path, f"must mark the starts of episodes among {total} "
                                            f"frames, got shape {marks.shape}")  # fmt: skip
            firsts = np.flatnonzero(marks[0:total])
        return [0, *(int(i) for i in firsts if i > 0), total]

    def _is_per_step(self, name: str, column: Column, entry: Entry) -> bool:
        """Whether an array has a row per frame; actions and rewards may lack the last one."""
        if not column.shape or column.dtype.hasobject:
            return False
        total = self._columns(entry.path)[self.frames_key].shape[0]
        short = name in ("actions", "rewards") and entry.frames == total
        return column.shape[0] == total or (short and column.shape[0] == total - 1)


def _check_frames(path: Path, frames: Column) -> int:
    """How many there are."""
    # No row at all, which says whether rows can be read.
    shape, dtype = frames.shape, frames[0:0].dtype
    channels = len(shape) == 3 or (len(shape) == 4 and shape[3] in (1, 3, 4))
    if dtype != np.uint8 or not channels or 0 in shape:
        raise TrajectoryError(path, "frames must be uint8 (T, H, W) or (T, H, W, C) with C 1, 3 "
                                    f"or 4, none of them 0, got {dtype} {shape}")  # fmt: skip
    return int(shape[0])
