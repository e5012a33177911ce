"""g(z*, x): which translation brings a picture into an imagined configuration (A.4).

Shape suffixes: B batch, C channels, H height, W width, N latents.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

FILTERS = 16
LEFT = 4
"""Side of what the last convolution gives, in cells: the paper's four make 4x4 of 64x64."""
SMALLEST_SIZE = 16


def convolutions(size: int) -> int:
    """How many halve a picture's side until about 4 cells are left: as the paper's four at 64.

    Four of them leave 2x2 of 32x32, which hardly say where a thing is.
    """
    return max(1, round(math.log2(size / LEFT)))


class TranslationPolicy(nn.Module):
    """Convolutions, joined by z*, one hidden layer, and tanh.

    Args:
        size, channels: of the pictures; the side is at least 16.
        latents: N.
        hidden: units of the hidden layer.
        reach: longest translation along an axis, in parts of the picture.
    """

    def __init__(self, size: int, channels: int, latents: int, hidden: int, reach: float) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for _ in range(convolutions(size)):
            layers += [nn.Conv2d(channels, FILTERS, 4, stride=2, padding=1), nn.ReLU()]
            channels = FILTERS
        self.eyes = nn.Sequential(*layers, nn.Flatten())
        flat = FILTERS * (size // 2 ** convolutions(size)) ** 2
        self.head = nn.Sequential(
            nn.Linear(flat + latents, hidden), nn.ReLU(), nn.Linear(hidden, 2), nn.Tanh()
        )
        self.reach = reach

    def forward(self, wish_BN: Tensor, x_BCHW: Tensor) -> Tensor:
        """Translations (B, 2) to the right and downwards, in parts of the picture."""
        shift: Tensor = self.reach * self.head(torch.cat([self.eyes(x_BCHW), wish_BN], dim=1))
        return shift
