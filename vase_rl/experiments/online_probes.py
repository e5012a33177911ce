"""Read-outs trained beside the representation, without touching it (A.6).

One object classifier per source, and a regressor of the position per moving source: two hidden
layers of 256, Adam at 6e-4, batches of 64. The paper goes on training every probe while other data
sets are learnt, so a fall in its score means that the information is gone from the latents. A copy
that stops learning when its source ends is read beside it: its fall means that the latents have
moved, which is what an agent that acts on them would feel.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..envs import Source
from ..learner import VASE
from ..seeding import seeded

Kind = Literal["class", "position"]

HIDDEN = 256
LEARNING_RATE = 6e-4
BATCH = 64
CLASSES = 10
TEST_FRAMES = 1000


@dataclass
class OnlineProbe:
    """One read-out of one factor of one source, and its scores so far."""

    source: str
    kind: Kind
    network: nn.Module
    optimizer: torch.optim.Optimizer
    frozen: nn.Module | None = None
    """As it was when its source ended."""
    scores: list[float] = field(default_factory=list)
    """Accuracy, or mean squared error of positions in [0, 1] of their range, per evaluation."""
    frozen_scores: list[float | None] = field(default_factory=list)

    @property
    def name(self) -> str:
        return f"{self.source}/{self.kind}"

    def train(self, latents: Tensor, target: Tensor) -> None:
        """One step; the latents carry no gradient."""
        output = self.network(latents)
        loss = (
            F.cross_entropy(output, target) if self.kind == "class" else F.mse_loss(output, target)
        )
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()

    @torch.no_grad()
    def evaluate(self, latents: Tensor, target: Tensor) -> None:
        """Append the scores on test frames."""
        self.scores.append(self._score(self.network, latents, target))
        frozen = self.frozen
        self.frozen_scores.append(None if frozen is None else self._score(frozen, latents, target))

    def freeze(self) -> None:
        """Keep a copy as it is now."""
        self.frozen = copy.deepcopy(self.network).requires_grad_(False)

    def _score(self, network: nn.Module, latents: Tensor, target: Tensor) -> float:
        output = network(latents)
        if self.kind == "class":
            return float((output.argmax(1) == target).float().mean())
        return float(F.mse_loss(output, target))


class OnlineProbes:
    """All probes of a sequence.

    Args:
        train, test: the sources by name, with the same keys; test frames are drawn once.
        latents: N.
        seed: of the probes' weights and of the posterior samples that they learn from.
    """

    def __init__(
        self, train: dict[str, Source], test: dict[str, Source], latents: int, seed: int
    ) -> None:
        self.sources = train
        self.tests = {name: source.sample(TEST_FRAMES) for name, source in test.items()}
        self.generator = torch.Generator().manual_seed(seed)
        with seeded(seed):
            self.probes = [
                make_probe(name, kind, latents)
                for name, source in train.items()
                for kind in _kinds(source)
            ]

    @property
    def evaluations(self) -> int:
        """How often the probes were evaluated."""
        return len(self.probes[0].scores)

    def train(self, vase: VASE) -> None:
        """One step of every probe on fresh frames of its own source."""
        batches = {name: source.sample(BATCH) for name, source in self.sources.items()}
        mean, std = vase.encode(np.concatenate([b.frames for b in batches.values()]))
        noise = torch.randn(mean.shape, generator=self.generator)
        samples = torch.from_numpy(mean) + noise * torch.from_numpy(std)
        latents = dict(zip(batches, torch.split(samples, BATCH), strict=True))
        for probe in self.probes:
            target = batches[probe.source].factors[probe.kind]
            probe.train(latents[probe.source], torch.from_numpy(np.asarray(target)))

    def evaluate(self, vase: VASE) -> None:
        """Scores of every probe, from posterior means of test frames."""
        for name, batch in self.tests.items():
            mean = torch.from_numpy(vase.encode(batch.frames)[0])
            for probe in self.probes:
                if probe.source == name:
                    target = torch.from_numpy(np.asarray(batch.factors[probe.kind]))
                    probe.evaluate(mean, target)

    def leave(self, source: str) -> None:
        """A visit to a source has ended: keep its probes as they are now."""
        for probe in self.probes:
            if probe.source == source:
                probe.freeze()


def _kinds(source: Source) -> list[Kind]:
    return ["class", "position"] if source.moving else ["class"]


def make_probe(source: str, kind: Kind, latents: int) -> OnlineProbe:
    """A fresh probe of the paper's size; torch's global generator draws its weights."""
    network = nn.Sequential(
        nn.Linear(latents, HIDDEN), nn.ReLU(),
        nn.Linear(HIDDEN, HIDDEN), nn.ReLU(),
        nn.Linear(HIDDEN, CLASSES if kind == "class" else 2),
    )  # fmt: skip
    adam = torch.optim.Adam(network.parameters(), lr=LEARNING_RATE, fused=True)
    return OnlineProbe(source, kind, network, adam)


def position_variance(batch_positions: npt.NDArray[np.float32]) -> float:
    """Mean squared error of guessing the mean position: what R² compares with."""
    return float(batch_positions.var(0).mean())
