"""How fast this machine multiplies, and how many operations a training step needs."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from .measured import Times, Work

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
SIDES = (1024, 2048)
"""Of the square matrices."""
CONVOLUTIONS = ((64, 4, 2, 32), (256, 3, 1, 16))
"""Channels in and out, side of the kernel, stride, side of the map; 64 of them at once. The first
is the network's own largest layer, the second one that processors are tuned for."""
MAPS = 64


def operations(work: Callable[[], object]) -> int:
    """Multiplications and additions in the matrix products and convolutions of a call."""
    with FlopCounterMode(display=False) as counter:
        work()
    return int(counter.get_total_flops())


def ceiling_work(device: torch.device) -> dict[str, Work]:
    """Matrix products and convolutions to be timed, by name."""
    work: dict[str, Work] = {}
    for name, dtype in DTYPES.items():
        for side in SIDES:
            work[f"matrix product {side}, {name}"] = _product(side, dtype, device)
        for channels, kernel, stride, side in CONVOLUTIONS:
            label = f"convolution {channels}×{kernel}×{kernel}, {name}"
            work[label] = _convolution(channels, kernel, stride, side, dtype, device)
    return work


def ceilings(work: dict[str, Work], times: Times) -> dict[str, dict[str, float]]:
    """The best rate of each kind and dtype, in operations per second."""
    best: dict[str, dict[str, float]] = {}
    for dtype in DTYPES:
        rates = {n: operations(work[n]) / times.median(n) for n in work if n.endswith(dtype)}
        kinds = ("matrix product", "convolution")
        best[dtype] = {k: max(r for n, r in rates.items() if n.startswith(k)) for k in kinds}
    return best


def _product(side: int, dtype: torch.dtype, device: torch.device) -> Work:
    a, b = (torch.randn(side, side, device=device).to(dtype) for _ in "ab")
    out = torch.empty_like(a)
    return lambda: torch.mm(a, b, out=out)


def _convolution(
    channels: int, kernel: int, stride: int, side: int, dtype: torch.dtype, device: torch.device
) -> Work:
    last = torch.channels_last
    x = torch.randn(MAPS, channels, side, side, device=device).to(dtype, memory_format=last)
    weight = torch.randn(channels, channels, kernel, kernel, device=device)
    rounded = weight.to(dtype, memory_format=last)

    def convolve() -> Tensor:
        with torch.inference_mode():
            return F.conv2d(x, rounded, stride=stride, padding=1)

    return convolve
