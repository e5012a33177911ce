"""The families of sprites and of pictures by name: drawn ones and those read from data files."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from .canvas import Images, SpriteBank
from .celeba import load_faces
from .faces import draw_faces
from .garments import draw_garments
from .glyphs import draw_glyphs
from .idx import load_images, resolve_data_dir

DRAWN: dict[str, Callable[[int, int, np.random.Generator], SpriteBank]] = {
    "garments": draw_garments,
    "glyphs": draw_glyphs,
    "faces": draw_faces,
}
FAMILIES = ("garments", "glyphs", "mnist", "fashion")
"""Sprites: they lie on a canvas and can move."""
PICTURES = ("faces", "celeba")
"""Faces: they fill the frame."""
SPLITS = ("train", "test")
BANK_SIZE = 4000
"""Sprites drawn per family, seed and split; data sets are taken whole."""


def check_family(family: str) -> str:
    """Returns the name of a family of sprites, or raises ValueError with the list of names."""
    if family not in FAMILIES:
        raise ValueError(f"family must be one of {', '.join(FAMILIES)}, got {family!r}")
    return family


def load_bank(
    family: str,
    side: int,
    *,
    seed: int = 0,
    split: str = "train",
    data_dir: str | Path | None = None,
    skip_bad: bool = False,
) -> SpriteBank:
    """All sprites or pictures of a family, `side` pixels square; read-only, and shared.

    Drawn families depend on `seed`, and their two splits have no image in common but by chance;
    the others are the train and test files below `data_dir` or `$VASE_RL_DATA` and do not depend
    on `seed`. With `skip_bad`, damaged images of `celeba` are replaced by their neighbours.

    Raises:
        ValueError: `family`, `split` or `seed` is none of the allowed values.
        DataError: the data files are missing or damaged.
    """
    if family not in PICTURES:
        check_family(family)
    if split not in SPLITS:
        raise ValueError(f"split must be one of {', '.join(SPLITS)}, got {split!r}")
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or seed < 0:
        raise ValueError(f"seed must be an integer of at least 0, got {seed!r}")
    if family in DRAWN:
        return _drawn(family, side, int(seed), split)
    root = resolve_data_dir(data_dir)
    if family == "celeba":
        return _faces(side, split, root, skip_bad)
    return _read(family, side, split, root)


def stream_of(seed: int, *names: str) -> np.random.Generator:
    """A random generator for `seed` that is independent for every tuple of names."""
    return np.random.default_rng([seed, *(zlib.crc32(name.encode()) for name in names)])


@lru_cache(maxsize=8)
def _drawn(family: str, side: int, seed: int, split: str) -> SpriteBank:
    bank = DRAWN[family](BANK_SIZE, side, stream_of(seed, "bank", family, split))
    return _frozen(np.asarray(bank.images), bank.factors)


@lru_cache(maxsize=4)
def _read(family: str, side: int, split: str, data_dir: Path | None) -> SpriteBank:
    images, labels = load_images(family, split, data_dir)
    if images.shape[1:] != (side, side):
        shrink = side < images.shape[1]
        way = cv2.INTER_AREA if shrink else cv2.INTER_LINEAR
        resized = [cv2.resize(image, (side, side), interpolation=way) for image in images]
        images = np.asarray(resized, dtype=np.uint8)
    return _frozen(images, {"class": labels})


@lru_cache(maxsize=4)
def _faces(side: int, split: str, data_dir: Path | None, skip_bad: bool) -> SpriteBank:
    return load_faces(data_dir, split, side, skip_bad=skip_bad)


def _frozen(images: Images, factors: dict[str, npt.NDArray[np.generic]]) -> SpriteBank:
    for array in (images, *factors.values()):
        array.setflags(write=False)
    return SpriteBank(images, factors)
