"""A Gymnasium environment whose episodes end in one of the ways that environments have."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces

LENGTH = 4
BLACK, REPEATED, SEEN = "black", "repeated", "seen"
ENDING = "endings/Ending-v0"


class Ending(gym.Env[Any, int]):
    """Plain frames, each brighter than the last; within an episode two are black."""

    observation_space = spaces.Box(0, 255, (16, 16, 1), np.uint8)
    action_space = spaces.Discrete(2)

    def __init__(self, last: str, first: int = 1, truncated: bool = False) -> None:
        self.last, self.first, self.truncated = last, first, truncated
        self.level = first

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        if seed is not None:
            self.level = self.first
        self.steps = 0
        return self._brighter(), {}

    def step(self, action: int) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.steps += 1
        if self.steps < LENGTH:
            frame = self._black() if self.steps in (1, 2) else self._brighter()
            return frame, 0.0, False, False, {}
        frame = {BLACK: self._black, REPEATED: self._again, SEEN: self._brighter}[self.last]()
        return frame, 0.0, not self.truncated, self.truncated, {}

    def _brighter(self) -> np.ndarray:
        self.level += 1
        return self._again()

    def _again(self) -> np.ndarray:
        return np.full((16, 16, 1), self.level, np.uint8)

    def _black(self) -> np.ndarray:
        return np.zeros((16, 16, 1), np.uint8)


gym.register(ENDING, Ending, kwargs={"last": BLACK})
