"""Worlds that an agent masters in seconds, and a configuration of the learner that suits them."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import torch
from gymnasium import spaces

from vase_rl import VASE, VASEConfig
from vase_rl.agents import PPOConfig

LAMP, CORRIDOR, DIAL = "lamps/Lamp-v0", "lamps/Corridor-v0", "lamps/Dial-v0"
TINY = VASEConfig.preset(
    "compact", image_size=16, space_to_depth=1, filters=(8,), hidden=16, latents=6, batch_size=16
)
QUICK = PPOConfig(n_steps=64, batch_size=64, learning_rate=3e-3)


class Lamp(gym.Env):
    """The lamp is on or off: say which. One step per episode."""

    observation_space = spaces.Box(0, 255, (16, 16, 1), np.uint8)
    action_space = spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.lit = int(self.np_random.integers(2))
        return np.full((16, 16, 1), 255 * self.lit, np.uint8), {}

    def step(self, action):
        right = int(action) == self.lit
        frame = np.full((16, 16, 1), 255 * self.lit, np.uint8)
        return frame, float(right), True, False, {"success": right}


class Corridor(gym.Env):
    """Ends after as many steps as its length, each worth `reward`; reports no success."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 10}  # noqa: RUF012
    observation_space = spaces.Box(0, 255, (16, 16, 1), np.uint8)
    action_space = spaces.Box(-1, 1, (2,), np.float32)

    def __init__(self, lengths=(3,), reward=2.0, render_mode=None):
        self.lengths, self.reward, self.render_mode = lengths, reward, render_mode
        self.episode = -1

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.episode += 1
        self.steps = 0
        return self._frame(), {}

    def step(self, action):
        self.steps += 1
        done = self.steps == self.lengths[self.episode % len(self.lengths)]
        return self._frame(), self.reward, done, False, {}

    def render(self):
        return np.full((4, 5, 3), self.steps, np.uint8)

    def _frame(self):
        return np.full((16, 16, 1), 20 * self.steps, np.uint8)


class Dial(gym.Env):
    """The lamp is on or off: turn both dials up or down. One step per episode."""

    observation_space = spaces.Box(0, 255, (16, 16, 1), np.uint8)
    action_space = spaces.Box(-1, 1, (2,), np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.lit = int(self.np_random.integers(2))
        return self._frame(), {}

    def step(self, action):
        goal = 1.0 if self.lit else -1.0
        reward = float(np.mean(np.asarray(action) * goal))
        return self._frame(), reward, True, False, {"success": reward > 0.5}

    def _frame(self):
        return np.full((16, 16, 1), 255 * self.lit, np.uint8)


for _name, _world in ((LAMP, Lamp), (CORRIDOR, Corridor), (DIAL, Dial)):
    gym.register(_name, _world)


def weights(vase: VASE) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in vase.networks.state_dict().items()}


def equal(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[n], second[n]) for n in first)
