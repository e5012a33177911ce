"""What an environment's actions do to its picture: which translation an action makes."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt
from gymnasium import spaces

Floats = npt.NDArray[np.float64]

TRIALS = 48
"""Actions that are tried, after a reset each, where nothing is known of the sides."""
HELD = 2
"""Steps that each is held for: a step alone may be hardly more than a pixel."""
LEAST_EXPLAINED = 0.6
"""Share of the variance of shifts that a linear map of the actions must explain."""


def check_translating(space: spaces.Space[Any]) -> spaces.Box:
    """The action space, if its actions can be translations.

    Raises:
        ValueError: it is no `Box` of two numbers with finite bounds around 0.
    """
    if not (isinstance(space, spaces.Box) and space.shape == (2,) and _around_zero(space)):
        raise ValueError(
            "the action space must be a Box of shape (2,) with finite bounds around 0, as of "
            f"translations to the right and downwards, got {space}"
        )
    return space


def _around_zero(space: spaces.Box) -> bool:
    finite = bool(np.isfinite(space.low).all() and np.isfinite(space.high).all())
    return finite and bool((space.low < 0).all() and (space.high > 0).all())


def measure_steps(
    env: gym.Env[Any, Any], read: Any, *, trials: int = TRIALS, seed: int | None = None
) -> Floats:
    """The map of actions to translations, found out by trying.

    Args:
        env: is reset and stepped.
        read: from an observation to a frame (H, W, C).
        trials: how many actions.
        seed: of the actions, and of the first reset.

    Returns:
        (2, 2): `map @ action` is the translation of one step, to the right and downwards, in parts
        of the picture's width and height.

    Raises:
        ValueError: the action space does not fit, or no translation explains what actions do.
    """
    space = check_translating(env.action_space)
    rng = np.random.default_rng(seed)
    actions, shifts = [], []
    for trial in range(trials):
        frame = read(env.reset(seed=seed if trial == 0 else None)[0])
        action = rng.uniform(space.low, space.high)
        steps, done = 0, False
        while steps < HELD and not done:
            observation, _, terminated, truncated, _ = env.step(action.astype(space.dtype))
            steps, done = steps + 1, terminated or truncated
        actions.append(action * steps)
        shifts.append(displacement(frame, read(observation)))
    return _linear_map(np.asarray(actions), np.asarray(shifts))


def displacement(before: npt.NDArray[np.uint8], after: npt.NDArray[np.uint8]) -> Floats:
    """The translation between two frames (H, W, C), to the nearest pixel, in parts of the frame.

    The one at which the frames, less their most common level, correlate best.
    """
    spectra = [np.fft.fft2(_content(frame)) for frame in (before, after)]
    correlation = np.fft.ifft2(spectra[1] * spectra[0].conj()).real
    sides = np.array(correlation.shape)
    found = np.array(np.unravel_index(correlation.argmax(), correlation.shape))
    centred = (found + sides // 2) % sides - sides // 2
    return np.asarray(centred / sides)[::-1]


def _content(frame: npt.NDArray[np.uint8]) -> Floats:
    grey = frame.astype(np.float64).mean(2)
    return np.asarray(grey - np.median(grey))


def _linear_map(actions: Floats, shifts: Floats) -> Floats:
    found = np.linalg.lstsq(actions, shifts, rcond=None)[0].T
    left, total = np.square(shifts - actions @ found.T).sum(), np.square(shifts).sum()
    explained = 1 - left / total if total > 0 else 0.0
    if explained < LEAST_EXPLAINED or np.linalg.cond(found) > 10:
        raise ValueError(
            "the environment's actions must be translations of its picture: a linear map of them "
            f"explains {explained:.0%} of how far pictures moved, and {LEAST_EXPLAINED:.0%} are "
            "needed in both directions; ImaginedGoals suits any actions"
        )
    return np.asarray(found)
