"""Detectors that VASE's rules are compared with: of river on losses, Welch's t, MMD.

All compare with a reference of `REFERENCE` frames, gathered anew after every alarm and not before
the encoder has seen `SETTLING` frames.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np
import numpy.typing as npt

from .onlooker import Stretch

Array = npt.NDArray[Any]
REFERENCE = 256
SETTLING = 512
PERMUTATIONS = 1000
QUANTILE = 0.999
"""Of the statistic under permutations of the reference: one false alarm in 1,000 blocks, if frames
were independent."""
SEED = 0


class DriftDetector:
    """One of river's detectors, fed a number per frame.

    The numbers are standardised by mean and deviation of the reference, so that a threshold means
    the same in every world.

    Args:
        make: a fresh detector of river.
        pick: the numbers (n,) of a stretch.
    """

    beliefs = None

    def __init__(self, make: Callable[[], Any], pick: Callable[[Stretch], Array]) -> None:
        self._make, self._pick = make, pick
        self._settling = SETTLING
        self._start()

    def _start(self) -> None:
        self._drift = self._make()
        self._reference: list[float] = []
        self._mean, self._deviation = 0.0, 1.0

    def observe(self, stretch: Stretch) -> list[int]:
        """As `detectors.Detector.observe`."""
        return [i for i, x in enumerate(self._pick(stretch).tolist()) if self._is_drift(x)]

    def _is_drift(self, value: float) -> bool:
        if self._settling:
            self._settling -= 1
            return False
        if len(self._reference) < REFERENCE:
            self._reference.append(value)
            self._mean = float(np.mean(self._reference))
            self._deviation = max(float(np.std(self._reference)), 1e-6 * abs(self._mean), 1e-12)
            return False
        self._drift.update((value - self._mean) / self._deviation)
        found = bool(self._drift.drift_detected)
        if found:
            self._start()
        return found


def adwin(delta: float, pick: Callable[[Stretch], Array]) -> DriftDetector:
    """Adaptive windowing (Bifet & Gavaldà 2007), river's.

    Raises:
        ValueError: river is not installed.
    """
    drift = _river()
    return DriftDetector(lambda: drift.ADWIN(delta=delta), pick)


def page_hinkley(threshold: float, pick: Callable[[Stretch], Array]) -> DriftDetector:
    """Page's cumulative sum in both directions, river's; `threshold` in deviations.

    Raises:
        ValueError: river is not installed.
    """
    drift = _river()
    return DriftDetector(lambda: drift.PageHinkley(threshold=threshold), pick)


def _river() -> Any:
    try:
        return import_module("river.drift")
    except ImportError as error:
        raise ValueError(
            f'adwin and page-hinkley need river: pip install "vase_rl[detect]" ({error})'
        ) from error


class Reference:
    """Gathers blocks up to `REFERENCE` values, once the encoder has settled."""

    def __init__(self) -> None:
        self._settling = SETTLING
        self._blocks: list[Array] = []

    def take(self, block: Array) -> Array | None:
        """The whole reference, at the block that completes it; None before that."""
        if self._settling > 0:
            self._settling -= len(block)
            return None
        self._blocks.append(block)
        if sum(map(len, self._blocks)) < REFERENCE:
            return None
        whole, self._blocks = np.concatenate(self._blocks), []
        return whole


class Welch:
    """A block's mean loss against that of the frames before it, as S-TRIGGER does.

    Welch's t test, two-sided. The reference slides: it is the last `REFERENCE` losses before the
    block.

    Args:
        threshold: of |t|.
    """

    def __init__(self, threshold: float) -> None:
        self.threshold = threshold
        self._gathering = Reference()
        self._reference: Array | None = None

    def __call__(self, losses: Array) -> bool:
        """Whether a block of losses (n,) is unlike the reference."""
        if self._reference is None:
            self._reference = self._gathering.take(losses)
            return False
        if abs(welch_t(losses, self._reference)) > self.threshold:
            self._reference = None
            return True
        self._reference = np.concatenate([self._reference, losses])[-REFERENCE:]
        return False


def welch_t(a: Array, b: Array) -> float:
    """Difference of the means of two samples in units of its standard error."""
    error = np.sqrt(a.var(ddof=1, dtype=np.float64) / len(a) + b.var(ddof=1) / len(b))
    return float((a.mean() - b.mean()) / max(float(error), 1e-12))


class MMD:
    """Maximum mean discrepancy between a block and a fixed reference.

    The kernel is exp(-|x - y|² / 2h²), h² half the median of the squared distances within the
    reference.

    Args:
        factor: the threshold in units of the `QUANTILE` of the statistic when as many frames as a
            block holds are drawn out of the reference itself.
    """

    def __init__(self, factor: float) -> None:
        self.factor = factor
        self._gathering = Reference()
        self._reference: Array | None = None
        self._rng = np.random.default_rng(SEED)

    def __call__(self, block: Array) -> bool:
        """Whether a block (n, D) is unlike the reference."""
        if self._reference is None:
            self._adopt(self._gathering.take(block), len(block))
            return False
        if self.statistic(block) <= self._threshold:
            return False
        self._reference = None
        return True

    def statistic(self, block: Array) -> float:
        """Unbiased estimate of MMD² (Gretton et al. 2012, eq. 3) of a block and the reference."""
        assert self._reference is not None
        across = float(kernel(block, self._reference, self._width).mean())
        return _unbiased(kernel(block, block, self._width)) + self._within - 2 * across

    def _adopt(self, reference: Array | None, block: int) -> None:
        if reference is None:
            return
        self._reference = reference
        self._width = median_width(reference)
        within = kernel(reference, reference, self._width)
        self._within = _unbiased(within)
        null = permuted(within, block, PERMUTATIONS, self._rng)
        self._threshold = self.factor * max(float(np.quantile(null, QUANTILE)), 1e-9)


def squared_distances(a: Array, b: Array) -> Array:
    """(n, m) of points (n, D) and (m, D)."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    squares = (a**2).sum(1)[:, None] + (b**2).sum(1) - 2 * a @ b.T
    return np.asarray(np.maximum(squares, 0.0))


def median_width(reference: Array) -> float:
    """h², half the median of the squared distances between different points."""
    distances = squared_distances(reference, reference)[np.triu_indices(len(reference), 1)]
    return max(float(np.median(distances)) / 2, 1e-12)


def kernel(a: Array, b: Array, width: float) -> Array:
    """exp(-|x - y|² / 2h²) of points (n, D) and (m, D), `width` being h²."""
    return np.asarray(np.exp(-squared_distances(a, b) / (2 * width)))


def _unbiased(within: Array) -> float:
    n = len(within)
    return float((within.sum() - np.trace(within)) / (n * (n - 1)))


def permuted(within: Array, n: int, count: int, rng: np.random.Generator) -> Array:
    """MMD² between `n` random points of a sample and its others, (count,), from its kernel."""
    total = len(within)
    m = total - n
    chosen = np.zeros((count, total))
    order = rng.random((count, total)).argpartition(n, axis=1)[:, :n]
    np.put_along_axis(chosen, order, 1.0, axis=1)
    diagonal = np.diag(within)
    rows = chosen @ within
    aa = (rows * chosen).sum(1) - chosen @ diagonal
    ab = (rows * (1 - chosen)).sum(1)
    bb = within.sum() - np.trace(within) - aa - 2 * ab
    return np.asarray(aa / (n * (n - 1)) + bb / (m * (m - 1)) - 2 * ab / (n * m))
