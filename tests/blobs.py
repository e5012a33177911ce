"""A world of blobs that can be pushed about, and a learner that was born knowing where they are.

Frames are 16×16. Latents 0 and 1 are the place of the blob, in units of its standard deviation when
it lies anywhere; latent 2 is its brightness, which no translation changes; the others are unused.
"""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor, nn

from vase_rl import VASE, VASEConfig

SIZE, LATENTS = 16, 5
MARGIN = 3
"""Pixels from the sides to the nearest place of a blob's middle."""
SPAN = SIZE - 1 - 2 * MARGIN
SPREAD = SPAN / 12**0.5
STEP = 0.2
"""Of the range, per unit of action."""
PIXELS = torch.arange(SIZE, dtype=torch.float32)


def blobs(places: np.ndarray, levels: np.ndarray | float = 200.0, width: float = 1.4) -> np.ndarray:
    """Frames (B, 16, 16, 1) of blobs at places (B, 2), x and y in [0, 1]."""
    middle = torch.from_numpy(MARGIN + SPAN * np.asarray(places, dtype=np.float32)).round()
    bright = _draw(middle, width) * torch.as_tensor(levels, dtype=torch.float32).reshape(
        -1, 1, 1, 1
    )
    return bright.byte().permute(0, 2, 3, 1).numpy()


def anywhere(rng: np.random.Generator, count: int = 64) -> np.ndarray:
    """Frames of blobs that lie anywhere."""
    return blobs(rng.random((count, 2)), rng.uniform(140, 220, count))


def still(rng: np.random.Generator, count: int = 64) -> np.ndarray:
    """Frames of another world: wider blobs, and all in the middle."""
    return blobs(np.full((count, 2), 0.5), rng.uniform(140, 220, count), 2.0)


def place_of(frames: np.ndarray) -> np.ndarray:
    """Where the blobs are, (B, 2): the inverse of `blobs`."""
    x = torch.from_numpy(frames).permute(0, 3, 1, 2).float()
    return ((_middle(x) - MARGIN) / SPAN).numpy()


def _draw(middle_B2: Tensor, width: float) -> Tensor:
    gaps = PIXELS - middle_B2[:, :, None]
    columns, rows = torch.exp(-0.5 * (gaps / width).square()).unbind(1)
    peak = rows[:, :, None] * columns[:, None, :]
    return (peak * (peak > 0.1))[:, None]


def _middle(x_BCHW: Tensor) -> Tensor:
    weight = x_BCHW.sum(1)
    total = weight.sum((1, 2)).clamp(min=1e-6)
    across = (weight.sum(1) * PIXELS).sum(1) / total
    down = (weight.sum(2) * PIXELS).sum(1) / total
    return torch.stack([across, down], 1)


class Knowing(nn.Module):
    """An encoder that reads off what a blob is."""

    def features(self, x: Tensor) -> Tensor:
        bright = x.amax((1, 2, 3))[:, None]
        return torch.cat([_middle(x), bright, torch.zeros(len(x), 13)], 1)

    def heads(self, features: Tensor) -> tuple[Tensor, Tensor]:
        place = (features[:, :2] - (SIZE - 1) / 2) / SPREAD
        rest = torch.cat([(features[:, 2:3] - 0.7) / 0.15, torch.zeros(len(features), 2)], 1)
        std = torch.tensor([0.05, 0.05, 0.05, 1.0, 1.0]).expand(len(features), LATENTS)
        return torch.cat([place, rest], 1), std

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.heads(self.features(x))


class Drawing(nn.Module):
    """Its decoder, which draws blobs where they can be."""

    def forward(self, z: Tensor, s: Tensor) -> Tensor:
        middle = (z[:, :2] * SPREAD + (SIZE - 1) / 2).clamp(MARGIN, SIZE - 1 - MARGIN)
        bright = (0.7 + 0.15 * z[:, 2]).clamp(0.3, 1.0)
        mean = (_draw(middle, 1.4) * bright[:, None, None, None]).clamp(1e-3, 1 - 1e-3)
        return torch.log(mean / (1 - mean))


def knowing_learner(**overrides: Any) -> VASE:
    """It has seen blobs anywhere: environment 0."""
    fields: dict[str, Any] = dict(
        image_size=SIZE, filters=(8,), hidden=16, latents=LATENTS, max_environments=4,
        minimum_active=2, used_interval=10**6, batch_size=64,
    )  # fmt: skip
    vase = VASE(VASEConfig.preset("compact", **{**fields, **overrides}), seed=0, device="cpu")
    vase.networks.encoder, vase.networks.decoder = Knowing(), Drawing()  # type: ignore[assignment]
    rng = np.random.default_rng(0)
    vase.update(blobs(rng.random((1024, 2)), rng.uniform(140, 220, 1024)))
    vase.environments[0].used_latents = torch.tensor([True, True, True, False, False])
    return vase


class Push(gym.Env[Any, Any]):
    """A blob that actions push along `axes`; from the middle where it is `still`."""

    def __init__(self, axes: Any = ((1, 0), (0, 1)), still: bool = False) -> None:
        self.axes, self.still = np.asarray(axes, dtype=float), still
        self.observation_space = spaces.Box(0, 255, (SIZE, SIZE, 1), np.uint8)
        self.action_space = spaces.Box(-1.0, 1.0, (2,), np.float32)
        self.moves = 0

    def _observe(self) -> np.ndarray:
        return blobs(self.place[None], self.level, 2.0 if self.still else 1.4)[0]

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        super().reset(seed=seed)
        self.place = np.full(2, 0.5) if self.still else self.np_random.random(2)
        self.level = self.np_random.uniform(140, 220)
        self.steps = 0
        return self._observe(), {}

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        move = STEP * self.axes @ np.asarray(action, dtype=float)
        self.place = np.clip(self.place + move, 0, 1)
        self.steps += 1
        self.moves += 1
        return self._observe(), 0.0, False, self.steps == 20, {}
