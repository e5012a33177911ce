"""Drawn faces: distinct pictures, and factors that are true of the pixels."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from vase_rl.envs import faces, families
from vase_rl.envs.faces import HAIR_STYLES, RANGES, draw_faces
from vase_rl.envs.families import load_bank

SIDE = 64
PLAIN = {"class": HAIR_STYLES.index("short"), "glasses": 0} | {
    name: (low + high) / 2 for name, (low, high) in RANGES.items()
}


def draw(**values: float) -> np.ndarray:
    """One face with these factors and the middle of each other's range; values in [0, 1]."""
    return faces._draw({**PLAIN, **values}, 256)


def column_mean(picture: np.ndarray) -> float:
    """Where the weight of a picture lies from left (0) to right (1)."""
    return float((picture.sum(axis=0) * np.linspace(0, 1, picture.shape[1])).sum() / picture.sum())


@pytest.fixture(scope="module")
def bank():
    return load_bank("faces", 32)


def test_thousands_of_distinct_faces(bank):
    assert bank.images.shape == (len(bank), 32, 32)
    assert bank.images.dtype == np.uint8
    assert len({image.tobytes() for image in bank.images}) == len(bank) > 3000
    assert np.bincount(bank.factors["class"]).min() > 0.15 * len(bank)
    assert 0.45 < bank.factors["glasses"].mean() < 0.55
    for name, (low, high) in RANGES.items():
        values = bank.factors[name]
        assert values.dtype == np.float32
        assert low <= values.min() < low + 0.01 * (high - low)
        assert high - 0.01 * (high - low) < values.max() <= high


def test_faces_depend_on_seed_and_split_and_on_nothing_else(bank, monkeypatch):
    known = {image.tobytes() for image in bank.images}
    monkeypatch.setattr(families, "BANK_SIZE", 300)
    draw_bank = families._drawn.__wrapped__
    first = draw_bank("faces", 32, 0, "train").images
    assert np.array_equal(draw_bank("faces", 32, 0, "train").images, first)
    for seed, split in ((1, "train"), (0, "test")):
        other = draw_bank("faces", 32, seed, split).images
        assert not known & {image.tobytes() for image in other}


@pytest.mark.parametrize("side", [16, 84])
def test_other_sizes_show_the_same_faces(side):
    small = draw_faces(40, side, np.random.default_rng(0))
    large = draw_faces(40, 32, np.random.default_rng(0))
    assert small.images.shape == (40, side, side)
    brightness = [bank.images.mean(axis=(1, 2)) for bank in (small, large)]
    assert np.corrcoef(*brightness)[0, 1] > 0.99


@pytest.mark.parametrize("name", [*RANGES, "glasses"])
def test_every_factor_is_seen(name):
    """From the middle of its range to each end a factor changes the picture."""
    low, high = RANGES.get(name, (0, 1))
    steps = (low, (low + high) / 2, high) if name in RANGES else (0, 1)
    pictures = [draw(**{name: value}) for value in steps]
    for first, second in pairwise(pictures):
        assert np.abs(first - second).mean() > 0.001


def test_background_is_the_grey_of_the_corners():
    for grey in (0.0, 0.3, 1.0):
        assert np.allclose(draw(background=grey)[:10, :10], grey)


@pytest.mark.parametrize("name", ["skin", "hair"])
def test_brightness_of_skin_and_hair(name):
    place = {"skin": (200, 96), "hair": (24, 128)}[name]
    for value in np.linspace(*RANGES[name], 4):
        assert draw(**{name: float(value), "light": 0.0})[place] == pytest.approx(value, abs=0.01)


def test_light_comes_from_its_side():
    left, right = draw(light=-1.0), draw(light=1.0)
    assert column_mean(left) < 0.49
    assert column_mean(right) > 0.51
    assert np.allclose(left[:10], right[:10]), "the background is not lit"


def test_width_is_that_of_the_head_at_the_cheeks():
    for width in RANGES["width"]:
        row = draw(width=width, **{"class": 0}, light=0.0, background=0.0)[128]
        lit = np.flatnonzero(row > 0.1)
        ears = 2 * (0.015 + 0.045)
        assert (lit[-1] - lit[0] + 1) / 256 == pytest.approx(2 * width + ears, abs=0.02)


def test_a_broad_jaw_has_more_of_a_chin():
    chins = [(draw(jaw=jaw, background=0.0)[205, 64:192] == draw()[200, 96]) for jaw in (0, 1)]
    assert chins[1].sum() > 1.3 * chins[0].sum()


def eyes(picture: np.ndarray) -> np.ndarray:
    """Columns of the whites of the eyes, which nothing else beside them is as bright as."""
    band = picture[int(0.42 * 256) : int(0.48 * 256), 40:216]
    return np.flatnonzero((band > 0.98).any(axis=0)) + 40


def test_eyes_have_their_size_and_distance():
    for size in RANGES["eye_size"]:
        for distance in RANGES["eye_distance"]:
            columns = eyes(draw(eye_size=size, eye_distance=distance, skin=0.5, light=0.0)) / 256
            right = columns[columns > 0.5]
            # Away from the middle of the face an eye is seen at an angle.
            narrow = np.cos(np.arctan2(distance, 0.3))
            assert right.min() == pytest.approx(0.5 + distance - size * narrow, abs=0.012)
            assert right.max() == pytest.approx(0.5 + distance + size * narrow, abs=0.012)


def test_a_turned_head_looks_to_its_side_and_mirrors():
    left, ahead, right = (eyes(draw(yaw=yaw, skin=0.5, light=0.0)).mean() for yaw in (-1, 0, 1))
    assert left + 20 < ahead < right - 20
    assert left + right == pytest.approx(2 * ahead, abs=3)


def test_mouth_opens_and_smiles():
    shut, wide = draw(mouth_open=0.0), draw(mouth_open=1.0)
    dark = [int((p[170:230, 90:166] < 0.1).sum()) for p in (shut, wide)]
    assert dark[1] > 10 * max(dark[0], 1)
    heights = []
    for curve in (-1.0, 1.0):
        lips = draw(mouth_curve=curve, mouth_open=0.0)[170:230] < 0.45
        middle = np.flatnonzero(lips[:, 124:132].any(axis=1)).mean()
        columns = np.flatnonzero(lips[:, 90:166].any(axis=0)) + 90
        corner = np.flatnonzero(lips[:, columns[0] + 2]).mean()
        heights.append(corner - middle)
    assert heights[0] > 5, "the corners lie below the middle"
    assert heights[1] < -5, "the corners lie above the middle"


def test_glasses_are_two_rims_around_the_eyes():
    difference = np.abs(draw(glasses=1) - draw(glasses=0)) > 0.1
    rows = np.flatnonzero(difference.any(axis=1)) / 256
    assert rows.min() > 0.3
    assert rows.max() < 0.58
    assert column_mean(difference) == pytest.approx(0.5, abs=0.01)


def test_styles_of_hair_can_be_told_apart():
    pictures = [draw(**{"class": style}) for style in range(len(HAIR_STYLES))]
    for number, first in enumerate(pictures):
        for second in pictures[:number]:
            assert np.mean(np.abs(first - second) > 0.05) > 0.01
