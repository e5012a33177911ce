"""Sprites on a canvas: sizes, positions, pasting and inversion, shared by every environment."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

Images = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int64]

MINIMUM_SIZE = 16
INVERTED_CONTRAST = 0.8
"""An inverted frame is `255 - INVERTED_CONTRAST * frame`: greys from 51 to 255, no pure black."""


class Sprites(Protocol):
    """What a bank asks of its images: an array of them, or something that reads them late."""

    def __len__(self) -> int: ...

    def __getitem__(self, indices: Integers, /) -> Images: ...


@dataclass(frozen=True)
class SpriteBank:
    """Distinct sprites and the true factors that each was drawn from.

    Attributes:
        images: uint8 (M, s, s), light on black; pictures of faces have a background.
        factors: name to an array of length M; `"class"` (int64, 0 to 9) is always there.
        skipped: images that could not be read and that others stand in for, as far as is known.
    """

    images: Sprites
    factors: dict[str, npt.NDArray[np.generic]]
    skipped: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.images)


def check_size(size: int) -> int:
    """Returns the canvas side in pixels, or raises ValueError below `MINIMUM_SIZE`."""
    if isinstance(size, bool) or not isinstance(size, (int, np.integer)) or size < MINIMUM_SIZE:
        raise ValueError(f"size must be an integer of at least {MINIMUM_SIZE} pixels, got {size!r}")
    return int(size)


def sprite_side(size: int) -> int:
    """The side of a sprite on a canvas of `size` pixels: 28 on 64, in proportion elsewhere."""
    return round(size * 28 / 64)


def large_side(size: int) -> int:
    """The side of a large sprite: 28 on 32, as large beside the paper's 32x32 patch of a face."""
    return round(size * 28 / 32)


def to_pixels(position: npt.ArrayLike, size: int) -> Integers:
    """Top-left pixels (…, 2) of sprites at `position` (…, 2), x and y in [0, 1] of the range."""
    span = size - sprite_side(size)
    return np.rint(np.asarray(position, dtype=np.float64) * span).astype(np.int64)


def to_position(pixels: Integers, size: int) -> Floats:
    """The inverse of `to_pixels`: positions in [0, 1] of the range that sprites can move in."""
    return np.asarray(pixels / (size - sprite_side(size)), dtype=np.float32)


def paste(sprites: Images, pixels: Integers, size: int) -> Images:
    """Frames uint8 (n, size, size, 1): sprite i, (s, s), on black with its top left at pixels[i].

    `pixels` is (n, 2) as x and y, each within [0, size - s].
    """
    count, side = len(sprites), sprites.shape[1]
    frames = np.zeros((count, size, size, 1), dtype=np.uint8)
    steps = np.arange(side)
    rows = pixels[:, 1, None, None] + steps[:, None]
    columns = pixels[:, 0, None, None] + steps
    frames[np.arange(count)[:, None, None], rows, columns, 0] = sprites
    return frames


def invert(frames: Images) -> Images:
    """Dark sprites on white, with the contrast reduced to `INVERTED_CONTRAST`."""
    return np.asarray(np.rint(255 - INVERTED_CONTRAST * np.arange(256)), np.uint8)[frames]


def show(frame: Images, side: int = 256) -> Images:
    """An RGB picture of one frame (H, W, C), C 1 or 3: no side is shorter than `side` pixels."""
    scale = max(1, -(-side // min(frame.shape[:2])))
    picture = frame.repeat(scale, axis=0).repeat(scale, axis=1)
    return np.repeat(picture, 3 // frame.shape[2], axis=2)
