"""Sources of frames by name: sprites that move or not, pictures of faces, and sequences."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from .canvas import (
    Floats,
    Images,
    Integers,
    SpriteBank,
    check_size,
    invert,
    large_side,
    paste,
    sprite_side,
    to_pixels,
    to_position,
)
from .families import FAMILIES, PICTURES, load_bank, stream_of

PREFIXES = ("", "moving-", "inverted-", "moving-inverted-", "large-", "large-inverted-")
PICTURE_PREFIXES = ("", "inverted-")
SOURCE_NAMES = (
    *(prefix + family for family in FAMILIES for prefix in PREFIXES),
    *(prefix + family for family in PICTURES for prefix in PICTURE_PREFIXES),
)
MOTIONS = ("independent", "smooth")
CLIP_FRAMES = (30, 50)
"""Shortest and longest time that one sprite stays with `motion="smooth"`: 40 on average."""
CLIP_SPEED = (0.02, 0.06)
"""Slowest and fastest smooth sprite, in parts of the range per frame."""


@dataclass(frozen=True)
class SourceName:
    """A source's name taken apart: `moving-inverted-mnist` is all three."""

    family: str
    moving: bool
    inverted: bool
    large: bool = False

    def side(self, size: int) -> int:
        """The side of its sprites on a canvas of `size` pixels."""
        if self.family in PICTURES:
            return size
        return large_side(size) if self.large else sprite_side(size)


@dataclass(frozen=True)
class Batch:
    """Frames and what is in them.

    Attributes:
        frames: uint8 (n, size, size, 1).
        factors: name to an array of length n. `"class"` is int64; `"position"` is float32 (n, 2),
            the sprite's top left as x and y in [0, 1] of its range (0.5 where it stands still);
            drawn families add the parameters that they were drawn from.
    """

    frames: Images
    factors: dict[str, npt.NDArray[np.generic]]


@dataclass(frozen=True)
class Segment:
    """A source's name and the number of frames that it gives before the next one's turn."""

    source: str
    frames: int


@dataclass
class _Clip:
    """One sprite on its way: index in the bank, start, velocity, frames shown, frames in all."""

    index: int
    start: npt.NDArray[np.float64]
    velocity: npt.NDArray[np.float64]
    age: int
    length: int


class Source:
    """An endless supply of frames of one kind; made by `make_source`.

    Attributes:
        name, family, moving, inverted: what it shows.
        size, sprite_size: side of the canvas and of a sprite in pixels.
        motion: `"independent"` draws or one `"smooth"` sprite at a time.
    """

    def __init__(
        self, name: str, bank: SpriteBank, size: int, motion: str, rng: np.random.Generator
    ) -> None:
        parsed = parse_source(name)
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
        if isinstance(n, bool) or not isinstance(n, (int, np.integer)) or n < 1:
            raise ValueError(f"n must be an integer of at least 1, got {n!r}")
        draw = self._independent if self.motion == "independent" else self._smooth
        indices, pixels = draw(int(n))
        frames = paste(self._bank.images[indices], pixels, self.size)
        factors = {name: values[indices] for name, values in self._bank.factors.items()}
        factors["position"] = (
            to_position(pixels, self.size) if self.moving else np.full((n, 2), 0.5, np.float32)
        )
        return Batch(invert(frames) if self.inverted else frames, factors)

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


def parse_source(name: str) -> SourceName:
    """Takes a source's name apart.

    Raises:
        ValueError: there is no such source; the message lists those that there are.
    """
    if not isinstance(name, str) or name not in SOURCE_NAMES:
        raise ValueError(f"source must be one of {', '.join(SOURCE_NAMES)}, got {name!r}")
    family = name.rsplit("-", 1)[-1]
    moving, large = name.startswith("moving-"), name.startswith("large-")
    return SourceName(family, moving, "inverted-" in name, large)


def make_source(
    name: str,
    *,
    size: int = 64,
    seed: int = 0,
    data_dir: str | Path | None = None,
    motion: str = "independent",
    split: str = "train",
    skip_bad: bool = False,
) -> Source:
    """Makes the source of frames called `name`.

    Args:
        name: a family of sprites (`garments`, `glyphs`, `mnist`, `fashion`), with `inverted-` for
            dark sprites on white, and before that `moving-` for sprites anywhere on the canvas or
            `large-` for sprites that fill most of it; or a family of pictures (`faces`, `celeba`),
            with `inverted-` for negatives. Sprites that do not move are centred.
        size: side of the square canvas in pixels, at least 16; sprites take 28/64 of it, large
            ones 28/32, and pictures fill it: at 32, `celeba` beside `large-inverted-fashion` are
            the paper's patches of 32x32 beside images of 28x28.
        seed: decides which sprites are drawn, and the order in which they come.
        data_dir: where `mnist`, `fashion` and `celeba` lie; without it, `$VASE_RL_DATA`.
        motion: `"independent"` frames, or `"smooth"`: one sprite stays for 30 to 50 frames and,
            in a moving source, runs straight and bounces off the sides.
        split: `"train"`, or `"test"` for sprites that `"train"` never shows.
        skip_bad: let a neighbour stand in for each damaged image of `celeba`; `Source.skipped`
            tells which.

    Raises:
        ValueError: an argument is none of the above; the message says which.
        DataError: (a ValueError) the data files are missing or damaged; images of `celeba` are
            read when they are shown, so `sample` may raise it too.
    """
    parsed = parse_source(name)
    side = parsed.side(check_size(size))
    if motion not in MOTIONS:
        raise ValueError(f"motion must be one of {', '.join(MOTIONS)}, got {motion!r}")
    bank = load_bank(
        parsed.family, side, seed=seed, split=split, data_dir=data_dir, skip_bad=skip_bad
    )
    return Source(name, bank, int(size), motion, stream_of(seed, "sample", name, split))


def parse_sequence(sequence: str, default_frames: int | None = None) -> list[Segment]:
    """Reads a sequence such as `"moving-garments:20000,glyphs,moving-garments:500"`.

    A source without `:N` gets `default_frames`.

    Raises:
        ValueError: a source is unknown, a number of frames is not a positive integer, or there
            is none and no default.
    """
    segments = []
    for item in sequence.split(","):
        name, colon, number = item.strip().partition(":")
        parse_source(name)
        if not colon:
            frames = default_frames
        else:
            frames = int(number) if number.isascii() and number.isdigit() else 0
        if frames is None or frames < 1:
            raise ValueError(
                f"sequence must give each source a positive number of frames, as in {name}:2000, "
                f"got {item.strip()!r}"
            )
        segments.append(Segment(name, frames))
    return segments
