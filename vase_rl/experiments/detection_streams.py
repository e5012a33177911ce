"""Streams with known switches, for detectors: how worlds take turns, and their frames in order.

A stream is called GROUP (its visits end abruptly), or GROUP-KIND.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from difflib import get_close_matches

import numpy as np
import numpy.typing as npt

from ..envs import Source
from ..envs.screens import fit
from .detection_worlds import GROUPS, SIZE, Making
from .learning_player import LearningPlayer
from .onlooker import Frames
from .scoring import Visit

CHUNK = 64


@dataclass(frozen=True)
class Kind:
    """How worlds take turns.

    Attributes:
        shortest, longest: frames of a visit; None: one visit for all of the stream.
        fade: frames over which a world takes the place of the one before.
        worlds: how many of the group's worlds take part, drawn at random; None: all.
    """

    shortest: int | None = 3000
    longest: int = 8000
    fade: int = 0
    worlds: int | None = None


KINDS = {
    "abrupt": Kind(),
    "gradual": Kind(fade=1000),
    "short": Kind(500, 1000),
    "recurring": Kind(worlds=2),
    "still": Kind(None),
}
STREAMS = {
    group if kind == "abrupt" else f"{group}-{kind}": (group, kind)
    for group in GROUPS
    for kind in KINDS
}
"""Name of a stream to its group and kind."""


def check_stream(name: str) -> str:
    """Returns the name of a stream.

    Raises:
        ValueError: there is none of that name.
    """
    if name in STREAMS:
        return name
    kinds = ", ".join(kind for kind in KINDS if kind != "abrupt")
    near = get_close_matches(name, STREAMS)
    raise ValueError(
        f"--streams must be a group ({', '.join(GROUPS)}) or GROUP-KIND with a kind of {kinds}, "
        f"got {name!r}" + (f"; near it: {', '.join(near)}" if near else "")
    )


def check_length(name: str, frames: int) -> None:
    """Whether a stream is long enough for a switch, whatever its seed.

    Raises:
        ValueError: it may be without one, and is not of the kind in which nothing changes.
    """
    kind = KINDS[STREAMS[name][1]]
    if kind.shortest is not None and frames < kind.longest + kind.shortest:
        raise ValueError(
            f"--frames must be at least {kind.longest + kind.shortest:,} for {name}, whose visits "
            f"last {kind.shortest:,} to {kind.longest:,} frames, so that there is a switch, "
            f"got {frames:,}"
        )


def plan(worlds: tuple[str, ...], kind: Kind, frames: int, rng: np.random.Generator) -> list[Visit]:
    """Visits of random length to worlds drawn at random, never the same twice in a row."""
    if kind.worlds is not None:
        worlds = tuple(rng.choice(worlds, kind.worlds, replace=False).tolist())
    visits: list[Visit] = []
    start, world = 0, ""
    while start < frames:
        world = str(rng.choice([name for name in worlds if name != world]))
        end = frames
        if kind.shortest is not None:
            end = start + int(rng.integers(kind.shortest, kind.longest + 1))
            # What is left must be enough for a visit.
            end = end if frames - end >= kind.shortest else frames
        visits.append(Visit(start, end, world))
        start = end
    return visits


class DetectionStream:
    """A stream of `frames` frames, generated as it goes.

    Args:
        name: one of `STREAMS`.
        frames: in all.
        seed: of visits, worlds and players.
        data_dir: folder of data sets, whose worlds then take part.

    Attributes:
        visits: the truth.
        channels: of the frames.

    Raises:
        ValueError: there is no such stream, or a world cannot be made.
    """

    def __init__(self, name: str, frames: int, *, seed: int, data_dir: str | None = None) -> None:
        group_name, kind = STREAMS[check_stream(name)]
        group, self._kind = GROUPS[group_name], KINDS[kind]
        rng = np.random.default_rng(seed)
        names = group.worlds + (group.with_data if data_dir is not None else ())
        self.visits = plan(names, self._kind, frames, rng)
        self._worlds: dict[str, Source] = {}
        learner = LearningPlayer(seed)
        with ExitStack() as opened:  # closes them again if one of them cannot be made
            for world in dict.fromkeys(visit.source for visit in self.visits):
                making = Making(seed, data_dir, rng.spawn(1)[0], learner)
                self._worlds[world] = group.make(world, making)
                opened.enter_context(closing(self._worlds[world]))
            self._open = opened.pop_all()
        self.channels = self._worlds[self.visits[0].source].channels

    def close(self) -> None:
        """Closes the worlds."""
        self._open.close()

    def chunks(self) -> Iterator[Frames]:
        """All frames in order, uint8 (n, 32, 32, C), `CHUNK` at a time."""
        waiting: list[Frames] = []
        for piece in self._pieces():
            waiting.append(piece)
            if sum(map(len, waiting)) == CHUNK:
                yield np.concatenate(waiting)
                waiting = []
        if waiting:
            yield np.concatenate(waiting)

    def _pieces(self) -> Iterator[Frames]:
        """Frames of one visit at a time that never reach over the end of a chunk."""
        before = None
        for visit in self.visits:
            at = visit.start
            while at < visit.end:
                end = min(visit.end, (at // CHUNK + 1) * CHUNK)
                new = self._sample(visit.source, end - at)
                share = (np.arange(at, end) - visit.start + 1) / max(self._kind.fade, 1)
                if before is not None and share[0] < 1 and self._kind.fade:
                    new = blend(self._sample(before, end - at), new, share)
                yield new
                at = end
            before = visit.source

    def _sample(self, world: str, n: int) -> Frames:
        frames = self._worlds[world].sample(n).frames
        if frames.shape[1] == SIZE:
            return frames
        return np.stack([fit(frame, SIZE, SIZE) for frame in frames])


def blend(old: Frames, new: Frames, share: npt.NDArray[np.float64]) -> Frames:
    """Frames (n, H, W, C) of which `share` (n,), at most 1, is new."""
    weight = np.minimum(share, 1.0)[:, None, None, None]
    return np.asarray(np.rint(old * (1 - weight) + new * weight), dtype=np.uint8)
