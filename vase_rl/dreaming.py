"""The dreaming feedback loop (section 3.5, eq. 7): old worlds, hallucinated by a snapshot."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from .config import VASEConfig
from .distributions import (
    decoder_divergence,
    expected_pixels,
    gaussian_divergence,
    squared_wasserstein,
)
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
    """q_φ'(z|x) of the P current frames that are held, then q_φ'(z|x'), each (P + B, N)."""
    used: Tensor
    """The held latents of those frames, and uˢ', bool (P + B, N)."""

    @property
    def held(self) -> int:
        """P, how many current frames are to be encoded as before (`VASE.hold`)."""
        return len(self.mean) - len(self.frames)


@dataclass(frozen=True)
class Drawn:
    """What is dreamt of, before a snapshot shows it; as in `Dream`."""

    environments: Tensor
    latents: Tensor
    used: Tensor
    present: Tensor
    """Current frames (P, C, H, W) that the snapshot is to encode, too; mostly none."""

    def holding(self, x: Tensor, latents: Tensor) -> Drawn:
        """With current frames (P, C, H, W), and the latents (N,) of theirs that are held."""
        used = torch.cat([latents.expand(len(x), -1), self.used])
        return replace(self, present=x, used=used)


def draw(
    past: list[int],
    masks: Tensor,
    used: Tensor,
    generator: torch.Generator,
    config: VASEConfig,
) -> Drawn:
    """Environments other than the current one, and latents from the prior.

    Args:
        past: indices of the environments to dream of, not empty.
        masks: aˢ of every environment, bool (K, N).
        used: uˢ of every environment, bool (K, N).
        generator: on the CPU, wherever the networks are.
    """
    device, size = masks.device, config.dream_batch_size
    choice = torch.randint(len(past), (size,), generator=generator)
    environments = torch.tensor(past)[choice].to(device)
    z = torch.randn(size, config.latents, generator=generator).to(device) * masks[environments]
    none = torch.empty(0, config.channels, config.image_size, config.image_size, device=device)
    return Drawn(environments, z, used[environments], none)


@torch.no_grad()
def dream(snapshot: VASENetworks, drawn: Drawn, config: VASEConfig) -> Dream:
    """Sample x' by eq. 1, and let the snapshot encode it, and current frames that are held."""
    output = snapshot.decoder(drawn.latents, drawn.environments)
    frames = expected_pixels(output, config)
    held = len(drawn.present) > 0
    mean, std = snapshot.encoder(torch.cat([drawn.present, frames]) if held else frames)
    return Dream(drawn.environments, drawn.latents, frames, output, mean, std, drawn.used)


def encoder_proximity(memory: Dream, mean: Tensor, std: Tensor, config: VASEConfig) -> Tensor:
    """First term of eq. 7: D[q(z|x'), q_old(z|x')], averaged over the dream.

    Where current frames are held, their average is added: of the held latents alone, for spare
    ones may take up what is new.

    Args:
        mean, std: of the held frames and of the dream's behind them, (P + B, N).
    """
    if config.encoder_distance == "wasserstein":
        distance = squared_wasserstein(mean, std, memory.mean, memory.std)
    else:
        distance = gaussian_divergence(memory.mean, memory.std, mean, std)
    held, dreamt = distance[: memory.held], distance[memory.held :]
    if config.encoder_latents == "used":
        dreamt = dreamt * memory.used[memory.held :]
    shared = 1 if config.encoder_reduction == "sum" else mean.shape[1]
    proximity = dreamt.sum(1).mean() / shared
    if memory.held:
        proximity = proximity + (held * memory.used[: memory.held]).sum(1).mean() / shared
    return proximity


def decoder_proximity(memory: Dream, output: Tensor, config: VASEConfig) -> Tensor:
    """Second term of eq. 7: D[p(x|z,s'), p_old(x|z,s')], averaged over the dream."""
    old_new = config.decoder_distance == "kl_old_new"
    pair = (memory.output, output) if old_new else (output, memory.output)
    shared = 1 if config.decoder_reduction == "sum" else output[0].numel()
    return decoder_divergence(*pair, config).mean() / shared
