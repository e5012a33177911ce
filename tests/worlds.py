"""Synthetic 8×8 worlds for tests of the learner, and a tiny one that learns them at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from torch import Tensor

from vase_rl import VASE, UpdateReport, VASEConfig
from vase_rl.checkpoint import state_of

SIZE = 8
World = Callable[..., np.ndarray]


def tiny(**overrides: Any) -> VASEConfig:
    """A configuration that takes milliseconds a step."""
    fields: dict[str, Any] = dict(
        image_size=SIZE, filters=(8,), hidden=32, latents=6, max_environments=4,
        batch_size=32, block_frames=32, dream_batch_size=16, minimum_active=2, learning_rate=1e-2,
        capacity_form="bounded", gamma=1.0, capacity_max=20.0, capacity_rate=5e-3,
    )  # fmt: skip
    return VASEConfig(**{**fields, **overrides})


ROW, COLUMN = np.mgrid[:SIZE, :SIZE]


def bars(rng: np.random.Generator, frames: int, channels: int = 1) -> np.ndarray:
    """A bright upright bar somewhere on black, uint8 (B, 8, 8, C)."""
    place = rng.uniform(0.5, SIZE - 0.5, size=(frames, 1, 1))
    return _coloured(255 * np.clip(2.0 - np.abs(COLUMN + 0.5 - place), 0, 1), channels)


def checkers(rng: np.random.Generator, frames: int, channels: int = 1) -> np.ndarray:
    """Cells of 2×2 pixels in two greys, which balance each other."""
    light = rng.uniform(0, 200, size=(frames, 1, 1))
    return _coloured(np.where((ROW // 2 + COLUMN // 2) % 2, light, 200 - light), channels)


def discs(rng: np.random.Generator, frames: int, channels: int = 1) -> np.ndarray:
    """A grey disc somewhere on white."""
    x, y = (rng.uniform(2, SIZE - 2, size=(frames, 1, 1)) for _ in "xy")
    inside = (ROW + 0.5 - y) ** 2 + (COLUMN + 0.5 - x) ** 2 < 4.0
    return _coloured(np.where(inside, 130, 240), channels)


def dim_bars(rng: np.random.Generator, frames: int, channels: int = 1) -> np.ndarray:
    """Bars of half the brightness: another world, and nearest to that of bars."""
    return bars(rng, frames, channels) // 2


def _coloured(grey: np.ndarray, channels: int) -> np.ndarray:
    # Colours differ by channel, so that a swap would show.
    shares = np.array([1.0, 0.6, 0.3])[:channels]
    return np.rint(grey[..., None] * shares).astype(np.uint8)


def flat(value: Any) -> dict[str, Any]:
    """Leaves of nested dictionaries and sequences by path, tensors as NumPy copies."""
    if isinstance(value, dict):
        pairs = list(value.items())
    elif isinstance(value, (list, tuple)):
        pairs = list(enumerate(value))
    else:
        leaf = value.detach().cpu().numpy().copy() if isinstance(value, Tensor) else value
        return {"": leaf}
    return {f"/{k}{path}": leaf for k, v in pairs for path, leaf in flat(v).items()}


def learner(seed: int = 0, **overrides: Any) -> VASE:
    """A tiny one that has seen nothing."""
    return VASE(tiny(**overrides), seed=seed, device="cpu")


def watch(
    vase: VASE, world: World, batches: int, rng: np.random.Generator | None = None
) -> list[UpdateReport]:
    """Show it so many batches of a world."""
    rng = np.random.default_rng(7) if rng is None else rng
    frames = (world(rng, vase.config.batch_size, vase.config.channels) for _ in range(batches))
    return [vase.update(batch) for batch in frames]


def weights(vase: VASE) -> dict[str, Any]:
    """Of its networks, as copies."""
    return flat(vase.networks.state_dict())


def state(vase: VASE) -> dict[str, Any]:
    """All that a checkpoint would hold, as copies."""
    return flat(state_of(vase))
