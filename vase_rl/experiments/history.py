"""What the learner made of a stream: the truth and its verdicts, frame by frame."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..files import write_whole
from ..reports import UpdateReport
from .scoring import NOWHERE, Score, Switch, Visit, score, withdraw

NONE_YET, MERGED = -1, NOWHERE


@dataclass
class History:
    """Grows with the stream.

    Attributes:
        sources: names of the sources, by number in order of appearance.
        source: number of the source that each frame came from.
        environment: the learner's environment after each frame; `NONE_YET` before the first,
            `MERGED` for a candidate that was merged back.
        loss: its reconstruction loss after each frame, in nats; NaN before the first.
        switches: changes of environment.
        openings: frame at which each environment was opened.
        tests: what the learner found in each batch that it tested.
    """

    sources: list[str] = field(default_factory=list)
    source: list[int] = field(default_factory=list)
    environment: list[int] = field(default_factory=list)
    loss: list[float] = field(default_factory=list)
    switches: list[Switch] = field(default_factory=list)
    openings: list[int] = field(default_factory=list)
    test_frames: list[int] = field(default_factory=list)
    atypicality: list[npt.NDArray[np.float32]] = field(default_factory=list)

    @property
    def frames(self) -> int:
        """Frames seen."""
        return len(self.source)

    @property
    def visits(self) -> list[Visit]:
        """Maximal stretches of one source."""
        numbers = np.asarray(self.source)
        starts = [0, *(np.flatnonzero(np.diff(numbers)) + 1).tolist()]
        ends = [*starts[1:], len(numbers)]
        return [
            Visit(start, end, self.sources[numbers[start]])
            for start, end in zip(starts, ends, strict=True)
            if end > start
        ]

    @property
    def score(self) -> Score:
        """The switches against the truth."""
        return score(self.visits, self.openings, self.switches)

    def add(self, info: dict[str, Any], report: UpdateReport | None) -> Switch | None:
        """Take in one frame.

        Args:
            info: of the wrapped `SpriteStream`, with "source" and "vase".
            report: of the test that this frame completed, if it did.

        Returns:
            The switch that this frame brought, if any.
        """
        seen, frame = info["vase"], self.frames
        if info["source"] not in self.sources:
            self.sources.append(info["source"])
        self.source.append(self.sources.index(info["source"]))
        if report is not None:
            self.test_frames.append(frame)
            self.atypicality.append(report.atypicality)
            if report.merged:
                self._forget_candidate()
        if seen["new_environment"]:
            self.openings.append(frame)
        self.environment.append(seen["environment"] if self.openings else NONE_YET)
        self.loss.append(seen["reconstruction_loss"] if seen["updates"] else float("nan"))
        if not seen["shift"]:
            return None
        self.switches.append(Switch(frame, seen["environment"], seen["new_environment"]))
        return self.switches[-1]

    def _forget_candidate(self) -> None:
        """The environment opened last was a known one under a new name; its index is free."""
        index = len(self.openings) - 1
        opened = self.openings.pop()
        withdraw(self.switches, opened)
        for frame in range(opened, self.frames - 1):
            if self.environment[frame] == index:
                self.environment[frame] = MERGED

    def save(self, path: Path) -> None:
        """Write an `.npz` file."""
        content = io.BytesIO()
        np.savez_compressed(
            content,
            sources=np.asarray(self.sources, dtype=np.str_),
            source=np.asarray(self.source, dtype=np.int16),
            environment=np.asarray(self.environment, dtype=np.int16),
            loss=np.asarray(self.loss, dtype=np.float32),
            switches=np.asarray([(s.frame, s.environment, s.new) for s in self.switches], np.int64),
            openings=np.asarray(self.openings, dtype=np.int64),
            test_frames=np.asarray(self.test_frames, dtype=np.int64),
            atypicality=np.asarray(self.atypicality, dtype=np.float32),
        )
        write_whole(path, content.getvalue())

    @classmethod
    def load(cls, path: Path) -> History:
        """Read what `save` wrote."""
        with np.load(path, allow_pickle=False) as saved:
            return cls(
                sources=saved["sources"].tolist(),
                source=saved["source"].tolist(),
                environment=saved["environment"].tolist(),
                loss=saved["loss"].tolist(),
                switches=[Switch(int(f), int(e), bool(n)) for f, e, n in saved["switches"]],
                openings=saved["openings"].tolist(),
                test_frames=saved["test_frames"].tolist(),
                atypicality=list(saved["atypicality"]),
            )
