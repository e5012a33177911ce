"""Hindsight experience replay on latents: goals are relabelled, frames are encoded when sampled."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3 import HerReplayBuffer
from stable_baselines3.common.type_aliases import DictReplayBufferSamples
from stable_baselines3.common.vec_env import VecEnv, VecNormalize
from torch import Tensor

from ..wrappers.vec_env import GOALS
from .tap import FrameTap, attached

WORLD = "world"
"""Key under which the buffer keeps, beside every frame, the world that it was taken for."""


class FrameHerReplayBuffer(HerReplayBuffer):
    """`HerReplayBuffer` for latents that are still being learnt, as `FrameReplayBuffer`.

    In place of the latents it stores the uint8 frames that the learner sees, and encodes them when
    they are sampled. Goals and rewards are those of `HerReplayBuffer`, which does the rest.

    Args:
        buffer_size, observation_space, action_space, env, device, n_envs: from the algorithm; its
            environments are, or hold, a `VASEVecEnvWrapper` with `keep_goals=True`.
        optimize_memory_usage: must be False.
        handle_timeout_termination: as of `HerReplayBuffer`.
        **options: `n_sampled_goal`, `goal_selection_strategy` and `copy_info_dict` of
            `HerReplayBuffer`.

    Raises:
        ValueError: no such adapter, or memory is to be optimised.

    Example:
        >>> from stable_baselines3 import SAC
        >>> from vase_rl.agents import FrameHerReplayBuffer
        >>> from vase_rl.wrappers import VASEVecEnvWrapper
        >>> venv = VASEVecEnvWrapper(goal_envs, keep_goals=True)  # doctest: +SKIP
        >>> agent = SAC(  # doctest: +SKIP
        ...     "MultiInputPolicy", venv, replay_buffer_class=FrameHerReplayBuffer,
        ...     buffer_size=100_000, learning_starts=1000,
        ... )
    """

    def __init__(
        self,
        buffer_size: int,
        observation_space: spaces.Space[Any],
        action_space: spaces.Space[Any],
        env: VecEnv,
        device: torch.device | str = "auto",
        n_envs: int = 1,
        optimize_memory_usage: bool = False,
        handle_timeout_termination: bool = True,
        **options: Any,
    ) -> None:
        if optimize_memory_usage:
            raise ValueError("optimize_memory_usage must be False, got True")
        if not isinstance(observation_space, spaces.Dict):
            raise ValueError(
                "observations must hold goals: the adapter needs keep_goals=True, and the "
                f"algorithm MultiInputPolicy; got {observation_space}"
            )
        self.latent_space = observation_space
        tap = FrameTap(env, observation_space, n_envs)
        self.tap: FrameTap | None = tap
        parts = {
            **observation_space.spaces,
            "observation": spaces.Box(0, 255, tap.shape, np.uint8),
            WORLD: spaces.Box(0, np.iinfo(np.int64).max, (1,), np.int64),
        }
        super().__init__(
            buffer_size,
            spaces.Dict(parts),
            action_space,
            env,
            device,
            n_envs,
            handle_timeout_termination=handle_timeout_termination,
            **options,
        )

    def attach(self, env: VecEnv) -> None:
        """Store the frames of these environments, and ask them for rewards, from now on.

        After `set_env` of the algorithm.

        Raises:
            ValueError: as `FrameReplayBuffer.attach`.
        """
        tap = FrameTap(env, self.latent_space, self.n_envs)
        tap.check_shape(self.obs_shape["observation"])
        self.tap, self.env = tap, env

    def set_env(self, env: VecEnv) -> None:
        """What `load_replay_buffer` calls; as `attach`."""
        super().set_env(env)
        self.attach(env)

    def add(  # type: ignore[override]
        self,
        obs: dict[str, np.ndarray],
        next_obs: dict[str, np.ndarray],
        action: np.ndarray,
        reward: np.ndarray,
        done: np.ndarray,
        infos: list[dict[str, Any]],
    ) -> None:
        """Store the frames and goals of a transition; the latents are not looked at."""
        frames = attached(self.tap).take(infos)
        worlds = [np.full((self.n_envs, 1), world) for world in frames.worlds]
        super().add(
            {**obs, "observation": frames.before, WORLD: worlds[0]},
            {**next_obs, "observation": frames.after, WORLD: worlds[1]},
            action,
            reward,
            done,
            infos,
        )

    def sample(  # type: ignore[override]
        self, batch_size: int, env: VecNormalize | None = None
    ) -> DictReplayBufferSamples:
        """A batch of real and relabelled transitions, with the latents of now.

        Args:
            batch_size: B.
            env: normalises observations and rewards.

        Raises:
            RuntimeError: no episode has ended yet, or the buffer has no adapter.
        """
        tap = attached(self.tap)
        stored = super().sample(batch_size)
        both = stored.observations, stored.next_observations
        frames = torch.cat([part["observation"] for part in both]).cpu().numpy()
        worlds = torch.cat([part[WORLD] for part in both]).cpu().numpy()[:, 0]
        here, there = np.split(tap.latents(frames, worlds), 2)
        rewards = self._normalize_reward(stored.rewards.cpu().numpy(), env)
        return stored._replace(
            observations=self._seen(both[0], here, env),
            next_observations=self._seen(both[1], there, env),
            rewards=self.to_torch(rewards),
        )

    def _seen(
        self, stored: dict[str, Tensor], latents: np.ndarray, env: VecNormalize | None
    ) -> dict[str, Tensor]:
        """What the policy sees: latents in place of frames, goals as they are."""
        goals = {key: stored[key].cpu().numpy() for key in GOALS}
        seen = self._normalize_obs({**goals, "observation": latents}, env)
        assert isinstance(seen, dict)
        return {key: self.to_torch(value) for key, value in seen.items()}
