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
    masked as the environment says that it was taken for when it came (if the learner gave that one
    up and another world took its index, as that one).

    Args:
        buffer_size, observation_space, action_space, device, n_envs: from the algorithm.
        venv: the adapter that the algorithm trains on. None, as in an agent loaded from a file,
            leaves the buffer unusable until `attach`.
        optimize_memory_usage: must be False: frames of steps in a row are not shared.
        handle_timeout_termination: as of `ReplayBuffer`.

    Raises:
        ValueError: as `attach`, or memory is to be optimised.

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
        venv: VASEVecEnvWrapper | None = None,
    ) -> None:
        if optimize_memory_usage:
            raise ValueError("optimize_memory_usage must be False, got True")
        self.latent_space = observation_space
        self.n_envs = n_envs
        self.venv: VASEVecEnvWrapper | None = None
        frame: tuple[int, ...] = (1, 1, 1)
        if venv is not None:
            self.attach(venv)
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

    def attach(self, venv: VASEVecEnvWrapper) -> None:
        """Store the frames of this adapter, and sample its latents, from now on.

        After `load_replay_buffer` and `set_env`.

        Raises:
            ValueError: it is not the adapter, observes otherwise, or has another number of
                environments than the buffer.
        """
        if not isinstance(venv, VASEVecEnvWrapper):
            raise ValueError(f"venv must be a VASEVecEnvWrapper, got {type(venv).__name__}")
        if venv.observation_space != self.latent_space or venv.num_envs != self.n_envs:
            raise ValueError(
                f"venv must be what the algorithm trains on, {self.n_envs} environments that "
                f"observe {self.latent_space}, got {venv.num_envs} that observe "
                f"{venv.observation_space}"
            )
        size, channels = venv.vase.config.image_size, venv.vase.config.channels
        stored = getattr(self, "obs_shape", (size, size, channels))
        if stored != (size, size, channels):
            raise ValueError(
                f"venv must see frames {stored} as the buffer's, got {(size, size, channels)}; "
                'an agent is loaded with replay_buffer_kwargs={"venv": venv}'
            )
        self.venv = venv
        self._steps = venv.steps
        self._environment = venv.observer.stream.environment

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
        venv = self._attached()
        if venv.steps == self._steps:
            raise RuntimeError(
                "the transition comes from other environments than the buffer's: after set_env, "
                "call replay_buffer.attach(venv)"
            )
        self._steps = venv.steps
        environment = infos[0]["vase"]["environment"]
        self.environments[self.pos] = self._environment, environment
        self._environment = environment
        super().add(venv.previous_frames, venv.next_frames, action, reward, done, infos)

    def _attached(self) -> VASEVecEnvWrapper:
        if self.venv is None:
            raise RuntimeError(
                "the buffer has no adapter: load an agent with load(path, env=venv, "
                'replay_buffer_kwargs={"venv": venv}), and a buffer with attach(venv)'
            )
        return self.venv

    def _get_samples(
        self, batch_inds: np.ndarray, env: VecNormalize | None = None
    ) -> ReplayBufferSamples:
        observer = self._attached().observer
        # Stable-Baselines3 seeds numpy's global generator and draws from it.
        rows = np.random.randint(0, high=self.n_envs, size=len(batch_inds))  # noqa: NPY002
        chosen = batch_inds, rows
        frames = np.concatenate([self.observations[chosen], self.next_observations[chosen]])
        environments = np.concatenate(list(self.environments[chosen].T))
        latents = self._normalize_obs(observer.latents(frames, environments), env)
        assert isinstance(latents, np.ndarray)
        ends = self.dones[chosen] * (1 - self.timeouts[chosen])
        return ReplayBufferSamples(
            observations=self.to_torch(latents[: len(rows)]),
            actions=self.to_torch(self.actions[chosen]),
            next_observations=self.to_torch(latents[len(rows) :]),
            dones=self.to_torch(ends.reshape(-1, 1)),
            rewards=self.to_torch(self._normalize_reward(self.rewards[chosen].reshape(-1, 1), env)),
        )
