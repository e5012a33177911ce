"""Which latents a translation controls: what it changes in them, against what it leaves.

Shape suffixes: B batch, C channels, H height, W width.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..networks import Encoder
from .translation import translated

MEMORY = 100
"""Batches that the averages remember."""
NOISE_FLOOR = 0.05
"""Least share of a latent's variance that counts as beyond control: none is known exactly."""


class Control:
    """Running share of each latent's variance between pictures that translations explain.

    Args:
        latents: N.
        reach: longest translation along an axis, in parts of the picture.
        generator: of the translations that are tried.
        device: of the averages.
    """

    def __init__(
        self, latents: int, reach: float, generator: torch.Generator, device: torch.device
    ) -> None:
        self.reach, self.generator = reach, generator
        self.batches = 0
        self.within = torch.zeros(latents, device=device)
        self.total = torch.ones(latents, device=device)

    @torch.no_grad()
    def measure(self, encoder: Encoder, x_BCHW: Tensor) -> None:
        """Move every picture in two ways at random: how far apart are the two encodings?"""
        means = []
        for _ in range(2):
            shift = 2 * torch.rand(len(x_BCHW), 2, generator=self.generator) - 1
            moved = translated(x_BCHW, self.reach * shift.to(x_BCHW.device))
            means.append(encoder(moved)[0])
        self.batches += 1
        weight = 1 / min(self.batches, MEMORY)
        self.within.lerp_((means[0] - means[1]).square().mean(0) / 2, weight)
        self.total.lerp_(means[0].var(0, correction=0), weight)

    @property
    def share(self) -> Tensor:
        """Of each latent, (N,), in [0, 1]: 0 before the first measurement."""
        return (self.within / self.total.clamp(min=1e-6)).clamp(0, 1)

    def weights(self, attended: Tensor) -> Tensor:
        """Signal over noise of attended latents, (N,), 1 on average; 0 for the others."""
        ratio = attended * self.share / (1 - self.share + NOISE_FLOOR)
        scaled = ratio * attended.sum() / ratio.sum().clamp(min=1e-6)
        # Nothing was measured yet: all alike. Asking a GPU would wait for it.
        return torch.where(ratio.sum() > 0, scaled, attended.float())
