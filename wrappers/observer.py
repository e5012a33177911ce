"""What the three adapters share: images in, latents and `info["vase"]` out."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypedDict

import numpy as np
from gymnasium import spaces

from ..checkpoint import CheckpointError
from ..config import VASEConfig
from ..learner import VASE
from .pixels import PixelReader
from .stream import NO_CHANGE, Change, FrameStream, StreamConfig
from .view import Precision, View


class Options(TypedDict, total=False):
    """Keyword arguments of the adapters of several environments, as `Observer` has them."""

    load_path: str | Path | None
    learner: VASE | None
    training: bool
    pixels_key: str | None
    append_environment: bool
    warmup_frames: int
    window_frames: int
    frames_per_update: int | None
    view: View
    precision: Precision
    seed: int | None
    device: str


class Observer:
    """One learner behind the observations of one environment or of several.

    Args:
        space: of a single environment's observations: uint8 images, grey, RGB or RGBA of any size,
            by themselves or under one key of a `Dict`. They are resized by area.
        config: name of a preset (its channels then follow the images: grey or RGB), or a
            `VASEConfig`.
        load_path: a checkpoint to start from, in place of `config`.
        learner: one to share, in place of both; only one adapter may train it.
        training: learn from the frames. Can be switched at any time through `.training`.
        pixels_key: the image's key in a `Dict` observation.
        append_environment: append the environment as a one-hot of length `max_environments`.
        warmup_frames: frames gathered before the first training step.
        window_frames: recent frames of the present environment that training draws from.
        frames_per_update: frames per training step; fewer learn faster and cost more. None: 8, or
            four steps of all environments where that is more.
        view: the encoder that the observations come through: "live", the learner's own; "held", a
            copy that stays as it is until `refresh`; "average", a copy that follows slowly.
        precision: of that encoder's layers, "float32" or "bfloat16": faster where the processor
            multiplies such numbers, slower elsewhere, and within about one part in a hundred of
            the latents' spread. Training is not concerned.
        seed: of the learner's weights and noise; of the order of training frames.
        device: "cpu", "cuda", ... or "auto".

    Raises:
        TypeError, ValueError: no image in the observation space, or an argument that breaks its
            rule.
        FileNotFoundError, CheckpointError: `load_path` is missing, damaged, or was made with
            another configuration than `config` asks for.
    """

    def __init__(
        self,
        space: spaces.Space[Any],
        config: str | VASEConfig = "compact",
        *,
        load_path: str | Path | None = None,
        learner: VASE | None = None,
        training: bool = True,
        pixels_key: str | None = None,
        append_environment: bool = False,
        warmup_frames: int = StreamConfig.warmup_frames,
        window_frames: int = StreamConfig.window_frames,
        frames_per_update: int | None = StreamConfig.frames_per_update,
        view: View = "live",
        precision: Precision = "float32",
        seed: int | None = None,
        device: str = "auto",
    ) -> None:
        self.pixels = PixelReader(space, pixels_key)
        schedule = StreamConfig(warmup_frames, window_frames, frames_per_update)
        if learner is None:
            learner = make_learner(config, load_path, self.pixels.channels, seed, device)
        elif load_path is not None:
            raise ValueError(f"load_path must be None where a learner is given, got {load_path!r}")
        self.stream = FrameStream(
            learner, schedule, training=training, view=view, precision=precision, seed=seed
        )
        self.append_environment = append_environment
        self.space = latent_space(learner.config, append_environment)

    def frame(self, observation: Any) -> np.ndarray:
        """The image of one environment's observation as the learner sees it, uint8 (H, W, C)."""
        config = self.stream.vase.config
        return self.pixels.read(observation, config.image_size, config.channels)

    def frames(self, observations: Any, count: int) -> np.ndarray:
        """The same for observations that are stacked along the first axis, (E, H, W, C)."""
        config = self.stream.vase.config
        return self.pixels.read_all(observations, count, config.image_size, config.channels)

    def latents(self, frames: np.ndarray, environments: np.ndarray | None = None) -> np.ndarray:
        """Observations of frames: a fresh float32 array (B, N) or (B, N + K).

        Args:
            frames: uint8 (B, H, W, C).
            environments: indices (B,) of those that the frames come from; the present one by
                default.
        """
        stream = self.stream
        latents = stream.latents(frames, environments)
        if not self.append_environment:
            return latents
        if environments is None:
            environments = np.full(len(frames), stream.environment)
        return with_environment(latents, environments, stream.vase.config)

    def refresh(self) -> float:
        """Let a held view take over the learner's weights; nothing changes in a live one.

        Returns:
            How far the latents of the last frames moved: root mean square, in units of the prior's
            standard deviation.
        """
        return self.stream.refresh()

    def info(self, change: Change = NO_CHANGE) -> dict[str, Any]:
        """The scalars of `info["vase"]`: `reconstruction_loss` is in nats per frame."""
        return {
            "environment": int(self.stream.environment),
            "shift": bool(change.shift),
            "new_environment": bool(change.new_environment),
            "reconstruction_loss": float(self.stream.reconstruction_loss),
            "updates": int(self.stream.vase.updates),
            "status": self.stream.status,
            "name": self.stream.name,
            "forbidden": self.stream.forbidden,
        }


class Observing:
    """What the adapters show of their observer."""

    observer: Observer

    @property
    def stream(self) -> FrameStream:
        """What feeds the learner."""
        return self.observer.stream

    @property
    def vase(self) -> VASE:
        """The learner."""
        return self.observer.stream.vase

    @property
    def pixels(self) -> PixelReader:
        """What finds the image."""
        return self.observer.pixels

    @property
    def append_environment(self) -> bool:
        """Whether the one-hot environment is part of the observation."""
        return self.observer.append_environment

    @property
    def training(self) -> bool:
        """Whether frames are learnt from."""
        return self.observer.stream.training

    @training.setter
    def training(self, value: bool) -> None:
        self.observer.stream.training = bool(value)

    def save(self, path: str | Path) -> None:
        """Save the learner; `load_path` takes the file.

        Raises:
            OSError: the file cannot be written.
        """
        self.vase.save(path)


def make_learner(
    config: str | VASEConfig,
    load_path: str | Path | None,
    channels: int,
    seed: int | None,
    device: str,
) -> VASE:
    """A learner from a checkpoint, a configuration, or the name of a preset.

    Raises:
        TypeError, ValueError: `config` is neither a preset's name nor a `VASEConfig`.
        FileNotFoundError, CheckpointError: as `VASE.load`, or the checkpoint was made with
            another configuration than the one given.
    """
    if not isinstance(config, (str, VASEConfig)):
        raise TypeError(f"config must be the name of a preset or a VASEConfig, got {config!r}")
    if load_path is not None:
        vase = VASE.load(load_path, device=device)
        if isinstance(config, VASEConfig) and config != vase.config:
            raise CheckpointError(
                f"checkpoint {load_path} was made with another configuration than config: "
                f"{_difference(config, vase.config)}"
            )
        return vase
    if isinstance(config, str):
        config = VASEConfig.preset(config, channels=channels)
    return VASE(config, seed=seed, device=device)


def latent_space(config: VASEConfig, append_environment: bool) -> spaces.Box:
    """Space of the latents, unbounded, with the one-hot environment in [0, 1] behind them."""
    low = np.full(config.latents, -np.inf, dtype=np.float32)
    high = np.full(config.latents, np.inf, dtype=np.float32)
    if append_environment:
        low = np.concatenate([low, np.zeros(config.max_environments, dtype=np.float32)])
        high = np.concatenate([high, np.ones(config.max_environments, dtype=np.float32)])
    return spaces.Box(low, high, dtype=np.float32)


def with_environment(
    latents: np.ndarray, environments: np.ndarray, config: VASEConfig
) -> np.ndarray:
    """Latents (B, N) with the one-hot of environments (B,) appended, (B, N + K)."""
    one_hot = np.eye(config.max_environments, dtype=np.float32)[environments]
    return np.concatenate([latents, one_hot], axis=1)


def _difference(wanted: VASEConfig, found: VASEConfig) -> str:
    first, second = wanted.to_dict(), found.to_dict()
    name = next(n for n in first if first[n] != second[n])
    return f"{name} is {second[name]!r} there and {first[name]!r} here"
