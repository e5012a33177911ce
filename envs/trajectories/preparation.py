"""From recorded frames of any shape to the square frames that the learner sees."""

from __future__ import annotations

import cv2
import numpy as np

from ..screens import fit
from .reader import Images

CROPS = {
    "left": (0.5, 0.0),
    "centre": (0.5, 0.5),
    "right": (0.5, 1.0),
    "top": (0.0, 0.5),
    "bottom": (1.0, 0.5),
}
"""Which square is kept: its place along the rows and columns that are too many, from 0 to 1."""

PAPER_SHAPE = (84, 111)
"""Height and width of the paper's DM Lab frames."""


def prepare(
    frames: Images, size: int = 64, *, crop: str = "paper", channels: int | None = None
) -> Images:
    """Frames (n, H, W, C) cropped to a square and scaled to (n, size, size, channels).

    Scaled by area where frames shrink, linearly where they grow. The paper's rule for DM Lab
    (A.4): of 111×84 pixels (width × height) the right-most 27 columns go, 84×84 are scaled to
    64×64 by area.

    Args:
        frames: uint8, C 1 or 3 (RGB).
        size: side of the result in pixels.
        crop: `"paper"` is `"left"` for frames of 111×84 pixels and `"centre"` for all others.
            `"left"`, `"centre"`, `"right"`, `"top"` and `"bottom"` keep the square of the shorter
            side at that place (of a frame that is too long the other way, the middle).
            `"none"` keeps all of a frame and changes its proportions.
        channels: 1 for grey, 3 for RGB; those of `frames` if None.

    Raises:
        ValueError: an argument is none of the above.
    """
    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[3] not in (1, 3):
        raise ValueError(f"frames must be uint8 (n, H, W, 1) or (n, H, W, 3), got {frames.dtype} "
                         f"{frames.shape}")  # fmt: skip
    if isinstance(size, bool) or not isinstance(size, (int, np.integer)) or size < 1:
        raise ValueError(f"size must be an integer of at least 1, got {size!r}")
    if channels not in (None, 1, 3):
        raise ValueError(f"channels must be 1, 3 or None, got {channels!r}")
    rows, columns = square(frames.shape[1], frames.shape[2], crop)
    made = np.empty((len(frames), size, size, channels or frames.shape[3]), np.uint8)
    for frame, out in zip(frames[:, rows, columns], made, strict=True):
        out[...] = fit(_colours(frame, made.shape[3]), size, size)
    return made


def square(height: int, width: int, crop: str) -> tuple[slice, slice]:
    """Rows and columns that `crop` keeps of a frame.

    Raises:
        ValueError: there is no such crop.
    """
    if crop == "none":
        return slice(0, height), slice(0, width)
    if crop == "paper":
        crop = "left" if (height, width) == PAPER_SHAPE else "centre"
    if crop not in CROPS:
        raise ValueError(f"crop must be one of paper, {', '.join(CROPS)}, none, got {crop!r}")
    side = min(height, width)
    top, left = (
        int((length - side) * place)
        for length, place in zip((height, width), CROPS[crop], strict=True)
    )
    return slice(top, top + side), slice(left, left + side)


def _colours(frame: Images, channels: int) -> Images:
    """To (H, W, 1) or (H, W, 3)."""
    if frame.shape[2] == channels:
        return frame
    if channels == 3:
        return np.repeat(frame, 3, axis=2)
    grey = cv2.cvtColor(np.ascontiguousarray(frame), cv2.COLOR_RGB2GRAY)
    return np.asarray(grey[:, :, None], np.uint8)
