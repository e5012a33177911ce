"""A replay buffer that keeps frames and not latents, so that none goes stale."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3.common.buffers import ReplayBuffer
from stable_baselines3.common.type_aliases import ReplayBufferSamples
from stable_baselines3.common.vec_env import VecEnv, VecNormalize

from .tap import FrameTap, attached


class FrameReplayBuffer(ReplayBuffer):
    """For DQN, SAC and TD3 on latents that are still being learnt.

    A latent vector that was stored an hour ago came from another encoder than the one that the
    policy looks through now. This buffer stores the uint8 frames that the learner sees, and encodes
    them when they are sampled: equal frames give equal latents, however old they are. A frame is
    masked as the world that it was taken for when it came; if the learner has merged that one into
    another since, as the other.

    Args:
        buffer_size, observation_space, action_space, device, n_envs: from the algorithm.
        venv: the adapter that the algorithm trains on, or what is around it. None, as in an agent
            loaded from a file, leaves the buffer unusable until `attach`.
        optimize_memory_usage: must be False: frames of steps in a row are not shared.
        handle_timeout_termination: as of `ReplayBuffer`.

    Raises:
        ValueError: as `attach`, memory is to be optimised, or observations hold goals.

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
        venv: VecEnv | None = None,
    ) -> None:
        if optimize_memory_usage:
            raise ValueError("optimize_memory_usage must be False, got True")
        if isinstance(observation_space, spaces.Dict):
            raise ValueError(
                "observations must be latents alone (FrameHerReplayBuffer is for goals beside "
                f"them), got {observation_space}"
            )
        self.latent_space = observation_space
        self.n_envs = n_envs
        self.tap = None if venv is None else FrameTap(venv, observation_space, n_envs)
        super().__init__(
            buffer_size,
            spaces.Box(0, 255, (1, 1, 1) if self.tap is None else self.tap.shape, np.uint8),
            action_space,
            device,
            n_envs=n_envs,
            handle_timeout_termination=handle_timeout_termination,
        )
        # Of the observation and of the one that followed.
        self.worlds = np.zeros((self.buffer_size, n_envs, 2), dtype=np.int64)

    def attach(self, venv: VecEnv) -> None:
        """Store the frames of this adapter, and sample its latents, from now on.

        After `load_replay_buffer` and `set_env`, and after loading an agent.

        Raises:
            ValueError: `venv` is or holds no adapter, observes otherwise, has another number of
                environments than the buffer, or frames of another shape than those in it.
        """
        tap = FrameTap(venv, self.latent_space, self.n_envs)
        if self.size() == 0:
            self._make_room(tap.shape)
        tap.check_shape(self.obs_shape)
        self.tap = tap

    def _make_room(self, frame: tuple[int, ...]) -> None:
        self.observation_space = spaces.Box(0, 255, frame, np.uint8)
        self.obs_shape = frame
        self.observations = np.zeros((self.buffer_size, self.n_envs, *frame), dtype=np.uint8)
        self.next_observations = np.zeros_like(self.observations)

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
        frames = attached(self.tap).take(infos)
        self.worlds[self.pos] = frames.worlds
        super().add(frames.before, frames.after, action, reward, done, infos)

    def _get_samples(
        self, batch_inds: np.ndarray, env: VecNormalize | None = None
    ) -> ReplayBufferSamples:
        tap = attached(self.tap)
        # Stable-Baselines3 seeds numpy's global generator and draws from it.
        rows = np.random.randint(0, high=self.n_envs, size=len(batch_inds))  # noqa: NPY002
        chosen = batch_inds, rows
        frames = np.concatenate([self.observations[chosen], self.next_observations[chosen]])
        worlds = np.concatenate(list(self.worlds[chosen].T))
        latents = self._normalize_obs(tap.latents(frames, worlds), env)
        assert isinstance(latents, np.ndarray)
        ends = self.dones[chosen] * (1 - self.timeouts[chosen])
        return ReplayBufferSamples(
            observations=self.to_torch(latents[: len(rows)]),
            actions=self.to_torch(self.actions[chosen]),
            next_observations=self.to_torch(latents[len(rows) :]),
            dones=self.to_torch(ends.reshape(-1, 1)),
            rewards=self.to_torch(self._normalize_reward(self.rewards[chosen].reshape(-1, 1), env)),
        )
