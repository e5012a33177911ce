"""`VASEVecEnvWrapper`: latents in place of pixels, for Stable-Baselines3's `VecEnv`."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper
from stable_baselines3.common.vec_env.base_vec_env import VecEnvStepReturn
from typing_extensions import Unpack

from ..config import VASEConfig
from .observer import Observer, Observing, Options


class VASEVecEnvWrapper(Observing, VecEnvWrapper):
    """As `VASEObservationWrapper`, for E environments side by side with one learner behind them.

    The learner lives in the main process, also before a `SubprocVecEnv`: one network, and one pass
    through its encoder per step. Observations are float32 (E, N); `infos[i]["vase"]` holds the
    scalars of the whole, `infos[i]["terminal_observation"]` the latents of an episode's last frame.

    Saved and loaded as `VecNormalize`; `evaluation(venv)` puts the same learner before other
    environments, where it does not learn.

    Args:
        venv: with uint8 images, height first, or a `Dict` that holds one.
        config: name of a preset, or a `VASEConfig`.
        **options: as of `Observer`.

    Raises:
        TypeError, ValueError, FileNotFoundError, CheckpointError: as `Observer`.

    Example:
        >>> from stable_baselines3 import PPO
        >>> from stable_baselines3.common.env_util import make_vec_env
        >>> from vase_rl.wrappers import VASEVecEnvWrapper
        >>> venv = VASEVecEnvWrapper(make_vec_env("vase_rl/SpriteReach-v0", n_envs=8))
        >>> agent = PPO("MlpPolicy", venv)
    """

    frames: np.ndarray
    """Of the last observations, uint8 (E, H, W, C)."""
    next_frames: np.ndarray
    """Of the observations that the last step led to: as `frames`, but for episodes that ended in
    it the last frame and not the first of the next episode."""
    previous_frames: np.ndarray
    """Of the observations before the last step."""
    steps: int
    """Taken so far."""

    def __init__(
        self,
        venv: VecEnv,
        config: str | VASEConfig = "compact",
        **options: Unpack[Options],
    ) -> None:
        self.observer = Observer(venv.observation_space, config, **options)
        self.steps = 0
        self._seeded = False
        super().__init__(venv, observation_space=self.observer.space)

    def seed(self, seed: int | None = None) -> Sequence[int | None]:
        """As the environments'; the next reset also forgets the recent frames."""
        self._seeded = True
        return self.venv.seed(seed)

    def reset(self) -> np.ndarray:
        if self._seeded or not self.training:
            self.observer.stream.forget_recent()
        self._seeded = False
        self.frames = self.observer.frames(self.venv.reset(), self.num_envs)
        self.previous_frames = self.next_frames = self.frames
        self.observer.stream.observe(self.frames)
        return self.observer.latents(self.frames)

    def step_wait(self) -> VecEnvStepReturn:
        observations, rewards, dones, infos = self.venv.step_wait()
        self.steps += 1
        self.previous_frames = self.frames
        self.frames = self.observer.frames(observations, self.num_envs)
        change = self.observer.stream.observe(self.frames)
        # An environment may reuse its info: the key of an earlier episode may still be there.
        ended = [i for i in np.flatnonzero(dones) if "terminal_observation" in infos[i]]
        last = [self.observer.frame(infos[i]["terminal_observation"])[None] for i in ended]
        latents = self.observer.latents(np.concatenate([self.frames, *last]))
        self.next_frames = self.frames
        if ended:
            self.next_frames = self.frames.copy()
            self.next_frames[ended] = np.concatenate(last)
        for info in infos:
            info["vase"] = self.observer.info(change)
        for i, latent in zip(ended, latents[self.num_envs :], strict=True):
            infos[i]["terminal_observation"] = latent
        return latents[: self.num_envs].copy(), rewards, dones, infos

    def refresh(self) -> tuple[np.ndarray, float]:
        """Let a held view take over the learner's weights.

        Returns:
            The last observations anew, (E, N), and how far the latents moved (`Observer.refresh`).

        Raises:
            RuntimeError: before the first reset.
        """
        if "frames" not in vars(self):
            raise RuntimeError("refresh needs observations: call reset first")
        drift = self.observer.refresh()
        return self.observer.latents(self.frames), drift

    def evaluation(self, venv: VecEnv) -> VASEVecEnvWrapper:
        """The same learner and view before other environments, where nothing is learnt.

        For `EvalCallback` and the like: what the learner learns meanwhile shows there at once.

        Raises:
            ValueError: `venv` has no image, or steps the environments that this adapter steps.
        """
        if venv.unwrapped is self.venv.unwrapped:
            raise ValueError("venv must hold other environments than those that are trained on")
        observer = self.observer
        twin = VASEVecEnvWrapper(
            venv,
            learner=self.vase,
            training=False,
            pixels_key=observer.pixels.key,
            append_environment=observer.append_environment,
        )
        twin.observer.stream.view = observer.stream.view
        return twin

    def __reduce__(self) -> tuple[Any, ...]:
        """None in a file: Stable-Baselines3 writes all arguments of an agent, and environments
        with their learner do not belong there."""
        return type(None), ()

    def __deepcopy__(self, memo: dict[int, Any]) -> VASEVecEnvWrapper:
        raise TypeError("environments cannot be copied; make new ones, and use evaluation or load")

    @classmethod
    def load(cls, path: str | Path, venv: VecEnv, **options: Unpack[Options]) -> VASEVecEnvWrapper:
        """A saved learner before other environments.

        Args:
            path: of `save`, of any adapter, or of `VASE.save`.
            venv: with images.
            **options: as of `Observer`, such as `training=False`.

        Raises:
            FileNotFoundError, CheckpointError: no such file, or not a learner.
            ValueError: `venv` has no image, or an argument breaks its rule.
        """
        options["load_path"] = path
        return cls(venv, **options)


def sync_encoder(source: VASEVecEnvWrapper, target: VASEVecEnvWrapper) -> None:
    """Give one adapter a copy of another's learner, as it is now.

    As `sync_envs_normalization` does for statistics; `VASEVecEnvWrapper.evaluation` makes an
    adapter that needs no such call.

    Raises:
        ValueError: their observations differ in shape.
    """
    if source.observation_space.shape != target.observation_space.shape:
        raise ValueError(
            f"source and target must observe alike, got {source.observation_space.shape} and "
            f"{target.observation_space.shape}"
        )
    target.observer.stream.use(copy.deepcopy(source.vase))
