"""g(z*, x): which translation brings a picture into an imagined configuration (A.4).

Shape suffixes: B batch, C channels, H height, W width, N latents.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

CONVOLUTIONS = 4
FILTERS = 16
SMALLEST_SIZE = 2**CONVOLUTIONS


class TranslationPolicy(nn.Module):
    """Four convolutions, joined by z*, one hidden layer, and tanh.

    Args:
        size, channels: of the pictures; the side is at least 16.
        latents: N.
        hidden: units of the hidden layer.
        reach: longest translation along an axis, in parts of the picture.
    """

    def __init__(self, size: int, channels: int, latents: int, hidden: int, reach: float) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for _ in range(CONVOLUTIONS):
            layers += [nn.Conv2d(channels, FILTERS, 4, stride=2, padding=1), nn.ReLU()]
            channels = FILTERS
        self.eyes = nn.Sequential(*layers, nn.Flatten())
        flat = FILTERS * (size // 2**CONVOLUTIONS) ** 2
        self.head = nn.Sequential(
            nn.Linear(flat + latents, hidden), nn.ReLU(), nn.Linear(hidden, 2), nn.Tanh()
        )
        self.reach = reach

    def forward(self, wish_BN: Tensor, x_BCHW: Tensor) -> Tensor:
        """Translations (B, 2) to the right and downwards, in parts of the picture."""
        shift: Tensor = self.reach * self.head(torch.cat([self.eyes(x_BCHW), wish_BN], dim=1))
        return shift
