"""What a source of frames gives, and what it must be able to do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from .canvas import Images


@dataclass(frozen=True)
class Batch:
    """Frames and what is in them.

    Attributes:
        frames: uint8 (n, size, size, C): C is 1, or 3 for coloured worlds and recordings.
        factors: name to an array of length n. `"class"` is int64; `"position"` is float32 (n, 2),
            the sprite's top left as x and y in [0, 1] of its range (0.5 where it stands still);
            drawn families add the parameters that they were drawn from. Worlds and recordings
            have only `"episode"` and `"step"`, int64.
    """

    frames: Images
    factors: dict[str, npt.NDArray[np.generic]]


class Source(Protocol):
    """An endless supply of frames of one kind; made by `make_source`.

    Attributes:
        name: what it shows.
        moving: whether `position` is among its factors and varies.
        size, channels: side of its frames in pixels; 1 for grey, 3 for RGB.
    """

    name: str
    moving: bool
    size: int
    channels: int

    @property
    def skipped(self) -> list[str]:
        """What was damaged and left out or stood in for (`skip_bad`), one line each."""
        ...

    def reset(self, rng: np.random.Generator) -> None:
        """Starts anew, with what `rng` decides."""
        ...

    def sample(self, n: int) -> Batch:
        """The next `n` frames with their factors; every array is the caller's own."""
        ...

    def close(self) -> None:
        """Closes what is open."""
        ...


def check_count(n: int) -> int:
    """Returns a number of frames to sample, or raises ValueError where it is none."""
    if isinstance(n, bool) or not isinstance(n, (int, np.integer)) or n < 1:
        raise ValueError(f"n must be an integer of at least 1, got {n!r}")
    return int(n)
