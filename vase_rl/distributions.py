"""Likelihoods, divergences and distances in closed form (eq. 3, eq. 7)."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from .config import VASEConfig


def kl_to_standard_normal(mean: Tensor, std: Tensor) -> Tensor:
    """KL(N(mean, std²) ‖ N(0, 1)) in nats, elementwise."""
    return 0.5 * (mean.square() + std.square() - 1.0) - std.log()


def squared_wasserstein(mean: Tensor, std: Tensor, other_mean: Tensor, other_std: Tensor) -> Tensor:
    """Squared 2-Wasserstein distance between diagonal Gaussians, latent by latent, (B, N).

    Its sum over latents is W₂² = ‖μ − μ'‖² + ‖σ − σ'‖², the encoder proximity of eq. 7.
    """
    return (mean - other_mean).square() + (std - other_std).square()


def gaussian_divergence(mean: Tensor, std: Tensor, other_mean: Tensor, other_std: Tensor) -> Tensor:
    """KL(N(mean, std²) ‖ N(other_mean, other_std²)) in nats, latent by latent, (B, N)."""
    ratio = std / other_std
    gap = (mean - other_mean) / other_std
    return 0.5 * (ratio.square() + gap.square() - 1.0) - ratio.log()


def negative_log_likelihood(output: Tensor, x: Tensor, config: VASEConfig) -> Tensor:
    """−log p(x|z,s) in nats, summed over pixels: (B, C, H, W) → (B,).

    `output` is the decoder's: logits (Bernoulli) or means (Gaussian).
    """
    if config.likelihood == "bernoulli":
        return F.binary_cross_entropy_with_logits(output, x, reduction="none").flatten(1).sum(1)
    scaled = (x - output) / config.gaussian_std
    constant = math.log(config.gaussian_std) + 0.5 * math.log(2 * math.pi)
    return (0.5 * scaled.square() + constant).flatten(1).sum(1)


def loss_floor(config: VASEConfig) -> float:
    """The value of −log p(x|z,s) of a perfect output, in nats per frame.

    Zero for Bernoullis of black and white pixels. A Gaussian density exceeds 1, so its floor is
    the normalising constant, usually far below zero.
    """
    if config.likelihood == "bernoulli":
        return 0.0
    constant = math.log(config.gaussian_std) + 0.5 * math.log(2 * math.pi)
    return config.channels * config.image_size**2 * constant


def decoder_divergence(output: Tensor, other_output: Tensor, config: VASEConfig) -> Tensor:
    """KL(p(x) ‖ p_other(x)) summed over pixels, (B, C, H, W) → (B,), in nats.

    For Bernoullis KL(old ‖ new) is the cross-entropy with soft targets less the old entropy.
    """
    if config.likelihood == "bernoulli":
        p = torch.sigmoid(output)
        pointwise = (
            p * (F.logsigmoid(output) - F.logsigmoid(other_output))
            + (1 - p) * (F.logsigmoid(-output) - F.logsigmoid(-other_output))
        )  # fmt: skip
        return pointwise.flatten(1).sum(1)
    return 0.5 * ((output - other_output) / config.gaussian_std).square().flatten(1).sum(1)


def expected_pixels(output: Tensor, config: VASEConfig) -> Tensor:
    """Mean of p(x|z,s) in [0, 1], in the decoder output's shape."""
    return torch.sigmoid(output) if config.likelihood == "bernoulli" else output.clamp(0.0, 1.0)


def pixel_precision(output: Tensor, config: VASEConfig) -> Tensor:
    """Fisher information of the decoder's output, pixel by pixel: p(1−p), or 1/σ²."""
    if config.likelihood == "bernoulli":
        p = torch.sigmoid(output)
        return p * (1 - p)
    return torch.full_like(output, config.gaussian_std**-2)


def capacity_term(
    kl: Tensor, capacity: float | Tensor, beta: float | Tensor, config: VASEConfig
) -> Tensor:
    """The representation-capacity term of eq. 3, or one of its two relatives.

    Args:
        kl: KL(q(z|x) ‖ p(z)) averaged over the batch, in nats, a scalar.
        capacity: C, in nats.
        beta: β, for the bounded form.
    """
    if config.capacity_form == "squared":
        return config.gamma * (kl - capacity).square()
    if config.capacity_form == "absolute":
        return config.gamma * (kl - capacity).abs()
    return beta * kl + config.gamma * (kl - capacity).clamp(min=0.0).square()
