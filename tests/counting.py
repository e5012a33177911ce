"""A Gymnasium environment whose frames are numbered, and a configuration that is fast on them."""

from __future__ import annotations

from functools import partial
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from stable_baselines3.common.logger import KVWriter
from stable_baselines3.common.vec_env import DummyVecEnv
from torch import Tensor

from vase_rl import VASE, VASEConfig
from vase_rl.blocks import BlockModel
from vase_rl.shifts import ShiftDetector
from vase_rl.wrappers import VASEVecEnvWrapper

TINY = VASEConfig.preset(
    "compact",
    image_size=16,
    filters=(8,),
    hidden=32,
    latents=6,
    batch_size=16,
    minimum_active=2,
    block_frames=16,
)
OPTIONS: dict[str, Any] = dict(warmup_frames=32, seed=0, device="cpu")
LENGTH = 5


class Counter(gym.Env[Any, int]):
    """Noise whose first pixel counts the frames of all episodes; five steps to an episode."""

    def __init__(self, offset: int = 0) -> None:
        self.observation_space = spaces.Box(0, 255, (16, 16, 1), np.uint8)
        self.action_space = spaces.Discrete(2)
        self.number, self.steps = offset, 0

    def _observe(self) -> np.ndarray:
        image = self.np_random.integers(0, 100, (16, 16, 1), dtype=np.uint8)
        image[0, 0] = self.number
        self.number += 1
        return image

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        super().reset(seed=seed)
        self.steps = 0
        return self._observe(), {}

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        self.steps += 1
        return self._observe(), 1.0, False, self.steps == LENGTH, {}


def makers(count: int) -> list[Any]:
    return [partial(Counter, 60 * i) for i in range(count)]


def venv(count: int, **options: Any) -> VASEVecEnvWrapper:
    """So many of them behind one learner."""
    return VASEVecEnvWrapper(DummyVecEnv(makers(count)), TINY, **{**OPTIONS, **options})


def actions(count: int) -> np.ndarray:
    return np.zeros(count, dtype=np.int64)


def open_environment(vase: VASE, mask: Tensor) -> None:
    """One more environment with a mask (N,), entered as if blocks had spoken for it."""
    rule = vase.registry.rule
    assert isinstance(rule, ShiftDetector)
    rule.where.go(None, 1)
    rule.models.append(BlockModel())
    rule.owners.append(rule.where.environment)
    rule._model = len(rule.models) - 1
    vase.registry.open(mask)


class Memory(KVWriter):
    """A logger's output that keeps what is written."""

    def __init__(self) -> None:
        self.written: list[dict[str, Any]] = []

    def write(self, key_values: dict[str, Any], key_excluded: Any, step: int = 0) -> None:
        self.written.append(dict(key_values))

    def close(self) -> None:
        pass
