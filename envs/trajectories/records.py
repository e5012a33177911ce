"""Episodes that are one `tf.train.Example` each, in TFRecord files; which feature is what."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from .decoding import decode_image
from .example import Blobs, ExampleError, Feature, Numbers, parse_example
from .listing import natural_key
from .reader import Entry, Images, Steps, TrajectoryError
from .tfrecord import HEADER, Content, FramingError, Mark, open_content, read_record

SHARD = re.compile(r"(?!\.).*tfrecords?(-\d+-of-\d+)?(\.gz)?", re.IGNORECASE)


@dataclass(frozen=True)
class Layout:
    """Which feature of an episode is what.

    Attributes:
        pixels: a PNG or JPEG image for each of the T steps.
        swapped: whether the images have red and blue exchanged.
        actions, rewards: numbers for each step, where the episode has them.
        terminal: a flag for each step, the last of which says whether the episode terminated.
        needed: features without which the episode is damaged.
        prefix: left off the names of all other features.
    """

    pixels: str
    swapped: bool
    actions: str
    rewards: str
    terminal: str | None = None
    needed: tuple[str, ...] = ()
    prefix: str = ""


class ExampleReader:
    """Reads episodes from TFRecord files; see `Reader`. One record is in memory at a time.

    Args:
        files: the shards in their order.
        layout: of every episode in them.
    """

    def __init__(self, files: list[Path], layout: Layout) -> None:
        self.files, self.layout = files, layout
        self._marks: dict[Path, list[Mark]] = {path: [] for path in files}
        self._content: tuple[Path, Content] | None = None
        self._held: tuple[Path, int, dict[str, Feature]] | None = None

    def entries(self, bad: Callable[[TrajectoryError], None]) -> Iterator[Entry]:
        """Reads and checks every record; `Entry.offset` is where it starts, decompressed.

        A damaged payload costs its episode; other damage the rest of its file.
        """
        for path in self.files:
            try:
                content = open_content(path, self._marks[path])
            except FramingError as error:
                bad(error)
                continue
            with closing(content):
                yield from self._entries_of(path, content, bad)

    def frames(self, entry: Entry, start: int, stop: int) -> Images:
        """See `Reader.frames`; only these are decoded."""
        pixels = self._features(entry)[self.layout.pixels]
        assert isinstance(pixels, Blobs)
        frames = [self._decode(pixels, i, entry) for i in range(start, stop)]
        for i, frame in enumerate(frames, start):
            if frame.shape != frames[0].shape:
                raise TrajectoryError(
                    entry.path,
                    f"frames of an episode must have one shape, got {frame.shape} in frame {i} "
                    f"after {frames[0].shape}",
                    episode=entry.number,
                    offset=entry.offset,
                )
        return np.stack(frames)

    def steps(self, entry: Entry) -> Steps:
        """See `Reader.steps`; features of T × n numbers become (T, n), text and images are left."""
        layout, features = self.layout, self._features(entry)
        arrays = {
            name: _per_step(feature, entry.frames)
            for name, feature in features.items()
            if not isinstance(feature, Blobs) and len(feature)
        }
        actions, rewards = arrays.pop(layout.actions, None), arrays.pop(layout.rewards, None)
        terminal = arrays.get(layout.terminal or "")
        return Steps(
            actions=actions,
            rewards=None if rewards is None else rewards.astype(np.float32),
            terminated=None if terminal is None else bool(terminal[-1].any()),
            extra={name.removeprefix(layout.prefix): array for name, array in arrays.items()},
        )

    def close(self) -> None:
        """Closes the open file and forgets the episode in memory."""
        self._held = None
        if self._content is not None:
            self._content[1].close()
            self._content = None

    def _entries_of(
        self, path: Path, content: Content, bad: Callable[[TrajectoryError], None]
    ) -> Iterator[Entry]:
        number = offset = 0
        while True:
            try:
                frames = self._load(content, path, number, offset)
            except FramingError as error:
                bad(error)
                return
            except TrajectoryError as error:
                bad(error)
            else:
                if frames is None:
                    return
                yield Entry(path, number, frames, offset)
            number, offset = number + 1, content.tell()

    def _load(self, content: Content, path: Path, number: int, offset: int) -> int | None:
        """Holds the episode at `offset` and says how many frames it has; None at the end."""
        self._held = None
        payload = read_record(content, path, number, offset)
        if payload is None:
            return None
        try:
            features = parse_example(payload)
            frames = _check(features, self.layout)
        except ValueError as error:
            raise TrajectoryError(path, str(error), episode=number, offset=offset) from error
        self._held = path, offset, features
        return frames

    def _features(self, entry: Entry) -> dict[str, Feature]:
        assert entry.offset is not None
        if self._held is None or self._held[:2] != (entry.path, entry.offset):
            content = self._open(entry.path)
            self._load(content, entry.path, entry.number, entry.offset)
        if self._held is None:
            raise TrajectoryError(
                entry.path,
                "the file ends before the episode: it has changed since it was read first",
                episode=entry.number,
                offset=entry.offset,
            )
        return self._held[2]

    def _open(self, path: Path) -> Content:
        if self._content is None or self._content[0] != path:
            self.close()
            self._content = path, open_content(path, self._marks[path])
        return self._content[1]

    def _decode(self, pixels: Blobs, number: int, entry: Entry) -> Images:
        try:
            return decode_image(bytes(pixels[number]), swapped=self.layout.swapped)
        except ValueError as error:
            payload = (entry.offset or 0) + HEADER.size
            raise TrajectoryError(
                entry.path,
                f"frame {number}: {error}",
                episode=entry.number,
                offset=payload + pixels.spans[number][0],
            ) from error


def shards_of(path: Path) -> list[Path]:
    """The file itself, or the folder's TFRecord files in natural order.

    Raises:
        TrajectoryError: there is nothing, or no such file in the folder.
    """
    if not path.exists():
        raise TrajectoryError(path, "no such file or folder")
    if not path.is_dir():
        return [path]
    files = [file for file in path.iterdir() if SHARD.fullmatch(file.name) and file.is_file()]
    if not files:
        raise TrajectoryError(path, "holds no TFRecord file, such as x.tfrecord-00000-of-00001")
    return sorted(files, key=natural_key)


def _check(features: dict[str, Feature], layout: Layout) -> int:
    """How many frames the episode has."""
    pixels = features.get(layout.pixels)
    if not isinstance(pixels, Blobs) or not len(pixels):
        held = ", ".join(sorted(features)) or "none"
        raise ExampleError(f"the feature {layout.pixels} must hold images, got features {held}")
    for name in (layout.actions, layout.rewards):
        numbers = features.get(name, ())
        values = 0 if isinstance(numbers, Blobs) else len(numbers)
        if values % len(pixels) or (not values and name in layout.needed):
            raise ExampleError(
                f"the feature {name} must hold numbers for each of the {len(pixels)} frames, "
                f"got {values} numbers"
            )
    return len(pixels)


def _per_step(numbers: Numbers, frames: int) -> npt.NDArray[Any]:
    rows = len(numbers) // frames
    if rows > 1 and len(numbers) % frames == 0:
        return numbers.reshape(frames, rows)
    return numbers
