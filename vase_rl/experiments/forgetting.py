"""How much is forgotten: the paper's change and extreme (A.6), and backward transfer.

A *curve* is a probe's score at evaluations numbered from 0; a *visit* says during which of them the
learner was trained on a source.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .scoring import Visit


@dataclass(frozen=True)
class Forgetting:
    """What became of one probe's score after the first visit to its source."""

    best: float
    """Best score while the source was trained on for the first time."""
    at_end: float
    """Score when that visit ended."""
    change: float | None
    """A.6: worst score afterwards less the best one; None when nothing came afterwards. Negative
    for an accuracy that fell, positive for an error that rose."""
    backward_transfer: float | None
    """Score at the very end less the score when the visit ended (Lopez-Paz and Ranzato 2017)."""


def forgetting(
    scores: Sequence[float], spans: Sequence[Visit], source: str, *, higher_is_better: bool
) -> Forgetting:
    """Summarise the curve of one probe.

    Args:
        scores: one per evaluation.
        spans: visits in order, covering all evaluations.
        source: of the probe.
        higher_is_better: True for an accuracy, False for an error.

    Raises:
        ValueError: the source is never visited.
    """
    visit = next((span for span in spans if span.source == source), None)
    if visit is None:
        raise ValueError(f"source must be one of the visits' sources, got {source!r}")
    best_of, worst_of = (max, min) if higher_is_better else (min, max)
    during, after = scores[visit.start : visit.end], scores[visit.end :]
    best, at_end = best_of(during), during[-1]
    if not after:
        return Forgetting(best, at_end, None, None)
    return Forgetting(best, at_end, worst_of(after) - best, after[-1] - at_end)


def mean_of(values: Sequence[float | None]) -> float | None:
    """Mean of those that are there; None if none is."""
    there = [value for value in values if value is not None]
    return sum(there) / len(there) if there else None
