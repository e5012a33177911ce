"""A training step of VASE written straight down from the paper, to measure the learner's against.

float32, eager, torch's own layers and defaults: one pass through a network for every use that the
equations make of it, losses as they are printed. It knows nothing of the learner but its
configuration; a test compares their losses.
"""

from __future__ import annotations

import copy

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..config import VASEConfig


def encoder_trunk(config: VASEConfig) -> nn.Sequential:
    """Convolutions and a fully connected layer (A.1)."""
    layers: list[nn.Module] = []
    channels, side = config.channels, config.image_size
    for filters in config.filters:
        layers += [nn.Conv2d(channels, filters, 4, stride=2, padding=1), nn.ReLU()]
        channels, side = filters, side // 2
    layers += [nn.Flatten(), nn.Linear(channels * side**2, config.hidden), nn.ReLU()]
    return nn.Sequential(*layers)


def decoder_layers(config: VASEConfig) -> nn.Sequential:
    """The transpose of the encoder (A.1), which takes latents and a one-hot environment."""
    side, channels = config.image_size // 2 ** len(config.filters), config.filters[-1]
    layers: list[nn.Module] = [
        nn.Linear(config.latents + config.max_environments, config.hidden), nn.ReLU(),
        nn.Linear(config.hidden, channels * side**2), nn.ReLU(),
        nn.Unflatten(1, (channels, side, side)),
    ]  # fmt: skip
    for filters in reversed(config.filters[:-1]):
        layers += [nn.ConvTranspose2d(channels, filters, 4, stride=2, padding=1), nn.ReLU()]
        channels = filters
    layers += [nn.ConvTranspose2d(channels, config.channels, 4, stride=2, padding=1)]
    return nn.Sequential(*layers)


class Networks(nn.Module):
    """q(z|x), p(x|z, s) and q(s|x)."""

    def __init__(self, config: VASEConfig) -> None:
        super().__init__()
        self.environments = config.max_environments
        self.trunk = encoder_trunk(config)
        self.posterior = nn.Linear(config.hidden, 2 * config.latents)
        self.decoder = decoder_layers(config)
        self.classifier = nn.Linear(config.hidden, config.max_environments)

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Of frames (B, C, H, W): mean and deviation (B, N), logits (B, K) of the environment,
        whose gradient stops at the features."""
        features = self.trunk(x)
        mean, log_variance = self.posterior(features).chunk(2, dim=1)
        return mean, torch.exp(0.5 * log_variance), self.classifier(features.detach())

    def decode(self, z: Tensor, s: Tensor) -> Tensor:
        """Logits (B, C, H, W) of latents (B, N) in environments (B,)."""
        one_hot = F.one_hot(s, self.environments).float()
        logits: Tensor = self.decoder(torch.cat([z, one_hot], dim=1))
        return logits


class ReferenceStep:
    """Trains in the second environment and dreams of the first, all latents unmasked.

    Args:
        config: of the Bernoulli likelihood and the squared capacity term, the paper's.
        seed: of noise and dreams.

    Raises:
        ValueError: another likelihood or capacity term, or frames that are rearranged first.
    """

    def __init__(self, config: VASEConfig, seed: int = 0) -> None:
        plain = (config.likelihood, config.capacity_form, config.space_to_depth)
        if plain != ("bernoulli", "squared", 1):
            raise ValueError(f"config must be one of the paper's, got {plain}")
        self.config = config
        self.networks = Networks(config)
        self.snapshot = copy.deepcopy(self.networks)
        self.optimizer = torch.optim.Adam(self.networks.parameters(), lr=config.learning_rate)
        self.generator = torch.Generator().manual_seed(seed)
        self.updates = 0

    def take_snapshot(self) -> None:
        """(φ', θ') ← (φ, θ)."""
        self.snapshot = copy.deepcopy(self.networks)

    def __call__(self, frames: np.ndarray) -> dict[str, float]:
        """One step of eq. 9 on frames uint8 (B, H, W, C): its losses by name."""
        x = torch.from_numpy(frames).permute(0, 3, 1, 2).float() / 255
        losses = self._losses(x)
        self.optimizer.zero_grad()
        losses["total"].backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        self.updates += 1
        return {name: loss.item() for name, loss in losses.items()}

    def _losses(self, x: Tensor) -> dict[str, Tensor]:
        s_old, z_old, logits_old, x_old, mean_old, std_old = self._dream()
        s = torch.ones(len(x), dtype=torch.long)
        mean, std, environment = self.networks.encode(x)
        z = mean + std * torch.randn(mean.shape, generator=self.generator)
        logits = self.networks.decode(z, s)
        reconstruction = F.binary_cross_entropy_with_logits(logits, x, reduction="sum") / len(x)
        kl = (0.5 * (mean**2 + std**2 - 1) - std.log()).sum(1).mean()
        capacity = self.config.gamma * (kl - self.config.capacity(self.updates)) ** 2

        mean_new, std_new, environment_old = self.networks.encode(x_old)
        encoder_dreaming = ((mean_new - mean_old) ** 2 + (std_new - std_old) ** 2).sum(1).mean()
        logits_new = self.networks.decode(z_old, s_old)
        decoder_dreaming = bernoulli_divergence(logits_old, logits_new)

        classification = F.cross_entropy(environment, s) + F.cross_entropy(environment_old, s_old)
        total = (
            reconstruction + capacity + classification
            + self.config.encoder_dreaming_weight * encoder_dreaming
            + self.config.decoder_dreaming_weight * decoder_dreaming
        )  # fmt: skip
        return {
            "reconstruction": reconstruction, "kl": kl, "capacity": capacity,
            "encoder_dreaming": encoder_dreaming, "decoder_dreaming": decoder_dreaming,
            "classification": classification, "total": total,
        }  # fmt: skip

    @torch.no_grad()
    def _dream(self) -> tuple[Tensor, ...]:
        """s', z', and what the snapshot makes of them: logits, x', and q(z|x')."""
        batch = self.config.dream_batch_size
        s = torch.randint(1, (batch,), generator=self.generator)
        z = torch.randn(batch, self.config.latents, generator=self.generator)
        logits = self.snapshot.decode(z, s)
        x = torch.sigmoid(logits)
        mean, std, _ = self.snapshot.encode(x)
        return s, z, logits, x, mean, std


def bernoulli_divergence(logits_old: Tensor, logits_new: Tensor) -> Tensor:
    """KL(old ‖ new), averaged over frames and pixels."""
    p = torch.sigmoid(logits_old)
    white = p * (F.logsigmoid(logits_old) - F.logsigmoid(logits_new))
    black = (1 - p) * (F.logsigmoid(-logits_old) - F.logsigmoid(-logits_new))
    return (white + black).mean()
