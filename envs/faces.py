"""Drawn faces, turned to the side and lit from it, like CelebA in spirit."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from .canvas import SpriteBank

Points = npt.NDArray[np.float64]
Picture = npt.NDArray[np.float32]
Factors = dict[str, npt.NDArray[np.generic]]

HAIR_STYLES = ("bald", "short", "fringe", "long", "curls")
CANVAS = 112
SUBPIXEL_BITS = 4
TURN = 0.5
"""Radians by which a head with `yaw` 1 is turned: about 29 degrees."""
TOP, CHIN, EYES, NOSE, MOUTH = 0.12, 0.93, 0.45, 0.62, 0.77
"""Heights in the frame, 0 at its top. A head is about as large as on CelebA's patch."""
NOTHING = -1.0
"""Tone of a pixel that shows neither head nor shoulders."""
BLACK, WHITE = 0.06, 1.0

# Lowest and highest value of each factor that varies evenly.
RANGES = {
    "yaw": (-1, 1),
    "light": (-1, 1),
    "background": (0, 1),
    "skin": (0.45, 0.95),
    "hair": (0.05, 0.75),
    "width": (0.26, 0.35),
    "jaw": (0, 1),
    "eye_size": (0.04, 0.075),
    "eye_distance": (0.105, 0.175),
    "mouth_curve": (-1, 1),
    "mouth_open": (0, 1),
}


def draw_faces(count: int, side: int, rng: np.random.Generator) -> SpriteBank:
    """Draws `count` faces that fill frames of `side` pixels.

    Factors, as shares of the frame or of the whole range of grey unless said otherwise:
    `class` (index into `HAIR_STYLES`), `glasses` (0 or 1), `yaw` (-1 to 1, turned by `TURN`
    radians at 1, towards the right of the frame), `light` (-1 to 1, where it comes from),
    `background`, `skin` and `hair` (brightness), `width` (half the head's), `jaw` (0 pointed,
    1 broad), `eye_size` (half an eye's width), `eye_distance` (from the middle of the face),
    `mouth_curve` (-1 corners down, 1 a smile) and `mouth_open` (0 to 1). The evenly varying ones
    lie within `RANGES`.
    """
    factors: Factors = {
        "class": rng.integers(len(HAIR_STYLES), size=count),
        "glasses": rng.integers(2, size=count),
    }
    for name, (low, high) in RANGES.items():
        factors[name] = rng.uniform(low, high, count).astype(np.float32)
    canvas = max(CANVAS, 2 * side)
    images = np.empty((count, side, side), np.uint8)
    for index in range(count):
        drawn = {name: values[index].item() for name, values in factors.items()}
        picture = _draw(drawn, canvas)
        small = cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA)
        images[index] = np.rint(255 * small)
    return SpriteBank(images, factors)


def _draw(drawn: dict[str, float], canvas: int) -> Picture:
    """One face, (canvas, canvas) with values in [0, 1]."""
    head = _Head(drawn, np.full((canvas, canvas), NOTHING, np.float32))
    style = HAIR_STYLES[int(drawn["class"])]
    _hair_behind(head, style)
    _shoulders(head)
    _skull(head)
    _hair_in_front(head, style)
    for right in (-1, 1):
        _eye(head, right)
    _nose(head)
    _mouth(head)
    if drawn["glasses"]:
        _glasses(head)
    ramp = np.linspace(-1, 1, canvas, dtype=np.float32)
    lit = np.clip(head.tones * (1 + 0.35 * drawn["light"] * ramp), 0, 1)
    return np.where(head.tones == NOTHING, np.float32(drawn["background"]), lit)


@dataclass(frozen=True)
class _Head:
    """What is drawn so far, and where the parts of the face that is drawn lie.

    A point of a face is (x, y, z): x to the right and z towards the viewer from the head's axis,
    y downwards from the top of the frame; in parts of the frame's side.
    """

    drawn: dict[str, float]
    tones: Picture

    @property
    def skin(self) -> float:
        return self.drawn["skin"]

    @property
    def angle(self) -> float:
        return TURN * self.drawn["yaw"]

    def place(self, x: float, z: float) -> float:
        """Where a point is seen, from the left of the frame."""
        return 0.5 + x * math.cos(self.angle) + z * math.sin(self.angle)

    def narrowing(self, x: float, z: float) -> float:
        """Width of something that lies flat on the head there, as a share of its true width."""
        return max(0.35, math.cos(self.angle + math.atan2(x, z)))

    def fill(self, outline: Points, tone: float) -> None:
        cv2.fillPoly(self.tones, [self._fixed(outline)], tone, cv2.LINE_8, SUBPIXEL_BITS)

    def stroke(self, line: Points, width: float, tone: float, closed: bool = False) -> None:
        thickness = max(1, round(width * len(self.tones)))
        fixed = [self._fixed(line)]
        cv2.polylines(self.tones, fixed, closed, tone, thickness, cv2.LINE_8, SUBPIXEL_BITS)

    def _fixed(self, points: Points) -> npt.NDArray[np.int32]:
        scaled = points * len(self.tones) - 0.5
        return np.asarray(np.rint(scaled * 2**SUBPIXEL_BITS), np.int32)


def _oval(x: float, y: float, width: float, height: float) -> Points:
    """An ellipse by its middle and half its width and height."""
    angles = np.linspace(0, 2 * np.pi, 41)[:-1]
    return np.stack([x + width * np.cos(angles), y + height * np.sin(angles)], axis=1)


def _bow(x: float, y: float, width: float, bend: float) -> Points:
    """A parabola through (x ± width, y) whose middle lies `bend` below."""
    steps = np.linspace(-1, 1, 13)
    return np.stack([x + width * steps, y + bend * (1 - steps**2)], axis=1)


def _outline(head: _Head, grow: float = 0.0) -> Points:
    """The head's silhouette: round above, and below the cheeks as pointed as the jaw is."""
    angles = np.linspace(0, 2 * np.pi, 61)[:-1]
    across, down = np.cos(angles), np.sin(angles)
    middle, width = (TOP + CHIN) / 2, head.drawn["width"] + grow
    height = (CHIN - TOP) / 2 + grow
    taper = 1 - (0.5 - 0.65 * head.drawn["jaw"]) * np.clip(down, 0, 1)
    shift = 0.03 * math.sin(head.angle)
    return np.stack([0.5 + shift + width * across * taper, middle + height * down], axis=1)


def _hair_behind(head: _Head, style: str) -> None:
    x, width, tone = head.place(0, -0.08), head.drawn["width"], head.drawn["hair"]
    if style == "long":
        head.fill(_oval(x, 0.42, width + 0.11, 0.4), tone)
        below = [(-1.0, 0.42), (1.0, 0.42), (1.08, 1.02), (-1.08, 1.02)]
        head.fill(np.array([(x + s * (width + 0.11), y) for s, y in below]), tone)
    elif style == "curls":
        for angle in np.linspace(-1.15 * np.pi, 0.15 * np.pi, 15):
            across, down = (width + 0.06) * math.cos(angle), 0.36 * math.sin(angle)
            head.fill(_oval(x + across, 0.44 + down, 0.1, 0.1), tone)
    elif style != "bald":
        head.fill(_oval(x, 0.4, width + 0.05, 0.36), tone)


def _shoulders(head: _Head) -> None:
    neck = 0.6 * head.drawn["width"]
    head.fill(_oval(0.5, 1.1, 0.5, 0.19), 0.3)
    head.fill(np.array([(0.5 - neck, 0.7), (0.5 + neck, 0.7), (0.5 + neck, 1.0),
                        (0.5 - neck, 1.0)]), 0.72 * head.skin)  # fmt: skip


def _skull(head: _Head) -> None:
    width = head.drawn["width"]
    for right in (-1, 1):
        ear = head.place(right * (width + 0.015), -0.03)
        head.fill(_oval(ear, 0.53, 0.045, 0.08), 0.85 * head.skin)
    head.fill(_outline(head), head.skin)


def _hair_in_front(head: _Head, style: str) -> None:
    """Hair above a line across the forehead: high, or low for a fringe."""
    if style == "bald":
        return
    scalp = _outline(head, 0.025)
    line = {"fringe": 0.34, "long": 0.27, "curls": 0.24}.get(style, 0.22)
    parting = head.place(0.1 if style == "long" else 0.0, 0.25)
    bend = {"fringe": 0.02, "long": -0.13}.get(style, -0.05)
    above = scalp[scalp[:, 1] < line]
    left, right = above[:, 0].min(), above[:, 0].max()
    steps = np.linspace(0, 1, 15)
    across = right + (left - right) * steps
    hump = np.interp(across, [left, parting, right], [0.0, 1.0, 0.0])
    edge = np.stack([across, line + bend * hump], axis=1)
    above = above[np.argsort(above[:, 0])]
    head.fill(np.concatenate([above, edge]), head.drawn["hair"])


def _eye(head: _Head, right: int) -> None:
    size, away = head.drawn["eye_size"], right * head.drawn["eye_distance"]
    x, narrow = head.place(away, 0.24), head.narrowing(away, 0.3)
    brow = _bow(x, EYES - 0.07 - 0.4 * size, (size + 0.025) * narrow, -0.022)
    head.stroke(brow, 0.028, 0.6 * min(head.drawn["hair"], head.skin))
    lid = _oval(x, EYES, (size + 0.012) * narrow, 0.62 * size + 0.012)
    head.fill(lid, 0.6 * head.skin)
    head.fill(_oval(x, EYES, size * narrow, 0.62 * size), WHITE)
    pupil = 0.55 * size
    head.fill(_oval(x + 0.012 * math.sin(head.angle), EYES, pupil * narrow, pupil), BLACK)


def _nose(head: _Head) -> None:
    bridge, tip = head.place(0, 0.27), head.place(0, 0.37)
    shade = 0.7 * head.skin
    side = -1 if head.drawn["yaw"] > 0 else 1
    ridge = np.array([(bridge + side * 0.02, EYES + 0.03), (tip + side * 0.045, NOSE)])
    head.stroke(ridge, 0.016, 0.82 * head.skin)
    head.stroke(_bow(tip, NOSE, 0.05, 0.028), 0.022, shade)


def _mouth(head: _Head) -> None:
    curve, opened = 0.05 * head.drawn["mouth_curve"], 0.075 * head.drawn["mouth_open"]
    x, narrow = head.place(0, 0.28), head.narrowing(0, 0.28)
    width = (0.105 + 0.02 * head.drawn["mouth_curve"] - 0.02 * head.drawn["mouth_open"]) * narrow
    y = MOUTH - curve / 2 - opened / 2
    upper, lower = _bow(x, y, width, curve), _bow(x, y, width, curve + 2 * opened)
    inside = np.concatenate([upper, lower[::-1]])
    head.fill(inside, BLACK)
    teeth = _bow(x, y, width, curve + 0.7 * opened)
    head.fill(np.concatenate([upper, teeth[::-1]]), 0.92)
    head.stroke(inside, 0.026, 0.5 * head.skin, closed=True)


def _glasses(head: _Head) -> None:
    away, radius = head.drawn["eye_distance"], 0.095
    rims = []
    for right in (-1, 1):
        x, narrow = head.place(right * away, 0.28), head.narrowing(right * away, 0.3)
        head.stroke(_oval(x, EYES + 0.01, radius * narrow, radius * 0.9), 0.024, BLACK, True)
        temple = head.place(right * (head.drawn["width"] + 0.01), 0.0)
        end = x + right * radius * narrow
        if right * (temple - end) > 0:
            head.stroke(np.array([(end, EYES), (temple, EYES - 0.01)]), 0.024, BLACK)
        rims.append(x - right * radius * narrow)
    head.stroke(np.array([(rims[0], EYES), (rims[1], EYES)]), 0.024, BLACK)
