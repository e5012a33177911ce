"""The picture in an observation: which part it is, how it is brought to a size."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from gymnasium import spaces

from .canvas import Images

RULE = "a uint8 Box of shape (H, W), (H, W, 1), (H, W, 3) or (H, W, 4)"
KEYS = ("screen", "rgb", "pixels", "image")
"""Keys of a `Dict` observation that tell its picture among several, in this order."""


class Screen:
    """Picks the picture out of an environment's observations.

    Args:
        space: of the observations: an image, or a `Dict` with one image, or one under `KEYS`.

    Attributes:
        key: of the picture in a `Dict` observation, or None.
        shape: height, width and channels (1 for grey, 3 for RGB; alpha is dropped).

    Raises:
        ValueError: there is no picture, or it is not clear which.
    """

    def __init__(self, space: spaces.Space[Any]) -> None:
        self.key = find_key(space)
        image = space if self.key is None else space[self.key]  # type: ignore[index]
        height, width, *rest = image.shape  # type: ignore[misc]
        self.shape: tuple[int, int, int] = height, width, 1 if rest in ([], [1]) else 3

    def read(self, observation: Any) -> Images:
        """The picture, uint8 (H, W, C): an array of its own."""
        image = np.asarray(observation if self.key is None else observation[self.key])
        return np.array(image.reshape(*self.shape[:2], -1)[:, :, : self.shape[2]])


def fit(image: Images, width: int, height: int) -> Images:
    """uint8 (H, W, C) to (height, width, C); an axis that shrinks by area, others linear."""
    rows, columns, channels = image.shape
    low, narrow = min(rows, height), min(columns, width)
    # OpenCV's area rule holds only where no axis grows, hence the shrinking ones first.
    if (low, narrow) != (rows, columns):
        image = cv2.resize(image, (narrow, low), interpolation=cv2.INTER_AREA)  # type: ignore[assignment]
    if (low, narrow) != (height, width):
        image = cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)  # type: ignore[assignment]
    return image.reshape(height, width, channels)


def find_key(space: spaces.Space[Any], pixels_key: str | None = None) -> str | None:
    """Key of the picture in `Dict` observations, None where they are pictures themselves.

    Args:
        space: of the observations.
        pixels_key: the key that it must be; None to look for it.

    Raises:
        ValueError: there is no picture, or it is not clear which.
    """
    if not isinstance(space, spaces.Dict):
        if pixels_key is not None or not _is_image(space):
            raise ValueError(
                f"the observation space must be {RULE} or a Dict with one, got {space}"
                + (f" and pixels_key {pixels_key!r}" if pixels_key is not None else "")
            )
        return None
    images = [key for key, part in space.items() if _is_image(part)]
    if pixels_key is not None:
        if pixels_key not in images:
            raise ValueError(f"pixels_key must name {RULE} among the observations, one of "
                             f"{images}, got {pixels_key!r}")  # fmt: skip
        return pixels_key
    named = [key for key in KEYS if key in images]
    if len(images) == 1 or named:
        return named[0] if named else images[0]
    raise ValueError(
        f"a Dict observation must hold one image, {RULE}, or one called {', '.join(KEYS)}; here "
        f"{images} are images among the keys {sorted(space)}"
    )


def _is_image(space: spaces.Space[Any]) -> bool:
    if not isinstance(space, spaces.Box) or space.dtype != np.uint8:
        return False
    shape = space.shape
    return (len(shape) == 2 or (len(shape) == 3 and shape[2] in (1, 3, 4))) and min(shape) > 0
