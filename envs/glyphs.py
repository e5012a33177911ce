"""Digits drawn with strokes: four hands, slant, width, thickness and a small rotation.

The strokes are polylines of our own rather than OpenCV's fonts, because OpenCV 5 replaced its
Hershey strokes by outline fonts and the same code would give other images on each version.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
import numpy.typing as npt

from .canvas import Images, SpriteBank

Points = npt.NDArray[np.float64]
Knots = list[tuple[float, float]]

FONTS = ("round", "open", "square", "angular")
PEN = 12
BODY = 22 / 28
"""The longer side of a digit as a share of its box; MNIST leaves a similar margin."""
SUBPIXEL_BITS = 4


def _line(*knots: tuple[float, float]) -> Points:
    return np.array(knots)


def _curve(*knots: tuple[float, float]) -> Points:
    """A Catmull-Rom spline through the knots."""
    padded = np.array([knots[0], *knots, knots[-1]])
    before, start, end, after = padded[:-3], padded[1:-2], padded[2:-1], padded[3:]
    t = np.linspace(0, 1, 8, endpoint=False)[:, None, None]
    points = start + t / 2 * (
        end
        - before
        + t * (2 * before - 5 * start + 4 * end - after + t * (3 * (start - end) + after - before))
    )
    return np.vstack([points.transpose(1, 0, 2).reshape(-1, 2), padded[-1:]])


def _oval(x: float, y: float, width: float, height: float) -> Points:
    angles = np.linspace(0, 2 * np.pi, 33)
    return np.stack([x + width / 2 * np.cos(angles), y + height / 2 * np.sin(angles)], axis=1)


def _turned(strokes: list[Points]) -> list[Points]:
    return [1 - stroke for stroke in strokes]


_SIX = [_curve((0.8, 0), (0.4, 0.17), (0.06, 0.58), (0.15, 0.9), (0.5, 1), (0.9, 0.88),
               (0.92, 0.6), (0.52, 0.45), (0.1, 0.64))]  # fmt: skip
_SIX_ANGULAR = [_line((0.75, 0), (0, 0.6), (0.2, 1), (0.8, 1), (1, 0.7), (0.7, 0.45), (0.12, 0.5))]
_SIX_SQUARE = [_line((0.95, 0.05), (0.85, 0), (0.15, 0), (0, 0.1), (0, 0.9), (0.15, 1), (0.85, 1),
                     (1, 0.9), (1, 0.57), (0.85, 0.47), (0, 0.47))]  # fmt: skip

# Strokes per font and digit in the unit square, x to the right and y downwards.
STROKES: dict[str, list[list[Points]]] = {
    "round": [
        [_oval(0.5, 0.5, 1, 1)],
        [_line((0.2, 0.24), (0.55, 0), (0.55, 1))],
        [_curve((0.05, 0.25), (0.2, 0.05), (0.5, 0), (0.86, 0.09), (0.92, 0.32), (0.65, 0.62),
                (0.02, 1)), _line((0.02, 1), (1, 1))],
        [_curve((0.06, 0.12), (0.45, 0), (0.87, 0.1), (0.85, 0.36), (0.38, 0.47)),
         _curve((0.38, 0.47), (0.9, 0.58), (0.95, 0.86), (0.5, 1), (0.03, 0.88))],
        [_line((0.7, 1), (0.7, 0), (0, 0.68), (1, 0.68))],
        [_line((0.92, 0), (0.2, 0), (0.12, 0.44)),
         _curve((0.12, 0.44), (0.5, 0.36), (0.93, 0.5), (0.94, 0.82), (0.5, 1), (0.03, 0.9))],
        _SIX,
        [_line((0, 0), (1, 0), (0.35, 1))],
        [_oval(0.5, 0.24, 0.82, 0.48), _oval(0.5, 0.74, 1, 0.52)],
        _turned(_SIX),
    ],
    "open": [
        [_curve((0.62, 0.02), (0.25, 0.1), (0.02, 0.5), (0.2, 0.9), (0.5, 1), (0.82, 0.88),
                (1, 0.5), (0.85, 0.12), (0.48, 0.02))],
        [_line((0.5, 0), (0.5, 1))],
        [_curve((0.1, 0.2), (0.5, 0), (0.9, 0.2), (0.72, 0.55), (0.3, 0.92), (0.08, 0.93),
                (0.15, 0.78), (0.5, 0.9), (1, 0.98))],
        [_line((0.08, 0), (0.92, 0), (0.45, 0.4)),
         _curve((0.45, 0.4), (0.88, 0.5), (0.93, 0.82), (0.5, 1), (0.03, 0.88))],
        [_curve((0.15, 0), (0.08, 0.3), (0.04, 0.58), (0.45, 0.58), (1, 0.54)),
         _line((0.78, 0.18), (0.72, 1))],
        [_curve((0.95, 0), (0.5, 0.02), (0.15, 0.04), (0.12, 0.4), (0.6, 0.42), (0.95, 0.68),
                (0.7, 0.96), (0.05, 1))],
        [_curve((0.4, 0), (0.12, 0.4), (0.03, 0.72), (0.3, 1), (0.85, 0.95), (0.95, 0.7),
                (0.6, 0.55), (0.1, 0.72))],
        [_curve((0, 0.08), (0.3, 0.02), (1, 0), (0.7, 0.4), (0.45, 1)),
         _line((0.2, 0.52), (0.95, 0.48))],
        [_curve((0.85, 0.12), (0.5, 0), (0.12, 0.18), (0.4, 0.45), (0.85, 0.66), (0.8, 0.92),
                (0.45, 1), (0.08, 0.86), (0.25, 0.6), (0.7, 0.4), (0.9, 0.15))],
        [_oval(0.48, 0.27, 0.88, 0.52), _line((0.92, 0.2), (0.85, 0.6), (0.7, 1))],
    ],
    "square": [
        [_line((0.15, 0), (0.85, 0), (1, 0.1), (1, 0.9), (0.85, 1), (0.15, 1), (0, 0.9),
               (0, 0.1), (0.15, 0))],
        [_line((0.15, 0.18), (0.5, 0), (0.5, 1)), _line((0.1, 1), (0.9, 1))],
        [_line((0, 0.06), (0.1, 0), (0.85, 0), (1, 0.1), (1, 0.42), (0.85, 0.5), (0.15, 0.5),
               (0, 0.6), (0, 1), (1, 1))],
        [_line((0, 0), (0.85, 0), (1, 0.1), (1, 0.42), (0.88, 0.5), (1, 0.58), (1, 0.9), (0.85, 1),
               (0, 1)), _line((0.25, 0.5), (0.88, 0.5))],
        [_line((0, 0), (0, 0.55), (1, 0.55)), _line((0.85, 0), (0.85, 1))],
        [_line((1, 0), (0, 0), (0, 0.47), (0.85, 0.47), (1, 0.57), (1, 0.9), (0.85, 1), (0, 1))],
        _SIX_SQUARE,
        [_line((0, 0.15), (0, 0), (1, 0), (1, 0.15), (0.5, 0.55), (0.5, 1))],
        [_line((0.15, 0), (0.85, 0), (1, 0.1), (1, 0.9), (0.85, 1), (0.15, 1), (0, 0.9), (0, 0.1),
               (0.15, 0)), _line((0, 0.48), (1, 0.48))],
        _turned(_SIX_SQUARE),
    ],
    "angular": [
        [_line((0.5, 0), (1, 0.35), (0.9, 0.75), (0.5, 1), (0, 0.65), (0.1, 0.25), (0.5, 0))],
        [_line((0.1, 0.35), (0.65, 0), (0.5, 1))],
        [_line((0, 0.25), (0.45, 0), (0.95, 0.25), (0, 1), (1, 0.95))],
        [_line((0, 0), (0.95, 0.05), (0.4, 0.42), (1, 0.68), (0.6, 1), (0, 0.9))],
        [_line((0.55, 0), (0, 0.62), (1, 0.7)), _line((0.75, 0.35), (0.6, 1))],
        [_line((1, 0), (0.25, 0.04), (0.1, 0.45), (0.7, 0.38), (1, 0.7), (0.6, 1), (0, 0.92))],
        _SIX_ANGULAR,
        [_line((0, 0.1), (1, 0), (0.25, 1))],
        [_line((0.5, 0), (0.95, 0.2), (0.05, 0.75), (0.5, 1), (0.98, 0.75), (0.08, 0.2),
               (0.5, 0))],
        _turned(_SIX_ANGULAR),
    ],
}  # fmt: skip


def draw_glyphs(count: int, side: int, rng: np.random.Generator) -> SpriteBank:
    """Draws `count` digits of `side` pixels.

    Factors: `class` (the digit), `font` (index into `FONTS`), `slant` (shear, -0.15 to 0.45,
    positive leans to the right), `width` (0.45 to 0.85 of the height), `thickness` (stroke width,
    0.07 to 0.16 of the box), `rotation` (radians, within 0.15).
    """
    factors: dict[str, npt.NDArray[np.generic]] = {
        "class": rng.integers(10, size=count),
        "font": rng.integers(len(FONTS), size=count),
        "slant": rng.uniform(-0.15, 0.45, count).astype(np.float32),
        "width": rng.uniform(0.45, 0.85, count).astype(np.float32),
        "thickness": rng.uniform(0.07, 0.16, count).astype(np.float32),
        "rotation": rng.uniform(-0.15, 0.15, count).astype(np.float32),
    }
    waves = rng.uniform(0, 1, (count, 4))
    images = np.empty((count, side, side), dtype=np.uint8)
    for index in range(count):
        drawn = {name: values[index].item() for name, values in factors.items()}
        images[index] = _draw(drawn, waves[index], side)
    return SpriteBank(images, factors)


def _draw(drawn: dict[str, float], wave: Points, side: int) -> Images:
    strokes = STROKES[FONTS[int(drawn["font"])]][int(drawn["class"])]
    lengths = np.cumsum([len(stroke) for stroke in strokes])[:-1]
    points = np.concatenate(strokes) - 0.5
    # A hand is never straight: a slow wave along the other axis, a few hundredths of the height.
    points = points + 0.04 * wave[:2] * np.sin(2 * np.pi * (points[:, ::-1] + wave[2:]))
    points[:, 0] *= drawn["width"]
    points[:, 0] -= drawn["slant"] * points[:, 1]
    cos, sin = np.cos(drawn["rotation"]), np.sin(drawn["rotation"])
    points = points @ np.array([[cos, sin], [-sin, cos]])
    # One pen for all, on canvases of different size, gives every thickness and not just whole
    # pixels; OpenCV draws a line of even thickness one pixel wider. 0.16 is the thickest.
    pen = max(PEN, 2 * math.ceil(0.16 * side))
    canvas = round((pen + 1) / drawn["thickness"])
    low, high = points.min(axis=0), points.max(axis=0)
    scale = (BODY * canvas - pen - 1) / (high - low).max()
    points = (points - (low + high) / 2) * scale + canvas / 2 - 0.5
    fixed = np.rint(points * 2**SUBPIXEL_BITS).astype(np.int32)
    picture = np.zeros((canvas, canvas), dtype=np.uint8)
    cv2.polylines(picture, np.split(fixed, lengths), False, 255, pen, cv2.LINE_8, SUBPIXEL_BITS)
    return np.asarray(cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA), np.uint8)
