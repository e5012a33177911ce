"""`VASEVectorObservationWrapper`: latents in place of pixels, for `gymnasium.vector`."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium.utils import RecordConstructorArgs
from gymnasium.vector import VectorEnv, VectorWrapper
from gymnasium.vector.utils import batch_space
from typing_extensions import Unpack

from ..config import VASEConfig
from .observer import Observer, Observing, Options


class VASEVectorObservationWrapper(
    Observing, VectorWrapper[np.ndarray, Any, Any, Any, np.ndarray], RecordConstructorArgs
):
    """As `VASEObservationWrapper`, for E environments side by side with one learner behind them.

    Observations are float32 (E, N), from one pass through the encoder per step. `info["vase"]`
    holds scalars and not arrays, those of the whole: all E are taken to be in one world. Every
    autoreset mode works: where an episode's last frame comes as `info["final_obs"]` (SAME_STEP),
    it is encoded too, but not learnt from; elsewhere it is learnt from unless it is black or
    repeats the one before. After a reset of some with `reset_mask`, the frames of the others are
    not learnt from again.

    Args:
        env: with uint8 images, or a `Dict` that holds one.
        config: name of a preset, or a `VASEConfig`.
        **options: as of `Observer`.

    Raises:
        TypeError, ValueError, FileNotFoundError, CheckpointError: as `Observer`.

    Example:
        >>> import gymnasium as gym
        >>> from vase_rl.wrappers import VASEVectorObservationWrapper
        >>> envs = gym.make_vec("vase_rl/SpriteReach-v0", num_envs=4)
        >>> VASEVectorObservationWrapper(envs).observation_space.shape
        (4, 16)
    """

    def __init__(
        self,
        env: VectorEnv[Any, Any, Any],
        config: str | VASEConfig = "compact",
        **options: Unpack[Options],
    ) -> None:
        RecordConstructorArgs.__init__(self, _disable_deepcopy=True, config=config, **options)
        VectorWrapper.__init__(self, env)
        self.observer = Observer(env.single_observation_space, config, **options)
        self.single_observation_space = self.observer.space
        self.observation_space = batch_space(self.observer.space, self.num_envs)

    def reset(
        self, *, seed: Any = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """As the environments'; a seeded reset of all also forgets the recent frames."""
        # The environments take `reset_mask` out of their options.
        fresh = None if options is None else options.get("reset_mask")
        observations, info = self.env.reset(seed=seed, options=options)
        if seed is not None and fresh is None:
            self.observer.stream.forget_recent()
        return self._see(observations, info, fresh)

    def step(
        self, actions: Any
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        observations, rewards, terminated, truncated, info = self.env.step(actions)
        # Where the last frame comes as `final_obs`, the observation is the next episode's first.
        ended = (terminated | truncated) & ~np.asarray(info.get("_final_obs", False))
        latents, info = self._see(observations, info, ended=ended)
        return latents, rewards, terminated, truncated, info

    def _see(
        self,
        observations: Any,
        info: dict[str, Any],
        fresh: np.ndarray | None = None,
        ended: np.ndarray | None = None,
    ) -> tuple[np.ndarray, dict[str, Any]]:
        frames = self.observer.frames(observations, self.num_envs)
        change = self.observer.stream.observe(frames, fresh, ended)
        info = {**info, "vase": self.observer.info(change)}
        if "final_obs" not in info:
            return self.observer.latents(frames), info
        ended = np.flatnonzero(info["_final_obs"])
        last = [self.observer.frame(info["final_obs"][i]) for i in ended]
        latents = self.observer.latents(np.concatenate([frames, np.stack(last)]))
        final = np.full(self.num_envs, None, dtype=object)
        for i, latent in zip(ended, latents[self.num_envs :], strict=True):
            final[i] = latent
        return latents[: self.num_envs].copy(), {**info, "final_obs": final}
