"""Which environments are known, in which one the learner is, and what speaks for leaving it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from .config import VASEConfig
from .environments import Environment
from .inference import Evidence, most_likely, same_world, weigh
from .moments import Moments


@dataclass(frozen=True)
class Move:
    """What one batch means for where the learner is."""

    kind: Literal["stay", "hold", "enter", "open", "full"]
    """Stay and train; hold the batch back until more agree; enter a known environment; open a new
    one; or all are taken, and the batch must not be learnt from."""
    environment: int
    """Where the learner is afterwards."""
    evidence: Evidence | None = None
    """The batches that speak for the change."""


class Registry:
    """The environments in the order of their opening, and the present one's index.

    Args:
        config: for `max_environments`, `persistence`, `confirmation_frames` and the tests.
    """

    def __init__(self, config: VASEConfig) -> None:
        self.config = config
        self.environments: list[Environment] = []
        self.index = 0
        self.evidence: Evidence | None = None
        self.opened: list[int] = []
        """Of every environment ever opened, in their order, the index of the one that its frames
        count to now: its own, or that of the one it was merged into."""

    @property
    def present(self) -> Environment:
        return self.environments[self.index]

    def serial(self, index: int) -> int:
        """Where a known environment stands in `opened`; 0 before the first.

        An index that was given up goes to another world; a place in `opened` never does.
        """
        return self.opened.index(index) if self.opened else 0

    def consider(
        self, verdict: int | None, batch: Moments, effective_frames: float, frames: int
    ) -> Move:
        """Weigh a batch that the rule gives to `verdict` (None: to no known environment).

        A batch that the present environment explains is added to its moments. Nothing else changes
        but the evidence: entering and opening are the caller's to order.
        """
        self.evidence = weigh(
            self.evidence, verdict, batch, effective_frames, self.index, self.config
        )
        if self.evidence is None:
            self._explain(batch, frames)
            return Move("stay", self.index)
        evidence = self.evidence
        if evidence.batches < self.config.persistence:
            return Move("hold", self.index)
        if evidence.environment is not None:
            self.evidence = None
            return Move("enter", evidence.environment, evidence)
        if len(self.environments) == self.config.max_environments:
            return Move("full", most_likely(evidence.moments, self.environments), evidence)
        self.evidence = None
        return Move("open", len(self.environments), evidence)

    def _explain(self, batch: Moments, frames: int) -> None:
        present = self.present
        present.moments = present.moments.merged(batch, self.config.moments_memory)
        present.frames += frames
        if not present.confirmed:
            trial = present.trial
            present.trial = batch if trial is None else trial.merged(batch, math.inf)

    def open(self, mask: Tensor, moments: Moments, frames: int) -> None:
        """Allocate environment m + 1 and go there.

        The first one needs no confirmation, and the paper's rule knows none.
        """
        self.index = len(self.environments)
        confirmed = not self.environments or self.config.inference == "algorithm1"
        unused = torch.zeros_like(mask)
        self.opened.append(self.index)
        self.environments.append(
            Environment(self.index, mask, unused, moments, frames=frames, confirmed=confirmed)
        )

    def is_due(self) -> bool:
        """Whether enough of a candidate has been seen to decide on it."""
        trial = self.present.trial
        return trial is not None and trial.count >= self.config.confirmation_frames

    def decide(self) -> bool:
        """Confirm the present environment, or give it up. Returns whether it was given up.

        The few batches that opened it may have been an odd stretch of a known world. If all that
        came after them looks like that world, its frames are counted there; if nothing came, it
        was a passing oddity. Either way its index is free again.
        """
        candidate = self.present
        if candidate.confirmed:
            return False
        known = same_world(candidate, self.environments, self.config)
        if known is None and candidate.trial is not None:
            candidate.confirmed, candidate.trial = True, None
            return False
        # A candidate is the last one: no other opens before it is decided.
        self.environments.pop()
        if known is None:
            self.index = most_likely(candidate.moments, self.environments)
        else:
            known.moments = known.moments.merged(candidate.moments, self.config.moments_memory)
            known.frames += candidate.frames
            self.index = known.index
        self.opened[-1] = self.index
        return True
