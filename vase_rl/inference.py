"""Which environment is this? Algorithm 1 and eq. 6, and the test that stands in for them online.

Both rules answer for one batch: the index of the known environment that explains it, or None. A
change of environment takes several batches in a row that agree (`Evidence`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from .config import VASEConfig
from .distributions import loss_floor
from .environments import Environment
from .moments import Moments, two_sample_f


def algorithm_1(
    candidate: Environment, loss: float, batch_mask: Tensor, config: VASEConfig
) -> int | None:
    """Algorithm 1 and eq. 6, for the most likely environment ŝ = argmax q(s|x).

    The printed algorithm takes argmax of −log p, and eq. 6 lacks the −log; A.2 says what is meant:
    ŝ is the classifier's choice, and the loss must not be much above that environment's average.

    Args:
        candidate: ŝ with its average loss L̃, mask aˢ and used latents uˢ.
        loss: −log p(x|z, ŝ), averaged over the batch, in nats.
        batch_mask: a(x), bool (N,).

    Returns:
        ŝ, or None for a new environment.
    """
    if not loss_fits(candidate, loss, config):
        return None
    used = candidate.used_latents
    if not torch.equal(candidate.latent_mask & used, batch_mask & used):
        return None
    return candidate.index


def loss_fits(candidate: Environment, loss: float, config: VASEConfig) -> bool:
    """Whether a batch's reconstruction loss, in nats, is one of the environment's.

    The upper test (eq. 6) compares with κ times the average. κ multiplies what lies above the loss
    of a perfect reconstruction, for the negative losses of a Gaussian likelihood would shrink when
    multiplied. The two-sided test compares with mean and deviation of the environment's batches.
    """
    if config.loss_test == "two_sided":
        allowed = config.loss_deviations * math.sqrt(candidate.loss.variance)
        return abs(loss - candidate.loss_mean) <= allowed
    floor = loss_floor(config)
    return loss - floor <= config.loss_tolerance * (candidate.loss_mean - floor)


def moments_rule(
    batch: Moments,
    effective_frames: float,
    environments: list[Environment],
    current: int,
    config: VASEConfig,
) -> int | None:
    """The environment whose frames looked like these, or None.

    The present environment is kept as long as it explains the batch; otherwise the most likely
    one of those that do. An environment of fewer frames than twice `minimum_effective_frames` is
    not known well enough to say no.
    """
    explaining = [
        e
        for e in environments
        if e.frames < 2 * config.minimum_effective_frames
        or resembles(batch, e.moments, effective_frames, config)
    ]
    if any(e.index == current for e in explaining):
        return current
    return most_likely(batch, explaining) if explaining else None


def resembles(
    batch: Moments, reference: Moments, effective_frames: float, config: VASEConfig
) -> bool:
    """Whether a batch could have come from where the reference comes from.

    The fewer independent frames a batch is worth, the rarer an accident must be to count: below
    `minimum_effective_frames` the threshold grows in proportion.
    """
    shortage = max(1.0, config.minimum_effective_frames / effective_frames)
    threshold = config.shift_threshold * shortage
    return two_sample_f(batch, reference, effective_frames) <= threshold


def same_world(
    candidate: Environment, environments: list[Environment], config: VASEConfig
) -> Environment | None:
    """The known environment that explains all frames since the candidate was opened, or None."""
    batch = candidate.trial
    if batch is None:
        return None
    known = [
        e
        for e in environments
        if e is not candidate and resembles(batch, e.moments, batch.count, config)
    ]
    return environments[most_likely(batch, known)] if known else None


def f_statistics(
    batch: Moments, effective_frames: float, environments: list[Environment]
) -> list[float]:
    """`two_sample_f` of the batch against every environment, in order."""
    return [two_sample_f(batch, e.moments, effective_frames) for e in environments]


def most_likely(batch: Moments, environments: list[Environment]) -> int:
    """Index of the environment with the highest Gaussian likelihood of the batch's features."""
    return max(environments, key=lambda e: _log_likelihood(batch, e.moments)).index


def _log_likelihood(batch: Moments, reference: Moments) -> float:
    """Expected log density, per frame and up to a constant, of N(reference) under the batch."""
    covariance = reference.covariance
    scale = covariance.diagonal().mean().clamp(min=1e-9)
    covariance = covariance + 1e-3 * scale * torch.eye(
        len(covariance), dtype=covariance.dtype, device=covariance.device
    )
    gap = batch.mean - reference.mean
    spread = batch.covariance + torch.outer(gap, gap)
    trace = torch.linalg.solve(covariance, spread).diagonal().sum()
    return -0.5 * float(trace + torch.linalg.slogdet(covariance).logabsdet)


@dataclass(frozen=True)
class Evidence:
    """Batches in a row that speak against the present environment, all for the same one."""

    environment: int | None
    """The known environment they speak for, or None: a new one."""
    batches: int
    moments: Moments

    def supported_by(
        self, verdict: int | None, batch: Moments, effective_frames: float, config: VASEConfig
    ) -> bool:
        """Whether one more batch says the same; strangers must also resemble each other."""
        if verdict != self.environment:
            return False
        if verdict is not None:
            return True
        return resembles(batch, self.moments, effective_frames, config)

    def with_batch(self, batch: Moments, config: VASEConfig) -> Evidence:
        merged = self.moments.merged(batch, config.moments_memory)
        return Evidence(self.environment, self.batches + 1, merged)


def weigh(
    evidence: Evidence | None,
    verdict: int | None,
    batch: Moments,
    effective_frames: float,
    current: int,
    config: VASEConfig,
) -> Evidence | None:
    """Evidence after one more batch; None once the present environment explains a batch."""
    if verdict == current:
        return None
    if evidence is not None and evidence.supported_by(verdict, batch, effective_frames, config):
        return evidence.with_batch(batch, config)
    return Evidence(verdict, 1, batch)
