"""`VASEObservationWrapper`: latents in place of pixels, for a single Gymnasium environment."""

from __future__ import annotations

from pathlib import Path
from typing import Any, SupportsFloat

import gymnasium as gym
import numpy as np
from gymnasium.utils import RecordConstructorArgs

from ..config import VASEConfig
from .observer import Observer, Observing, Options
from .stream import StreamConfig


class VASEObservationWrapper(
    Observing, gym.Wrapper[np.ndarray, Any, Any, Any], RecordConstructorArgs
):
    """Replaces image observations by the latents of a VASE that learns from them as they come.

    The observation is a fresh float32 vector: the N posterior means with masked latents at 0, and
    on request the one-hot environment behind them. `info["vase"]` holds Python scalars:
    `environment`, `shift`, `new_environment`, `reconstruction_loss` (nats per frame, 0 before the
    first), `updates`, and of the environment `status`, `name` and `forbidden` (`VASE.status`,
    `VASE.rename`, `VASE.forbid`).

    A last frame of an episode that is black or repeats the one before is shown as latents like any
    other, but neither tested nor learnt from: many environments have no picture of their end.

    With `training=True` the map from frames to latents moves while the agent looks, so equal seeds
    do not give equal observations: Gymnasium's `check_env` passes with `training=False`.

    Args:
        env: an environment with uint8 images, grey, RGB or RGBA of any size, by themselves or
            under one key of a `Dict`. They are resized by area to the learner's size.
        config: name of a preset (its channels then follow the images: grey or RGB), or a
            `VASEConfig`.
        load_path: a checkpoint to start from, in place of `config`.
        training: learn from the frames. Can be switched at any time through `.training`, as
            `update_running_mean` of Gymnasium's `NormalizeObservation`.
        pixels_key: the image's key in a `Dict` observation.
        append_environment: append the environment as a one-hot of length `max_environments`.
        warmup_frames: frames gathered before the first training step.
        window_frames: recent frames of the present environment that training draws from.
        frames_per_update: frames per training step, 8 by default; fewer learn faster and cost more.
        seed: of the learner's weights and noise; of the order of training frames.
        device: "cpu", "cuda", ... or "auto".

    Raises:
        ValueError: no image in the observation space, or an argument that breaks its rule.
        FileNotFoundError, CheckpointError: `load_path` is missing, damaged, or was made with
            another configuration than `config` asks for.

    Example:
        >>> import gymnasium as gym
        >>> from vase_rl.wrappers import VASEObservationWrapper
        >>> env = VASEObservationWrapper(gym.make("vase_rl/SpriteReach-v0"), config="compact")
        >>> env.observation_space.shape
        (16,)
    """

    def __init__(
        self,
        env: gym.Env[Any, Any],
        config: str | VASEConfig = "compact",
        *,
        load_path: str | Path | None = None,
        training: bool = True,
        pixels_key: str | None = None,
        append_environment: bool = False,
        warmup_frames: int = StreamConfig.warmup_frames,
        window_frames: int = StreamConfig.window_frames,
        frames_per_update: int | None = StreamConfig.frames_per_update,
        seed: int | None = None,
        device: str = "auto",
    ) -> None:
        options: Options = dict(
            load_path=load_path,
            training=training,
            pixels_key=pixels_key,
            append_environment=append_environment,
            warmup_frames=warmup_frames,
            window_frames=window_frames,
            frames_per_update=frames_per_update,
            seed=seed,
            device=device,
        )
        RecordConstructorArgs.__init__(self, config=config, **options)
        gym.Wrapper.__init__(self, env)
        self.observer = Observer(env.observation_space, config, **options)
        self.observation_space = self.observer.space

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """As the environment's; a seeded reset also forgets the recent frames."""
        observation, info = self.env.reset(seed=seed, options=options)
        if seed is not None:
            self.stream.forget_recent()
        return self._see(observation, info)

    def step(self, action: Any) -> tuple[np.ndarray, SupportsFloat, bool, bool, dict[str, Any]]:
        observation, reward, terminated, truncated, info = self.env.step(action)
        latents, info = self._see(observation, info, ended=terminated or truncated)
        return latents, reward, terminated, truncated, info

    def _see(
        self, observation: Any, info: dict[str, Any], *, ended: bool = False
    ) -> tuple[np.ndarray, dict[str, Any]]:
        frame = self.observer.frame(observation)[None]
        change = self.stream.observe(frame, ended=np.array([ended]))
        return self.observer.latents(frame)[0], {**info, "vase": self.observer.info(change)}
