"""The whole training objective (eq. 8, eq. 9 and the classifier's loss of A.1) on one batch."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from .config import VASEConfig
from .distributions import capacity_term, kl_to_standard_normal, negative_log_likelihood
from .dreaming import Dream, decoder_proximity, encoder_proximity
from .networks import VASENetworks

LOSS_NAMES = (
    "reconstruction",
    "kl",
    "capacity",
    "encoder_dreaming",
    "decoder_dreaming",
    "classification",
    "total",
)


@dataclass(frozen=True)
class StepLosses:
    """Every loss by name, in nats per frame (before weights), and the latent samples behind them.

    "kl" is for information; "capacity" and "total" carry their weights. The dreaming losses are in
    the units of their distances, reduced as the configuration says.
    """

    by_name: dict[str, Tensor]
    samples: Tensor
    """z ~ q(z|x) before the mask, (B, N)."""

    def __post_init__(self) -> None:
        assert tuple(self.by_name) == LOSS_NAMES, tuple(self.by_name)


def training_losses(
    networks: VASENetworks,
    x: Tensor,
    environment: int | Tensor,
    mask: Tensor,
    capacity: float | Tensor,
    beta: float | Tensor,
    memory: Dream | None,
    noise: Tensor,
    config: VASEConfig,
) -> StepLosses:
    """Losses of one training step.

    Args:
        x: current frames (B, C, H, W) in [0, 1].
        environment: index of the current one; it, capacity and beta may be scalar tensors.
        mask: aˢ of the current environment, bool (N,).
        capacity: C at this step, in nats.
        beta: β at this step.
        memory: a dream of past environments, or None when there are none.
        noise: standard normal (B, N), for the reparametrised sample.
    """
    batch = len(x)
    # Current and hallucinated frames share one pass through each network: same sums, fewer calls.
    frames = x if memory is None else torch.cat([x, memory.frames])
    features = networks.encoder.features(frames)
    mean, std = networks.encoder.heads(features)

    z = mean[:batch] + noise * std[:batch]
    masked = z * mask
    if isinstance(environment, Tensor):
        s = environment.expand(batch)
    else:
        s = torch.full((batch,), environment, device=x.device)
    if memory is None:
        output = networks.decoder(masked, s)
    else:
        output = networks.decoder(
            torch.cat([masked, memory.latents]), torch.cat([s, memory.environments])
        )

    losses: dict[str, Tensor] = {}
    losses["reconstruction"] = negative_log_likelihood(output[:batch], x, config).mean()
    # Masked latents follow the prior (eq. 2) and cost nothing.
    losses["kl"] = (kl_to_standard_normal(mean[:batch], std[:batch]) * mask).sum(1).mean()
    losses["capacity"] = capacity_term(losses["kl"], capacity, beta, config)

    zero = torch.zeros((), device=x.device)
    dreams = memory if config.dreaming else None
    # Current frames that are held stand right before the dream's.
    first = batch if memory is None else batch - memory.held
    losses["encoder_dreaming"] = (
        zero if dreams is None else encoder_proximity(dreams, mean[first:], std[first:], config)
    )
    losses["decoder_dreaming"] = (
        zero if dreams is None else decoder_proximity(dreams, output[batch:], config)
    )
    losses["classification"] = _classification(networks, features, s, memory)
    losses["total"] = (
        losses["reconstruction"]
        + losses["capacity"]
        + config.encoder_dreaming_weight * losses["encoder_dreaming"]
        + config.decoder_dreaming_weight * losses["decoder_dreaming"]
        + losses["classification"]
    )
    return StepLosses(losses, z.detach())


def _classification(
    networks: VASENetworks, features: Tensor, s: Tensor, memory: Dream | None
) -> Tensor:
    """L_env (A.1): −log q(s|x) on current plus hallucinated frames, gradients stopped below."""
    logits = networks.classifier(features.detach())
    loss = F.cross_entropy(logits[: len(s)], s)
    if memory is None:
        return loss
    return loss + F.cross_entropy(logits[len(s) :], memory.environments)
