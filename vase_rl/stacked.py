"""Weights of several networks of one shape in one tensor, and Adam on them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

Rows = slice | Tensor
"""Which networks: all of them, or those of some indices."""


class Stacked:
    """Weights of R networks as one tensor `flat` (R, P), of which their parameters become views.

    Args:
        networks: of one shape, without buffers.
    """

    def __init__(self, networks: Sequence[nn.Module]) -> None:
        self.shapes = {name: p.shape for name, p in networks[0].named_parameters()}
        self.sizes = [math.prod(shape) for shape in self.shapes.values()]
        first = next(networks[0].parameters())
        self.flat = torch.empty(len(networks), sum(self.sizes), device=first.device)
        for row, network in enumerate(networks):
            self.adopt(row, network)

    def adopt(self, row: int, network: nn.Module) -> None:
        """Take a network's weights over, as those of a row, unless they are already."""
        if next(network.parameters()).data_ptr() == self.flat[row].data_ptr():
            return
        self.flat[row] = _flat(network)
        pieces = torch.split(self.flat[row], self.sizes)
        for parameter, piece in zip(network.parameters(), pieces, strict=True):
            parameter.data = piece.view(parameter.shape)

    def by_name(self, flat: Tensor) -> dict[str, Tensor]:
        """Parameters (R, ...) of some rows (R, P), for `torch.func.functional_call` in `vmap`."""
        pieces = torch.split(flat, self.sizes, dim=1)
        return {
            name: piece.reshape(len(flat), *shape)
            for (name, shape), piece in zip(self.shapes.items(), pieces, strict=True)
        }


def _flat(network: nn.Module) -> Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in network.parameters()])


class StackedAdam:
    """Adam (Kingma & Ba 2015) on `Stacked.flat`, with counts of steps per row.

    Every row stays the state of its own `torch.optim.Adam`, whose moments become views: one that is
    cleared, as at a change of environment, starts anew here, and checkpoints hold what they held.

    Args:
        weights: what is learnt.
        optimizers: one per row, of the parameters of its network, all with the same settings.
    """

    def __init__(self, weights: Stacked, optimizers: Sequence[torch.optim.Adam]) -> None:
        self.weights, self.optimizers = weights, optimizers
        self.mean = torch.zeros_like(weights.flat)
        self.square = torch.zeros_like(weights.flat)
        # torch's Adam counts for every parameter.
        counts = (len(optimizers), len(weights.sizes))
        self.steps = torch.zeros(counts, device=weights.flat.device)
        for row in range(len(optimizers)):
            self._adopt(row)

    def _adopt(self, row: int) -> None:
        """Take the state of a row's own optimizer over, nought where it has none, unless it is ours
        already: one that was cleared and went on alone has another."""
        optimizer = self.optimizers[row]
        parameters = optimizer.param_groups[0]["params"]
        known = [optimizer.state[p] for p in parameters if p in optimizer.state]
        if known and known[0]["exp_avg"].data_ptr() == self.mean[row].data_ptr():
            return
        for flat, key in ((self.mean, "exp_avg"), (self.square, "exp_avg_sq")):
            flat[row] = torch.cat([s[key].flatten() for s in known]) if known else 0.0
        self.steps[row] = known[0]["step"] if known else 0.0
        moments = (torch.split(flat[row], self.weights.sizes) for flat in (self.mean, self.square))
        for parameter, step, mean, square in zip(
            parameters, self.steps[row], *moments, strict=True
        ):
            optimizer.state[parameter] = {
                "step": step,
                "exp_avg": mean.view(parameter.shape),
                "exp_avg_sq": square.view(parameter.shape),
            }

    def step(self, rows: Sequence[int], gradient: Tensor) -> None:
        """One step of some rows.

        Args:
            rows: their indices, in increasing order.
            gradient: (R, P), of all rows.
        """
        for row in rows:
            self._adopt(row)
        settings = self.optimizers[0].param_groups[0]
        first, second = settings["betas"]
        chosen = chosen_rows(rows, self.weights.flat)
        g = gradient[chosen]
        self.steps[chosen] += 1
        count = self.steps[chosen, :1]
        mean = self.mean[chosen].lerp_(g, 1 - first)
        square = self.square[chosen].mul_(second).addcmul_(g, g, value=1 - second)
        spread = (square / (1 - second**count)).sqrt_().add_(settings["eps"])
        change = mean / (1 - first**count) / spread
        self.mean[chosen], self.square[chosen] = mean, square
        self.weights.flat[chosen] -= settings["lr"] * change


def chosen_rows(rows: Sequence[int], flat: Tensor) -> Rows:
    """An index of rows, which takes no copy where they are all."""
    return slice(None) if len(rows) == len(flat) else torch.tensor(rows, device=flat.device)
