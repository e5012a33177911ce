"""Which latents an environment uses: atypicality, masks, used latents (eq. 4, eq. 5, A.2)."""

from __future__ import annotations

import torch
from torch import Tensor

from .config import VASEConfig
from .distributions import kl_to_standard_normal, pixel_precision
from .networks import Decoder

# Tolerated noise is reported up to here: latents without any effect would tolerate infinity.
NOISE_CAP = 100.0


def atypicality(samples_BN: Tensor) -> Tensor:
    """α (eq. 4) in nats, (B, N) → (N,): KL of a Gaussian fitted to latent samples to N(0, 1).

    Args:
        samples_BN: one sample z ~ q(z|x) per frame.
    """
    std = samples_BN.std(dim=0, correction=0).clamp(min=1e-4)
    return kl_to_standard_normal(samples_BN.mean(dim=0), std)


def entry_mask(alpha_N: Tensor, config: VASEConfig) -> Tensor:
    """aˢ on entry to an environment (eq. 5): latents that are typical, as bool (N,)."""
    return keep_minimum(alpha_N < config.atypicality_threshold, alpha_N, config.minimum_active)


def hysteresis_mask(mask_N: Tensor, alpha_N: Tensor, config: VASEConfig) -> Tensor:
    """aˢ with hysteresis (A.2): masked above λ1, unmasked below λ0, kept in between.

    A.2 prints the two cases the other way round; eq. 5 decides.
    """
    mask = torch.where(alpha_N > config.atypicality_upper, False, mask_N)
    mask = torch.where(alpha_N < config.atypicality_lower, True, mask)
    return keep_minimum(mask, alpha_N, config.minimum_active)


def keep_minimum(mask_N: Tensor, alpha_N: Tensor, minimum: int) -> Tensor:
    """Unmask the most typical latents until `minimum` of them are active.

    Masked latents get no gradient from the current environment, so a mask without any active
    latent would stay for ever.
    """
    missing = minimum - int(mask_N.sum())
    if missing <= 0:
        return mask_N
    order = torch.where(mask_N, torch.inf, alpha_N).argsort()
    mask = mask_N.clone()
    mask[order[:missing]] = True
    return mask


def tolerated_noise(decoder: Decoder, z_BN: Tensor, s_B: Tensor, config: VASEConfig) -> Tensor:
    """σ (A.2), (N,): how much noise each latent bears before the reconstruction suffers.

    A.2 minimises E_ε[−log p(x|z_ε, s)] − log|Σ|. To second order the loss grows by ½hσ² with the
    curvature h, and log|Σ| = Σ log σ², so σ² = 2/h. h is the Gauss-Newton curvature, one
    Jacobian-vector product per latent.
    """

    def decode(z: Tensor) -> Tensor:
        output: Tensor = decoder(z, s_B)
        return output

    curvature = []
    for n in range(z_BN.shape[1]):
        direction = torch.zeros_like(z_BN)
        direction[:, n] = 1.0
        output, slope = torch.autograd.functional.jvp(  # type: ignore[no-untyped-call]
            decode, z_BN, direction
        )
        squared = slope.square() * pixel_precision(output, config)
        curvature.append(squared.flatten(1).sum(1).mean())
    h = torch.stack(curvature)
    return (2.0 / h.clamp(min=2.0 / NOISE_CAP**2)).sqrt()


def used_latents(noise_N: Tensor, mask_N: Tensor, config: VASEConfig) -> Tensor:
    """uˢ as bool (N,): unmasked latents that bear less noise than T."""
    return (noise_N < config.used_noise_threshold) & mask_N
