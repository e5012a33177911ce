"""What is compared of frames: features of a fixed random network, which never drift.

Reconstruction losses miss switches to easier data, and the encoder's own features move once an
environment is left. What frames look like in features that are never trained stays valid for life.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

DIMENSION = 24


class FixedFeatures:
    """A random, never trained map of frames (B, C, H, W) in [0, 1] to (B, DIMENSION).

    Two convolutions. 16 features are projections of what is there, wherever it is (mean and root
    mean square over the frame), and 8 say where it is (moments of place up to the second).
    """

    def __init__(self, channels: int, device: torch.device) -> None:
        generator = torch.Generator().manual_seed(0)

        def kernels(*shape: int) -> Tensor:
            drawn = torch.randn(*shape, generator=generator)
            norms: Tensor = drawn.flatten(1).norm(dim=1)[:, None, None, None]
            return drawn.div(norms).to(device, memory_format=torch.channels_last)

        def normal(*shape: int, scale: float) -> Tensor:
            return (scale * torch.randn(*shape, generator=generator)).to(device)

        self.first, self.first_bias = kernels(16, channels, 5, 5), normal(16, scale=0.1)
        self.second, self.second_bias = kernels(48, 16, 3, 3), normal(48, scale=0.1)
        self.what = normal(96, 16, scale=96**-0.5)
        self.where = normal(48, 2, scale=48**-0.5)
        y, x = torch.meshgrid(*[torch.linspace(-1, 1, 16)] * 2, indexing="ij")
        self.places = torch.stack([x, y, x * x, y * y]).flatten(1).to(device) / 256

    def __call__(self, x_BCHW: Tensor) -> Tensor:
        # Channels last throughout, and means of neighbours as sums: half the time of torch's own
        # pooling, and the learner has to wait.
        x_BHWC = x_BCHW.permute(0, 2, 3, 1)
        while x_BHWC.shape[1] % 64 == x_BHWC.shape[2] % 64 == 0:
            x_BHWC = _halved(x_BHWC)
        x = x_BHWC.permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)
        if x.shape[-2:] != (32, 32):
            x = F.interpolate(x, size=(32, 32), mode="area")
        h = F.conv2d(x, self.first, self.first_bias, padding=2).relu_()
        h = _halved(h.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        h = F.conv2d(h, self.second, self.second_bias, padding=1).relu_()
        h_BPF = h.permute(0, 2, 3, 1).flatten(1, 2)
        spread = (h_BPF.square().mean(1) + 1e-6).sqrt()
        what = torch.cat([h_BPF.mean(1), spread], 1) @ self.what
        where = (self.places @ h_BPF @ self.where).mT
        return torch.cat([what, where.flatten(1)], 1)


def _halved(x_BHWC: Tensor) -> Tensor:
    """The mean of every two by two pixels."""
    batch, height, width, channels = x_BHWC.shape
    x = x_BHWC.reshape(batch, height // 2, 2, width // 2, 2, channels)
    rows = x[:, :, 0] + x[:, :, 1]
    return (rows[:, :, :, 0] + rows[:, :, :, 1]).mul_(0.25)
