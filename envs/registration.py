"""Registers the environments with Gymnasium, by name only: nothing heavy is imported here."""

from __future__ import annotations

import gymnasium

REACH_STEPS = 30


def register_environments() -> None:
    """Registers the environments of this package by their ids; doing it again does nothing."""
    _register("vase_rl/SpriteStream-v0", "vase_rl.envs.stream:SpriteStream")
    _register("vase_rl/SpriteReach-v0", "vase_rl.envs.reach:SpriteReach", REACH_STEPS)
    _register("vase_rl/RecordedTrajectory-v0", "vase_rl.envs.recorded:RecordedTrajectory")
    _register("vase_rl/PiecewiseStationary-v0", "vase_rl.envs.piecewise:PiecewiseStationary")


def _register(name: str, entry_point: str, max_episode_steps: int | None = None) -> None:
    if name not in gymnasium.registry:
        gymnasium.register(name, entry_point, max_episode_steps=max_episode_steps)
