"""Minari data sets, HDF5 and Arrow."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..screens import find_key
from .damage import damage
from .decoding import decode_image
from .extras import require
from .formats import minari_data
from .minari_files import ArrowFiles, EpisodeFiles, HDF5Files
from .reader import Entry, Images, Steps, TrajectoryError


class MinariReader:
    """Reads frames of a Minari data set in slices, raw or JPEG-encoded.

    An episode of T actions has T + 1 frames. HDF5 is read slice by slice; of Arrow and Parquet an
    episode is mapped or held at a time.

    Args:
        path: the data set's folder, or `data` in it.
        pixels_key: key of the image in `Dict` observations; needed when they hold several images
            and none is called as in `screens.KEYS`.

    Raises:
        MissingLibraryError: Minari is not installed.
        TrajectoryError: it is no whole data set, or its observations are no images.
    """

    def __init__(self, path: Path, pixels_key: str | None = None) -> None:
        library = require("minari")
        folder = minari_data(path)
        if folder is None:
            raise TrajectoryError(path, "holds no Minari data set")
        try:
            data_set = library.MinariDataset(folder)
            format: str = data_set.storage.FORMAT
        except Exception as error:
            # Minari raises whatever it meets first: assertions, KeyError, JSON's and Gymnasium's.
            reason = f"is no whole Minari data set ({type(error).__name__}: {error})"
            raise TrajectoryError(folder, reason) from error
        self._episodes = int(data_set.total_episodes)
        space = data_set.observation_space
        try:
            self._key = find_key(space, pixels_key)
        except ValueError as error:
            raise TrajectoryError(folder, str(error)) from error
        self._shape: tuple[int, ...] = (space[self._key] if self._key else space).shape
        self._files: EpisodeFiles
        self._files = HDF5Files(folder) if format == "hdf5" else ArrowFiles(folder, format)

    def entries(self, bad: Callable[[TrajectoryError], None]) -> Iterator[Entry]:
        """As many as the metadata say."""
        for number in range(self._episodes):
            path = self._files.path(number)
            try:
                with damage(path, number):
                    frames = self._files.length(number, self._key or "")
                    if not frames:
                        raise TrajectoryError(path, "holds no observation")
            except TrajectoryError as error:
                bad(error)
            else:
                yield Entry(path, number, frames)

    def frames(self, entry: Entry, start: int, stop: int) -> Images:
        """See `Reader.frames`."""
        with damage(entry.path, entry.number):
            values = self._column(entry.number)[start:stop]
            raw = values.dtype != object and values.size == len(values) * np.prod(self._shape)
            if not raw:
                return np.stack([decode_image(np.asarray(v).tobytes()) for v in values])
            frames = values.reshape(len(values), *self._shape)
        frames = frames[..., None] if frames.ndim == 3 else frames[..., :3]
        return np.asarray(frames, np.uint8)

    def steps(self, entry: Entry) -> Steps:
        """Actions, rewards, how it ended; infos and the parts of nested actions as extra."""
        with damage(entry.path, entry.number):
            actions = self._read(entry.number, "actions", entry.frames - 1)
            rewards = self._read(entry.number, "rewards", entry.frames - 1)["rewards"]
            ends = self._read(entry.number, "terminations", entry.frames - 1)["terminations"]
            infos = self._read(entry.number, "infos", entry.frames)
        return Steps(
            actions=actions.pop("actions", None),
            rewards=np.asarray(rewards, np.float32),
            terminated=bool(ends[-1]) if len(ends) else None,
            extra=actions | infos,
        )

    def close(self) -> None:
        """Closes the open file."""
        self._files.close()

    def _column(self, number: int) -> Any:
        return self._files.columns(number, "observations")[self._key or ""]

    def _read(self, number: int, part: str, rows: int) -> dict[str, npt.NDArray[Any]]:
        """Arrays by names such as `infos/health`. Arrow pads the last action; `rows` cuts it."""
        columns = self._files.columns(number, part)
        return {f"{part}/{name}".rstrip("/"): column[0:rows] for name, column in columns.items()}
