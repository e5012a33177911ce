"""`VASEVecEnvWrapper`: latents in place of pixels, for Stable-Baselines3's `VecEnv`."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium import spaces
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper
from stable_baselines3.common.vec_env.base_vec_env import VecEnvStepReturn
from typing_extensions import Unpack

from ..config import VASEConfig
from .observer import Observer, Observing, Options

GOALS = ("achieved_goal", "desired_goal")
Observations = np.ndarray | dict[str, np.ndarray]


class VASEVecEnvWrapper(Observing, VecEnvWrapper):
    """As `VASEObservationWrapper`, for E environments side by side with one learner behind them.

    The learner lives in the main process, also before a `SubprocVecEnv`: one network, and one pass
    through its encoder per step. Observations are float32 (E, N); `infos[i]["vase"]` holds the
    scalars of the whole, `infos[i]["terminal_observation"]` the latents of an episode's last frame,
    which is not learnt from.

    Saved and loaded as `VecNormalize`; `evaluation(venv)` puts the same learner before other
    environments, where it does not learn.

    Args:
        venv: with uint8 images, height first, or a `Dict` that holds one.
        config: name of a preset, or a `VASEConfig`.
        keep_goals: for environments with goals, whose `Dict` holds `achieved_goal` and
            `desired_goal` beside the image. The observation then is a `Dict` of these two and
            the latents as `observation`, as hindsight experience replay wants it.
        **options: as of `Observer`.

    Raises:
        TypeError, ValueError, FileNotFoundError, CheckpointError: as `Observer`; `keep_goals`
            where there are none is a ValueError.

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
    goals: dict[str, np.ndarray]
    """Of the last observations; empty unless goals are kept."""
    steps: int
    """Taken so far."""

    def __init__(
        self,
        venv: VecEnv,
        config: str | VASEConfig = "compact",
        *,
        keep_goals: bool = False,
        **options: Unpack[Options],
    ) -> None:
        self.observer = Observer(venv.observation_space, config, **options)
        self.keep_goals = keep_goals
        self.steps = 0
        self._seeded = False
        space: spaces.Space[Any] = self.observer.space
        if keep_goals:
            space = with_goals(self.observer.space, venv.observation_space)
        super().__init__(venv, observation_space=space)

    def seed(self, seed: int | None = None) -> Sequence[int | None]:
        """As the environments'; the next reset also forgets the recent frames."""
        self._seeded = True
        return self.venv.seed(seed)

    def reset(self) -> Observations:
        if self._seeded or not self.training:
            self.observer.stream.forget_recent()
        self._seeded = False
        observations = self.venv.reset()
        self.frames = self.observer.frames(observations, self.num_envs)
        self.goals = self._goals(observations)
        self.previous_frames = self.next_frames = self.frames
        self.observer.stream.observe(self.frames)
        return self._shown(self.observer.latents(self.frames), self.goals)

    def step_wait(self) -> VecEnvStepReturn:
        observations, rewards, dones, infos = self.venv.step_wait()
        self.steps += 1
        self.previous_frames = self.frames
        self.frames = self.observer.frames(observations, self.num_envs)
        self.goals = self._goals(observations)
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
            goals = self._goals(infos[i]["terminal_observation"])
            infos[i]["terminal_observation"] = self._shown(latent, goals)
        return self._shown(latents[: self.num_envs].copy(), self.goals), rewards, dones, infos

    def _goals(self, observations: Any) -> dict[str, np.ndarray]:
        return {key: observations[key] for key in GOALS} if self.keep_goals else {}

    def _shown(self, latents: np.ndarray, goals: dict[str, np.ndarray]) -> Observations:
        return {"observation": latents, **goals} if self.keep_goals else latents

    def refresh(self) -> tuple[Observations, float]:
        """Let a held view take over the learner's weights.

        Returns:
            The last observations anew, and how far the latents moved (`Observer.refresh`).

        Raises:
            RuntimeError: before the first reset.
        """
        if "frames" not in vars(self):
            raise RuntimeError("refresh needs observations: call reset first")
        drift = self.observer.refresh()
        return self._shown(self.observer.latents(self.frames), self.goals), drift

    def follow(self, other: VASEVecEnvWrapper) -> None:
        """Look through another adapter's learner and view from now on, and learn nothing.

        Raises:
            ValueError: they observe differently, or step the same environments.
        """
        if other.venv.unwrapped is self.venv.unwrapped:
            raise ValueError("other must step other environments than this adapter")
        _check_alike(other, self)
        self.observer.stream.use(other.vase)
        self.observer.stream.view = other.observer.stream.view
        self.training = False

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
            pixels_key=observer.pixels.key,
            append_environment=observer.append_environment,
            keep_goals=self.keep_goals,
        )
        twin.follow(self)
        return twin

    def __reduce__(self) -> tuple[Any, ...]:
        """None in a file: Stable-Baselines3 writes all arguments of an agent, and environments
        with their learner do not belong there."""
        return type(None), ()

    def __copy__(self) -> VASEVecEnvWrapper:
        return self.__deepcopy__({})

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
    _check_alike(source, target)
    target.observer.stream.use(copy.deepcopy(source.vase))


def with_goals(latents: spaces.Box, space: spaces.Space[Any]) -> spaces.Dict:
    """Latents and the goals of an environment's observation space.

    Raises:
        ValueError: it has no goals.
    """
    if not isinstance(space, spaces.Dict) or not set(GOALS) <= set(space):
        raise ValueError(f"keep_goals needs a Dict observation with the keys {GOALS}, got {space}")
    return spaces.Dict({"observation": latents, **{key: space[key] for key in GOALS}})


def _check_alike(source: VASEVecEnvWrapper, target: VASEVecEnvWrapper) -> None:
    if source.observation_space != target.observation_space:
        raise ValueError(
            f"source and target must observe alike, got {source.observation_space} and "
            f"{target.observation_space}"
        )
