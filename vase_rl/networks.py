"""Encoder, decoder and environment classifier (A.1).

Shape suffixes: B batch, C channels, H height, W width, N latents, K environments, F hidden units.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from .config import VASEConfig
from .convolutions import Doubling, Halving, Rectifier
from .precision import dtype_of

# A posterior narrower than e^-5 or wider than e^5 is a numerical accident, not knowledge.
LOG_VARIANCE_LIMIT = 10.0


class Dense(nn.Linear):
    """A fully connected layer that computes in the dtype of what comes in."""

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.linear(x, self.weight.to(x.dtype), self.bias.to(x.dtype))


class Encoder(nn.Module):
    """q(z|x) = N(μ(x), σ(x)²): convolutions, one fully connected layer, two linear heads.

    `VASEConfig.precision` concerns what is below the heads. Layers of the trunk belong together: a
    ReLU between two convolutions leaves its gradient to the second (`Rectifier`), here as in the
    decoder.
    """

    def __init__(self, config: VASEConfig) -> None:
        super().__init__()
        self.precision = config.precision
        layers: list[nn.Module] = []
        if config.space_to_depth > 1:
            layers.append(nn.PixelUnshuffle(config.space_to_depth))
        channels = config.channels * config.space_to_depth**2
        for index, filters in enumerate(config.filters):
            last = index == len(config.filters) - 1
            layers += [Halving(channels, filters, after_rectifier=index > 0), Rectifier(not last)]
            channels = filters
        flat = channels * smallest_side(config) ** 2
        layers += [nn.Flatten(), Dense(flat, config.hidden), Rectifier()]
        self.trunk = nn.Sequential(*layers)
        self.posterior = nn.Linear(config.hidden, 2 * config.latents)

    def features(self, x_BCHW: Tensor) -> Tensor:
        """Last hidden layer (B, F), on which the environment classifier stands."""
        hidden: Tensor = self.trunk(x_BCHW.to(dtype_of(self.precision, x_BCHW.device)))
        return hidden.float()

    def heads(self, features_BF: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of the posterior, each (B, N)."""
        mean, log_variance = self.posterior(features_BF).chunk(2, dim=1)
        limited = log_variance.clamp(-LOG_VARIANCE_LIMIT, LOG_VARIANCE_LIMIT)
        return mean, torch.exp(0.5 * limited)

    def forward(self, x_BCHW: Tensor) -> tuple[Tensor, Tensor]:
        return self.heads(self.features(x_BCHW))


class Decoder(nn.Module):
    """p(x|z,s): the transpose of the encoder; takes latents and a one-hot environment.

    The output (B, C, H, W) holds logits for the Bernoulli likelihood and means for the Gaussian.
    `VASEConfig.precision` concerns what is above the first layer.
    """

    def __init__(self, config: VASEConfig) -> None:
        super().__init__()
        self.precision = config.precision
        self.environments = config.max_environments
        side, channels = smallest_side(config), config.filters[-1]
        layers: list[nn.Module] = [
            nn.Linear(config.latents + config.max_environments, config.hidden),
            nn.ReLU(),
            Dense(config.hidden, channels * side**2),
            Rectifier(),
            nn.Unflatten(1, (channels, side, side)),
        ]
        for index, filters in enumerate(reversed(config.filters[:-1])):
            layers += [Doubling(channels, filters, after_rectifier=index > 0), Rectifier(True)]
            channels = filters
        pixels = config.channels * config.space_to_depth**2
        self.trunk = nn.Sequential(*layers)
        self.output = Doubling(channels, pixels, after_rectifier=len(config.filters) > 1)
        factor = config.space_to_depth
        self.to_space = nn.PixelShuffle(factor) if factor > 1 else nn.Identity()

    def forward(self, z_BN: Tensor, s_B: Tensor) -> Tensor:
        one_hot = nn.functional.one_hot(s_B, self.environments).to(z_BN.dtype)
        first, *others = self.trunk
        hidden = first(torch.cat([z_BN, one_hot], dim=1))
        hidden = hidden.to(dtype_of(self.precision, hidden.device))
        for layer in others:
            hidden = layer(hidden)
        pixels: Tensor = self.to_space(self.output(hidden).float())
        return pixels

    @torch.no_grad()
    def centre_on(self, x_BCHW: Tensor, config: VASEConfig) -> None:
        """Set the output's bias to the mean of each colour channel in the first frames.

        Otherwise the first hundred steps go into the background alone, and what the latents say
        is lost meanwhile.
        """
        mean_C = x_BCHW.mean((0, 2, 3))
        if config.likelihood == "bernoulli":
            mean_C = torch.logit(mean_C, eps=0.01)
        assert self.output.bias is not None
        self.output.bias.copy_(mean_C.repeat_interleave(config.space_to_depth**2))


class VASENetworks(nn.Module):
    """Everything with weights: the part that a snapshot copies and a checkpoint stores."""

    def __init__(self, config: VASEConfig) -> None:
        super().__init__()
        self.encoder = Encoder(config)
        self.decoder = Decoder(config)
        self.classifier = nn.Linear(config.hidden, config.max_environments)
        if config.initialisation == "he":
            self.apply(initialise)
            for last in (self.encoder.posterior, self.decoder.output, self.classifier):
                initialise(last, gain=1.0)


def initialise(module: nn.Module, gain: float = math.sqrt(2.0)) -> None:
    """Weights that keep the variance of a signal through ReLUs (He et al. 2015), zero biases.

    torch's default shrinks it at every layer, so that a fresh decoder hardly answers to its
    latents, and a short stream is over before they are worth their KL.
    """
    if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)):
        assert module.bias is not None
        # Drawn in the order of the dimensions, whatever their order in memory: equal seeds draw
        # equal weights.
        drawn = torch.empty_like(module.weight.data, memory_format=torch.contiguous_format)
        nn.init.normal_(drawn, std=gain / math.sqrt(_fan_in(module)))
        module.weight.data.copy_(drawn)
        nn.init.zeros_(module.bias)


def _fan_in(layer: nn.Conv2d | nn.ConvTranspose2d | nn.Linear) -> float:
    """Inputs that an output of the layer sums over."""
    if isinstance(layer, nn.Linear):
        return layer.in_features
    window: float = math.prod(layer.kernel_size)
    if isinstance(layer, nn.ConvTranspose2d):
        window /= math.prod(layer.stride)
    return layer.in_channels * window


def require_finite(networks: nn.Module) -> None:
    """Raise FloatingPointError where a weight or its gradient is not finite.

    For networks in bfloat16 on a processor: there `convolutions.Rectifier` turns what is no number
    into 0, so that the losses do not tell.
    """
    for name, weight in networks.named_parameters():
        for what, values in (("weight", weight.detach()), ("gradient", weight.grad)):
            if values is not None and not math.isfinite(values.sum()):
                raise FloatingPointError(f"training diverged: a {what} of {name!r} is not finite")


def smallest_side(config: VASEConfig) -> int:
    """Height and width of the last convolution's output."""
    stride: int = config.space_to_depth * 2 ** len(config.filters)
    return config.image_size // stride
