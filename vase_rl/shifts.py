"""When does the world change, and to which? Tests of blocks against models of blocks.

A block's mean, and the means of the last 2, 4, 8, 16 and 32 blocks, are compared with the model of
the present environment. A change takes several tests in a row that agree. Known environments are
tried before a new one opens, and a new one is a candidate until its own blocks have shown that it
is none of those known.
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
LEAST_TRIAL = 7
"""A candidate that is left after fewer was a passing oddity: too little to know it by later."""
FAMILIAR = 8
"""Blocks that a known model must have seen to be asked whether it explains those of a stranger."""
TRIAL_SHARE = 2 / 3
"""Of the deviations that make blocks odd, those that confirm a candidate: its frames were not
chosen for being odd, as those that opened it."""


@dataclass
class _Evidence:
    """Tests in a row that speak for one model (None: a new one)."""

    model: int | None
    window: int
    blocks: list[Block]


@dataclass
class _Trial:
    """The sum of the block means of a candidate since it was opened, and how many there are."""

    before: int
    """The model of the environment that it was opened from."""
    window: int
    """How many blocks together no known model explained when it was opened."""
    total: Floats
    blocks: int = 0


class ShiftDetector:
    """Follows a stream of blocks through environments.

    Args:
        max_environments: when so many are open, blocks of further ones are not learnt.
        deviations: how odd blocks must be to speak for a change, in normal standard deviations;
            more are surer and later.

    Attributes:
        models: of blocks, one for every environment but those that were given up. One that a user
            merged into another environment goes on as a further model of that one.
        owners: of every model, the index of its environment.
        where: which environments are known, and which is the present one.
    """

    def __init__(self, max_environments: int = 7, deviations: float = DEVIATIONS) -> None:
        self.max_environments, self.deviations = max_environments, deviations
        self.models = [BlockModel()]
        self.owners = [0]
        self.where = Whereabouts()
        self._model = 0
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
        shift = self.where.merge(index, into)
        self.owners = [into if owner == index else owner for owner in self.owners]
        self._evidence = None
        if into == self.where.environment:
            # A candidate that takes in another environment, or was taken in, is here to stay.
            self._trial = None
        return shift

    def explain(self, blocks: list[Block]) -> tuple[int, bool, list[float]]:
        """The most likely environment of some blocks, whether it explains them, and how foreign
        they are to each environment (about 1: not at all; NaN of one that was merged)."""
        mean, window, every = mean_of(blocks), len(blocks), range(len(self.models))
        explaining = [i for i in every if self.models[i].explains(mean, window, self.deviations)]
        # A young model explains almost anything, and says little by that.
        sure = [i for i in explaining if not self.models[i].young]
        likeliest = self._likeliest(mean, window, sure or every)
        assert likeliest is not None
        statistics = [math.nan] * self.where.slots
        for owner, model in zip(self.owners, self.models, strict=True):
            statistics[owner] = float(np.fmin(statistics[owner], model.statistic(mean, window)))
        return self.owners[likeliest], bool(explaining), statistics

    # ---------------------------------------------------------------- one block

    def _forgive(self, block: Block) -> None:
        """Take a block that was odd by itself out of the windows, once the next one is not."""
        evidence = self._evidence
        if evidence is None or evidence.window > 1:
            return
        last_two = (evidence.blocks[-1], block)
        ordinary = [self._present.explains(b.mean, 1, self.deviations) for b in last_two]
        if ordinary == [False, True]:
            for _ in evidence.blocks:
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
        agreeing = before.blocks if before is not None and before.model == verdict else []
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
        candidate = self._model
        if trial.blocks < LEAST_TRIAL:
            into: int | None = trial.before
        else:
            into = self._resembling(trial.total / trial.blocks, trial.blocks)
            if into is not None:
                self.models[into].pool(self.models[candidate])
        if into is None:
            return []
        # A candidate is the last one: no other opens before it is decided.
        del self.models[candidate], self.owners[candidate]
        self._model = into
        self._waiting.clear()
        return [self.where.merge(self.where.environment, self.owners[into])]

    def _resembling(self, mean: Floats, blocks: int) -> int | None:
        """The known model that explains the candidate's blocks best; None where none does."""
        deviations = TRIAL_SHARE * self.deviations
        explaining = [
            index
            for index, model in enumerate(self.models)
            if index != self._model and not model.young and model.explains(mean, blocks, deviations)
        ]
        return self._likeliest(mean, blocks, explaining)

    def _leave(self, evidence: _Evidence) -> list[Shift]:
        """Learn what was certain of the present environment, and go where the evidence points."""
        if evidence.model is None and self.where.slots == self.max_environments:
            return self._stay_out(evidence)
        before, self._evidence = self._model, None
        if evidence.model == before:
            # A candidate was merged into where the evidence points; its blocks are no part of it.
            self._go_on(before, evidence)
            return []
        if evidence.model is not None:
            self._go_on(evidence.model, evidence)
            owner = self.owners[evidence.model]
            if owner == self.where.environment:
                return []  # another model of the same environment
            return [self.where.go(owner, len(evidence.blocks))]
        shift = self.where.go(None, len(evidence.blocks))
        self.models.append(BlockModel())
        self.owners.append(shift.environment)
        self._go_on(len(self.models) - 1, evidence)
        self._trial = _Trial(before, evidence.window, np.zeros(DIMENSION))
        # The first of several blocks may straddle the change.
        for block in evidence.blocks[1:]:
            self._present.add(block)
        return [shift]

    def _stay_out(self, evidence: _Evidence) -> list[Shift]:
        """All are taken: see the blocks as the nearest environment's, and learn nothing."""
        nearest = self._most_likely(1, range(len(self.models)))
        assert nearest is not None
        left = self.where.environment
        if nearest != self._model:
            self._go_on(nearest, evidence)
            self.where.go(self.owners[nearest], 0)
            self.where.returned = False
        return [Shift("full", left, self.where.environment)]

    def _go_on(self, model: int, evidence: _Evidence) -> None:
        """Go to another model, once what was certain of the present one is learnt."""
        doubtful = evidence.window - 1
        for _ in range(len(self._waiting) - doubtful):
            self._present.add(self._waiting.popleft())
        self._waiting.clear()
        self._present.last = None
        self._recent = deque(evidence.blocks, maxlen=LAST)
        self._model = model

    # ---------------------------------------------------------------- tests

    @property
    def _present(self) -> BlockModel:
        return self.models[self._model]

    def _refused(self) -> int | None:
        """The shortest window that the present environment does not explain."""
        odd = (
            window
            for window in self._windows()
            if not self._present.explains(self._mean(window), window, self.deviations)
        )
        return next(odd, None)

    def _better(self) -> tuple[int, int] | None:
        """A known model that explains a window far better than the present one, and the shortest
        such window."""
        if self._present.young:
            return self._back()
        for window in self._windows():
            mean = self._mean(window)
            least = self._present.log_likelihood(mean, window) + ODDS_PER_DIMENSION * DIMENSION
            better = [
                index
                for index in self._others(window)
                if not self.models[index].young
                and self.models[index].log_likelihood(mean, window) > least
            ]
            best = self._likeliest(mean, window, better)
            if best is not None:
                return best, window
        return None

    def _back(self) -> tuple[int, int] | None:
        """A candidate is young, and explains almost anything. It is left for a known model that
        explains together as many blocks as none explained when it was opened."""
        if self._trial is None or self._trial.window > len(self._recent):
            return None
        window = self._trial.window
        known = [index for index in self._others(window) if not self.models[index].young]
        best = self._most_likely(window, known)
        return None if best is None else (best, window)

    def _others(self, window: int) -> list[int]:
        """Known models, but the present one, that explain a window and its last block."""
        means = [(w, self._mean(w)) for w in (1, window)]
        return [
            index
            for index, model in enumerate(self.models)
            if index != self._model
            and model.blocks >= FAMILIAR
            and all(model.explains(mean, w, self.deviations) for w, mean in means)
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

    # ---------------------------------------------------------------- keeping

    def state_dict(self) -> dict[str, Any]:
        """Everything that later decisions depend on, as tensors and plain values."""
        evidence, trial = self._evidence, self._trial
        return {
            "models": [model.state_dict() for model in self.models],
            "owners": list(self.owners),
            "model": self._model,
            "where": self.where.state_dict(),
            "recent": [block.state_dict() for block in self._recent],
            "waiting": [block.state_dict() for block in self._waiting],
            "evidence": None
            if evidence is None
            else {
                "model": evidence.model,
                "window": evidence.window,
                "blocks": [block.state_dict() for block in evidence.blocks],
            },
            "trial": None
            if trial is None
            else [trial.before, trial.window, trial.total.tolist(), trial.blocks],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Inverse of `state_dict`.

        Raises:
            KeyError, TypeError, ValueError: it is none.
        """
        self.models = [BlockModel.from_state_dict(model) for model in state["models"]]
        self.where.load_state_dict(state["where"])
        self.owners, self._model = [int(i) for i in state["owners"]], int(state["model"])
        if len(self.owners) != len(self.models) or set(self.owners) != set(self.where.known):
            raise ValueError(f"{len(self.models)} models of environments {self.owners}")
        if not 0 <= self._model < len(self.models):
            raise ValueError(f"model {self._model} of {len(self.models)}")
        self._recent = deque(_blocks(state["recent"]), maxlen=LAST)
        self._waiting = deque(_blocks(state["waiting"]))
        evidence, trial = state["evidence"], state["trial"]
        self._evidence = (
            None
            if evidence is None
            else _Evidence(evidence["model"], evidence["window"], _blocks(evidence["blocks"]))
        )
        self._trial = (
            None if trial is None else _Trial(trial[0], trial[1], np.array(trial[2]), trial[3])
        )


def mean_of(blocks: list[Block]) -> Floats:
    """The mean (D,) of several blocks' means."""
    return np.asarray(np.mean([block.mean for block in blocks], axis=0))


def _blocks(states: list[dict[str, Any]]) -> list[Block]:
    return [Block.from_state_dict(state) for state in states]
