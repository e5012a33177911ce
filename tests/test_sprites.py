"""The drawn families: distinct images, and factors that are true of the pixels."""

from __future__ import annotations

import numpy as np
import pytest

from vase_rl.envs import families
from vase_rl.envs.canvas import (
    SpriteBank,
    check_size,
    invert,
    paste,
    show,
    sprite_side,
    to_pixels,
    to_position,
)
from vase_rl.envs.families import FAMILIES, load_bank
from vase_rl.envs.garments import CLASSES, TEXTURES
from vase_rl.envs.glyphs import FONTS

DRAWN = ("garments", "glyphs")
SIDE = 28


@pytest.fixture(scope="module")
def banks() -> dict[str, SpriteBank]:
    return {family: load_bank(family, SIDE) for family in DRAWN}


def _chosen(bank: SpriteBank, **values: int) -> np.ndarray:
    return np.logical_and.reduce([bank.factors[name] == value for name, value in values.items()])


def _extents(images: np.ndarray) -> np.ndarray:
    """First and last lit pixel of each image, as (n, 4): left, right, top, bottom."""
    rows = []
    for image in images:
        y, x = np.nonzero(image > 32)
        rows.append((x.min(), x.max(), y.min(), y.max()))
    return np.array(rows)


@pytest.mark.parametrize("family", DRAWN)
def test_thousands_of_distinct_images_of_ten_classes(family, banks):
    bank = banks[family]
    assert bank.images.shape == (len(bank), SIDE, SIDE)
    assert bank.images.dtype == np.uint8
    assert len({image.tobytes() for image in bank.images}) > 0.999 * len(bank) > 3000
    assert np.bincount(bank.factors["class"], minlength=10).min() > 300
    assert all(len(values) == len(bank) for values in bank.factors.values())
    assert np.all(bank.images.max(axis=(1, 2)) > 50), "a sprite is invisible"


@pytest.mark.parametrize("family", DRAWN)
def test_images_depend_on_seed_and_split_and_on_nothing_else(family, banks):
    known = {image.tobytes() for image in banks[family].images}
    families._drawn.cache_clear()
    again = load_bank(family, SIDE, seed=0)
    assert np.array_equal(again.images, banks[family].images)
    for other in (load_bank(family, SIDE, seed=1), load_bank(family, SIDE, split="test")):
        shared = sum(image.tobytes() in known for image in other.images)
        assert shared <= 0.002 * len(other)


@pytest.mark.parametrize("family", DRAWN)
@pytest.mark.parametrize("side", [14, 70])
def test_other_sizes_show_the_same_sprites(family, side, banks):
    bank = load_bank(family, side)
    assert bank.images.shape[1:] == (side, side)
    assert np.array_equal(bank.factors["class"], banks[family].factors["class"])
    brightness = bank.images.mean(axis=(1, 2))
    expected = banks[family].images.mean(axis=(1, 2))
    assert np.corrcoef(brightness, expected)[0, 1] > 0.99


@pytest.mark.parametrize(("family", "accuracy"), [("garments", 0.85), ("glyphs", 0.95)])
def test_classes_can_be_told_apart_on_unseen_sprites(family, accuracy, banks):
    known, asked = banks[family], load_bank(family, SIDE, split="test")
    train = known.images.reshape(len(known), -1).astype(np.float32)
    test = asked.images[:400].reshape(400, -1).astype(np.float32)
    distances = (train**2).sum(axis=1) - 2 * test @ train.T
    found = known.factors["class"][distances.argmin(axis=1)]
    assert np.mean(found == asked.factors["class"][:400]) > accuracy


def test_garments_are_filled_and_glyphs_are_strokes(banks):
    lit = {family: np.mean(banks[family].images > 20) for family in DRAWN}
    assert lit["garments"] > 0.4
    assert 0.1 < lit["glyphs"] < 0.3


def test_brightness_of_a_plain_garment_is_its_grey_value(banks):
    bank = banks["garments"]
    dresses = _chosen(bank, **{"class": CLASSES.index("dress"), "texture": 0})
    assert TEXTURES[0] == "plain"
    assert dresses.sum() > 20
    greys = bank.images[dresses].max(axis=(1, 2))
    assert np.allclose(greys, 255 * bank.factors["brightness"][dresses], atol=1)


def test_length_of_trousers_is_their_height(banks):
    bank = banks["garments"]
    trousers = _chosen(bank, **{"class": CLASSES.index("trousers")})
    extents = _extents(bank.images[trousers])
    heights = extents[:, 3] - extents[:, 2] + 1
    assert np.allclose(heights, 0.96 * SIDE * bank.factors["length"][trousers], atol=2)


def test_glyphs_are_centred_and_of_equal_size(banks):
    extents = _extents(banks["glyphs"].images)
    middle = (extents[:, ::2] + extents[:, 1::2]) / 2
    assert np.abs(middle - (SIDE - 1) / 2).max() <= 1
    longest = (extents[:, 1::2] - extents[:, ::2] + 1).max(axis=1)
    assert np.abs(longest - 22).max() <= 2


def test_slant_and_rotation_are_the_direction_of_an_upright_stroke(banks):
    bank = banks["glyphs"]
    strokes = _chosen(bank, **{"class": 1, "font": FONTS.index("open")})
    slant, turn = bank.factors["slant"][strokes], bank.factors["rotation"][strokes]
    # The stroke (0, 1) is sheared to (-slant, 1) and turned.
    expected = (-slant * np.cos(turn) - np.sin(turn)) / (np.cos(turn) - slant * np.sin(turn))
    y, x = np.mgrid[:SIDE, :SIDE] - (SIDE - 1) / 2
    weights = bank.images[strokes].astype(float)
    measured = (weights * x * y).sum(axis=(1, 2)) / (weights * y * y).sum(axis=(1, 2))
    assert np.corrcoef(measured, expected)[0, 1] > 0.97


def test_thickness_and_length_give_the_ink_of_a_stroke(banks):
    bank = banks["glyphs"]
    strokes = _chosen(bank, **{"class": 1, "font": FONTS.index("open")})
    slant, turn = bank.factors["slant"][strokes], bank.factors["rotation"][strokes]
    width = bank.factors["thickness"][strokes] * SIDE
    ink = bank.images[strokes].sum(axis=(1, 2)) / 255
    # A bar with round ends, as long as makes its bounding box 22 pixels high: its area is
    # width * (length + pi / 4 * width).
    lean = np.arctan((slant * np.cos(turn) + np.sin(turn)) / (np.cos(turn) - slant * np.sin(turn)))
    expected = width * ((22 - width) / np.cos(lean) + np.pi / 4 * width)
    assert np.allclose(ink, expected, rtol=0.06)


def test_banks_are_shared_and_cannot_be_written(banks):
    assert load_bank("glyphs", SIDE) is load_bank("glyphs", SIDE)
    with pytest.raises(ValueError, match="read-only"):
        banks["glyphs"].images[0] = 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"family": "socks"}, f"family must be one of {', '.join(FAMILIES)}, got 'socks'"),
        ({"split": "all"}, "split must be one of train, test, got 'all'"),
        ({"seed": -1}, "seed must be an integer of at least 0, got -1"),
        ({"seed": 1.5}, "seed must be an integer of at least 0, got 1.5"),
        ({"seed": None}, "seed must be an integer of at least 0, got None"),
    ],
)
def test_bad_arguments_of_a_bank(arguments, message):
    with pytest.raises(ValueError, match=message):
        load_bank(**{"family": "glyphs", "side": SIDE, **arguments})


def test_paste_agrees_with_one_slice_after_another():
    rng = np.random.default_rng(0)
    sprites = rng.integers(1, 256, (20, 7, 7), dtype=np.uint8)
    pixels = rng.integers(0, 16 - 7 + 1, (20, 2))
    expected = np.zeros((20, 16, 16, 1), np.uint8)
    for frame, sprite, (x, y) in zip(expected, sprites, pixels, strict=True):
        frame[y : y + 7, x : x + 7, 0] = sprite
    assert np.array_equal(paste(sprites, pixels, 16), expected)


@pytest.mark.parametrize("size", [16, 32, 64, 84])
def test_positions_and_pixels_are_inverse(size):
    span = size - sprite_side(size)
    pixels = np.array([[0, 0], [span, 0], [3, span]])
    positions = to_position(pixels, size)
    assert positions[:2].tolist() == [[0, 0], [1, 0]]
    assert np.array_equal(to_pixels(positions, size), pixels)


def test_inversion_is_dark_on_white_with_less_contrast():
    greys = np.array([0, 100, 255], np.uint8)
    assert invert(greys).tolist() == [255, 175, 51]


def test_show_enlarges_to_rgb():
    frame = np.arange(16 * 16, dtype=np.uint8).reshape(16, 16, 1)
    picture = show(frame, side=64)
    assert picture.shape == (64, 64, 3)
    assert np.array_equal(picture[::4, ::4, 1], frame[..., 0])


@pytest.mark.parametrize("size", [15, 0, -64, 64.0, True, "64", None])
def test_bad_sizes(size):
    with pytest.raises(ValueError, match=r"size must be an integer of at least 16 pixels, got"):
        check_size(size)
