"""How well alarms tell the visits of a stream, and whether worlds that return are recognised.

A boundary is the first frame of every visit but the first. The first alarm of its visit *detects*
it, however late; a visit without an alarm is *missed*. All other alarms are *false*: those of the
first visit, and the second and further ones of each other.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .scoring import Visit


@dataclass(frozen=True)
class Detection:
    """What became of the boundaries of one stream, or of several."""

    frames: int
    delays: tuple[int, ...]
    """Frames from each boundary that was detected to the alarm."""
    censored: tuple[int, ...]
    """Of each boundary that was missed, the frames until the next."""
    false: int

    @property
    def missed(self) -> int:
        return len(self.censored)

    @property
    def per_million(self) -> float:
        """False alarms per million frames."""
        return 1e6 * self.false / self.frames

    def to_dict(self) -> dict[str, Any]:
        """The numbers for `metrics.json`; None where there is nothing to divide by."""
        found, boundaries = len(self.delays), len(self.delays) + self.missed
        waits = self.delays + self.censored
        return {
            "boundaries": boundaries,
            "missed": self.missed,
            "false_alarms": self.false,
            "false_alarms_per_million": self.per_million,
            "run_length_mean": self.frames / self.false if self.false else None,
            "precision": found / (found + self.false) if found + self.false else None,
            "recall": found / boundaries if boundaries else None,
            "delay_frames_median": float(np.median(self.delays)) if found else None,
            "delay_frames_p90": float(np.quantile(self.delays, 0.9)) if found else None,
            "wait_frames_median": float(np.median(waits)) if waits else None,
        }


def judge(visits: Sequence[Visit], alarms: Sequence[int]) -> Detection:
    """Compare alarms, frames in order, with visits in order and without gaps."""
    delays, censored = [], []
    for visit in visits[1:]:
        first = bisect_left(alarms, visit.start)
        if first < len(alarms) and alarms[first] < visit.end:
            delays.append(alarms[first] - visit.start)
        else:
            censored.append(visit.end - visit.start)
    frames = visits[-1].end - visits[0].start
    return Detection(frames, tuple(delays), tuple(censored), len(alarms) - len(delays))


def together(detections: Iterable[Detection]) -> Detection:
    """One score for several streams, of all boundaries and all frames."""
    parts = list(detections)
    return Detection(
        sum(p.frames for p in parts),
        tuple(d for p in parts for d in p.delays),
        tuple(c for p in parts for c in p.censored),
        sum(p.false for p in parts),
    )


@dataclass(frozen=True)
class Recognition:
    """What a detector that names environments made of the worlds."""

    worlds: int
    """Distinct worlds that were shown."""
    environments: int
    """Environments that were opened and not given up."""
    merges: int
    returns: int
    """Visits to worlds that were visited before."""
    recognised: int
    """Of these, visits that end in the environment first opened in that world."""

    def to_dict(self) -> dict[str, Any]:
        """The numbers for `metrics.json`."""
        return {
            "worlds": self.worlds,
            "environments": self.environments,
            "merges": self.merges,
            "returns": self.returns,
            "returns_recognised": self.recognised,
        }


def pooled(recognitions: Sequence[Recognition]) -> Recognition:
    """The sums over several streams."""
    return Recognition(
        sum(r.worlds for r in recognitions),
        sum(r.environments for r in recognitions),
        sum(r.merges for r in recognitions),
        sum(r.returns for r in recognitions),
        sum(r.recognised for r in recognitions),
    )


def recognise(
    visits: Sequence[Visit], track: Sequence[tuple[int, int]], opened: Sequence[int], merges: int
) -> Recognition:
    """Compare what a detector believed with the truth.

    Args:
        visits: in order, without gaps.
        track: (frame, place): from this frame on the detector believed to be in the environment
            that stands at that place in `opened`; in order of frames.
        opened: of every environment ever opened, the index of the one that it counts to at last.
        merges: environments that were given up.
    """
    survivors = {place for place, index in enumerate(opened) if opened.index(index) == place}
    homes: dict[str, tuple[int, int]] = {}
    first_seen: dict[int, int] = {}
    for frame, place in track:
        if place in survivors and place not in first_seen:
            first_seen[place] = frame
            homes.setdefault(_world_at(visits, frame), (place, frame))
    seen: set[str] = set()
    returns = recognised = 0
    for visit in visits:
        if visit.source in seen:
            returns += 1
            last = _place_at(track, visit.end - 1)
            home, since = homes.get(visit.source, (-1, 0))
            # An environment that this very visit opened is no recognition.
            known = last is not None and since < visit.start
            recognised += known and opened.index(opened[last or 0]) == home
        seen.add(visit.source)
    return Recognition(len(seen), len(survivors), merges, returns, recognised)


def _world_at(visits: Sequence[Visit], frame: int) -> str:
    return next(visit.source for visit in visits if visit.start <= frame < visit.end)


def _place_at(track: Sequence[tuple[int, int]], frame: int) -> int | None:
    """Where the detector believed to be at a frame; None before it believed anything."""
    after = bisect_right([start for start, _ in track], frame)
    return track[after - 1][1] if after else None
