"""Worlds of the streams that detectors of shifts are shown: which there are, and who plays them.

Frames are 32×32, what the preset `compact` sees.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.wrappers import NormalizeObservation, NormalizeReward, TransformAction

from ..envs import Source, make_source
from ..envs.canvas import Images
from ..envs.ordered import WorldSource
from ..envs.worlds import make_world
from .learning_player import Filmed, Floats, LearningPlayer, LearningSource

SIZE = 32
"""Side of the frames."""
CANVAS = 64
"""Side of the canvas that sprites are drawn on before they are scaled down."""
REACH = "vase_rl/SpriteReach-v0"
STICKINESS = 0.75
"""Chance that a random player repeats its last action."""
FRAME_SKIP = 4
DOOM_SCREEN = "RES_160X120"
"""A third of the time of the usual 320×240."""
DOOM_ACTIONS = 4
DOOM_VARIABLES = 2
THUMBNAIL = 8
"""Side of the picture that PPO sees of ViZDoom."""


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
    learner: LearningPlayer
    """One for all worlds of the stream."""


@dataclass(frozen=True)
class Group:
    """Worlds that take turns.

    Attributes:
        worlds: names.
        make: the source of a name's frames.
        with_data: further worlds, where there is a folder of data sets.
    """

    worlds: tuple[str, ...]
    make: Callable[[str, Making], Source]
    with_data: tuple[str, ...] = ()


def _sprites(name: str, making: Making) -> Source:
    source = make_source(name, size=CANVAS, seed=making.seed, data_dir=making.data_dir)
    source.reset(making.rng)
    return source


def _sprite_reach(family: str, making: Making) -> dict[str, Any]:
    return dict(family=family, size=CANVAS, seed=making.seed, data_dir=making.data_dir)


def _reach(skill: float) -> Callable[[str, Making], Source]:
    """SpriteReach of a family under a player of that skill."""

    def make(family: str, making: Making) -> Source:
        player = ReachPlayer(making.rng, skill)
        arguments = _sprite_reach(family, making)
        return WorldSource(family, REACH, SIZE, making.rng, policy=player, env_kwargs=arguments)

    return make


def _reach_ppo(family: str, making: Making) -> Source:
    """SpriteReach of a family under PPO, which sees where the sprite and its target are."""
    env = make_world(REACH, **_sprite_reach(family, making))
    world = Filmed(env, SIZE, _places, spaces.Box(0, 1, (4,), np.float32))
    return LearningSource(family, world, making.learner)


def _places(frame: Images, observation: Any, info: dict[str, Any]) -> Floats:
    return np.concatenate([info["position"], info["target"]])


def _vizdoom(name: str, making: Making) -> Source:
    return WorldSource(
        name, f"Vizdoom{name}-v1", SIZE, making.rng,
        policy=StickyPlayer(making.rng), env_kwargs={"frame_skip": FRAME_SKIP},
    )  # fmt: skip


def _vizdoom_ppo(name: str, making: Making) -> Source:
    """A scenario under PPO, which sees a thumbnail and the game's variables.

    Observations and rewards are normalised in each world by itself: what matters in a thumbnail
    are small differences, and scenarios pay 1 or 100.
    """
    env = make_world(f"Vizdoom{name}-v1", frame_skip=FRAME_SKIP, screen_resolution=DOOM_SCREEN)
    # One agent presses the buttons of all scenarios: each has up to three, and "none".
    buttons = int(env.action_space.n)  # type: ignore[attr-defined]
    env = TransformAction(env, lambda action: action % buttons, spaces.Discrete(DOOM_ACTIONS))
    numbers = spaces.Box(0, 1, (THUMBNAIL**2 + DOOM_VARIABLES,), np.float32)
    world = NormalizeObservation(Filmed(NormalizeReward(env), SIZE, _thumbnail, numbers))
    return LearningSource(name, world, making.learner)


def _thumbnail(frame: Images, observation: Any, info: dict[str, Any]) -> Floats:
    cells = frame.reshape(THUMBNAIL, SIZE // THUMBNAIL, THUMBNAIL, SIZE // THUMBNAIL, -1)
    variables = np.zeros(DOOM_VARIABLES)
    # Ammunition and health, by the hundred.
    known = observation["gamevariables"][:DOOM_VARIABLES]
    variables[: len(known)] = np.clip(known / 100, 0, 1)
    return np.concatenate([cells.mean((1, 3, 4)).ravel() / 255, variables]).astype(np.float32)


def _atari(building: str, making: Making) -> Source:
    return WorldSource(
        building, "ALE/CrazyClimber-v5", SIZE, making.rng,
        policy=StickyPlayer(making.rng), env_kwargs={"mode": BUILDINGS[building]},
    )  # fmt: skip


def _miniworld(wall: str, making: Making) -> Source:
    source = WorldSource(
        wall, "MiniWorld-OneRoom-v0", SIZE, making.rng, policy=StickyPlayer(making.rng)
    )
    floor, ceiling = ROOMS[wall]
    room = source.env.unwrapped
    # MiniWorld has no option for it; every episode builds the room by this method.
    build = room.add_rect_room  # type: ignore[attr-defined]
    textures = dict(wall_tex=wall, floor_tex=floor, ceil_tex=ceiling)
    room.add_rect_room = partial(build, **textures)  # type: ignore[attr-defined]
    return source


SPRITES = ("moving-garments", "glyphs", "moving-glyphs", "garments", "inverted-garments")
SPRITES_READ = (
    "moving-fashion", "mnist", "moving-mnist", "fashion", "inverted-fashion",
)  # fmt: skip
FAMILIES, FAMILIES_READ = ("garments", "glyphs"), ("mnist", "fashion")
SCENARIOS = ("Basic", "HealthGathering", "TakeCover", "DefendCenter")
BUILDINGS = {"blue": 0, "brown": 1, "green": 3}
"""Houses of Crazy Climber, to the mode of the game that has them (2 looks like 0)."""
ROOMS = {
    "concrete": ("floor_tiles_bw", "concrete_tiles"),
    "brick_wall": ("asphalt", "rock"),
    "wood": ("grass", "drywall"),
    "lava": ("water", "marble"),
}
"""MiniWorld's texture of the walls to those of floor and ceiling."""
GROUPS = {
    "sprites": Group(SPRITES, _sprites, SPRITES_READ),
    "reach-random": Group(FAMILIES, _reach(0.0), FAMILIES_READ),
    "reach-ppo": Group(FAMILIES, _reach_ppo, FAMILIES_READ),
    "reach-trained": Group(FAMILIES, _reach(1.0), FAMILIES_READ),
    "vizdoom": Group(SCENARIOS, _vizdoom),
    "vizdoom-ppo": Group(SCENARIOS, _vizdoom_ppo),
    "vizdoom-maze": Group((*SCENARIOS, "MyWayHome"), _vizdoom),
    "atari": Group(tuple(BUILDINGS), _atari),
    "miniworld": Group(tuple(ROOMS), _miniworld),
}
