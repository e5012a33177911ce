"""The convolutions of a training step, layer by layer: no step made of them is faster."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from ..config import VASEConfig
from ..convolutions import Doubling, Halving
from ..networks import VASENetworks, smallest_side
from .ceilings import DTYPES
from .measured import Times, Work

Layer = Halving | Doubling


def layer_work(config: VASEConfig, device: torch.device) -> dict[str, Work]:
    """Forward and backward through every convolution by itself, current frames and dreams."""
    networks = VASENetworks(config).to(device)
    layers = [m for m in networks.modules() if isinstance(m, (Halving, Doubling))]
    sides = _sides(config)
    return {
        f"{_label(layer)}, {name}": _learning(layer, side, config, dtype, first=index == 0)
        for name, dtype in DTYPES.items()
        for index, (layer, side) in enumerate(zip(layers, sides, strict=True))
    }


def layer_rows(
    config: VASEConfig, times: Times, best: Mapping[str, Mapping[str, float]]
) -> list[dict[str, Any]]:
    """Time and rate of every layer and, last, of all together, and their shares of the ceiling."""
    rows = []
    for dtype in DTYPES:
        names = [name for name in times.rounds if name.endswith(f", {dtype}")]
        needed = layer_operations(config)
        ceiling = max(best[dtype].values())
        seconds = [times.median(name) for name in names]
        labels = [name.removesuffix(f", {dtype}") for name in names]
        together = [*zip(labels, needed, seconds, strict=True), ("all", sum(needed), sum(seconds))]
        rows += [
            {"layer": label, "precision": dtype, "operations": count, "seconds": taken,
             "share_of_ceiling": count / taken / ceiling}
            for label, count, taken in together
        ]  # fmt: skip
    return rows


def layer_operations(config: VASEConfig) -> list[int]:
    """Of each layer's forward and backward passes; nobody asks for the gradient of frames."""
    channels = (config.channels * config.space_to_depth**2, *config.filters)
    pairs = list(pairwise(channels))
    frames = config.batch_size + config.dream_batch_size
    side = config.image_size // config.space_to_depth
    once = [
        2 * frames * (side // 2 ** (level + 1)) ** 2 * 16 * c * d
        for level, (c, d) in enumerate(pairs)
    ]
    return [2 * once[0], *(3 * count for count in once[1:]), *(3 * count for count in once[::-1])]


def _sides(config: VASEConfig) -> list[int]:
    """Of what comes into each layer."""
    levels = range(len(config.filters))
    largest, least = config.image_size // config.space_to_depth, smallest_side(config)
    return [*(largest // 2**n for n in levels), *(least * 2**n for n in levels)]


def _label(layer: Layer) -> str:
    kind = "down" if isinstance(layer, Halving) else "up"
    return f"{kind} {layer.in_channels} → {layer.out_channels}"


def _learning(
    layer: Layer, side: int, config: VASEConfig, dtype: torch.dtype, *, first: bool
) -> Work:
    layer.after_rectifier = False  # only the convolution
    frames = config.batch_size + config.dream_batch_size
    x = torch.rand(frames, layer.in_channels, side, side, device=layer.weight.device)
    x = x.to(dtype, memory_format=torch.channels_last).requires_grad_(not first)
    asked = [*layer.parameters()] if first else [x, *layer.parameters()]
    cotangent = torch.rand_like(layer(x).detach())

    def learn() -> tuple[Tensor, ...]:
        return torch.autograd.grad(layer(x), asked, cotangent)

    return learn
