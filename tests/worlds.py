"""Synthetic worlds for tests of the learner: 8×8 frames that a tiny network learns at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from vase_rl import VASEConfig

SIZE = 8
World = Callable[..., np.ndarray]


def tiny(**overrides: Any) -> VASEConfig:
    """A configuration that takes milliseconds a step."""
    fields: dict[str, Any] = dict(
        image_size=SIZE, filters=(8, 16), hidden=32, latents=6, max_environments=4,
        batch_size=32, dream_batch_size=16, minimum_active=2, learning_rate=3e-3,
        capacity_form="bounded", gamma=1.0, capacity_max=20.0, capacity_rate=5e-3,
    )  # fmt: skip
    return VASEConfig(**{**fields, **overrides})


def bars(rng: np.random.Generator, frames: int, channels: int = 1) -> np.ndarray:
    """Bright horizontal or vertical bars at random places, uint8 (B, 8, 8, C)."""
    place, upright = rng.integers(SIZE, size=frames), rng.random(frames) < 0.5
    row, column = np.arange(SIZE)[None, :, None], np.arange(SIZE)[None, None, :]
    at = np.where(upright[:, None, None], column, row)
    return _coloured(255 * (at == place[:, None, None]), channels)


def checkers(rng: np.random.Generator, frames: int, channels: int = 1) -> np.ndarray:
    """Dark chequers of random cell size, phase and brightness."""
    cell = rng.integers(1, 4, size=(frames, 1, 1))
    phase, light = rng.integers(2, size=(frames, 1, 1)), rng.integers(60, 121, size=(frames, 1, 1))
    row, column = np.arange(SIZE)[None, :, None], np.arange(SIZE)[None, None, :]
    return _coloured((row // cell + column // cell + phase) % 2 * light, channels)


def discs(rng: np.random.Generator, frames: int, channels: int = 1) -> np.ndarray:
    """Grey discs on white."""
    x, y = (rng.uniform(2, SIZE - 2, size=(frames, 1, 1)) for _ in "xy")
    row, column = np.arange(SIZE)[None, :, None], np.arange(SIZE)[None, None, :]
    return _coloured(np.where((row - y) ** 2 + (column - x) ** 2 < 4.0, 130, 240), channels)


def _coloured(grey: np.ndarray, channels: int) -> np.ndarray:
    # Colours differ by channel, so that a swap would show.
    shares = np.array([1.0, 0.6, 0.3])[:channels]
    return np.rint(grey[..., None] * shares).astype(np.uint8)
