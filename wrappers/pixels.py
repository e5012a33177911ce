"""From an environment's observation to the frame that the learner sees."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from gymnasium import spaces

RULE = "a uint8 Box of shape (H, W), (H, W, 1), (H, W, 3) or (H, W, 4)"


class PixelReader:
    """Picks the image out of an observation, converts its colours and resizes it by area.

    Args:
        space: the environment's observation space.
        pixels_key: key of the image in a `Dict` space; needed when it holds several images.

    Raises:
        ValueError: no image in the space, or `pixels_key` does not name one.
    """

    def __init__(self, space: spaces.Space[Any], pixels_key: str | None = None) -> None:
        self.key = _find_key(space, pixels_key)
        image = space if self.key is None else space[self.key]  # type: ignore[index]
        self.shape: tuple[int, ...] = image.shape  # type: ignore[assignment]

    @property
    def channels(self) -> int:
        """Colour channels worth learning: 1 for grey images, 3 for RGB and RGBA."""
        return 1 if len(self.shape) == 2 or self.shape[2] == 1 else 3

    def read(self, observation: Any, size: int, channels: int) -> np.ndarray:
        """The frame, uint8 (size, size, channels), of one environment's observation.

        Raises:
            ValueError: the image's shape or dtype is not what the observation space says.
        """
        image = self._image(observation)
        self._check(image.dtype, image.shape)
        return resize(_colours(image, channels), size)

    def read_all(self, observations: Any, count: int, size: int, channels: int) -> np.ndarray:
        """The frames, uint8 (count, size, size, channels), of as many environments whose
        observations are stacked along the first axis.

        Raises:
            ValueError: as `read`, or there are not as many.
        """
        images = self._image(observations)
        if len(images) != count:
            raise ValueError(f"there must be {count} observed images, got {len(images)}")
        self._check(images.dtype, images.shape[1:])
        frame = (size, size, channels)
        if self.shape == frame or (*self.shape, 1) == frame:
            # One copy in place of one for each: beside a small encoder this counts.
            return np.array(images, order="C").reshape(count, *frame)
        return np.stack([resize(_colours(image, channels), size) for image in images])

    def _check(self, dtype: np.dtype[Any], shape: tuple[int, ...]) -> None:
        if shape != self.shape or dtype != np.uint8:
            raise ValueError(
                f"the observed image must be uint8 {self.shape} as the observation space says, "
                f"got {dtype} {shape}"
            )

    def _image(self, observation: Any) -> np.ndarray:
        return np.asarray(observation if self.key is None else observation[self.key])


def resize(image: np.ndarray, size: int) -> np.ndarray:
    """uint8 (H, W, C) to (size, size, C); each axis by area if it shrinks, linear if it grows."""
    height, width, channels = image.shape
    if (height, width) == (size, size):
        return np.array(image)
    # OpenCV's area rule holds only where no axis grows, hence the shrinking ones first.
    low, narrow = min(height, size), min(width, size)
    if (low, narrow) != (height, width):
        image = cv2.resize(image, (narrow, low), interpolation=cv2.INTER_AREA)
    if (low, narrow) != (size, size):
        image = cv2.resize(image, (size, size), interpolation=cv2.INTER_LINEAR)
    return image.reshape(size, size, channels)


def _colours(image: np.ndarray, channels: int) -> np.ndarray:
    """To grey or RGB; an alpha channel is dropped."""
    if image.ndim == 2:
        image = image[:, :, None]
    image = image[:, :, :3]
    if image.shape[2] == channels:
        return np.ascontiguousarray(image)
    if channels == 3:
        return np.repeat(image, 3, axis=2)
    return cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2GRAY)[:, :, None]


def _find_key(space: spaces.Space[Any], pixels_key: str | None) -> str | None:
    if not isinstance(space, spaces.Dict):
        if pixels_key is not None:
            raise ValueError(
                f"pixels_key must be None unless observations are a Dict, got {pixels_key!r} for "
                f"{space}"
            )
        if not is_image(space):
            raise ValueError(
                f"the observation space must be {RULE}, got {space}; "
                "gymnasium.wrappers.AddRenderObservation observes what an environment draws"
            )
        return None
    images = [key for key, part in space.items() if is_image(part)]
    if pixels_key is None:
        if len(images) != 1:
            raise ValueError(
                f"pixels_key must name the image among the Dict's keys {sorted(space)}; it is only "
                f"guessed when exactly one is {RULE}, here {images} are"
            )
        return images[0]
    if pixels_key not in images:
        raise ValueError(
            f"pixels_key must name {RULE} in the Dict observation, one of {images}, got "
            f"{pixels_key!r}"
        )
    return pixels_key


def is_image(space: spaces.Space[Any]) -> bool:
    """Whether a space is an image as Gymnasium defines it: uint8, height × width × channels."""
    if not isinstance(space, spaces.Box) or space.dtype != np.uint8:
        return False
    shape = space.shape
    return (len(shape) == 2 or (len(shape) == 3 and shape[2] in (1, 3, 4))) and min(shape) > 0
