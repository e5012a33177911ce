"""When does the world change, and to which? Tests of blocks against models of blocks.

A block's mean, and the means of the last 2, 4, 8 and 16 blocks, are compared with the model of the
present environment: a great change shows in one block, a small one only in many. A change takes
several tests in a row that agree. Known environments are tried before a new one opens.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

import numpy as np

from .blocks import DIMENSION, Block, BlockModel, Floats, f_quantile

WINDOWS = (1, 2, 4, 8, 16)
LAST = WINDOWS[-1]
LONG = 8
"""From this window on, chance averages out and the F distribution holds; below, the tails are those
that the environment itself has shown."""
DEVIATIONS = 5.0
"""A short window is odd when the logarithm of its statistic lies so many standard deviations above
what it usually is in the environment."""
LONG_SHARE = 0.75
"""Of those deviations, what makes a long window odd: more of them must agree."""
SHORT_PERSISTENCE, LONG_PERSISTENCE = 2, 4
LEAST_BLOCKS = 8
"""Independent blocks that a model must have seen before it may say no."""
ODDS_PER_DIMENSION = 1.0
"""A known environment is entered, though the present one explains a block too, when it does so
better by this log likelihood ratio per dimension: worlds of great variety explain almost all."""


@dataclass(frozen=True)
class Shift:
    """A change of environment.

    Attributes:
        kind: to a known environment, or to a new one.
        environment: its index.
        blocks: how many of the last blocks belong to it.
    """

    kind: Literal["enter", "open"]
    environment: int
    blocks: int


@dataclass
class _Evidence:
    """Tests in a row that speak for one environment (None: a new one)."""

    environment: int | None
    window: int
    blocks: list[Block]


class ShiftDetector:
    """Follows a stream of blocks through environments.

    Args:
        max_environments: when so many are open, blocks of further ones are not learnt.
        deviations: how odd blocks must be to speak for a change, in normal standard deviations;
            more are surer and later.
    """

    def __init__(self, max_environments: int = 7, deviations: float = DEVIATIONS) -> None:
        self.max_environments, self.deviations = max_environments, deviations
        self.models = [BlockModel(WINDOWS)]
        self.environment = 0
        self._recent: deque[Block] = deque(maxlen=LAST)
        self._waiting: deque[Block] = deque()
        self._evidence: _Evidence | None = None

    @property
    def suspects(self) -> bool:
        """Whether the last block spoke against the present environment."""
        return self._evidence is not None

    def observe(self, block: Block) -> Shift | None:
        """Take in the next block; returns the change that it completes, if any."""
        self._forgive(block)
        self._recent.append(block)
        window = self._refused()
        if window is not None:
            return self._weigh(block, self._most_likely(window, self._others(window)), window)
        better = self._better()
        if better is not None:
            return self._weigh(block, better, 1)
        self._accept(block)
        return None

    def _forgive(self, block: Block) -> None:
        """Take a block that was odd by itself out of the windows, once the next one is not."""
        evidence = self._evidence
        if evidence is None or evidence.window > 1:
            return
        present, odd = self.models[self.environment], evidence.blocks[-1]
        if self._explains(present, block.mean, 1) and not self._explains(present, odd.mean, 1):
            for _ in evidence.blocks:
                self._recent.pop()
            self._evidence = None

    def _accept(self, block: Block) -> None:
        """The block belongs here. It is learnt once no window that decides holds it any more."""
        self._evidence = None
        present = self.models[self.environment]
        self._waiting.append(block)
        if present.independent < LEAST_BLOCKS:
            # It cannot say no yet, so nothing is gained by waiting.
            present.add(self._waiting.popleft())
            return
        for window in self._windows():
            present.calibration[window].add(present.statistic(self._mean(window), window))
        while len(self._waiting) > LAST:
            present.add(self._waiting.popleft())

    def _weigh(self, block: Block, verdict: int | None, window: int) -> Shift | None:
        evidence = self._evidence
        if evidence is None or evidence.environment != verdict:
            evidence = _Evidence(verdict, window, [])
        evidence = _Evidence(verdict, window, [*evidence.blocks, block])
        self._evidence = evidence
        enough = SHORT_PERSISTENCE if window < LONG else LONG_PERSISTENCE
        if len(evidence.blocks) < enough:
            return None
        if verdict is None and len(self.models) == self.max_environments:
            return None
        return self._leave(evidence)

    def _leave(self, evidence: _Evidence) -> Shift:
        """Learn what was certain of the present environment, and go where the evidence points."""
        doubtful = evidence.window - 1
        for _ in range(len(self._waiting) - doubtful):
            self.models[self.environment].add(self._waiting.popleft())
        self._waiting.clear()
        new = evidence.environment is None
        if new:
            self.models.append(BlockModel(WINDOWS))
        self.environment = (
            len(self.models) - 1 if evidence.environment is None else evidence.environment
        )
        for block in evidence.blocks if new else ():
            self.models[self.environment].add(block)
        self._recent = deque(evidence.blocks, maxlen=LAST)
        self._evidence = None
        return Shift("open" if new else "enter", self.environment, len(evidence.blocks))

    def _refused(self) -> int | None:
        """The shortest window that the present environment does not explain."""
        present = self.models[self.environment]
        odd = (w for w in self._windows() if not self._explains(present, self._mean(w), w))
        return next(odd, None)

    def _better(self) -> int | None:
        """A known environment that explains the last block far better than the present one."""
        present = self.models[self.environment]
        if present.independent < LEAST_BLOCKS:
            return None
        least = present.log_likelihood(self._mean(1), 1) + ODDS_PER_DIMENSION * DIMENSION
        candidates = [
            index
            for index in self._others(1)
            if self.models[index].independent >= LEAST_BLOCKS
            and self.models[index].log_likelihood(self._mean(1), 1) > least
        ]
        return self._most_likely(1, candidates)

    def _others(self, window: int) -> list[int]:
        """Known environments, but the present one, that explain a window and its last block."""
        return [
            index
            for index, model in enumerate(self.models)
            if index != self.environment
            and model.blocks >= LEAST_BLOCKS
            and all(self._explains(model, self._mean(w), w) for w in (1, window))
        ]

    def _most_likely(self, window: int, indices: Iterable[int]) -> int | None:
        """The one that explains a window best; None where there is none."""
        mean = self._mean(window)
        return max(indices, key=lambda i: self.models[i].log_likelihood(mean, window), default=None)

    def _windows(self) -> list[int]:
        return [window for window in WINDOWS if window <= len(self._recent)]

    def _mean(self, window: int) -> Floats:
        blocks = list(self._recent)[-window:]
        return np.asarray(np.mean([block.mean for block in blocks], axis=0))

    def _explains(self, model: BlockModel, mean: Floats, window: int) -> bool:
        """Whether the mean of `window` blocks could have come from where the model's come from.

        A model of few independent blocks cannot say no.
        """
        if model.independent < LEAST_BLOCKS:
            return True
        if window < LONG:
            limit = model.calibration[window].limit(self.deviations)
        else:
            probability = NormalDist().cdf(-LONG_SHARE * self.deviations)
            limit = f_quantile(probability, DIMENSION, model.independent)
        return model.statistic(mean, window) <= limit
