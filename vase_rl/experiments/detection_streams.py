"""Streams with known switches, for detectors: which worlds, how played, how they take turns.

Frames are 32×32, what the preset `compact` sees. A stream is called GROUP (its visits end
abruptly), or GROUP-KIND.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np
import numpy.typing as npt

from ..envs import Source, make_source
from ..envs.ordered import WorldSource
from ..envs.screens import fit
from .onlooker import Frames
from .scoring import Visit

SIZE = 32
"""Side of the frames."""
CANVAS = 64
"""Side of the canvas that sprites are drawn on before they are scaled down."""
REACH = "vase_rl/SpriteReach-v0"
CHUNK = 64
STICKINESS = 0.75
"""Chance that a random player repeats its last action."""
FRAME_SKIP = 4


class StickyPlayer:
    """Random actions that last: each is repeated with chance `STICKINESS`."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self._action: Any = None

    def __call__(self, env: gymnasium.Env[Any, Any], info: dict[str, Any]) -> Any:
        """The next action."""
        if self._action is None or self._rng.random() >= STICKINESS:
            self._action = env.action_space.sample()
        return self._action


class ReachPlayer:
    """A scripted player of `vase_rl/SpriteReach-v0`, in place of one that learns.

    With chance `skill` it goes straight at the target, otherwise it acts at random.
    """

    def __init__(self, rng: np.random.Generator, skill: float) -> None:
        self._rng, self.skill = rng, skill

    def __call__(self, env: gymnasium.Env[Any, Any], info: dict[str, Any]) -> Any:
        """The next action."""
        if self._rng.random() >= self.skill:
            return env.action_space.sample()
        step = env.get_wrapper_attr("step_size")
        way = (info["target"] - info["position"]) / step
        return np.clip(way, -1, 1).astype(np.float32)


@dataclass(frozen=True)
class Making:
    """What the worlds of a stream are made with."""

    seed: int
    data_dir: str | None
    rng: np.random.Generator


@dataclass(frozen=True)
class World:
    """A source of frames, and who plays it where that one gets better."""

    source: Source
    learner: ReachPlayer | None = None


@dataclass(frozen=True)
class Group:
    """Worlds that take turns.

    Attributes:
        worlds: names.
        make: the world of a name.
        with_data: further worlds, where there is a folder of data sets.
    """

    worlds: tuple[str, ...]
    make: Callable[[str, Making], World]
    with_data: tuple[str, ...] = ()


@dataclass(frozen=True)
class Kind:
    """How worlds take turns.

    Attributes:
        shortest, longest: frames of a visit; None: one visit for all of the stream.
        fade: frames over which a world takes the place of the one before.
    """

    shortest: int | None = 3000
    longest: int = 8000
    fade: int = 0


def _sprites(name: str, making: Making) -> World:
    source = make_source(name, size=CANVAS, seed=making.seed, data_dir=making.data_dir)
    source.reset(making.rng)
    return World(source)


def _reach(skill: float | None) -> Callable[[str, Making], World]:
    """SpriteReach of a family under a player of that skill, or of one that gets better."""

    def make(family: str, making: Making) -> World:
        player = ReachPlayer(making.rng, skill or 0.0)
        arguments = dict(family=family, size=CANVAS, seed=making.seed, data_dir=making.data_dir)
        source = WorldSource(family, REACH, SIZE, making.rng, policy=player, env_kwargs=arguments)
        return World(source, player if skill is None else None)

    return make


def _vizdoom(name: str, making: Making) -> World:
    source = WorldSource(
        name, f"Vizdoom{name}-v1", SIZE, making.rng,
        policy=StickyPlayer(making.rng), env_kwargs={"frame_skip": FRAME_SKIP},
    )  # fmt: skip
    return World(source)


SPRITES = ("moving-garments", "glyphs", "moving-glyphs", "garments", "inverted-garments")
SPRITES_READ = (
    "moving-fashion", "mnist", "moving-mnist", "fashion", "inverted-fashion",
)  # fmt: skip
SCENARIOS = ("Basic", "HealthGathering", "TakeCover", "DefendCenter")
GROUPS = {
    "sprites": Group(SPRITES, _sprites, SPRITES_READ),
    "reach-random": Group(("garments", "glyphs"), _reach(0.0), ("mnist", "fashion")),
    "reach-learning": Group(("garments", "glyphs"), _reach(None), ("mnist", "fashion")),
    "reach-trained": Group(("garments", "glyphs"), _reach(1.0), ("mnist", "fashion")),
    "vizdoom": Group(SCENARIOS, _vizdoom),
    "vizdoom-maze": Group((*SCENARIOS, "MyWayHome"), _vizdoom),
}
KINDS = {
    "abrupt": Kind(),
    "gradual": Kind(fade=1000),
    "short": Kind(500, 1000),
    "still": Kind(None),
}
STREAMS = {
    group if kind == "abrupt" else f"{group}-{kind}": (group, kind)
    for group in GROUPS
    for kind in KINDS
}
"""Name of a stream to its group and kind."""


def plan(worlds: tuple[str, ...], kind: Kind, frames: int, rng: np.random.Generator) -> list[Visit]:
    """Visits of random length to worlds drawn at random, never the same twice in a row."""
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
        if name not in STREAMS:
            raise ValueError(f"--streams must be among {', '.join(STREAMS)}, got {name!r}")
        group_name, kind = STREAMS[name]
        group, self._kind, self._frames = GROUPS[group_name], KINDS[kind], frames
        rng = np.random.default_rng(seed)
        names = group.worlds + (group.with_data if data_dir is not None else ())
        self.visits = plan(names, self._kind, frames, rng)
        self._open = ExitStack()
        self._worlds: dict[str, World] = {}
        for world in dict.fromkeys(visit.source for visit in self.visits):
            making = Making(seed, data_dir, rng.spawn(1)[0])
            self._worlds[world] = group.make(world, making)
            self._open.enter_context(closing(self._worlds[world].source))
        self.channels = self._worlds[self.visits[0].source].source.channels

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
                new = self._sample(visit.source, at, end)
                share = (np.arange(at, end) - visit.start + 1) / max(self._kind.fade, 1)
                if before is not None and share[0] < 1 and self._kind.fade:
                    new = blend(self._sample(before, at, end), new, share)
                yield new
                at = end
            before = visit.source

    def _sample(self, world: str, start: int, end: int) -> Frames:
        played = self._worlds[world]
        if played.learner is not None:
            played.learner.skill = start / self._frames
        frames = played.source.sample(end - start).frames
        if frames.shape[1] == SIZE:
            return frames
        return np.stack([fit(frame, SIZE, SIZE) for frame in frames])


def blend(old: Frames, new: Frames, share: npt.NDArray[np.float64]) -> Frames:
    """Frames (n, H, W, C) of which `share` (n,), at most 1, is new."""
    weight = np.minimum(share, 1.0)[:, None, None, None]
    return np.asarray(np.rint(old * (1 - weight) + new * weight), dtype=np.uint8)
