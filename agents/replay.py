"""A replay buffer that keeps frames and not latents, so that none goes stale."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3.common.buffers import ReplayBuffer
from stable_baselines3.common.type_aliases import ReplayBufferSamples
from stable_baselines3.common.vec_env import VecNormalize

from ..wrappers import VASEVecEnvWrapper


class FrameReplayBuffer(ReplayBuffer):
    """For DQN, SAC and TD3 on latents that are still being learnt.

    A latent vector that was stored an hour ago came from another encoder than the one that the
    policy looks through now. This buffer stores the uint8 frames that the learner sees, and encodes
    them when they are sampled: equal frames give equal latents, however old they are. A frame is
    masked as the environment says that it was taken for when it came.

    Args:
        buffer_size, observation_space, action_space, device, n_envs: from the algorithm.
        venv: the adapter that the algorithm trains on.
        optimize_memory_usage: must be False: frames of steps in a row are not shared.
        handle_timeout_termination: as of `ReplayBuffer`.

    Raises:
        ValueError: `venv` is not the adapter, observes otherwise or has another number of
            environments than the algorithm, or memory is to be optimised.

    Example:
        >>> from stable_baselines3 import DQN
        >>> from vase_rl.agents import FrameReplayBuffer
        >>> agent = DQN(  # doctest: +SKIP
        ...     "MlpPolicy", venv, replay_buffer_class=FrameReplayBuffer,
        ...     replay_buffer_kwargs={"venv": venv}, buffer_size=100_000,
        ... )
    """

    def __init__(
        self,
        buffer_size: int,
        observation_space: spaces.Space[Any],
        action_space: spaces.Space[Any],
        device: torch.device | str = "auto",
        n_envs: int = 1,
        optimize_memory_usage: bool = False,
        handle_timeout_termination: bool = True,
        *,
        venv: VASEVecEnvWrapper,
    ) -> None:
        if not isinstance(venv, VASEVecEnvWrapper):
            raise ValueError(f"venv must be a VASEVecEnvWrapper, got {type(venv).__name__}")
        if venv.observation_space != observation_space or venv.num_envs != n_envs:
            raise ValueError(
                f"venv must be what the algorithm trains on, {n_envs} environments that observe "
                f"{observation_space}, got {venv.num_envs} that observe {venv.observation_space}"
            )
        if optimize_memory_usage:
            raise ValueError("optimize_memory_usage must be False, got True")
        self.observer = venv.observer
        self.venv = venv
        config = venv.vase.config
        frame = (config.image_size, config.image_size, config.channels)
        super().__init__(
            buffer_size,
            spaces.Box(0, 255, frame, np.uint8),
            action_space,
            device,
            n_envs=n_envs,
            handle_timeout_termination=handle_timeout_termination,
        )
        # Of the observation and of the one that followed.
        self.environments = np.zeros((self.buffer_size, n_envs, 2), dtype=np.int64)
        self._environment = self.observer.stream.environment

    def add(
        self,
        obs: np.ndarray,
        next_obs: np.ndarray,
        action: np.ndarray,
        reward: np.ndarray,
        done: np.ndarray,
        infos: list[dict[str, Any]],
    ) -> None:
        """Store the frames behind a transition; the latents are not looked at."""
        environment = infos[0]["vase"]["environment"]
        self.environments[self.pos] = self._environment, environment
        self._environment = environment
        frames = self.venv.previous_frames, self.venv.next_frames
        super().add(*frames, action, reward, done, infos)

    def attach(self, venv: VASEVecEnvWrapper) -> None:
        """Give a buffer that was loaded from a file its adapter, whose latents it samples."""
        self.venv, self.observer = venv, venv.observer
        self._environment = venv.observer.stream.environment

    def __getstate__(self) -> dict[str, Any]:
        """Without the adapter: environments do not belong in a file."""
        return {k: v for k, v in vars(self).items() if k not in ("venv", "observer")}

    def _get_samples(
        self, batch_inds: np.ndarray, env: VecNormalize | None = None
    ) -> ReplayBufferSamples:
        # Stable-Baselines3 seeds numpy's global generator and draws from it.
        rows = np.random.randint(0, high=self.n_envs, size=len(batch_inds))  # noqa: NPY002
        chosen = batch_inds, rows
        frames = np.concatenate([self.observations[chosen], self.next_observations[chosen]])
        environments = np.concatenate(list(self.environments[chosen].T))
        latents = self.observer.latents(frames, environments)
        ends = self.dones[chosen] * (1 - self.timeouts[chosen])
        return ReplayBufferSamples(
            observations=self.to_torch(latents[: len(rows)]),
            actions=self.to_torch(self.actions[chosen]),
            next_observations=self.to_torch(latents[len(rows) :]),
            dones=self.to_torch(ends.reshape(-1, 1)),
            rewards=self.to_torch(self._normalize_reward(self.rewards[chosen].reshape(-1, 1), env)),
        )
