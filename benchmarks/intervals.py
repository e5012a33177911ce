"""Means over seeds with their 95% confidence intervals (Student's t)."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from scipy import stats


def interval(values: Sequence[float]) -> tuple[float, float | None]:
    """Mean, and half the width of its 95% interval; None for a single value."""
    if len(values) < 2:
        return values[0], None
    error = statistics.stdev(values) / len(values) ** 0.5
    return statistics.fmean(values), float(stats.t.ppf(0.975, len(values) - 1)) * error


def mean_with_interval(values: Sequence[float | None], digits: int = 2) -> str:
    """`mean ± half width` for a table; a dash where a value is missing."""
    present = [v for v in values if v is not None]
    if not present:
        return "–"
    if len(present) < len(values):
        return f"– ({len(present)} of {len(values)})"
    mean, half = interval(present)
    return f"{mean:.{digits}f}" if half is None else f"{mean:.{digits}f} ± {half:.{digits}f}"
