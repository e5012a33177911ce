"""When an episode's last frame shows no world. Numpy alone: recordings are read without torch."""

from __future__ import annotations

import numpy as np


def is_dead(last: np.ndarray, before: np.ndarray | None) -> bool:
    """Whether an episode's last frame shows no world: it is black, or the one before once more."""
    return not last.any() or (before is not None and np.array_equal(last, before))
