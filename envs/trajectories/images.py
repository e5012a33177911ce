"""Folders of PNG or JPEG images: one episode, or a folder per episode."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from .decoding import decode_image
from .listing import files_of, folders_of
from .reader import Entry, Images, Steps, TrajectoryError


class ImageReader:
    """Images in the natural order of their names (`9.png` before `10.png`), grey or RGB.

    Where the folder holds images they are one episode; else each folder in it is one, in natural
    order. Images of an episode have one shape.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._listed: tuple[Path, list[Path]] | None = None

    def entries(self, bad: Callable[[TrajectoryError], None]) -> Iterator[Entry]:
        """Counts the images without opening them."""
        folders = [self.path] if files_of(self.path, "images") else folders_of(self.path)
        for number, folder in enumerate(folders):
            if images := self._images(folder):
                yield Entry(self.path, number, len(images), key=folder)
            else:
                bad(TrajectoryError(folder, "holds no PNG or JPEG image", episode=number))

    def frames(self, entry: Entry, start: int, stop: int) -> Images:
        """See `Reader.frames`."""
        paths = self._images(entry.key)[start:stop]
        frames = [self._decode(path, entry.number) for path in paths]
        for path, frame in zip(paths, frames, strict=True):
            if frame.shape != frames[0].shape:
                raise TrajectoryError(
                    path,
                    f"images of an episode must have one shape, got {frame.shape} after "
                    f"{frames[0].shape}",
                    episode=entry.number,
                )
        return np.stack(frames)

    def steps(self, entry: Entry) -> Steps:
        """Nothing is recorded beside the images."""
        return Steps()

    def close(self) -> None:
        """Forgets the names of the images."""
        self._listed = None

    def _images(self, folder: Path) -> list[Path]:
        if self._listed is None or self._listed[0] != folder:
            self._listed = folder, files_of(folder, "images")
        return self._listed[1]

    def _decode(self, path: Path, episode: int) -> Images:
        try:
            return decode_image(path.read_bytes())
        except (OSError, ValueError) as error:
            raise TrajectoryError(path, str(error), episode=episode) from error
