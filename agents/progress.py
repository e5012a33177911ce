"""What a training run tells while it lasts: a learning curve, and how far it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from stable_baselines3.common.callbacks import BaseCallback


class Reporter(Protocol):
    """Shows progress to a person: a bar, a line, nothing."""

    def advance(self, count: int, /) -> None:
        """`count` more frames have been seen."""

    def show(self, note: str, /) -> None:
        """A few words on how things stand."""


@dataclass(frozen=True)
class CurvePoint:
    """Averages over the episodes that ended since the point before.

    Of the actions that the agent trained with, which it samples to explore: `evaluate_agent`, which
    takes the most likely ones, may say better or worse.
    """

    frames: int
    """Frames of the whole run up to this point."""
    success_rate: float | None
    """Share of successful episodes; None where the environment reports no success."""
    return_mean: float
    """Undiscounted return per episode."""
    episodes: int

    def __str__(self) -> str:
        text = f"return {self.return_mean:.2f}"
        return text if self.success_rate is None else f"{text}, success {self.success_rate:.0%}"


def episode_success(info: dict[str, Any]) -> bool | None:
    """Whether an episode succeeded, by the `info` of its last step; None if that says nothing."""
    for key in ("success", "is_success"):
        if key in info:
            return bool(info[key])
    return None


class CurveRecorder(BaseCallback):
    """Collects one `CurvePoint` per rollout in which an episode ended.

    Args:
        frames: that the run was asked for; whole rollouts may take a few more.
        reporter: is told of every step and every point.
        interval: least number of frames from one point to the next, but for the last; rollouts of
            A2C, DQN and SAC are too short for a point each.
    """

    def __init__(self, frames: int, reporter: Reporter | None = None, interval: int = 0) -> None:
        super().__init__()
        self.frames = frames
        self.reporter = reporter
        self.interval = interval
        self.curve: list[CurvePoint] = []
        self._reported = 0
        self._last_point = 0
        self._returns: list[float] = []
        self._successes: list[bool] = []

    def _on_step(self) -> bool:
        for info in self.locals["infos"]:
            if "episode" in info:
                self._returns.append(float(info["episode"]["r"]))
                success = episode_success(info)
                if success is not None:
                    self._successes.append(success)
        if self.reporter is not None:
            done = min(self.num_timesteps, self.frames)
            self.reporter.advance(done - self._reported)
            self._reported = done
        return True

    def _on_rollout_end(self) -> None:
        if self.num_timesteps - self._last_point >= self.interval:
            self._add_point()

    def _on_training_end(self) -> None:
        self.finish()

    def finish(self) -> None:
        """A last point of what has not been told yet; Ctrl-C skips the end of training."""
        self._add_point()

    def _add_point(self) -> None:
        if not self._returns:
            return
        rate = float(np.mean(self._successes)) if self._successes else None
        mean = float(np.mean(self._returns))
        self.curve.append(CurvePoint(self.num_timesteps, rate, mean, len(self._returns)))
        self._last_point = self.num_timesteps
        self._returns.clear()
        self._successes.clear()
        if self.reporter is not None:
            self.reporter.show(str(self.curve[-1]))
