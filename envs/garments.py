"""Ten classes of filled, textured silhouettes, like Fashion-MNIST in spirit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from .canvas import SpriteBank

Points = npt.NDArray[np.float64]
Picture = npt.NDArray[np.float32]
Placement = Callable[[Points], npt.NDArray[np.int32]]

CLASSES = (
    "t-shirt", "trousers", "pullover", "dress", "coat",
    "sandal", "shirt", "trainer", "bag", "boot",
)  # fmt: skip
TEXTURES = ("plain", "horizontal stripes", "vertical stripes", "checks", "dots", "noise", "fade")
CANVAS = 112
SUBPIXEL_BITS = 4


@dataclass
class Outline:
    """A garment in the unit square, x to the right and y downwards.

    Attributes:
        fills: polygons that are filled with the texture.
        holes: polygons that are cut out again.
        straps: polylines with their width, filled like the polygons.
        bands: polygons whose texture is multiplied by a level.
        seams: polylines with their width; their texture is multiplied by a level.
    """

    fills: list[Points]
    holes: list[Points] = field(default_factory=list)
    straps: list[tuple[Points, float]] = field(default_factory=list)
    bands: list[tuple[Points, float]] = field(default_factory=list)
    seams: list[tuple[Points, float, float]] = field(default_factory=list)


def _path(*points: tuple[float, float]) -> Points:
    return np.array(points)


def _mirror(*right: tuple[float, float]) -> Points:
    """A closed outline from its right half, given from top to bottom."""
    half = np.array(right)
    return np.vstack([half, np.array([1, 0]) + half[::-1] * np.array([-1, 1])])


def _soft(points: Points, rounds: int = 2, reach: float = 0.06) -> Points:
    """Rounds the corners of a polygon: Chaikin's corner cutting, at most `reach` of each edge."""
    for _ in range(rounds):
        edges = np.concatenate([points[1:], points[:1]]) - points
        lengths = np.sqrt((edges**2).sum(axis=1, keepdims=True))
        cuts = edges * np.minimum(0.25, reach / np.maximum(lengths, 1e-9))
        points = np.stack([points + cuts, points + edges - cuts], axis=1).reshape(-1, 2)
    return points


def _neck(half: float, depth: float) -> Points:
    return _soft(_mirror((0.5 + half, -0.05), (0.5 + half * 0.9, depth * 0.5), (0.5, depth)))


def _top(cut: float, shape: Points, sleeve: float, hem: float) -> Outline:
    """A garment with two sleeves; `sleeve` is their length, `hem` half the width below."""
    shoulder, cuff, neck = 0.27 + 0.04 * shape[0], 0.11 + 0.05 * shape[1], 0.12 + 0.05 * shape[2]
    spread = 0.5 - shoulder
    end_x, end_y = 0.98 - 0.06 * sleeve, 0.12 + 0.82 * sleeve
    inner_x = end_x - cuff * (0.55 + 0.45 * sleeve) - 0.02
    body = _soft(
        _mirror((0.5 + neck, 0.02), (0.5 + shoulder, 0.07), (0.5 + hem, 0.45), (0.5 + hem, 0.98)), 1
    )
    right = _soft(
        _path((0.5 + shoulder * 0.6, 0.04), (0.5 + shoulder + spread * 0.25, 0.08), (end_x, end_y),
              (inner_x, end_y + 0.07 * (1 - sleeve)), (0.5 + hem * 0.85, 0.3), (0.55, 0.2)), 1
    )  # fmt: skip
    left = right * np.array([-1, 1]) + np.array([1, 0])
    armpit = _path((0.5 + shoulder * 1.02, 0.1), (0.5 + hem, 0.36), (0.5 + hem, 0.98))
    other = armpit * np.array([-1, 1]) + np.array([1, 0])
    seams = [(line, 0.035, 0.15 + 0.2 * cut) for line in (armpit, other)]
    return Outline([body, right, left], [_neck(neck, 0.06 + 0.1 * cut)], seams=seams)


def _t_shirt(cut: float, shape: Points) -> Outline:
    return _top(cut, shape, sleeve=0.16 + 0.22 * cut, hem=0.25 + 0.05 * shape[3])


def _pullover(cut: float, shape: Points) -> Outline:
    outline = _top(cut * 0.5, shape, sleeve=0.86 + 0.12 * cut, hem=0.26 + 0.03 * shape[3])
    outline.bands = [(_path((0, 0.9), (1, 0.9), (1, 1), (0, 1)), 0.6)]
    return outline


def _coat(cut: float, shape: Points) -> Outline:
    outline = _top(0.9, shape, sleeve=0.72 + 0.1 * cut, hem=0.27 + 0.06 * shape[3])
    lapel = 0.3 + 0.2 * cut
    outline.holes = [_path((0.4, -0.05), (0.6, -0.05), (0.5, lapel))]
    outline.seams.append((_path((0.5, lapel - 0.05), (0.5, 1)), 0.045, 0.12))
    outline.seams.append((_path((0.3, 0.66), (0.42, 0.64)), 0.035, 0.4))
    outline.seams.append((_path((0.7, 0.66), (0.58, 0.64)), 0.035, 0.4))
    return outline


def _shirt(cut: float, shape: Points) -> Outline:
    outline = _top(0.2, shape, sleeve=0.5 + 0.12 * cut, hem=0.23 + 0.03 * shape[3])
    outline.holes = [_path((0.44, -0.05), (0.56, -0.05), (0.5, 0.14))]
    for y in np.linspace(0.26, 0.88, 5):
        outline.seams.append((_path((0.5, y), (0.5, y + 0.02)), 0.05, 0.1))
    collar = _path((0.34, 0.0), (0.44, 0.17), (0.5, 0.1), (0.56, 0.17), (0.66, 0.0))
    outline.seams.append((collar, 0.03, 0.3))
    return outline


def _trousers(cut: float, shape: Points) -> Outline:
    waist, flare = 0.2 + 0.05 * shape[0], 0.1 + 0.07 * cut
    crotch, gap = 0.3 + 0.1 * shape[1], 0.03 + 0.03 * shape[2]
    body = _mirror((0.5 + waist, 0.02), (0.5 + waist * 1.2, 0.32), (0.5 + gap + 2 * flare, 0.98),
                   (0.5 + gap, 0.98), (0.5 + 0.02, crotch))  # fmt: skip
    belt = _path((0, 0.08), (1, 0.08))
    return Outline([_soft(body, 1)], seams=[(belt, 0.03, 0.45)])


def _dress(cut: float, shape: Points) -> Outline:
    shoulder, waist = 0.15 + 0.05 * shape[0], 0.12 + 0.04 * shape[1]
    hem, middle = 0.2 + 0.22 * cut, 0.34 + 0.1 * shape[2]
    body = _mirror((0.5 + shoulder * 0.65, 0.0), (0.5 + shoulder, 0.03), (0.5 + shoulder, 0.16),
                   (0.5 + waist, middle), (0.5 + hem, 0.99))  # fmt: skip
    belt = _path((0, middle), (1, middle))
    neck = _neck(shoulder * 0.6, 0.08 + 0.1 * shape[3])
    return Outline([_soft(body, 1)], [neck], seams=[(belt, 0.035, 0.4)])


def _sandal(cut: float, shape: Points) -> Outline:
    heel, thick, top = 0.02 + 0.2 * cut, 0.07 + 0.04 * shape[0], 0.38 - 0.12 * shape[1]
    back = 0.84 - heel
    sole = _soft(_path((0.02, back), (0.25, back), (0.55, 0.85), (0.98, 0.85), (0.98, 0.85 + thick),
                       (0.5, 0.85 + thick), (0.26, back + thick + 0.02), (0.2, 0.85 + thick),
                       (0.04, 0.85 + thick)), 1)  # fmt: skip
    arch = 0.6 + 0.08 * shape[2]
    toe = _path((0.6, 0.86), (0.68, arch), (0.82, arch + 0.03), (0.93, 0.88))
    ankle = _path((0.07, back), (0.1, top), (0.3, top + 0.06), (0.42, 0.84 - heel * 0.4))
    instep = _path((0.1, top + 0.05), (0.4, top + 0.2), (0.68, arch))
    width = 0.07 + 0.03 * shape[3]
    return Outline([sole], straps=[(toe, width), (ankle, width), (instep, width)])


def _trainer(cut: float, shape: Points) -> Outline:
    ankle, toe = 0.4 - 0.12 * cut, 0.6 + 0.08 * shape[0]
    upper = _soft(_path((0.04, ankle - 0.04), (0.14, ankle + 0.06), (0.34, ankle + 0.05),
                        (0.44, ankle - 0.06), (0.64, toe - 0.08), (0.9, toe), (0.99, 0.78),
                        (0.97, 0.92), (0.03, 0.92)), 1)  # fmt: skip
    edge = 0.8 + 0.03 * shape[1]
    sole = _path((0, edge), (1, edge), (1, 1), (0, 1))
    seams = []
    for step in range(3):
        x, y = 0.47 + 0.07 * step, ankle + 0.02 + (toe - ankle) * 0.28 * step
        seams.append((_path((x, y), (x - 0.09, y + 0.13)), 0.03, 0.25))
    seams.append((_path((0, edge), (1, edge)), 0.025, 0.15))
    return Outline([upper], bands=[(sole, 1.5 if shape[2] > 0.5 else 0.55)], seams=seams)


def _bag(cut: float, shape: Points) -> Outline:
    top, narrow = 0.32 + 0.12 * cut, 0.1 * shape[0]
    body = _soft(_mirror((0.96 - narrow, top), (0.98, 0.93)), 1)
    reach, strap = 0.2 + 0.12 * shape[1], 0.05 + 0.03 * shape[2]
    outer = _soft(_mirror((0.5 + reach * 0.6, 0.03), (0.5 + reach, top + 0.08)), 2)
    inner = _soft(_mirror((0.5 + reach * 0.6 - strap, 0.03 + strap), (0.5 + reach - strap, top)), 2)
    flap = top + 0.16 + 0.14 * shape[3]
    clasp = _path((0.5, flap), (0.5, flap + 0.06))
    seams = [(_path((0, flap), (1, flap)), 0.03, 0.3), (clasp, 0.08, 0.2)]
    return Outline([outer, body], [np.minimum(inner, [1.0, top])], seams=seams)


def _boot(cut: float, shape: Points) -> Outline:
    shaft, back = 0.34 + 0.12 * shape[0], 0.08 + 0.06 * shape[1]
    heel, instep = 0.04 + 0.12 * cut, 0.6 + 0.06 * shape[2]
    upper = _soft(_path((back, 0.02), (back + shaft, 0.02), (back + shaft * 0.92, instep - 0.1),
                        (0.66, instep + 0.04), (0.93, 0.76), (0.98, 0.97), (0.48, 0.97),
                        (0.36, 0.97 - heel), (0.32, 0.98), (back - 0.03, 0.98), (back - 0.02, 0.6)),
                  1)  # fmt: skip
    sole = _path((0, 0.9), (1, 0.9))
    rim = _path((0, 0.12), (1, 0.12 + 0.03 * shape[3]))
    return Outline([upper], seams=[(sole, 0.03, 0.3), (rim, 0.03, 0.5)])


_DRAWINGS: tuple[Callable[[float, Points], Outline], ...] = (
    _t_shirt, _trousers, _pullover, _dress, _coat, _sandal, _shirt, _trainer, _bag, _boot,
)  # fmt: skip


def draw_garments(count: int, side: int, rng: np.random.Generator) -> SpriteBank:
    """Draws `count` garments of `side` pixels.

    Factors: `class` (index into `CLASSES`), `slant` (shear, within 0.15), `width` and `length`
    (0.75 to 1 of the class's own extent in the box), `cut` (0 to 1, the class's own variation:
    sleeves, flare, heel, …), `texture` (index into `TEXTURES`), `brightness` (0.5 to 1 of white).
    """
    factors: dict[str, npt.NDArray[np.generic]] = {
        "class": rng.integers(len(CLASSES), size=count),
        "slant": rng.uniform(-0.15, 0.15, count).astype(np.float32),
        "width": rng.uniform(0.75, 1, count).astype(np.float32),
        "length": rng.uniform(0.75, 1, count).astype(np.float32),
        "cut": rng.uniform(0, 1, count).astype(np.float32),
        "texture": rng.integers(len(TEXTURES), size=count),
        "brightness": rng.uniform(0.5, 1, count).astype(np.float32),
    }
    shapes = rng.uniform(0, 1, (count, 4))
    canvas = max(CANVAS, 2 * side)
    images = np.empty((count, side, side), dtype=np.uint8)
    for index in range(count):
        drawn = {name: values[index].item() for name, values in factors.items()}
        outline = _DRAWINGS[int(drawn["class"])](drawn["cut"], shapes[index])
        shades = _texture(TEXTURES[int(drawn["texture"])], canvas, rng) * drawn["brightness"]
        picture = _render(outline, _fit(outline, drawn, canvas), shades)
        small = cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA)
        images[index] = np.rint(small)
    return SpriteBank(images, factors)


def _texture(name: str, side: int, rng: np.random.Generator) -> Picture:
    """A texture of `side` pixels square with values in [0.4, 1]."""
    ramp = np.linspace(0, 1, side, dtype=np.float32)
    low, waves, phase = rng.uniform(0.4, 0.7), rng.uniform(2.5, 5), rng.uniform(0, 1)
    dark = np.sin(2 * np.pi * (waves * ramp + phase))
    value = np.ones((side, side), dtype=np.float32)
    if name == "horizontal stripes":
        value[dark > 0.2] = low
    elif name == "vertical stripes":
        value[:, dark > 0.2] = low
    elif name == "checks":
        value[(dark > 0)[:, None] ^ (dark > 0)] = low
    elif name == "dots":
        value[dark[:, None] + dark > 0.8] = low
    elif name == "noise":
        grain = rng.uniform(low, 1, (14, 14)).astype(np.float32)
        value = np.asarray(cv2.resize(grain, (side, side)), np.float32)
    elif name == "fade":
        value = np.tile((low + (1 - low) * ramp)[:, None], side)
        value = value[::-1] if phase < 0.5 else value
    return value


def _fit(outline: Outline, drawn: dict[str, float], canvas: int) -> Placement:
    """Stretches, slants and centres the outline so that it fills the canvas but for a margin."""
    matrix = np.array([[drawn["width"], 0.0], [-drawn["slant"] * drawn["length"], drawn["length"]]])
    corners = np.concatenate([*outline.fills, *(line for line, _ in outline.straps)]) @ matrix
    low, high = corners.min(axis=0), corners.max(axis=0)
    scale = canvas * min(1.0, 0.98 / (high - low).max())
    matrix *= scale * 2**SUBPIXEL_BITS
    offset = (canvas / 2 - 0.5 - (low + high) / 2 * scale) * 2**SUBPIXEL_BITS

    def place(points: Points) -> npt.NDArray[np.int32]:
        return np.asarray(np.rint(points @ matrix + offset), dtype=np.int32)

    return place


def _render(outline: Outline, place: Placement, shades: Picture) -> Picture:
    """Fills the outline with shades in [0, 1], side x side: values 0 to 255."""
    side = len(shades)
    mask = np.zeros((side, side), dtype=np.uint8)
    level = np.ones((side, side), dtype=np.float32)

    def stroke(picture: npt.NDArray[Any], line: Points, width: float, value: float) -> None:
        thickness = max(1, round(width * side))
        cv2.polylines(picture, [place(line)], False, value, thickness, cv2.LINE_8, SUBPIXEL_BITS)

    def fill(picture: npt.NDArray[Any], polygon: Points, value: float) -> None:
        cv2.fillPoly(picture, [place(polygon)], value, cv2.LINE_8, SUBPIXEL_BITS)

    for polygon in outline.fills:
        fill(mask, polygon, 255)
    for line, width in outline.straps:
        stroke(mask, line, width, 255)
    for polygon in outline.holes:
        fill(mask, polygon, 0)
    for polygon, value in outline.bands:
        fill(level, polygon, value)
    for line, width, value in outline.seams:
        stroke(level, line, width, value)
    return np.asarray(np.minimum(level * shades, 1) * mask, np.float32)
