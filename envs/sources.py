"""Sources of frames by name: sprites that move or not, pictures, worlds and recordings."""

from __future__ import annotations

from pathlib import Path

from .batch import Source
from .canvas import check_size
from .families import load_bank, stream_of
from .names import parse_source
from .ordered import TrajectorySource, WorldSource
from .sprites import SpriteSource

MOTIONS = ("independent", "smooth")


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
            with `inverted-` for negatives. Sprites that do not move are centred. Or `env:ID`, a
            Gymnasium environment under random actions, or `trajectory:PATH`, a recording: see
            `ordered`. Their frames come in their own order, and of what follows only `size`,
            `seed` and `skip_bad` concern them.
        size: side of the square canvas in pixels, at least 16; sprites take 28/64 of it, large
            ones 28/32, and pictures fill it: at 32, `celeba` beside `large-inverted-fashion` are
            the paper's patches of 32x32 beside images of 28x28.
        seed: decides which sprites are drawn, and the order in which they come.
        data_dir: where `mnist`, `fashion` and `celeba` lie; without it, `$VASE_RL_DATA`.
        motion: `"independent"` frames, or `"smooth"`: one sprite stays for 30 to 50 frames and,
            in a moving source, runs straight and bounces off the sides.
        split: `"train"`, or `"test"` for sprites that `"train"` never shows.
        skip_bad: let a neighbour stand in for each damaged image of `celeba`, leave out damaged
            episodes of a recording; `Source.skipped` tells which.

    Raises:
        ValueError: an argument is none of the above; the message says which.
        DataError: (a ValueError) the data files are missing or damaged; images of `celeba` are
            read when they are shown, so `sample` may raise it too.
    """
    parsed = parse_source(name)
    side = parsed.side(check_size(size))
    if motion not in MOTIONS:
        raise ValueError(f"motion must be one of {', '.join(MOTIONS)}, got {motion!r}")
    if parsed.family == "env":
        return WorldSource(name, parsed.place, int(size), stream_of(seed, "play", name))
    if parsed.family == "trajectory":
        return TrajectorySource(name, parsed.place, int(size), skip_bad=skip_bad)
    bank = load_bank(
        parsed.family, side, seed=seed, split=split, data_dir=data_dir, skip_bad=skip_bad
    )
    rng = stream_of(seed, "sample", name, split)
    return SpriteSource(name, parsed, bank, int(size), motion, rng)
