"""Learners that take their training steps together, so that many seeds take less than as many runs.

Meant for GPUs, which small networks keep waiting: starting kernels takes longer than what they
compute. Here every kernel computes for all learners (`torch.func.vmap` over their weights). What is
decided learner by learner, by Algorithm 1 or the rule of blocks, stays with each `VASE`.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import fields
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from .config import VASEConfig
from .convolutions import Doubling, Halving, Rectifier
from .dreaming import Drawn, Dream, dream
from .frames import check_frames, to_tensor
from .learner import VASE, Ready
from .networks import VASENetworks
from .objective import LOSS_NAMES, training_losses
from .reports import UpdateReport
from .stacked import Stacked, StackedAdam, chosen_rows


class Replicas:
    """Several learners of one configuration, mostly of different seeds.

    The learners stay whole: each can be read, saved and even updated alone between two updates.

    Args:
        learners: of one configuration, on one device; the replicas from now on.

    Raises:
        ValueError: there is none, one is there twice, or configurations or devices differ.

    Example:
        >>> from vase_rl import VASE, VASEConfig
        >>> config = VASEConfig.preset("compact")
        >>> replicas = Replicas([VASE(config, seed=seed) for seed in range(3)])
        >>> frames = [np.zeros((64, 32, 32, 1), np.uint8) for _ in replicas.learners]
        >>> len(replicas.update(frames))
        3
    """

    def __init__(self, learners: Sequence[VASE]) -> None:
        _check(learners)
        self.learners = tuple(learners)
        self._config, self._device = learners[0].config, learners[0].device
        self._weights = Stacked([learner.networks for learner in learners])
        self._adam = StackedAdam(self._weights, [learner.optimizer for learner in learners])
        self._snapshots = Stacked([copy.deepcopy(learner.networks) for learner in learners])
        networks = _plain(copy.deepcopy(learners[0].networks))
        self._objective = _Objective(networks, self._config)
        self._dreamer = _Dreamer(networks, self._config)

    def update(self, frames: Sequence[np.ndarray]) -> list[UpdateReport]:
        """As `VASE.update`, of every learner.

        Args:
            frames: a batch for each learner, uint8 (B, H, W, C).

        Raises:
            TypeError, ValueError: as `frames.to_tensor`, or not as many batches as learners.
            FloatingPointError: a loss is not finite; the weights of all stay as they were.
        """
        if len(frames) != len(self.learners):
            raise ValueError(
                f"frames must hold a batch for each of {len(self.learners)} learners, "
                f"got {len(frames)}"
            )
        with torch.inference_mode(False):
            return self._update(frames)

    def _update(self, frames: Sequence[np.ndarray]) -> list[UpdateReport]:
        for batch in frames:
            check_frames(batch, self._config)
        sizes = [len(batch) for batch in frames]
        together = to_tensor(np.concatenate(frames), self._config, self._device)
        parts = torch.split(together, sizes)
        features = self._features(together, sizes)
        arrivals = [
            learner._arrive(x, known)
            for learner, x, known in zip(self.learners, parts, features, strict=True)
        ]
        due = {
            row: learner._prepare(arrival.accepted)
            for row, (learner, arrival) in enumerate(zip(self.learners, arrivals, strict=True))
            if arrival.accepted is not None
        }
        trained = self._train(due) if due else {}
        return [
            learner._report(arrival, *(trained.get(row) or ({}, learner._sample(arrival.x))))
            for row, (learner, arrival) in enumerate(zip(self.learners, arrivals, strict=True))
        ]

    def _features(self, x: Tensor, sizes: Sequence[int]) -> list[np.ndarray | None]:
        """Those that blocks are compared by, once for all: they are the same for every learner."""
        if not self._config.clustering or self._config.inference != "blocks":
            return [None] * len(sizes)
        return list(np.split(self.learners[0]._features(x), np.cumsum(sizes)[:-1]))

    def _train(self, due: dict[int, Ready]) -> dict[int, tuple[dict[str, float], Tensor]]:
        """One step of those who have frames: losses by name and latent samples, by row."""
        for row in due:
            # One that has been among other replicas meanwhile comes back with weights of its own.
            self._weights.adopt(row, self.learners[row].networks)
        flat = self._weights.flat.detach().requires_grad_()
        losses: dict[int, Tensor] = {}
        samples: dict[int, Tensor] = {}
        for rows in _alike(due):
            found = self._losses(flat, rows, [due[row] for row in rows])
            losses |= dict(zip(rows, found[0], strict=True))
            samples |= dict(zip(rows, found[1], strict=True))
        values = torch.stack(list(losses.values()))
        by_name = self._checked(list(losses), values.tolist())
        (gradient,) = torch.autograd.grad(values[:, -1].sum(), flat)
        with torch.no_grad():
            self._adam.step(sorted(due), gradient)
        for row, named in by_name.items():
            self.learners[row]._after_step(named, samples[row])
        return {row: (by_name[row], samples[row]) for row in due}

    def _losses(
        self, flat: Tensor, rows: Sequence[int], ready: Sequence[Ready]
    ) -> tuple[Tensor, Tensor]:
        """Losses (R, L) in the order of `LOSS_NAMES`, and latent samples (R, B, N)."""
        weights = self._weights.by_name(flat[chosen_rows(rows, flat)])
        environments = [self.learners[row].environment for row in rows]
        memory = self._dream(rows, [r.drawn for r in ready if r.drawn is not None])
        losses, samples = vmap(self._objective.of)(
            weights,
            torch.stack([r.x for r in ready]),
            torch.tensor(environments, device=self._device),
            torch.stack([r.mask for r in ready]),
            torch.tensor([r.capacity for r in ready], device=self._device),
            torch.tensor([r.beta for r in ready], device=self._device),
            memory,
            torch.stack([r.noise for r in ready]),
        )
        return losses, samples

    def _dream(self, rows: Sequence[int], drawn: Sequence[Drawn]) -> tuple[Tensor, ...]:
        """The fields of `Dream`, each with the learners in front; none where nothing is drawn."""
        if not drawn:
            return ()
        for row in rows:
            snapshot = self.learners[row].snapshot
            if snapshot is not None:
                self._snapshots.adopt(row, snapshot)
        flat = self._snapshots.flat
        weights = self._snapshots.by_name(flat[chosen_rows(rows, flat)])
        stacked = [torch.stack(parts) for parts in zip(*map(_fields, drawn), strict=True)]
        dreamt: tuple[Tensor, ...] = vmap(self._dreamer.of)(weights, *stacked)
        return dreamt

    def _checked(self, rows: list[int], values: list[list[float]]) -> dict[int, dict[str, float]]:
        by_name = {}
        for row, losses in zip(rows, values, strict=True):
            by_name[row] = dict(zip(LOSS_NAMES, losses, strict=True))
            bad = [name for name, value in by_name[row].items() if not math.isfinite(value)]
            if bad:
                raise FloatingPointError(
                    f"training diverged: loss {bad[0]!r} of replica {row} is not finite"
                )
        return by_name


class _Objective(nn.Module):
    """`training_losses` as a function of weights by name."""

    def __init__(self, networks: VASENetworks, config: VASEConfig) -> None:
        super().__init__()
        self.networks, self.config = networks, config

    def forward(
        self,
        x: Tensor,
        environment: Tensor,
        mask: Tensor,
        capacity: Tensor,
        beta: Tensor,
        memory: tuple[Tensor, ...],
        noise: Tensor,
    ) -> tuple[Tensor, Tensor]:
        dreamt = Dream(*memory) if memory else None
        step = training_losses(
            self.networks, x, environment, mask, capacity, beta, dreamt, noise, self.config
        )
        return torch.stack(list(step.by_name.values())), step.samples

    def of(self, weights: dict[str, Tensor], *arguments: Any) -> tuple[Tensor, Tensor]:
        """Called with the weights of one learner, and what `forward` takes."""
        named = {f"networks.{name}": weight for name, weight in weights.items()}
        found: tuple[Tensor, Tensor] = functional_call(self, named, arguments)
        return found


class _Dreamer(nn.Module):
    """`dream` as a function of a snapshot's weights by name."""

    def __init__(self, networks: VASENetworks, config: VASEConfig) -> None:
        super().__init__()
        self.networks, self.config = networks, config

    def forward(self, *drawn: Tensor) -> tuple[Tensor, ...]:
        return _fields(dream(self.networks, Drawn(*drawn), self.config))

    def of(self, weights: dict[str, Tensor], *drawn: Tensor) -> tuple[Tensor, ...]:
        """Called with the weights of one snapshot."""
        named = {f"networks.{name}": weight for name, weight in weights.items()}
        found: tuple[Tensor, ...] = functional_call(self, named, drawn)
        return found


def _fields(of: Drawn | Dream) -> tuple[Tensor, ...]:
    return tuple(getattr(of, field.name) for field in fields(of))


def _alike(due: dict[int, Ready]) -> list[list[int]]:
    """Rows whose steps have tensors of the same shapes: as many frames, dreams or none, of which
    current frames are held or not."""
    groups: dict[tuple[int, int | None], list[int]] = {}
    for row, ready in due.items():
        held = None if ready.drawn is None else len(ready.drawn.present)
        groups.setdefault((len(ready.x), held), []).append(row)
    return list(groups.values())


def _plain(networks: VASENetworks) -> VASENetworks:
    """With torch's own layers, which `vmap` knows."""
    for layer in networks.modules():
        if isinstance(layer, (Halving, Doubling, Rectifier)):
            layer.plain = True
    return networks.requires_grad_(False)


def _check(learners: Sequence[VASE]) -> None:
    if not learners:
        raise ValueError("learners must be one or more, got none")
    if len({id(learner) for learner in learners}) < len(learners):
        raise ValueError("learners must be different ones, got one of them twice")
    for what in ("config", "device"):
        first, *others = [getattr(learner, what) for learner in learners]
        if any(other != first for other in others):
            raise ValueError(f"learners must have the same {what}, got different ones")
