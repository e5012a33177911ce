"""What `bench` measures: learners that dream, encoders, and wrappers in front of environments."""

from __future__ import annotations

import copy
from typing import Any

import gymnasium as gym
import numpy as np
import torch

from ..config import VASEConfig
from ..frames import to_tensor
from ..learner import VASE
from ..precision import Precision, dtype_of
from ..replicas import Replicas
from ..wrappers import VASEObservationWrapper, VASEVectorObservationWrapper
from .measured import Work

BLOCKS = 8
"""So many are shown of each world; a switch takes two or three."""
SHOWN = 64
"""Different frames that an environment shows."""


def world(config: VASEConfig, index: int, frames: int, seed: int) -> np.ndarray:
    """Frames uint8 (B, H, W, C) of a world by number: noise as bright as the number says."""
    rng = np.random.default_rng((seed, index))
    shape = (frames, config.image_size, config.image_size, config.channels)
    return rng.integers(30 * index, 30 * index + 40, shape, dtype=np.uint8)


def dreaming_learner(config: VASEConfig, worlds: int, seed: int, device: str) -> VASE:
    """A learner that knows so many worlds, stands in the last and dreams of the others.

    Raises:
        RuntimeError: it does not tell the worlds apart.
    """
    vase = VASE(config, seed=seed, device=device)
    for index in range(worlds):
        for _ in range(BLOCKS):
            vase.update(world(config, index, config.block_frames, seed))
            vase.confirm()
    if len(vase.environments) != worlds:
        raise RuntimeError(f"{worlds} worlds were shown, {len(vase.environments)} are known")
    return vase


def step_work(vase: VASE, seed: int) -> Work:
    """A full training step in the present environment."""
    index = vase.environment
    frames = world(vase.config, index, vase.config.batch_size, seed)
    return lambda: vase.practise(frames)


def replicas_work(config: VASEConfig, count: int, seed: int, device: str) -> Work:
    """An update of so many learners together, each in the second of two worlds that it knows."""
    learners = [dreaming_learner(config, 2, seed + number, device) for number in range(count)]
    frames = [
        world(config, vase.environment, config.batch_size, seed + number)
        for number, vase in enumerate(learners)
    ]
    replicas = Replicas(learners)
    return lambda: replicas.update(frames)


def plain_epoch(vase: VASE, frames: np.ndarray, seed: int) -> Work:
    """Training steps on frames, each once, in batches, of a learner that has no dreams yet."""
    rng = np.random.default_rng(seed)

    def learn() -> None:
        shuffled = rng.permutation(len(frames))
        for rows in np.array_split(shuffled, len(frames) // vase.config.batch_size):
            vase.practise(frames[rows])

    return learn


class Slides(gym.Env[np.ndarray, np.int64]):
    """Shows stored frames one after the other and does nothing else."""

    def __init__(self, frames: np.ndarray) -> None:
        self.frames = frames
        self.shown = 0
        self.observation_space = gym.spaces.Box(0, 255, frames.shape[1:], np.uint8)
        self.action_space = gym.spaces.Discrete(2)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[np.ndarray, Any]:
        """The next frame."""
        return self._next(), {}

    def step(self, action: np.int64) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """The next frame."""
        return self._next(), 0.0, False, False, {}

    def _next(self) -> np.ndarray:
        self.shown = (self.shown + 1) % len(self.frames)
        frame: np.ndarray = self.frames[self.shown]
        return frame


def wrapped_work(vase: VASE, environments: int, steps: int, seed: int) -> dict[str, Work]:
    """So many steps of environments, through a wrapper that is frozen and by hand.

    Returns:
        "forward", the bare pass through the encoder, of as many frames already in place; "plain",
        a step of the environments before every such pass; "wrapped", a step of the wrapper.
    """
    slides = world(vase.config, vase.environment, SHOWN, seed)
    wrapped = _wrapped(vase, slides, environments)
    plain = wrapped.env
    action: Any = 0 if environments == 1 else np.zeros(environments, dtype=np.int64)
    wrapped.reset()
    forward = bare_forward(vase, environments)
    return {
        name: _repeated(work, steps)
        for name, work in {
            "forward": forward,
            "plain": lambda: (plain.step(action), forward()),
            "wrapped": lambda: wrapped.step(action),
        }.items()
    }


def bare_forward(vase: VASE, frames: int) -> Work:
    """The encoder on float frames that are in place, its weights rounded before."""
    encoder = copy.deepcopy(vase.networks.encoder)
    encoder.trunk.to(dtype_of(encoder.precision, vase.device))
    x = to_tensor(world(vase.config, vase.environment, frames, seed=0), vase.config, vase.device)

    def forward() -> object:
        with torch.inference_mode():
            return encoder(x)

    return forward


def encode_work(vase: VASE, frames: int, seed: int) -> dict[str, Work]:
    """`VASE.encode` of so many frames beside the bare forward pass."""
    shown = world(vase.config, vase.environment, frames, seed)
    return {"forward": bare_forward(vase, frames), "encode": lambda: vase.encode(shown)}


def with_precision(config: VASEConfig, precision: Precision) -> VASEConfig:
    """The same in other numbers."""
    return VASEConfig.from_dict({**config.to_dict(), "precision": precision})


def _wrapped(vase: VASE, slides: np.ndarray, environments: int) -> Any:
    if environments == 1:
        single = VASEObservationWrapper(Slides(slides), vase.config, training=False)
        single.stream.use(vase)
        return single
    envs = gym.vector.SyncVectorEnv([lambda: Slides(slides)] * environments)
    several = VASEVectorObservationWrapper(envs, learner=vase, training=False)
    return several


def _repeated(work: Work, times: int) -> Work:
    def repeat() -> None:
        for _ in range(times):
            work()

    return repeat
