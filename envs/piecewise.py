"""`vase_rl/PiecewiseStationary-v0`: whole environments one after the other, under one interface."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, SupportsFloat

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.error import ResetNeeded

from .canvas import Images, check_size, show
from .screens import Screen
from .stream import check_render_mode
from .trajectories.preparation import prepare
from .worlds import make_world

Make = str | Callable[[], gymnasium.Env[Any, Any]]
Schedule = int | Sequence[int] | Sequence[tuple[int, int]]
SEEDS = 2**31


@dataclass(frozen=True)
class Stretch:
    """So many steps in the world of this index."""

    world: int
    steps: int


class PiecewiseStationary(gymnasium.Env[Images, Any]):
    """Worlds that take turns, for continual reinforcement learning.

    Each stretch of the schedule lasts exactly as many steps as it says: the episode that it ends
    in is cut off (`truncated`), and the next `reset` is in the next world. After the last stretch
    comes the first again. Worlds keep their state in between, and `reset(seed=...)` seeds all of
    them but does not start the schedule again; a new environment does.

    Observation: uint8 (size, size, C), the world's picture resized by area; grey (C = 1) unless a
    world is coloured. `info["world"]` is the index of the world that the frame comes from, the
    truth, which is not in the observation; the rest of `info` is the world's.

    Args:
        worlds: names of Gymnasium environments (`make_world`), or functions that make one.
        schedule: steps per world, one number for all or one for each; or pairs of a world's index
            and steps, in any order and number: `[(0, 5000), (1, 5000), (0, 2000)]`.
        size: side of the frames in pixels, at least 16.
        render_mode: None or `"rgb_array"`, an enlarged frame.

    Raises:
        TypeError: `worlds` is not a sequence of names and functions.
        ValueError: an argument breaks its rule, the worlds' actions differ, or one of them has no
            picture or needs a library that is missing.
        gymnasium.error.Error: no environment of that name.

    Example:
        >>> from vase_rl.envs import PiecewiseStationary
        >>> sprites = ["vase_rl/SpriteReach-v0", "vase_rl/SpriteReach-v0"]
        >>> env = PiecewiseStationary(sprites, [(0, 300), (1, 200), (0, 100)])
        >>> env.observation_space.shape
        (64, 64, 1)
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 30}  # noqa: RUF012

    def __init__(
        self,
        worlds: Sequence[Make],
        schedule: Schedule = 10_000,
        *,
        size: int = 64,
        render_mode: str | None = None,
    ) -> None:
        _check_worlds(worlds)
        self.schedule = parse_schedule(schedule, len(worlds))
        self.size = check_size(size)
        self.render_mode = check_render_mode(render_mode)
        self._worlds = [make_world(make) if isinstance(make, str) else make() for make in worlds]
        self._screens = [_screen(make, env) for make, env in zip(worlds, self._worlds, strict=True)]
        self.action_space = _common_actions(worlds, self._worlds)
        self.channels = max(screen.shape[2] for screen in self._screens)
        self.observation_space = spaces.Box(0, 255, (size, size, self.channels), np.uint8)
        self._seeds: list[int | None] = [None] * len(worlds)
        self._stretch, self._left = 0, self.schedule[0].steps
        self._frame: Images | None = None
        self._over = True

    @property
    def world(self) -> int:
        """Index of the world that the next `reset` leads to, or that the episode is in."""
        return self.schedule[self._stretch].world

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Images, dict[str, Any]]:
        """A new episode in the world whose turn it is; `options` are handed to it."""
        super().reset(seed=seed)
        if seed is not None:
            self._seeds = [int(self.np_random.integers(SEEDS)) for _ in self._worlds]
        world_seed, self._seeds[self.world] = self._seeds[self.world], None
        observation, info = self._worlds[self.world].reset(seed=world_seed, options=options)
        self._over = False
        return self._see(self.world, observation), {**info, "world": self.world}

    def step(self, action: Any) -> tuple[Images, SupportsFloat, bool, bool, dict[str, Any]]:
        """A step of the present world, cut off with the last one of its stretch."""
        if self._over:
            raise ResetNeeded("PiecewiseStationary is between two episodes: call reset()")
        world = self.world
        observation, reward, terminated, truncated, info = self._worlds[world].step(action)
        self._left -= 1
        if not self._left:
            truncated = truncated or not terminated
            self._stretch = (self._stretch + 1) % len(self.schedule)
            self._left = self.schedule[self._stretch].steps
        self._over = bool(terminated or truncated)
        return (
            self._see(world, observation), reward, bool(terminated), bool(truncated),
            {**info, "world": world},
        )  # fmt: skip

    def render(self) -> Images | None:
        """The frame as an RGB picture of about 256 pixels square."""
        return None if self.render_mode is None or self._frame is None else show(self._frame)

    def close(self) -> None:
        """Closes all worlds."""
        for world in self._worlds:
            world.close()

    def _see(self, world: int, observation: Any) -> Images:
        picture = self._screens[world].read(observation)[None]
        frame: Images = prepare(picture, self.size, crop="none", channels=self.channels)[0]
        self._frame = frame.copy()
        return frame


def parse_schedule(schedule: Schedule, worlds: int) -> tuple[Stretch, ...]:
    """The stretches of a schedule for so many worlds.

    Raises:
        ValueError: it is none of what `PiecewiseStationary` takes.
    """
    pairs = _pairs(schedule, worlds)
    fit = [pair for pair in pairs if _is_stretch(pair, worlds)]
    if not pairs or len(fit) < len(pairs):
        raise ValueError(
            f"schedule must be a positive number of steps, one for each of {worlds} worlds, or "
            f"pairs of an index below {worlds} and a positive number of steps, got {schedule!r}"
        )
    return tuple(Stretch(int(world), int(steps)) for world, steps in fit)


def _pairs(schedule: Any, worlds: int) -> list[Any]:
    if isinstance(schedule, (int, np.integer)):
        return [(world, schedule) for world in range(worlds)]
    if not isinstance(schedule, Sequence):
        return []
    if len(schedule) == worlds and not any(isinstance(part, Sequence) for part in schedule):
        return list(enumerate(schedule))
    return list(schedule)


def _is_stretch(pair: Any, worlds: int) -> bool:
    if not isinstance(pair, Sequence) or len(pair) != 2:
        return False
    whole = all(isinstance(n, (int, np.integer)) and not isinstance(n, bool) for n in pair)
    return whole and 0 <= pair[0] < worlds and pair[1] >= 1


def _check_worlds(worlds: Any) -> None:
    if isinstance(worlds, str) or not isinstance(worlds, Sequence):
        raise TypeError(f"worlds must be a sequence of names and functions, got {worlds!r}")
    for make in worlds:
        if not isinstance(make, str) and not callable(make):
            raise TypeError(f"worlds must be names or functions that make one, got {make!r}")
    if not worlds:
        raise ValueError("worlds must name at least one environment, got none")


def _screen(make: Make, env: gymnasium.Env[Any, Any]) -> Screen:
    try:
        return Screen(env.observation_space)
    except ValueError as error:
        raise ValueError(f"world {make}: {error}") from error


def _common_actions(
    makes: Sequence[Make], worlds: list[gymnasium.Env[Any, Any]]
) -> spaces.Space[Any]:
    first = worlds[0].action_space
    for make, world in zip(makes, worlds, strict=True):
        if world.action_space != first:
            raise ValueError(
                f"worlds must have equal action spaces, got {first} in {makes[0]} and "
                f"{world.action_space} in {make}"
            )
    return first
