"""How much the latents tell about true factors: a linear read-out, tested on unseen sprites."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from gymnasium.spaces import Box

from ..envs import Source, make_source
from ..learner import VASE
from ..wrappers.pixels import PixelReader

Floats = npt.NDArray[np.float32]
Frames = npt.NDArray[np.uint8]

ENCODE_BATCH = 256
RIDGE = 1e-3
"""Weight of the penalty, per training frame, on standardised latents."""


@dataclass(frozen=True)
class Probe:
    """A linear read-out of the position in one world."""

    source: str
    environment: int
    """The environment that the learner took the world for; its mask was applied."""
    truth: Floats
    """Positions (n, 2) of test sprites, x and y in [0, 1] of their range."""
    read_out: Floats
    """The same, read from the latents."""

    @property
    def r2_by_axis(self) -> tuple[float, float]:
        """Share of the variance of x and of y that is read out; 1 is perfect."""
        horizontal, vertical = r2_score(self.truth, self.read_out)
        return float(horizontal), float(vertical)

    @property
    def r2(self) -> float:
        """Mean over the two axes."""
        return float(np.mean(self.r2_by_axis))


def probe_position(
    vase: VASE,
    source: str,
    *,
    seed: int,
    size: int = 64,
    motion: str = "independent",
    train: int = 2000,
    test: int = 1000,
) -> Probe:
    """Fit positions to the latents of training sprites; read those of sprites never shown.

    Args:
        vase: a learner that has seen frames; it does not change.
        source: name of a moving source.
        seed: of the sprites, as in the stream that the learner saw.
        size: side of the canvas in pixels.
        motion: of the frames.
        train, test: numbers of frames.
    """
    seen = make_source(source, size=size, seed=seed, split="train", motion=motion)
    unseen = make_source(source, size=size, seed=seed, split="test", motion=motion)
    train_frames, train_truth = world_frames(seen, train, vase)
    test_frames, test_truth = world_frames(unseen, test, vase)
    inference = vase.infer(train_frames[:ENCODE_BATCH])
    train_latents = encode(vase, train_frames) * inference.latent_mask
    test_latents = encode(vase, test_frames) * inference.latent_mask
    read_out = Ridge(train_latents, train_truth)(test_latents)
    return Probe(source, inference.environment, test_truth, read_out)


def world_frames(source: Source, count: int, vase: VASE) -> tuple[Frames, Floats]:
    """Frames (n, H, W, C) of a source at the learner's size, and positions (n, 2)."""
    batch = source.sample(count)
    reader = PixelReader(Box(0, 255, batch.frames.shape[1:], np.uint8))
    config = vase.config
    frames = [reader.read(frame, config.image_size, config.channels) for frame in batch.frames]
    return np.stack(frames), batch.factors["position"].astype(np.float32)


def encode(vase: VASE, frames: Frames) -> Floats:
    """Posterior means (n, N) of any number of frames, no mask applied."""
    parts = [
        vase.encode(frames[start : start + ENCODE_BATCH])[0]
        for start in range(0, len(frames), ENCODE_BATCH)
    ]
    return np.concatenate(parts)


class Ridge:
    """Linear least squares with a small ridge penalty, on standardised inputs.

    Args:
        inputs: (n, d).
        targets: (n, k).
    """

    def __init__(self, inputs: Floats, targets: Floats) -> None:
        x, y = inputs.astype(np.float64), targets.astype(np.float64)
        self.centre, self.offset = x.mean(0), y.mean(0)
        spread = x.std(0)
        self.scale = np.where(spread > 0, spread, 1.0)
        z = (x - self.centre) / self.scale
        penalty = RIDGE * len(z) * np.eye(z.shape[1])
        self.weights = np.linalg.solve(z.T @ z + penalty, z.T @ (y - self.offset))

    def __call__(self, inputs: Floats) -> Floats:
        """Predictions (m, k) for inputs (m, d)."""
        z = (inputs - self.centre) / self.scale
        return np.asarray(z @ self.weights + self.offset, dtype=np.float32)


def r2_score(truth: Floats, prediction: Floats) -> Floats:
    """Coefficient of determination per column, (k,): 1 − residual / total sum of squares.

    Raises:
        ValueError: a column of `truth` is constant.
    """
    y, p = truth.astype(np.float64), prediction.astype(np.float64)
    total = np.square(y - y.mean(0)).sum(0)
    if not (total > 0).all():
        raise ValueError("truth must vary in every column, got a constant one")
    return np.asarray(1 - np.square(y - p).sum(0) / total, dtype=np.float32)
