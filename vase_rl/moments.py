"""What an environment's frames look like, without keeping any: moments of fixed features.

Reconstruction losses miss switches to easier data, and the encoder's own features drift once an
environment is left. Features of a fixed random convolution never drift: a mean and a covariance
per environment stay valid for life, and a batch is compared with them by Hotelling's two-sample T².
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

DIMENSION = 32
FILTERS = 24
SIDE = 32
# Two by two cells: coarse enough that one moving sprite's whereabouts matter little, fine enough
# that a world where nothing moves differs from one where the same things move.
GRID = 2
RIDGE = 1e-3
SEED = 0


class FixedFeatures:
    """A random, never trained map of frames (B, C, H, W) in [0, 1] to (B, DIMENSION)."""

    def __init__(self, channels: int, device: torch.device) -> None:
        generator = torch.Generator().manual_seed(SEED)
        kernels = torch.randn(FILTERS, channels, 5, 5, generator=generator)
        norms = kernels.flatten(1).norm(dim=1)[:, None, None, None]
        cells = FILTERS * GRID**2
        self.kernels = (kernels / norms).to(device)
        self.biases = (0.3 * torch.randn(FILTERS, generator=generator)).to(device)
        self.projection = (torch.randn(cells, DIMENSION, generator=generator) / cells**0.5).to(
            device
        )

    def __call__(self, x_BCHW: Tensor) -> Tensor:
        x = x_BCHW
        if x.shape[-2:] != (SIDE, SIDE):
            x = F.interpolate(x, size=(SIDE, SIDE), mode="area")
        h = F.relu(F.conv2d(x, self.kernels, self.biases, stride=2, padding=2))
        features: Tensor = F.avg_pool2d(h, h.shape[-1] // GRID).flatten(1) @ self.projection
        return features


@dataclass
class Moments:
    """Running mean (D,) and covariance (D, D) of an environment's features.

    `count` is the number of independent frames they rest on, at most the memory that `merged` is
    given.
    """

    count: float
    mean: Tensor
    covariance: Tensor

    @classmethod
    def of(cls, features_BD: Tensor) -> Moments:
        """Moments of one batch, in double precision."""
        x = features_BD.double()
        centred = x - x.mean(0)
        return cls(float(len(x)), x.mean(0), centred.T @ centred / max(len(x) - 1, 1))

    def merged(self, other: Moments, memory: float) -> Moments:
        """The moments of both samples together; beyond `memory` frames the old ones fade."""
        kept = min(self.count, max(memory - other.count, 1.0))
        total = kept + other.count
        gap = other.mean - self.mean
        scatter = (
            self.covariance * (kept - 1)
            + other.covariance * (other.count - 1)
            + torch.outer(gap, gap) * (kept * other.count / total)
        )
        mean = self.mean + gap * (other.count / total)
        return Moments(total, mean, scatter / max(total - 1, 1.0))


def two_sample_f(batch: Moments, reference: Moments, effective_frames: float) -> float:
    """Hotelling's two-sample T² of a batch against an environment, as an F statistic.

    About 1 when the batch belongs to the environment, whatever the number of frames so far;
    well above 1 it does not. Few frames cannot tell a covariance in all
    dimensions: the first (n + m − 2)/3 features are compared then, random projections as good as
    any others.

    Args:
        effective_frames: the number of independent frames that the batch is worth.
    """
    n, m = effective_frames, reference.count
    freedom = max(n + m - 2, 1.0)
    d = max(min(len(batch.mean), int(freedom / 3)), 1)
    pooled = (n - 1) * batch.covariance[:d, :d] + (m - 1) * reference.covariance[:d, :d]
    pooled = pooled / freedom
    ridge = RIDGE * pooled.diagonal().mean().clamp(min=1e-12)
    pooled = pooled + ridge * torch.eye(d, dtype=pooled.dtype, device=pooled.device)
    gap = (batch.mean - reference.mean)[:d]
    t_squared = (n * m / (n + m)) * (gap @ torch.linalg.solve(pooled, gap))
    return float(t_squared) * max(freedom - d + 1, 1.0) / (freedom * d)


def effective_sample_size(features_BD: Tensor) -> float:
    """How many independent frames a batch in temporal order is worth, between 1 and B.

    n·(1 − ρ)/(1 + ρ), the variance of the mean of a first-order autoregressive process, with ρ
    the lag-1 correlation averaged over features weighted by their variance. ρ that chance
    explains (below 2/√B) counts as 0, so that shuffled batches are worth what they hold. One
    step change is taken out first: a batch across a switch of worlds is no correlated batch.
    """
    n = len(features_BD)
    if n < 3:
        return 1.0
    x = features_BD.double()
    residual = _without_one_step(x - x.mean(0))
    variance = residual.square().sum()
    if variance <= 1e-12:
        return 1.0
    rho = float((residual[1:] * residual[:-1]).sum() / variance)
    if rho < 2.0 / n**0.5:
        return float(n)
    return max(1.0, n * (1 - rho) / (1 + rho))


def _without_one_step(centred_BD: Tensor) -> Tensor:
    """Residuals about two means, before and after the best single split of the batch."""
    n = len(centred_BD)
    before = torch.arange(1, n, dtype=centred_BD.dtype, device=centred_BD.device)[:, None]
    sums = centred_BD.cumsum(0)[:-1]
    # With the total mean at 0, the scatter between the two parts is |sum|² (1/k + 1/(n − k)).
    between = (sums.square() * (1 / before + 1 / (n - before))).sum(1)
    split = int(between.argmax()) + 1
    first, second = centred_BD[:split], centred_BD[split:]
    return torch.cat([first - first.mean(0), second - second.mean(0)])
