"""Pictures of what the learner sees in a world, for the report."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..envs import make_source
from ..learner import VASE
from .inspection import latent_traversals
from .probes import encode, world_frames

Images = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Gallery:
    """Frames of one world, seen as every environment, and traversals from one of them."""

    source: str
    environment: int
    """The environment that the learner takes the world for."""
    frames: Images
    """(n, H, W, C), of sprites that were never shown in training."""
    seen_as: list[Images]
    """Per environment, the frames (n, H, W, C) decoded as that environment."""
    traversals: Images
    """(N, steps, H, W, C), decoded as `environment`."""


def gallery(vase: VASE, source: str, *, seed: int, size: int, motion: str, count: int) -> Gallery:
    """Look at a world through a learner, which does not change.

    Args:
        vase: a learner that has seen frames.
        source: name of the world.
        seed, size, motion: of the stream that the learner saw.
        count: frames to show.
    """
    # Inference wants a batch; the first frames of it are shown.
    world = make_source(source, seed=seed, size=size, motion=motion, split="test")
    frames, positions = world_frames(world, max(64, count), vase)
    environment = vase.infer(frames).environment
    known = [e.index for e in vase.registry.known]
    central = int(np.square(positions - 0.5).sum(1).argmin())
    start = encode(vase, frames[[central]])[0]
    return Gallery(
        source,
        environment,
        frames[:count],
        [vase.reconstruct(frames[:count], index) for index in known],
        latent_traversals(vase, environment, start),
    )
