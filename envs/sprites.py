"""Frames of sprites that move or not, and of pictures that fill them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .batch import Batch, check_count
from .canvas import (
    Floats,
    Integers,
    SpriteBank,
    invert,
    paste,
    to_pixels,
    to_position,
)
from .names import SourceName

CLIP_FRAMES = (30, 50)
"""Shortest and longest time that one sprite stays with `motion="smooth"`: 40 on average."""
CLIP_SPEED = (0.02, 0.06)
"""Slowest and fastest smooth sprite, in parts of the range per frame."""


@dataclass
class _Clip:
    """One sprite on its way: index in the bank, start, velocity, frames shown, frames in all."""

    index: int
    start: npt.NDArray[np.float64]
    velocity: npt.NDArray[np.float64]
    age: int
    length: int


class SpriteSource:
    """Sprites, one to a frame.

    Attributes:
        name, family, moving, inverted: what it shows.
        size, sprite_size: side of the canvas and of a sprite in pixels.
        motion: `"independent"` draws or one `"smooth"` sprite at a time.
    """

    channels = 1

    def __init__(
        self,
        name: str,
        parsed: SourceName,
        bank: SpriteBank,
        size: int,
        motion: str,
        rng: np.random.Generator,
    ) -> None:
        self.name = name
        self.family, self.moving, self.inverted = parsed.family, parsed.moving, parsed.inverted
        self.size, self.sprite_size, self.motion = size, parsed.side(size), motion
        self._bank = bank
        self.reset(rng)

    @property
    def skipped(self) -> list[str]:
        """Damaged images that others stood in for (`skip_bad`), one line each."""
        return list(self._bank.skipped)

    def reset(self, rng: np.random.Generator) -> None:
        """Draws from `rng` from now on, starting with a new sprite."""
        self._rng = rng
        self._clip: _Clip | None = None

    def sample(self, n: int) -> Batch:
        """The next `n` frames with their factors; every array is the caller's own."""
        n = check_count(n)
        draw = self._independent if self.motion == "independent" else self._smooth
        indices, pixels = draw(n)
        frames = paste(self._bank.images[indices], pixels, self.size)
        factors = {name: values[indices] for name, values in self._bank.factors.items()}
        factors["position"] = (
            to_position(pixels, self.size) if self.moving else np.full((n, 2), 0.5, np.float32)
        )
        return Batch(invert(frames) if self.inverted else frames, factors)

    def close(self) -> None:
        """Nothing is open."""

    def _independent(self, n: int) -> tuple[Integers, Integers]:
        indices = self._rng.integers(len(self._bank), size=n)
        span = self.size - self.sprite_size
        if self.moving:
            return indices, self._rng.integers(span + 1, size=(n, 2))
        return indices, np.full((n, 2), span // 2)

    def _smooth(self, n: int) -> tuple[Integers, Integers]:
        indices, positions = [], []
        while n:
            clip = self._clip
            if clip is None or clip.age == clip.length:
                clip = self._clip = self._new_clip()
            shown = min(n, clip.length - clip.age)
            indices.append(np.full(shown, clip.index))
            positions.append(_bounce(clip, np.arange(clip.age, clip.age + shown)))
            clip.age += shown
            n -= shown
        pixels = to_pixels(np.concatenate(positions), self.size)
        if not self.moving:
            pixels[:] = (self.size - self.sprite_size) // 2
        return np.concatenate(indices), pixels

    def _new_clip(self) -> _Clip:
        angle, speed = self._rng.uniform(0, 2 * np.pi), self._rng.uniform(*CLIP_SPEED)
        return _Clip(
            index=int(self._rng.integers(len(self._bank))),
            start=self._rng.uniform(0, 1, 2),
            velocity=speed * np.array([np.cos(angle), np.sin(angle)]),
            age=0,
            length=int(self._rng.integers(CLIP_FRAMES[0], CLIP_FRAMES[1] + 1)),
        )


def _bounce(clip: _Clip, ages: Integers) -> Floats:
    """Positions (n, 2) of a sprite that runs straight and is reflected at the sides of [0, 1]."""
    free = clip.start + ages[:, None] * clip.velocity
    return np.asarray(1 - np.abs(free % 2 - 1), np.float32)
