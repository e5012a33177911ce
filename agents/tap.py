"""What replay buffers of frames have in common: where frames come from, and how they look now."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from gymnasium import spaces
from stable_baselines3.common.vec_env import VecEnv, unwrap_vec_wrapper

from ..wrappers import VASEVecEnvWrapper


class Frames(NamedTuple):
    """Of one transition of E environments: uint8 (E, H, W, C), and which world each was in."""

    before: np.ndarray
    after: np.ndarray
    worlds: tuple[int, int]
    """Places in `Registry.opened` of the world before and after the step."""


class FrameTap:
    """Takes the frames behind an algorithm's transitions from its adapter, and encodes them later.

    Args:
        env: what the algorithm trains on: the adapter, or what is around it.
        space: of the observations that the algorithm sees.
        n_envs: how many environments it steps.

    Raises:
        ValueError: there is no adapter, it observes otherwise, or has another number of
            environments.
    """

    def __init__(self, env: VecEnv, space: spaces.Space[Any], n_envs: int) -> None:
        venv = unwrap_vec_wrapper(env, VASEVecEnvWrapper)
        if venv is None:
            raise ValueError(f"venv must be a VASEVecEnvWrapper, got {type(env).__name__}")
        if venv.observation_space != space or venv.num_envs != n_envs:
            raise ValueError(
                f"venv must be what the algorithm trains on, {n_envs} environments that "
                f"observe {space}, got {venv.num_envs} that observe {venv.observation_space}"
            )
        self.venv = venv
        self._steps = venv.steps
        self._world = self._serial(venv.observer.stream.environment)

    def __reduce__(self) -> tuple[Any, ...]:
        """None in a file: environments with their learner do not belong there."""
        return type(None), ()

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of a frame: H, W, C."""
        config = self.venv.vase.config
        return config.image_size, config.image_size, config.channels

    def check_shape(self, stored: tuple[int, ...]) -> None:
        """ValueError unless the adapter's frames are as those that a buffer has stored."""
        if stored != self.shape:
            raise ValueError(f"venv must see frames {stored} as the buffer's, got {self.shape}")

    def take(self, infos: list[dict[str, Any]]) -> Frames:
        """Frames of the transition that the last step made.

        Raises:
            RuntimeError: the adapter was not stepped since.
        """
        venv = self.venv
        if venv.steps == self._steps:
            raise RuntimeError(
                "the transition comes from other environments than the buffer's: after set_env, "
                "call replay_buffer.attach(venv)"
            )
        self._steps = venv.steps
        worlds = self._world, self._serial(infos[0]["vase"]["environment"])
        self._world = worlds[1]
        return Frames(venv.previous_frames, venv.next_frames, worlds)

    def latents(self, frames: np.ndarray, worlds: np.ndarray) -> np.ndarray:
        """What the policy would see of frames (B, H, W, C) now, float32 (B, N) or (B, N + K).

        Args:
            frames: uint8.
            worlds: of `Frames`, (B,); one that the learner does not know is the present one.
        """
        observer = self.venv.observer
        opened = self.venv.vase.registry.opened
        known = np.append(opened, observer.stream.environment).astype(np.int64)
        return observer.latents(frames, known[np.minimum(worlds, len(opened))])

    def _serial(self, environment: int) -> int:
        return self.venv.vase.registry.serial(environment)


def attached(tap: FrameTap | None) -> FrameTap:
    """The tap of a buffer.

    Raises:
        RuntimeError: there is none.
    """
    if tap is None:
        raise RuntimeError("the buffer has no adapter: call replay_buffer.attach(venv)")
    return tap
