"""The registry: what is kept of each environment. No frame is."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor

from .moments import Moments

# The average loss of an environment follows its recent batches: a plain mean would keep the high
# losses of the first steps for ever.
LOSS_MEMORY = 100


@dataclass
class LossStatistics:
    """Running mean and variance of the reconstruction loss per batch, in nats (L̃ˢ)."""

    count: int = 0
    mean: float = 0.0
    variance: float = 0.0

    def add(self, loss: float) -> None:
        self.count += 1
        weight = 1.0 / min(self.count, LOSS_MEMORY)
        gap = loss - self.mean
        self.mean += weight * gap
        self.variance = (1 - weight) * (self.variance + weight * gap * gap)


@dataclass
class Environment:
    """One environment s: its mask aˢ, used latents uˢ, loss L̃ˢ and moments."""

    index: int
    latent_mask: Tensor
    """bool (N,): True where the latent is active."""
    used_latents: Tensor
    """bool (N,): True where the reconstruction depends on the latent."""
    moments: Moments
    loss: LossStatistics = field(default_factory=LossStatistics)
    frames: int = 0
    """Frames that the moments were taken from."""
    updates: int = 0
    """Training steps spent in the environment."""
    confirmed: bool = False
    """Whether it is known to be none of the environments before it."""
    trial: Moments | None = None
    """Moments of the frames since it was opened, until it is confirmed. The frames that opened it
    were chosen for being odd, and say nothing about whether it repeats a known world."""

    @property
    def loss_mean(self) -> float:
        """Average reconstruction loss when last experienced, in nats."""
        return self.loss.mean
