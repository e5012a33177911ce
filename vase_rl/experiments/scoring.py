"""Switches of environment against the truth: what is a miss, a false environment, a delay.

Frames are numbered from 0, the observation of `reset`. A *visit* is a maximal stretch of frames
from one source; a *boundary* is the first frame of every visit but the first. A *switch* is a frame
at which the learner's environment becomes another one; opening the first environment is none.

- An environment belongs to the source of the frame at which it was opened.
- The *right* environment for a visit is any that belongs to its source; where none does, one that
  is opened during the visit.
- A boundary is *found* by the first switch to the right environment from the boundary on and before
  the next one; its *delay* is the number of frames between the two. A boundary without such a
  switch is *missed*.
- *False environments* are those beyond the first of their source: all environments, less the
  sources that opened at least one.
- *False switches* are those that find no boundary.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

NOWHERE = -2
"""Where a switch into a candidate that was given up leads."""


@dataclass(frozen=True)
class Visit:
    """Frames `start` to `end` (not included) come from `source`."""

    start: int
    end: int
    source: str


@dataclass(frozen=True)
class Switch:
    """From `frame` on the learner is in `environment`, which is `new` if it was opened there."""

    frame: int
    environment: int
    new: bool


def withdraw(switches: list[Switch], opening: int) -> None:
    """The environment opened at a frame is gone: the switch into it leads nowhere now."""
    for place, switch in enumerate(switches):
        if switch.frame == opening and switch.new:
            switches[place] = Switch(opening, NOWHERE, False)


@dataclass(frozen=True)
class Boundary:
    """A true change of source, and the switch that found it."""

    frame: int
    source: str
    found: int | None
    """Frame of the switch; None if the boundary was missed."""

    @property
    def delay(self) -> int | None:
        """Frames from the boundary to the switch."""
        return None if self.found is None else self.found - self.frame


@dataclass(frozen=True)
class Score:
    """How well the switches tell the visits."""

    environments_true: int
    """Distinct sources that were shown."""
    environments_found: int
    false_environments: int
    boundaries: tuple[Boundary, ...]
    false_switches: int
    owners: tuple[str, ...]
    """The source that each environment belongs to."""

    @property
    def missed(self) -> int:
        """Boundaries without a switch to the right environment."""
        return sum(boundary.found is None for boundary in self.boundaries)

    @property
    def delays(self) -> list[int]:
        """Of the boundaries that were found, in frames."""
        return [b.delay for b in self.boundaries if b.delay is not None]

    def to_dict(self) -> dict[str, Any]:
        """The numbers for `metrics.json`."""
        return {
            "environments_true": self.environments_true,
            "environments_found": self.environments_found,
            "false_environments": self.false_environments,
            "false_switches": self.false_switches,
            "missed": self.missed,
            "delay_frames_median": float(median(self.delays)) if self.delays else None,
            "delay_frames_max": max(self.delays, default=None),
            "boundaries": [
                {"frame": b.frame, "source": b.source, "found": b.found, "delay": b.delay}
                for b in self.boundaries
            ],
            "environment_sources": list(self.owners),
        }


def score(visits: Sequence[Visit], openings: Sequence[int], switches: Sequence[Switch]) -> Score:
    """Compare switches with visits.

    Args:
        visits: in order, without gaps.
        openings: the frame at which each environment was opened, by index.
        switches: in order of frames.
    """
    owners = tuple(_visit_at(visits, frame).source for frame in openings)
    boundaries = tuple(
        Boundary(visit.start, visit.source, _found(visit, openings, owners, switches))
        for visit in visits[1:]
    )
    answers = {boundary.found for boundary in boundaries}
    return Score(
        environments_true=len({visit.source for visit in visits}),
        environments_found=len(openings),
        false_environments=len(owners) - len(set(owners)),
        boundaries=boundaries,
        false_switches=sum(switch.frame not in answers for switch in switches),
        owners=owners,
    )


def _visit_at(visits: Sequence[Visit], frame: int) -> Visit:
    return next(visit for visit in visits if visit.start <= frame < visit.end)


def _found(
    visit: Visit, openings: Sequence[int], owners: Sequence[str], switches: Sequence[Switch]
) -> int | None:
    known = {
        index
        for index, frame in enumerate(openings)
        if owners[index] == visit.source and frame < visit.start
    }
    for switch in switches:
        if visit.start <= switch.frame < visit.end and (
            switch.environment in known or (switch.new and not known)
        ):
            return switch.frame
    return None
