"""Video files, one episode in each."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np

from .listing import files_of
from .reader import Entry, Images, Steps, TrajectoryError

# FFmpeg would print what it meets; the reader raises it.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")


class VideoReader:
    """Reads MP4 and AVI (whatever OpenCV's FFmpeg decodes) forwards, one file after the other.

    Frames before the last one that was read cost a new start of the file: seeking is exact in few
    codecs, so it is not relied on.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._capture: tuple[Path, cv2.VideoCapture] | None = None
        self._next = 0

    def entries(self, bad: Callable[[TrajectoryError], None]) -> Iterator[Entry]:
        """Decodes each file once, as headers promise frames that a truncated file does not have."""
        for path in files_of(self.path, "video"):
            try:
                frames = _count(path)
            except TrajectoryError as error:
                bad(error)
            else:
                yield Entry(path, 0, frames)

    def frames(self, entry: Entry, start: int, stop: int) -> Images:
        """See `Reader.frames`."""
        capture = self._go_to(entry.path, start)
        frames = []
        for number in range(start, stop):
            success, frame = capture.read()
            if not success:
                self.close()
                raise TrajectoryError(
                    entry.path, f"frame {number} cannot be decoded", episode=entry.number
                )
            frames.append(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB))
            self._next += 1
        return np.asarray(np.stack(frames), np.uint8)

    def steps(self, entry: Entry) -> Steps:
        """Nothing is recorded beside the frames."""
        return Steps()

    def close(self) -> None:
        """Closes the open file."""
        if self._capture is not None:
            self._capture[1].release()
            self._capture = None

    def _go_to(self, path: Path, frame: int) -> cv2.VideoCapture:
        if self._capture is None or self._capture[0] != path or self._next > frame:
            self.close()
            self._capture, self._next = (path, _open(path)), 0
        capture = self._capture[1]
        while self._next < frame and capture.grab():
            self._next += 1
        return capture


def _open(path: Path) -> cv2.VideoCapture:
    capture = cv2.VideoCapture(str(path))
    if not capture.isOpened():
        raise TrajectoryError(path, "is no video that OpenCV can open (truncated or damaged?)")
    return capture


def _count(path: Path) -> int:
    capture = _open(path)
    try:
        promised, frames = int(capture.get(cv2.CAP_PROP_FRAME_COUNT)), 0
        while capture.grab():
            frames += 1
    finally:
        capture.release()
    if frames < max(promised, 1):
        raise TrajectoryError(path, f"its header promises {promised} frames, {frames} can be "
                                    "decoded (truncated or damaged?)")  # fmt: skip
    return frames
