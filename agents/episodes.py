"""What the wrappers that play episodes of their own ask of their arguments."""

from __future__ import annotations

from typing import Any

from ..wrappers import VASEObservationWrapper


def check_episodes(env: Any, horizon: Any) -> None:
    """The learner's adapter, and the longest episode.

    Raises:
        TypeError: `env` is no `VASEObservationWrapper`.
        ValueError: `horizon` is no positive integer.
    """
    if not isinstance(env, VASEObservationWrapper):
        raise TypeError(f"env must be a VASEObservationWrapper, got {env!r}")
    if not isinstance(horizon, int) or isinstance(horizon, bool) or horizon < 1:
        raise ValueError(f"horizon must be a positive integer, got {horizon!r}")
