"""`vase_rl/SpriteReach-v0`: move a sprite to a target place by two-dimensional translations."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import gymnasium
import numpy as np
import numpy.typing as npt
from gymnasium import spaces

from .canvas import Floats, Images, check_size, paste, show, sprite_side, to_pixels
from .families import check_family, load_bank
from .stream import check_render_mode

REWARD_SCALE = 5.0
SUCCESS_BONUS = 1.0
BACKDROP = (20, 26, 44)
RING_COLOUR = (255, 176, 32)
DONE_COLOUR = (80, 220, 120)


class SpriteReach(gymnasium.Env[Images, Floats]):
    """Move the sprite to a place that the frames never show.

    Observation: uint8 (size, size, 1), the sprite alone; the target is drawn by `render` only.
    Action: float32 (2,) in [-1, 1], the translation to the right and downwards in units of
    `step_size`; sprites stop at the sides. Positions are the sprite's top left as x and y in
    [0, 1] of its range; the frame shows them to the nearest pixel.

    Reward: `5 * (distance before - distance after)`, and 1 more on success. The episode ends when
    the distance to the target is at most `success_radius`; `gymnasium.make` truncates it after
    30 steps. Sprite and start position are drawn anew by `reset`, the start outside that radius.

    `info`: `success`, `distance` (in parts of the range), `position` and `target` (float32 (2,)),
    `family`, `class`.

    `reset(options=...)` takes `family` (another family of sprites, of the same seed and split)
    and `target`; both stay until they are changed again.

    Args:
        family: `garments`, `glyphs`, `mnist` or `fashion`.
        target: x and y in [0, 1].
        size: side of the canvas in pixels, at least 16.
        step_size: longest step along an axis, in (0, 1] of the range.
        success_radius: in (0, 0.5] of the range.
        data_dir, seed, split: which sprites there are, as in `make_source`.
        render_mode: None or `"rgb_array"`: an enlarged picture with the target as a ring around
            the place of the sprite's centre.

    Raises:
        ValueError: an argument or option breaks its rule; the message names it.
        DataError: (a ValueError) the data files of the family are missing or damaged.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 10}  # noqa: RUF012

    def __init__(
        self,
        family: str = "garments",
        target: tuple[float, float] = (0.75, 0.25),
        *,
        size: int = 64,
        step_size: float = 0.1,
        success_radius: float = 0.1,
        data_dir: str | Path | None = None,
        seed: int = 0,
        split: str = "train",
        render_mode: str | None = None,
    ) -> None:
        self.size = check_size(size)
        self.step_size = _check_number("step_size", step_size, 1.0)
        self.success_radius = _check_number("success_radius", success_radius, 0.5)
        self.target = _check_target(target)
        self.render_mode = check_render_mode(render_mode)
        self._data_dir, self._seed, self._split = data_dir, seed, split
        self._choose_family(family)
        self.observation_space = spaces.Box(0, 255, (self.size, self.size, 1), np.uint8)
        self.action_space = spaces.Box(-1, 1, (2,), np.float32)
        self.position: npt.NDArray[np.float64] | None = None

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Images, dict[str, Any]]:
        """Draws a sprite and a start position; `options` may hold `family` and `target`."""
        super().reset(seed=seed)
        self._apply(options or {})
        self._index = int(self.np_random.integers(len(self._bank)))
        self.position = self.np_random.uniform(0, 1, 2)
        while self._distance() <= self.success_radius:
            self.position = self.np_random.uniform(0, 1, 2)
        return self._observe()

    def step(self, action: Floats) -> tuple[Images, float, bool, bool, dict[str, Any]]:
        """Moves the sprite by `step_size * action`; actions are clipped to [-1, 1]."""
        if self.position is None:
            raise gymnasium.error.ResetNeeded("SpriteReach has no sprite yet: call reset()")
        move = np.asarray(action, dtype=np.float64)
        if move.shape != (2,) or not np.isfinite(move).all():
            raise ValueError(f"action must be 2 finite numbers, got {action!r}")
        before = self._distance()
        self.position = np.clip(self.position + self.step_size * np.clip(move, -1, 1), 0, 1)
        after = self._distance()
        success = after <= self.success_radius
        reward = REWARD_SCALE * (before - after) + SUCCESS_BONUS * success
        observation, info = self._observe()
        return observation, reward, success, False, info

    def render(self) -> Images | None:
        """An RGB picture of about 256 pixels square with the target as a ring."""
        if self.render_mode is None or self.position is None:
            return None
        picture = _tint(show(self._frame()))
        scale = picture.shape[0] / self.size
        side = sprite_side(self.size)
        centre = (self.target * (self.size - side) + side / 2) * scale
        radius = self.success_radius * (self.size - side) * scale
        colour = DONE_COLOUR if self._distance() <= self.success_radius else RING_COLOUR
        middle = (self.position * (self.size - side) + side / 2) * scale
        _circle(picture, centre, radius, colour, 2)
        _circle(picture, middle, 3, colour, -1)
        return picture

    def _apply(self, options: dict[str, Any]) -> None:
        """Checks every option before the first takes effect."""
        unknown = sorted(set(options) - {"family", "target"})
        if unknown:
            raise ValueError(f"options of reset must be among family, target, got {unknown}")
        target = _check_target(options["target"]) if "target" in options else self.target
        if "family" in options:
            self._choose_family(options["family"])
        self.target = target

    def _choose_family(self, family: str) -> None:
        self._bank = load_bank(
            check_family(family),
            sprite_side(self.size),
            seed=self._seed,
            split=self._split,
            data_dir=self._data_dir,
        )
        self.family = family

    def _distance(self) -> float:
        assert self.position is not None
        return float(np.linalg.norm(self.position - self.target))

    def _frame(self) -> Images:
        assert self.position is not None
        sprite = self._bank.images[np.array([self._index])]
        frames = paste(sprite, to_pixels(self.position[None], self.size), self.size)
        return frames.reshape(self.observation_space.shape)

    def _observe(self) -> tuple[Images, dict[str, Any]]:
        assert self.position is not None
        distance = self._distance()
        info = {
            "success": distance <= self.success_radius,
            "distance": distance,
            "position": self.position.astype(np.float32),
            "target": self.target.astype(np.float32),
            "family": self.family,
            "class": int(self._bank.factors["class"][self._index]),
        }
        return self._frame(), info


def _check_number(name: str, value: float, most: float) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value <= most:
        raise ValueError(f"{name} must be a number above 0 and at most {most}, got {value!r}")
    return float(value)


def _check_target(target: Any) -> npt.NDArray[np.float64]:
    try:
        place = np.array(target, dtype=np.float64)
    except (TypeError, ValueError):
        place = np.empty(0)
    if place.shape != (2,) or not ((place >= 0) & (place <= 1)).all():
        raise ValueError(f"target must be two numbers x, y in [0, 1], got {target!r}")
    return place


def _tint(picture: Images) -> Images:
    """Lifts black to the backdrop's colour and keeps white."""
    backdrop = np.array(BACKDROP)
    return np.asarray(backdrop + (255 - backdrop) / 255 * picture, dtype=np.uint8)


def _circle(
    picture: Images,
    centre: npt.NDArray[np.float64],
    radius: float,
    colour: tuple[int, int, int],
    thickness: int,
) -> None:
    bits = 4
    x, y = np.rint(centre * 2**bits).astype(int).tolist()
    cv2.circle(picture, (x, y), round(radius * 2**bits), colour, thickness, cv2.LINE_AA, bits)
