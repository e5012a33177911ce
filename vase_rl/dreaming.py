"""The dreaming feedback loop (section 3.5, eq. 7): old worlds, hallucinated by a snapshot."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .config import VASEConfig
from .distributions import decoder_divergence, expected_pixels, squared_wasserstein
from .networks import VASENetworks


@dataclass(frozen=True)
class Dream:
    """Hallucinated frames x', with what the snapshot (φ', θ') made of them."""

    environments: Tensor
    """s', int64 (B,)."""
    latents: Tensor
    """aˢ' ⊙ z with z ~ N(0, I), (B, N)."""
    frames: Tensor
    """x' (B, C, H, W) in [0, 1], the mean of p_θ'(x|z, s')."""
    output: Tensor
    """Decoder output of the snapshot for the same latents."""
    mean: Tensor
    std: Tensor
    """q_φ'(z|x'), each (B, N)."""


@torch.no_grad()
def dream(
    snapshot: VASENetworks,
    past: list[int],
    masks: Tensor,
    generator: torch.Generator,
    config: VASEConfig,
) -> Dream:
    """Sample x' by eq. 1 from environments other than the current one.

    Args:
        past: indices of the environments to dream of, not empty.
        masks: aˢ of every environment, bool (K, N).
        generator: on the CPU, wherever the networks are.
    """
    device, size = masks.device, config.dream_batch_size
    choice = torch.randint(len(past), (size,), generator=generator)
    environments = torch.tensor(past)[choice].to(device)
    z = torch.randn(size, config.latents, generator=generator).to(device) * masks[environments]
    output = snapshot.decoder(z, environments)
    frames = expected_pixels(output, config)
    mean, std = snapshot.encoder(frames)
    return Dream(environments, z, frames, output, mean, std)


def encoder_proximity(memory: Dream, mean: Tensor, std: Tensor) -> Tensor:
    """First term of eq. 7: W₂²(q(z|x'), q_old(z|x')), averaged over the dream, in latent units²."""
    return squared_wasserstein(mean, std, memory.mean, memory.std).mean()


def decoder_proximity(memory: Dream, output: Tensor, config: VASEConfig) -> Tensor:
    """Second term of eq. 7: KL(p_old(x|z,s') ‖ p(x|z,s')), averaged over the dream, in nats."""
    return decoder_divergence(memory.output, output, config).mean()
