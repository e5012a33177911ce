"""The paper's preparation of frames, and what becomes of frames of other shapes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from vase_rl.envs.trajectories.preparation import prepare


def ramp(height: int, width: int) -> np.ndarray:
    """Two frames whose red tells the column, green the row, and blue the frame."""
    rows, columns = np.mgrid[:height, :width]
    frame = np.dstack([columns, rows, np.zeros_like(rows)])
    return np.stack([frame, frame + np.array([0, 0, 100])]).astype(np.uint8)


def area_mean(frames: np.ndarray, size: int) -> np.ndarray:
    """Means over rectangles of fractional sides: the average of each, by an integral of steps."""

    def weights(length: int) -> np.ndarray:
        edges = np.linspace(0, length, size + 1)
        pixels = np.arange(length)
        shares = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
        return np.clip(shares, 0, None) * size / length

    rows, columns = weights(frames.shape[1]), weights(frames.shape[2])
    return np.einsum("ih,nhwc,jw->nijc", rows, frames.astype(float), columns)


def test_the_papers_frames() -> None:
    """111×84: the right-most 27 columns go, 84×84 become 64×64 by area (A.4)."""
    frames = np.random.default_rng(0).integers(0, 256, (3, 84, 111, 3), dtype=np.uint8)
    made = prepare(frames)
    assert made.shape == (3, 64, 64, 3)
    assert made.dtype == np.uint8
    assert np.abs(made - area_mean(frames[:, :, :84], 64)).max() <= 1
    changed = frames.copy()
    changed[:, :, 84:] = 0
    np.testing.assert_array_equal(prepare(changed), made)


@pytest.mark.parametrize(
    ("height", "width", "crop", "rows", "columns"),
    [
        (84, 111, "paper", (0, 84), (0, 84)),
        (72, 96, "paper", (0, 72), (12, 84)),
        (72, 96, "centre", (0, 72), (12, 84)),
        (72, 97, "centre", (0, 72), (12, 84)),
        (72, 96, "left", (0, 72), (0, 72)),
        (72, 96, "right", (0, 72), (24, 96)),
        (72, 96, "top", (0, 72), (12, 84)),
        (90, 60, "paper", (15, 75), (0, 60)),
        (90, 60, "top", (0, 60), (0, 60)),
        (90, 60, "bottom", (30, 90), (0, 60)),
        (90, 60, "left", (15, 75), (0, 60)),
        (50, 50, "right", (0, 50), (0, 50)),
    ],
)
def test_crops(
    height: int, width: int, crop: str, rows: tuple[int, int], columns: tuple[int, int]
) -> None:
    frames = ramp(height, width)
    kept = frames[:, slice(*rows), slice(*columns)]
    np.testing.assert_array_equal(prepare(frames, kept.shape[1], crop=crop), kept)


def test_without_a_crop_all_is_kept() -> None:
    frames = ramp(60, 90)
    made = prepare(frames, 30, crop="none")
    assert np.abs(made - area_mean(frames, 30)).max() <= 1


def test_small_frames_grow() -> None:
    made = prepare(ramp(20, 20), 64)
    assert made.shape == (2, 64, 64, 3)
    assert (np.diff(made[0, 32, :, 0].astype(int)) >= 0).all()
    assert (made[1, ..., 2] == 100).all()


def test_colours() -> None:
    frames = np.zeros((1, 10, 10, 3), np.uint8)
    frames[..., 1] = 200
    grey = prepare(frames, 8, channels=1)
    assert grey.shape == (1, 8, 8, 1)
    assert abs(int(grey[0, 0, 0, 0]) - 0.587 * 200) <= 1
    assert prepare(grey, 8).shape == (1, 8, 8, 1)
    np.testing.assert_array_equal(prepare(grey, 8, channels=3), grey.repeat(3, 3))


def test_no_frames_and_the_callers_own() -> None:
    assert prepare(np.zeros((0, 9, 9, 1), np.uint8), 8).shape == (0, 8, 8, 1)
    frames = ramp(8, 8)
    prepare(frames, 8)[:] = 0
    assert frames.any()


@pytest.mark.parametrize(
    ("frames", "options", "message"),
    [
        (np.zeros((2, 9, 9), np.uint8), {}, r"frames must be uint8 .*, got uint8 \(2, 9, 9\)"),
        (np.zeros((2, 9, 9, 1)), {}, r"frames must be uint8 .*, got float64 \(2, 9, 9, 1\)"),
        (np.zeros((2, 9, 9, 4), np.uint8), {}, r"got uint8 \(2, 9, 9, 4\)"),
        (ramp(9, 9), {"size": 0}, "size must be an integer of at least 1, got 0"),
        (ramp(9, 9), {"size": 8.0}, "size must be an integer of at least 1, got 8.0"),
        (ramp(9, 9), {"crop": "middle"}, "crop must be one of paper, left, .*, got 'middle'"),
        (ramp(9, 9), {"channels": 2}, "channels must be 1, 3 or None, got 2"),
    ],
)
def test_bad_arguments(frames: np.ndarray, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        prepare(frames, **options)
