"""What a translation controls in the latents: how places differ, against how things at one do.

Shape suffixes: B batch, C channels, H height, W width, N latents.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..networks import Encoder
from .translation import carried_out

MEMORY = 100
"""Batches that the averages remember."""
RIDGE = 1.0
"""What is added to W's diagonal in M, in parts of each latent's variance. Where the position is
folded, a direction that hardly differs at one place may still not tell one place from another."""


class Control:
    """Running covariances of encodings: between places, and within one, between things.

    No one says where a thing is. But things that are pushed into a corner, where they stop, and
    then moved alike lie at one place.

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
        self.within_NN = torch.eye(latents, device=device)
        self.between_NN = torch.eye(latents, device=device)

    @torch.no_grad()
    def measure(self, encoder: Encoder, x_BCHW: Tensor) -> None:
        """Bring groups of pictures to one place each. Fewer than four pictures say nothing."""
        things = max(2, math.isqrt(len(x_BCHW)))
        places = len(x_BCHW) // things
        if places < 2:
            return
        x = x_BCHW[: places * things]
        cornered, _ = carried_out(x, -torch.ones(len(x), 2, device=x.device))
        shift = self.reach * torch.rand(places, 2, generator=self.generator).to(x.device)
        moved, _ = carried_out(cornered, shift.repeat_interleave(things, 0))
        encoded = encoder(moved)[0].unflatten(0, (places, things))
        middle = encoded.mean(1)
        rest = (encoded - middle[:, None]).flatten(0, 1)
        self.batches += 1
        weight = 1 / min(self.batches, MEMORY)
        self.within_NN.lerp_(rest.T @ rest / (len(x) - places), weight)
        self.between_NN.lerp_(middle.T.cov(), weight)

    @property
    def share(self) -> Tensor:
        """Of each latent's variance, (N,), what the place explains, in [0, 1]; ½ at first."""
        between, within = self.between_NN.diagonal(), self.within_NN.diagonal()
        return between / (between + within).clamp(min=1e-6)

    def metric(self, attended: Tensor) -> Tensor:
        """M, (N, N), of the distance dᵀMd: W⁻¹BW⁻¹ of the attended latents, 0 for the others.

        With B between and W within places, W with a ridge: signal over noise along every direction
        of latents, as in Fisher's discriminant. Its trace is the number of attended latents.
        """
        both = attended[:, None] & attended
        total = (self.between_NN + self.within_NN).diagonal().clamp(min=1e-6)
        noise = self.within_NN + RIDGE * total.diag()
        noise = torch.where(both, noise, torch.eye(len(total), device=total.device))
        # Unlike `inv`, this waits for no device; the ridge keeps the matrix regular.
        inverse = torch.linalg.inv_ex(noise)[0]
        metric: Tensor = inverse @ (self.between_NN * both) @ inverse
        return metric * attended.sum() / metric.trace().clamp(min=1e-6)
