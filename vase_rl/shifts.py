"""When does the world change, and to which? Tests of blocks against models of blocks.

A block's mean, and the means of the last 2, 4, 8 and 16 blocks, are compared with the model of the
present environment. A change takes several tests in a row that agree. Known environments are tried
before a new one opens, and a new one is a candidate until its own blocks have shown that it is none
of those known.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from .blocks import LONG, WINDOWS, Block, BlockModel, Floats
from .fixed_features import DIMENSION
from .whereabouts import Shift, Whereabouts

LAST = WINDOWS[-1]
DEVIATIONS = 4.0
"""Default of `VASEConfig.shift_deviations`."""
SHORT_PERSISTENCE, LONG_PERSISTENCE = 2, 4
"""Tests in a row that must agree, of short windows and of those from `blocks.LONG` on."""
ODDS_PER_DIMENSION = 1.0
"""A known environment is entered, though the present one explains a block too, when it does so
better by this log likelihood ratio per dimension: worlds of great variety explain almost all."""
TRIAL = 16
"""Blocks after those that opened a candidate by which it is confirmed, or merged back."""
LEAST_TRIAL = 4
"""A candidate that is left after fewer was a passing oddity."""
TRIAL_SHARE = 2 / 3
"""Of the deviations that make blocks odd, those that confirm a candidate: its frames were not
chosen for being odd, as those that opened it."""


@dataclass
class _Evidence:
    """Tests in a row that speak for one environment (None: a new one)."""

    environment: int | None
    window: int
    blocks: list[Block]


@dataclass
class _Trial:
    """The sum of the block means of a candidate since it was opened, and how many there are."""

    before: int
    """The environment that it was opened from."""
    total: Floats
    blocks: int = 0


class ShiftDetector:
    """Follows a stream of blocks through environments.

    Args:
        max_environments: when so many are open, blocks of further ones are not learnt.
        deviations: how odd blocks must be to speak for a change, in normal standard deviations;
            more are surer and later.

    Attributes:
        models: what is known of each environment, by index.
        where: which are known, and which is the present one.
    """

    def __init__(self, max_environments: int = 7, deviations: float = DEVIATIONS) -> None:
        self.max_environments, self.deviations = max_environments, deviations
        self.models = [BlockModel()]
        self.where = Whereabouts()
        self._recent: deque[Block] = deque(maxlen=LAST)
        self._waiting: deque[Block] = deque()
        self._evidence: _Evidence | None = None
        self._trial: _Trial | None = None

    @property
    def suspects(self) -> bool:
        """Whether the last block spoke against the present environment."""
        return self._evidence is not None

    @property
    def candidate(self) -> bool:
        """Whether the present environment is yet to be confirmed or merged back."""
        return self._trial is not None

    def observe(self, block: Block) -> list[Shift]:
        """Take in the next block; returns the changes that it completes, mostly none."""
        self._forgive(block)
        self._recent.append(block)
        window = self._refused()
        if window is not None:
            return self._weigh(block, self._most_likely(window, self._others(window)), window)
        better = self._better()
        if better is not None:
            return self._weigh(block, *better)
        return self._accept(block)

    def confirm(self) -> None:
        """Keep the present environment, whatever its blocks look like."""
        self._trial = None

    def merge(self, index: int, into: int) -> Shift:
        """Count the blocks of an environment to another one from now on.

        Raises:
            ValueError: as `Whereabouts.merge`.
        """
        present, trial = self.where.environment, self._trial
        shift = self.where.merge(index, into)
        self.models[into].pool(self.models[index])
        del self.models[self.where.slots :]
        self._evidence = None
        if index == present:
            self._waiting.clear()
        if into == self.where.environment:
            # A candidate that takes in another environment is here to stay.
            self._trial = None
        elif trial is not None and trial.before == index:
            trial.before = into
        return shift

    def explain(self, blocks: list[Block]) -> tuple[int, bool, list[float]]:
        """The most likely environment of some blocks, whether it explains them, and how foreign
        they are to each environment (about 1: not at all; NaN of one that was merged)."""
        mean, window, known = mean_of(blocks), len(blocks), self.where.known
        explaining = [i for i in known if self.models[i].explains(mean, window, self.deviations)]
        index = max(explaining or known, key=lambda i: self.models[i].log_likelihood(mean, window))
        statistics = [
            self.models[i].statistic(mean, window) if i in known else math.nan
            for i in range(len(self.models))
        ]
        return index, bool(explaining), statistics

    # ---------------------------------------------------------------- one block

    def _forgive(self, block: Block) -> None:
        """Take a block that was odd by itself out of the windows, once the next one is not."""
        evidence = self._evidence
        if evidence is None or evidence.window > 1:
            return
        odd = evidence.blocks[-1]
        if self._explains(self._present, block) and not self._explains(self._present, odd):
            for _ in evidence.blocks[:LAST]:
                self._recent.pop()
            self._evidence = None

    def _accept(self, block: Block) -> list[Shift]:
        """The block belongs here. It is learnt once no window that decides holds it any more."""
        self._evidence = None
        present = self._present
        self._waiting.append(block)
        if present.young:
            # It can hardly say no yet, so nothing is gained by waiting.
            present.add(self._waiting.popleft())
        else:
            for window in self._windows():
                present.calibration[window].add(present.statistic(self._mean(window), window))
            while len(self._waiting) > LAST:
                present.add(self._waiting.popleft())
        if self._trial is None:
            return []
        self._trial.total = self._trial.total + block.mean
        self._trial.blocks += 1
        return self._decide() if self._trial.blocks == TRIAL else []

    def _weigh(self, block: Block, verdict: int | None, window: int) -> list[Shift]:
        """One more test that speaks for another environment."""
        before = self._evidence
        agreeing = before.blocks if before is not None and before.environment == verdict else []
        evidence = _Evidence(verdict, window, [*agreeing, block][-LAST:])
        self._evidence = evidence
        enough = SHORT_PERSISTENCE if window < LONG else LONG_PERSISTENCE
        if len(evidence.blocks) < enough:
            return []
        return [*self._decide(), *self._leave(evidence)]

    # ---------------------------------------------------------------- changes

    def _decide(self) -> list[Shift]:
        """Confirm a candidate, or give it up.

        The few blocks that opened it may have been an odd stretch of a known environment. If all
        that came after them looks like that one, they are counted there; if nothing came, it was a
        passing oddity.
        """
        trial, self._trial = self._trial, None
        if trial is None:
            return []
        candidate, evidence = self.where.environment, self._evidence
        if trial.blocks < LEAST_TRIAL:
            self.models[candidate] = BlockModel()
            into: int | None = trial.before
        else:
            into = self._resembling(candidate, trial.total / trial.blocks, trial.blocks)
        if into is None:
            return []
        shift = self.merge(candidate, into)
        self._evidence = evidence
        return [shift]

    def _resembling(self, candidate: int, mean: Floats, blocks: int) -> int | None:
        """The known environment that explains a candidate's blocks best; None where none does."""
        deviations = TRIAL_SHARE * self.deviations
        explaining = [
            index
            for index in self.where.known
            if index != candidate
            and not self.models[index].young
            and self.models[index].explains(mean, blocks, deviations)
        ]
        return self._likeliest(mean, blocks, explaining)

    def _leave(self, evidence: _Evidence) -> list[Shift]:
        """Learn what was certain of the present environment, and go where the evidence points."""
        if evidence.environment is None and self.where.slots == self.max_environments:
            return self._stay_out(evidence)
        doubtful = evidence.window - 1
        for _ in range(len(self._waiting) - doubtful):
            self._present.add(self._waiting.popleft())
        before, self._evidence = self.where.environment, None
        if evidence.environment == before:
            return []  # a candidate was merged into where the evidence points
        if evidence.environment is None:
            self.models.append(BlockModel())
            self._trial = _Trial(before, np.zeros(DIMENSION))
            # The first of several blocks may straddle the change.
            for block in evidence.blocks[1:]:
                self.models[-1].add(block)
        self._go_on_with(evidence)
        return [self.where.go(evidence.environment, len(evidence.blocks))]

    def _stay_out(self, evidence: _Evidence) -> list[Shift]:
        """All are taken: see the blocks as the nearest environment's, and learn nothing."""
        nearest = self._most_likely(1, self.where.known)
        assert nearest is not None
        left = self.where.environment
        if nearest != left:
            self.where.go(nearest, 0)
            self._go_on_with(evidence)
        return [Shift("full", left, nearest)]

    def _go_on_with(self, evidence: _Evidence) -> None:
        self._waiting.clear()
        self._recent = deque(evidence.blocks, maxlen=LAST)

    # ---------------------------------------------------------------- tests

    @property
    def _present(self) -> BlockModel:
        return self.models[self.where.environment]

    def _refused(self) -> int | None:
        """The shortest window that the present environment does not explain."""
        odd = (
            window
            for window in self._windows()
            if not self._present.explains(self._mean(window), window, self.deviations)
        )
        return next(odd, None)

    def _better(self) -> tuple[int, int] | None:
        """A known environment that explains a window far better than the present one, and the
        shortest such window."""
        if not self._present.blocks:
            return None
        for window in self._windows():
            mean = self._mean(window)
            least = self._present.log_likelihood(mean, window) + ODDS_PER_DIMENSION * DIMENSION
            better = [
                index
                for index in self._others(window)
                if not self.models[index].young
                and self.models[index].log_likelihood(mean, window) > least
            ]
            if better:
                best = self._likeliest(mean, window, better)
                assert best is not None
                return best, window
        return None

    def _others(self, window: int) -> list[int]:
        """Known environments, but the present one, that explain a window and its last block."""
        return [
            index
            for index in self.where.known
            if index != self.where.environment
            and self.models[index].blocks >= LONG
            and all(
                self.models[index].explains(self._mean(w), w, self.deviations) for w in (1, window)
            )
        ]

    def _most_likely(self, window: int, indices: Iterable[int]) -> int | None:
        """The one that explains a window best; None where there is none."""
        return self._likeliest(self._mean(window), window, indices)

    def _likeliest(self, mean: Floats, window: int, indices: Iterable[int]) -> int | None:
        return max(indices, key=lambda i: self.models[i].log_likelihood(mean, window), default=None)

    def _windows(self) -> list[int]:
        return [window for window in WINDOWS if window <= len(self._recent)]

    def _mean(self, window: int) -> Floats:
        return mean_of(list(self._recent)[-window:])

    def _explains(self, model: BlockModel, block: Block) -> bool:
        return model.explains(block.mean, 1, self.deviations)

    # ---------------------------------------------------------------- keeping

    def state_dict(self) -> dict[str, Any]:
        """Everything that later decisions depend on, as tensors and plain values."""
        evidence, trial = self._evidence, self._trial
        return {
            "models": [model.state_dict() for model in self.models],
            "where": self.where.state_dict(),
            "recent": [block.state_dict() for block in self._recent],
            "waiting": [block.state_dict() for block in self._waiting],
            "evidence": None
            if evidence is None
            else {
                "environment": evidence.environment,
                "window": evidence.window,
                "blocks": [block.state_dict() for block in evidence.blocks],
            },
            "trial": None if trial is None else [trial.before, trial.total.tolist(), trial.blocks],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Inverse of `state_dict`.

        Raises:
            KeyError, TypeError, ValueError: it is none.
        """
        self.models = [BlockModel.from_state_dict(model) for model in state["models"]]
        self.where.load_state_dict(state["where"])
        if len(self.models) != self.where.slots:
            raise ValueError(f"{len(self.models)} models of {self.where.slots} environments")
        self._recent = deque(_blocks(state["recent"]), maxlen=LAST)
        self._waiting = deque(_blocks(state["waiting"]))
        evidence, trial = state["evidence"], state["trial"]
        self._evidence = (
            None
            if evidence is None
            else _Evidence(evidence["environment"], evidence["window"], _blocks(evidence["blocks"]))
        )
        self._trial = None if trial is None else _Trial(trial[0], np.array(trial[1]), trial[2])


def mean_of(blocks: list[Block]) -> Floats:
    """The mean (D,) of several blocks' means."""
    return np.asarray(np.mean([block.mean for block in blocks], axis=0))


def _blocks(states: list[dict[str, Any]]) -> list[Block]:
    return [Block.from_state_dict(state) for state in states]
