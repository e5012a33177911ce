"""The registry: what is kept of each environment. No frame is."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor

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
    """One environment s: its mask aˢ, used latents uˢ and loss L̃ˢ."""

    index: int
    latent_mask: Tensor
    """bool (N,): True where the latent is active."""
    used_latents: Tensor
    """bool (N,): True where the reconstruction depends on the latent."""
    loss: LossStatistics = field(default_factory=LossStatistics)
    updates: int = 0
    """Training steps spent in the environment."""
    name: str = ""
    """Given by `VASE.rename`."""
    forbidden: bool = False
    """Whether its frames are recognised, but neither learnt from nor dreamt of."""
    held_latents: Tensor | None = None
    """bool (N,): those that were used when `VASE.hold` was called, and whose meaning stays while it
    is the present one, too. None: it is not held."""
    merged_into: int | None = None
    """Index of the environment that its frames count to since a merge."""

    def hold(self, latents: Tensor | None = None) -> None:
        """Add latents, bool (N,), to those that are held; by default the used ones."""
        latents = self.used_latents if latents is None else latents
        held = self.held_latents
        self.held_latents = latents.clone() if held is None else held | latents

    @property
    def loss_mean(self) -> float:
        """Average reconstruction loss when last experienced, in nats."""
        return self.loss.mean

    @property
    def alive(self) -> bool:
        """Whether it is learnt from and dreamt of."""
        return not self.forbidden and self.merged_into is None
