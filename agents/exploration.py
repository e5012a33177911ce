"""Exploration in an environment: episodes in which the policy's actions are carried out."""

from __future__ import annotations

from collections import deque
from typing import Any, SupportsFloat

import gymnasium as gym
import numpy as np

from ..wrappers import VASEObservationWrapper
from .displacement import Floats, check_translating, measure_steps
from .episodes import check_episodes
from .explorer import Explorer, ExplorerConfig


class ExplorationWrapper(gym.Wrapper[np.ndarray, Any, np.ndarray, Any]):
    """Plays episodes of its own, to realise what the learner imagines, between the agent's.

    Wherever actions translate the picture, the policy of `Explorer` needs no model of the world:
    its actions are carried out by the environment, step by step towards one wish per episode, and
    the frames that come back are what the learner trains on. They never go through the learner's
    test for shifts. In the first environment the policy alone learns from them, from the second on
    the learner too, both at the pace and from a window as long as the adapter's stream has
    (`wrappers.StreamConfig`). The agent that acts through the wrapper sees none of it;
    `info["exploration"]` of `reset` says how many `frames` were explored and how many `updates` the
    learner and how many `policy_updates` the policy made of them so far.

    Nothing is explored while the wrapped adapter does not train (`env.training = False`).

    Args:
        env: the learner's adapter around an environment whose two-dimensional actions translate
            the picture.
        config: how to explore; `share` is that of explored frames in all.
        horizon: longest exploring episode, in steps.
        step_map: (2, 2), the translation `step_map @ action` of one step, to the right and
            downwards in parts of the picture; None finds it out by trying some actions now.
        seed: of the policy, of wishes and of actions that are tried.

    Raises:
        TypeError: `env` is no `VASEObservationWrapper`.
        ValueError: the actions are no translations, or an argument breaks its rule.

    Example:
        >>> import gymnasium as gym
        >>> from vase_rl.agents import ExplorationWrapper
        >>> from vase_rl.wrappers import VASEObservationWrapper
        >>> env = VASEObservationWrapper(gym.make("vase_rl/SpriteReach-v0"), seed=0)
        >>> env = ExplorationWrapper(env, seed=0)
    """

    env: VASEObservationWrapper

    def __init__(
        self,
        env: VASEObservationWrapper,
        config: ExplorerConfig | None = None,
        *,
        horizon: int = 10,
        step_map: Floats | None = None,
        seed: int | None = None,
    ) -> None:
        check_episodes(env, horizon)
        super().__init__(env)
        self.space = check_translating(env.action_space)
        self.horizon = horizon
        if step_map is None:
            step_map = measure_steps(env.env, env.observer.frame, seed=seed)
        self.step_map = _checked(step_map)
        self.explorer = Explorer(env.vase, config, seed=seed)
        self.frames = 0
        self.updates = 0
        self._rng = np.random.default_rng(seed)
        self._window: deque[np.ndarray] = deque(maxlen=env.stream.config.window_frames)
        self._world = env.vase.environment
        self._agent_frames = 0
        self._due = 0.0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """As the environment's, after exploring episodes for the frames since the last time."""
        share = self.explorer.config.share
        while self.env.training and self.explorer.ready and self._agent_frames > 0:
            frames = self._episode(options)
            self._agent_frames -= round(frames * (1 - share) / share) + 1
        latents, info = self.env.reset(seed=seed, options=options)
        return latents, {**info, "exploration": self._counts()}

    def step(self, action: Any) -> tuple[np.ndarray, SupportsFloat, bool, bool, dict[str, Any]]:
        self._agent_frames += 1
        return self.env.step(action)

    def towards(self, shift: np.ndarray) -> np.ndarray:
        """The action (2,) that comes nearest to a translation (2,) in parts of the picture."""
        wanted = np.linalg.solve(self.step_map, shift.astype(np.float64))
        # Too far for one step: in the same direction.
        bounds = np.where(wanted > 0, self.space.high, self.space.low)
        longest = max(1.0, float((wanted / bounds).max()))
        action: np.ndarray = (wanted / longest).astype(self.space.dtype)
        return action

    def _episode(self, options: dict[str, Any] | None) -> int:
        """One exploring episode in the environment itself; returns its number of frames."""
        world, read = self.env.env, self.env.observer.frame
        frame = read(world.reset(options=options)[0])
        wish = self.explorer.imagine(1)
        seen: list[np.ndarray] = []
        done = False
        while len(seen) < self.horizon and not done:
            shift = self.explorer.act(frame[None], wish)[0]
            observation, _, terminated, truncated, _ = world.step(self.towards(shift))
            frame, done = read(observation), terminated or truncated
            seen.append(frame)
        self._remember(seen)
        self._learn(len(seen))
        return len(seen)

    def _remember(self, frames: list[np.ndarray]) -> None:
        if self.env.vase.environment != self._world:
            self._world = self.env.vase.environment
            self._window.clear()
        self._window.extend(frames)
        self.frames += len(frames)

    def _learn(self, frames: int) -> None:
        self._due += frames / self.env.stream.config.pace(1)
        while self._due >= 1:
            self._due -= 1
            size = min(self.env.vase.config.batch_size, len(self._window))
            chosen = self._rng.choice(len(self._window), size, replace=False)
            batch = np.stack([self._window[i] for i in chosen])
            self.explorer.train(batch)
            # A shift may be in the air: whose frames are these?
            if self.explorer.exploring and not self.env.vase.paused:
                self.explorer.learn_from(batch)
                self.updates += 1

    def _counts(self) -> dict[str, int]:
        return {
            "frames": self.frames,
            "updates": self.updates,
            "policy_updates": self.explorer.updates,
        }


def _checked(step_map: Any) -> Floats:
    array = np.asarray(step_map, dtype=np.float64)
    if array.shape != (2, 2) or not np.isfinite(array).all() or np.linalg.matrix_rank(array) < 2:
        raise ValueError(
            f"step_map must be an invertible (2, 2) of finite numbers, got {step_map!r}"
        )
    return array
