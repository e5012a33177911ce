"""What blocks of consecutive frames look like in an environment: a model with two levels.

Neighbouring frames resemble each other, so that 64 of them may be worth four. How much blocks of
one world differ is therefore not computed from how much its frames differ, but learnt from its
blocks: a block's mean is one draw from the world's own distribution of means. Where an agent stays
in rooms, block means scatter widely, and a new room is nothing new; where frames are independent
draws, they hardly scatter, and a small change shows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from .fixed_features import DIMENSION

Floats = npt.NDArray[np.float64]

WINDOWS = (1, 2, 4, 8, 16, 32)
"""Blocks whose mean is tested together: a great change shows in one, a small one only in many."""
LONG = 8
"""From this window on chance averages out, and the F distribution says what is odd; below, the
tails that the environment itself has shown."""
LONG_SHARE = 0.75
"""Of the deviations that make a short window odd, those for a long one: more of them must agree."""
WANDERING_SHARE = 0.5
"""Of those deviations, how far above what is usual in the environment a long window must lie, too:
few independent ones tell what is usual."""
WANDERING = 0.25
"""How far the mean of a long window may lie from the model's, in standard deviations of its frames:
an agent that learns moves the mean of what it sees, and the world is the same."""
LEAST_BLOCKS = 8
"""Independent blocks that a model must have seen before its own tails count. A younger one refuses
only what hardly any blocks of one world would show."""
MEMORY = 1000
"""Blocks that a model remembers; older ones fade."""
# A model that has seen K independent blocks trusts its frames' correlation only so far: the scatter
# of block means that they predict is taken 1 + CAUTION/K times as large.
CAUTION = 5.0
SPAN = 16
"""Independent blocks from which on the directions in which they scatter count in full."""
RIDGE = 1e-4
# Blocks that an expectation of the statistic, before any was seen, is worth.
PRIOR_BLOCKS = 20
PRIOR_LOG_MEAN, PRIOR_LOG_VARIANCE = math.log(0.5), 0.15
CALIBRATION_MEMORY = 200


@dataclass(frozen=True)
class Block:
    """Moments of the features of one block: mean (D,), covariance (D, D), and the number of
    independent frames that neighbours' correlation leaves."""

    mean: Floats
    covariance: Floats
    effective: float

    @classmethod
    def of(cls, features_BD: Floats) -> Block:
        mean = features_BD.mean(0)
        centred = features_BD - mean
        covariance = centred.T @ centred / len(centred)
        return cls(mean, covariance, _effective(centred))

    def state_dict(self) -> dict[str, Any]:
        """As tensors and plain values."""
        return {
            "mean": torch.from_numpy(self.mean),
            "covariance": torch.from_numpy(self.covariance),
            "effective": self.effective,
        }

    @classmethod
    def from_state_dict(cls, state: dict[str, Any]) -> Block:
        """Inverse of `state_dict`."""
        square = (DIMENSION, DIMENSION)
        mean, covariance = _array(state["mean"], (DIMENSION,)), _array(state["covariance"], square)
        return cls(mean, covariance, float(state["effective"]))


def _effective(centred_BD: Floats) -> float:
    """n·(1 − ρ)/(1 + ρ) with the lag-1 correlation ρ, 0 where chance explains it."""
    n, variance = len(centred_BD), float(np.square(centred_BD).sum())
    if variance < 1e-12:
        return 1.0
    rho = float((centred_BD[1:] * centred_BD[:-1]).sum()) / variance
    return float(n) if rho < 2 / n**0.5 else max(1.0, n * (1 - rho) / (1 + rho))


class BlockModel:
    """Running moments of an environment's blocks.

    Attributes:
        blocks: how many it has seen, at most MEMORY.
        mean: of the features, (D,).
        within, between: covariances (D, D) of frames about their block's mean, and of block means.
    """

    def __init__(self) -> None:
        self.blocks = 0
        self.mean = np.zeros(DIMENSION)
        self.within = np.zeros((DIMENSION, DIMENSION))
        self.between = np.zeros((DIMENSION, DIMENSION))
        self.share = 1.0
        """Of a frame's variance, what its block's mean keeps if neighbours' correlation is all."""
        self.products = np.zeros(2)
        """Of neighbouring block means, and of a block mean with itself, in standard deviations."""
        self.last: Floats | None = None
        self._derived: _Derived | None = None
        self.calibration = {window: Calibration() for window in WINDOWS}

    def add(self, block: Block) -> None:
        """Take in a block that belongs here."""
        self._derived = None
        weight = max(1 / (self.blocks + 1), 1 / MEMORY)
        gap = block.mean - self.mean
        self.within += weight * (block.covariance - self.within)
        self.between = (1 - weight) * (self.between + weight * np.outer(gap, gap))
        self.mean = self.mean + weight * gap
        self.share += weight * (1 / block.effective - self.share)
        rest = (block.mean - self.mean) / (np.sqrt(self.between.diagonal()) + 1e-9)
        if self.last is not None:
            products = np.array([rest @ self.last, rest @ rest]) / DIMENSION
            self.products += weight * (products - self.products)
        self.last = rest
        self.blocks = min(self.blocks + 1, MEMORY)

    @property
    def correlation(self) -> float:
        """Of neighbouring block means, in [0, 0.97]."""
        return float(np.clip(self.products[0] / (self.products[1] + 1e-9), 0.0, 0.97))

    @property
    def independent(self) -> float:
        """How many independent blocks those seen are worth, at least 1."""
        return self._known.independent

    @property
    def young(self) -> bool:
        """Whether it has not seen enough to know how its blocks scatter."""
        return self.independent < LEAST_BLOCKS

    def pool(self, other: BlockModel) -> None:
        """Take in the blocks of another environment, which turned out to be this one."""
        total = max(self.blocks + other.blocks, 1)
        weight = other.blocks / total
        gap = other.mean - self.mean
        self.within += weight * (other.within - self.within)
        self.between += weight * (other.between - self.between)
        self.between += weight * (1 - weight) * np.outer(gap, gap)
        self.mean = self.mean + weight * gap
        self.share += weight * (other.share - self.share)
        self.products = self.products + weight * (other.products - self.products)
        self.last, self._derived = None, None
        self.blocks = min(total, MEMORY)

    def explains(self, mean: Floats, window: int, deviations: float) -> bool:
        """Whether the mean of `window` blocks could have come from where the model's come from.

        Args:
            mean: (D,).
            window: how many blocks.
            deviations: how odd it must be not to be explained, in normal standard deviations.
        """
        z = LONG_SHARE * deviations
        if self.young:
            # K blocks have shown how they scatter in K of D directions at most.
            unseen = 1 + DIMENSION / max(self.blocks, 1)
            limit = unseen * f_quantile(z, DIMENSION, self.blocks - 1)
        elif window in WINDOWS and window < LONG:
            limit = self.calibration[window].limit(deviations)
        else:
            limit = f_quantile(z, DIMENSION, self.independent)
            if window in WINDOWS:
                # An agent that learns makes its world wander more than chance would.
                limit = max(limit, self.calibration[window].limit(WANDERING_SHARE * deviations))
        wanders = window >= LONG and not self.young and self._effect(mean) <= WANDERING**2
        return wanders or self.statistic(mean, window) <= limit

    def _effect(self, mean: Floats) -> float:
        """Squared distance of a mean in variances of the frames, on average over features."""
        gap = mean - self.mean
        return float(gap @ self._known.frame_precision @ gap) / DIMENSION

    def statistic(self, mean: Floats, window: int) -> float:
        """Squared distance of the mean of `window` blocks, about 1 if they belong here."""
        gap = mean - self.mean
        return float(gap @ self._known.precision @ gap) / self._shrinkage(window) / DIMENSION

    def log_likelihood(self, mean: Floats, window: int) -> float:
        """Log density of the mean of `window` blocks, up to a constant."""
        shrinkage = self._shrinkage(window)
        spread = self._known.log_determinant + DIMENSION * math.log(shrinkage)
        return -0.5 * (DIMENSION * self.statistic(mean, window) + spread)

    def state_dict(self) -> dict[str, Any]:
        """Everything that it knows, as tensors and plain values."""
        return {
            "blocks": self.blocks,
            "share": self.share,
            **{name: torch.from_numpy(getattr(self, name).copy()) for name in _ARRAYS},
            "last": None if self.last is None else torch.from_numpy(self.last),
            "calibration": [[c.count, c.mean, c.variance] for c in self.calibration.values()],
        }

    @classmethod
    def from_state_dict(cls, state: dict[str, Any]) -> BlockModel:
        """Inverse of `state_dict`.

        Raises:
            KeyError, ValueError, TypeError: it is none.
        """
        model = cls()
        model.blocks, model.share = int(state["blocks"]), float(state["share"])
        for name in _ARRAYS:
            shape = getattr(model, name).shape
            setattr(model, name, _array(state[name], shape))
        model.last = None if state["last"] is None else _array(state["last"], (DIMENSION,))
        # A checkpoint of a time with fewer windows lacks the longest.
        calibration = state["calibration"]
        for window, values in zip(WINDOWS[: len(calibration)], calibration, strict=True):
            model.calibration[window] = Calibration(*values)
        return model

    @property
    def _known(self) -> _Derived:
        """What follows from the moments, computed once for every change of them."""
        if self._derived is None:
            independent = self._independent()
            scatter = self._scatter(independent)
            self._derived = _Derived(
                independent,
                _inverse(scatter),
                float(np.linalg.slogdet(scatter)[1]),
                _inverse(_ridged(self.within + self.between)),
            )
        return self._derived

    def _independent(self) -> float:
        """The correlation is taken at the upper end of what so many blocks can tell, and corrected
        for the bias of its estimate about a mean that is estimated too (Kendall 1954)."""
        blocks = max(self.blocks, 1)
        bias = (1 + 4 * self.correlation) / blocks
        rho = min(0.97, self.correlation + bias + 2 / math.sqrt(blocks * self._features()))
        return max(1.0, self.blocks * (1 - rho) / (1 + rho))

    def _features(self) -> float:
        """How many independent features block means have, at least 1: the participation ratio."""
        deviations = np.sqrt(self.between.diagonal()) + 1e-9
        correlations = self.between / np.outer(deviations, deviations)
        total = float(np.trace(correlations))
        return max(1.0, total**2 / (float(np.square(correlations).sum()) + 1e-9))

    def _scatter(self, independent: float) -> Floats:
        """Covariance of block means: as seen; before that is reliable, of the frames' shape."""
        seen = max(independent - 1, 0.0)
        # A few blocks span few directions: of how they scatter only the variances count at first.
        doubt = max(0.0, 1 - independent / SPAN)
        variances = np.diag(self.between.diagonal())
        frames = self.within + (1 - doubt) * self.between + doubt * variances
        corrected = self.between * self.blocks / max(self.blocks - 1, 1)
        # Neighbours' correlation does not tell of what changes more slowly than a block lasts.
        share = max(self.share, float(np.trace(corrected) / (np.trace(frames) + 1e-12)))
        expected = frames * min(1.0, share * (1 + CAUTION / independent))
        mixed = (seen * corrected + DIMENSION * expected) / (seen + DIMENSION)
        return _ridged(mixed)

    def _shrinkage(self, window: int) -> float:
        """Variance of the mean of correlated blocks about the model's own uncertain mean, in
        variances of one block."""
        pairs = sum((window - lag) * self.correlation**lag for lag in range(1, window))
        return (window + 2 * pairs) / window**2 + 1 / self.independent


def _ridged(covariance: Floats) -> Floats:
    """Frames that never change have no scatter at all."""
    ridge = RIDGE * covariance.diagonal().mean() + 1e-12
    return np.asarray(covariance + ridge * np.eye(DIMENSION))


def _inverse(matrix: Floats) -> Floats:
    return np.asarray(np.linalg.inv(matrix), dtype=np.float64)


_ARRAYS = ("mean", "within", "between", "products")


def _array(tensor: Tensor, shape: tuple[int, ...]) -> Floats:
    if tuple(tensor.shape) != shape:
        raise ValueError(f"blocks have shape {tuple(tensor.shape)}, not {shape}")
    return np.array(tensor.cpu().numpy(), dtype=np.float64)


@dataclass(frozen=True)
class _Derived:
    """How many independent blocks a model's are worth, of the covariance of block means the inverse
    (D, D) and the logarithm of the determinant, and the inverse (D, D) of that of frames."""

    independent: float
    precision: Floats
    log_determinant: float
    frame_precision: Floats


@dataclass
class Calibration:
    """Running mean and variance of the logarithm of a statistic where nothing has changed."""

    count: int = 0
    mean: float = 0.0
    variance: float = 0.0

    def add(self, statistic: float) -> None:
        """Take in one more value."""
        self.count = min(self.count + 1, MEMORY)
        value = math.log(max(statistic, 1e-6))
        if self.count == 1:
            self.mean, self.variance = value, PRIOR_LOG_VARIANCE
            return
        weight = max(1 / self.count, 1 / CALIBRATION_MEMORY)
        gap = value - self.mean
        self.mean += weight * gap
        self.variance += weight * (gap * gap - self.variance)

    def limit(self, deviations: float) -> float:
        """The value that lies so many standard deviations above the mean."""
        total = self.count + PRIOR_BLOCKS
        mean = (self.count * self.mean + PRIOR_BLOCKS * PRIOR_LOG_MEAN) / total
        variance = (self.count * self.variance + PRIOR_BLOCKS * PRIOR_LOG_VARIANCE) / total
        return math.exp(mean + deviations * math.sqrt(variance))


def f_quantile(z: float, numerator: float, denominator: float) -> float:
    """The value that an F statistic exceeds as rarely as a normal one exceeds `z`.

    By the approximation of Wilson and Hilferty (1931) and Paulson (1942).

    Args:
        z: above 0.
        numerator, denominator: degrees of freedom.

    Returns:
        infinity where the approximation has no answer: few degrees of freedom, rare events.
    """
    if denominator <= 0:
        return math.inf
    a, b = 2 / (9 * denominator), 2 / (9 * numerator)
    # ((1 − a) y − (1 − b))² = z² (a y² + b) for the cube root y.
    square = (1 - a) ** 2 - z * z * a
    if square <= 0:
        return math.inf
    middle, constant = (1 - a) * (1 - b), (1 - b) ** 2 - z * z * b
    root = math.sqrt(max(0.0, middle**2 - square * constant))
    return float(((middle + root) / square) ** 3)
