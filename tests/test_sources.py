"""IDX files, sources of frames and sequences of sources."""

from __future__ import annotations

import gzip
import hashlib
import os
import struct
from pathlib import Path

import numpy as np
import pytest

from vase_rl.envs import (
    SOURCE_NAMES,
    DataError,
    Segment,
    load_images,
    make_source,
    parse_sequence,
    parse_source,
    read_idx,
)
from vase_rl.envs.canvas import invert
from vase_rl.envs.families import load_bank
from vase_rl.envs.sprites import CLIP_FRAMES, CLIP_SPEED

# Read before a fixture hides the variable from the tests.
REAL_DATA = Path(
    os.environ.get("VASE_RL_DATA") or Path(__file__).resolve().parents[2] / "shared" / "data"
)
TRAIN_IMAGES = "train-images-idx3-ubyte"
TRAIN_LABELS = "train-labels-idx1-ubyte"
needs_data = pytest.mark.skipif(
    not (REAL_DATA / "mnist").is_dir(), reason="no real images: set VASE_RL_DATA"
)


def idx_bytes(array: np.ndarray) -> bytes:
    """The IDX format, written from its description."""
    header = struct.pack(">BBBB", 0, 0, 8, array.ndim)
    return header + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def write_split(folder: Path, images: np.ndarray, labels: np.ndarray, stem: str = "train") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, array in (("images-idx3", images), ("labels-idx1", labels)):
        packed = gzip.compress(idx_bytes(array))
        (folder / f"{stem}-{name}-ubyte.gz").write_bytes(packed)


@pytest.fixture
def digits() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (12, 28, 28), dtype=np.uint8), np.arange(12, dtype=np.uint8) % 10


# --- IDX ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(5,), (3, 4), (2, 3, 4), (0, 28, 28)])
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_idx_reads_what_was_written(tmp_path, shape, pack):
    array = np.random.default_rng(1).integers(0, 256, shape, dtype=np.uint8)
    (tmp_path / "a").write_bytes(pack(idx_bytes(array)))
    assert np.array_equal(read_idx(tmp_path / "a"), array)


GOOD = idx_bytes(np.zeros((2, 3, 4), np.uint8))
PACKED = gzip.compress(GOOD, mtime=0)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "starts with a magic number of 4 bytes, got 0 bytes"),
        (b"\0\0\x0d\3" + GOOD[4:], "must be 0x0000080D, with 1 to 4 for D, got 0x00000d03"),
        (b"PNG!" + GOOD[4:], "must be 0x0000080D, with 1 to 4 for D, got 0x504e4721"),
        (GOOD[:10], "a header for 3 dimensions takes 16 bytes, got 10 bytes"),
        (GOOD[:-1], r"the header promises 2 x 3 x 4 = 24 bytes of data, got 23 \(truncated"),
        (GOOD + b"\0", "the header promises 2 x 3 x 4 = 24 bytes of data, got 25"),
        (PACKED[:-9], "the gzip data are truncated or damaged"),
        (PACKED[:12] + b"\xff" * 30, "the gzip data are truncated or damaged"),
    ],
)
def test_damaged_idx_files(tmp_path, content, message):
    path = tmp_path / "some-file"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        read_idx(path)
    assert str(path) in str(caught.value)


def test_missing_idx_file(tmp_path):
    with pytest.raises(DataError, match=r"absent: no such file"):
        read_idx(tmp_path / "absent")
    with pytest.raises(DataError, match=r"cannot be read"):
        read_idx(tmp_path)


@pytest.mark.parametrize(
    ("name", "folder"),
    [
        ("mnist", "mnist"),
        ("mnist", "MNIST/raw"),
        ("fashion", "fashion-mnist"),
        ("fashion", "FashionMNIST/raw"),
    ],
)
def test_layouts_of_the_data_directory(tmp_path, monkeypatch, digits, name, folder):
    images, labels = digits
    write_split(tmp_path / folder, images, labels)
    write_split(tmp_path / folder, images[:5], labels[:5], "t10k")
    for given in (tmp_path, str(tmp_path)):
        found_images, found_labels = load_images(name, "train", given)
        assert np.array_equal(found_images, images)
        assert np.array_equal(found_labels, labels)
    monkeypatch.setenv("VASE_RL_DATA", str(tmp_path))
    assert len(load_images(name, "test")[0]) == 5, "the count comes from the header"


def test_plain_files_beside_none_packed(tmp_path, digits):
    images, labels = digits
    (tmp_path / "mnist").mkdir()
    (tmp_path / "mnist" / TRAIN_IMAGES).write_bytes(idx_bytes(images))
    (tmp_path / "mnist" / TRAIN_LABELS).write_bytes(idx_bytes(labels))
    assert np.array_equal(load_images("mnist", "train", tmp_path)[0], images)


def test_no_data_directory_says_what_to_give():
    message = r"mnist needs its data files: give data_dir or set VASE_RL_DATA"
    with pytest.raises(DataError, match=message):
        make_source("moving-mnist")


def test_wrong_data_directories(tmp_path, digits):
    images, labels = digits
    with pytest.raises(DataError, match=r"data_dir must be a directory.*not a directory"):
        load_images("mnist", "train", tmp_path / "nowhere")
    with pytest.raises(DataError, match=r"data_dir must hold one of fashion-mnist/, FashionMNIST"):
        load_images("fashion", "train", tmp_path)
    (tmp_path / "mnist").mkdir()
    with pytest.raises(DataError, match=rf"must hold {TRAIN_IMAGES}.gz or {TRAIN_IMAGES}, got nei"):
        load_images("mnist", "train", tmp_path)
    write_split(tmp_path / "mnist", images, labels[:-1])
    with pytest.raises(DataError, match=r"one label per image, got shape \(11,\) for the 12"):
        load_images("mnist", "train", tmp_path)
    write_split(tmp_path / "mnist", images[0], labels)
    with pytest.raises(DataError, match=r"N x height x width, none of them 0, got shape \(28, 28"):
        load_images("mnist", "train", tmp_path)
    write_split(tmp_path / "mnist", images[:0], labels[:0])
    with pytest.raises(DataError, match=r"none of them 0, got shape \(0, 28, 28\)"):
        load_images("mnist", "train", tmp_path)


def test_sources_of_given_images(tmp_path, digits):
    images, labels = digits
    write_split(tmp_path / "mnist", images, labels)
    batch = make_source("mnist", data_dir=tmp_path).sample(50)
    known = {image.tobytes(): label for image, label in zip(images, labels, strict=True)}
    for frame, label in zip(batch.frames, batch.factors["class"], strict=True):
        assert known[frame[18:46, 18:46, 0].tobytes()] == label
    assert make_source("moving-mnist", size=32, data_dir=tmp_path).sample(3).frames.any()
    assert make_source("moving-mnist", size=96, data_dir=tmp_path).sample(3).frames.any()


@needs_data
def test_real_mnist():
    images, labels = load_images("mnist", "train", REAL_DATA)
    assert images.shape == (60_000, 28, 28)
    digest = hashlib.sha256(idx_bytes(images)).hexdigest()
    assert digest == "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"
    assert labels[:5].tolist() == [5, 0, 4, 1, 9]


@needs_data
@pytest.mark.parametrize("name", ["moving-fashion", "inverted-fashion", "mnist", "moving-mnist"])
def test_real_sources(name):
    train = make_source(name, data_dir=REAL_DATA).sample(200)
    assert set(train.factors["class"]) == set(range(10))
    test = make_source(name, data_dir=REAL_DATA, split="test").sample(200)
    shared = {f.tobytes() for f in train.frames} & {f.tobytes() for f in test.frames}
    assert not shared


# --- sources -----------------------------------------------------------------------------------

BUILT_IN = [name for name in SOURCE_NAMES if name.endswith(("garments", "glyphs", "faces"))]


@pytest.mark.parametrize("motion", ["independent", "smooth"])
@pytest.mark.parametrize("name", BUILT_IN)
def test_frames_hold_the_named_sprite_at_the_named_place(name, motion):
    source = make_source(name, motion=motion)
    batch = source.sample(80)
    assert batch.frames.shape == (80, 64, 64, 1)
    assert batch.frames.dtype == np.uint8
    assert batch.factors["class"].dtype == np.int64
    assert batch.factors["position"].dtype == np.float32
    assert batch.factors["position"].shape == (80, 2)
    parsed, side = parse_source(name), source.sprite_size
    bank = load_bank(source.family, side)
    if not parsed.moving:
        assert np.all(batch.factors["position"] == 0.5)
    expected = np.full_like(batch.frames, 255 if parsed.inverted else 0)
    known = {image.tobytes(): index for index, image in enumerate(bank.images)}
    if parsed.inverted:
        known = {invert(image).tobytes(): index for index, image in enumerate(bank.images)}
    for number, (frame, place) in enumerate(
        zip(batch.frames, batch.factors["position"], strict=True)
    ):
        x, y = np.rint(place * (64 - side)).astype(int)
        sprite = frame[y : y + side, x : x + side, 0]
        index = known[sprite.tobytes()]
        for factor, values in bank.factors.items():
            assert batch.factors[factor][number] == values[index]
        expected[number, y : y + side, x : x + side, 0] = sprite
    assert np.array_equal(batch.frames, expected), "something lies outside the sprite"


@pytest.mark.parametrize(
    ("name", "side"),
    [
        ("glyphs", 28),
        ("moving-inverted-glyphs", 28),
        ("large-glyphs", 56),
        ("large-inverted-glyphs", 56),
        ("faces", 64),
        ("inverted-faces", 64),
    ],
)
def test_sides_of_sprites(name, side):
    assert make_source(name).sprite_size == side
    # The paper's patch of a face is 32x32 and an image of Fashion-MNIST 28x28.
    assert make_source(name, size=32).sprite_size == side // 2


def test_independent_positions_are_uniform_over_the_whole_range():
    positions = make_source("moving-glyphs").sample(20_000).factors["position"]
    places = np.rint(positions * 36).astype(int)
    for axis in places.T:
        counts = np.bincount(axis, minlength=37)
        expected = len(axis) / 37
        # 36 degrees of freedom: 80 is exceeded with probability 4e-5.
        assert ((counts - expected) ** 2 / expected).sum() < 80
    assert abs(np.corrcoef(positions.T)[0, 1]) < 0.03


def test_smooth_sprites_run_straight_and_bounce():
    batch = make_source("moving-garments", motion="smooth", seed=3).sample(3000)
    sprites = batch.factors["brightness"]
    ends = np.flatnonzero(np.diff(sprites)) + 1
    lengths = np.diff(ends)
    assert CLIP_FRAMES[0] <= lengths.min() <= lengths.max() <= CLIP_FRAMES[1]
    assert 38 < lengths.mean() < 42
    steps = np.linalg.norm(np.diff(batch.factors["position"], axis=0), axis=1)
    inside = np.delete(steps, ends - 1)
    assert inside.max() <= CLIP_SPEED[1] + np.sqrt(2) / 36, "a sprite jumped"
    assert inside.mean() > CLIP_SPEED[0] / 2
    low, high = batch.factors["position"].min(axis=0), batch.factors["position"].max(axis=0)
    assert np.all(low < 0.05)
    assert np.all(high > 0.95)


def test_smooth_static_sprites_stay():
    frames = make_source("glyphs", motion="smooth").sample(200).frames
    changes = np.any(frames[1:] != frames[:-1], axis=(1, 2, 3)).sum()
    assert 3 <= changes <= 6


def test_smooth_frames_do_not_depend_on_the_size_of_batches():
    whole = make_source("moving-glyphs", motion="smooth").sample(100)
    source = make_source("moving-glyphs", motion="smooth")
    parts = [source.sample(n) for n in (37, 1, 62)]
    assert np.array_equal(np.concatenate([part.frames for part in parts]), whole.frames)
    for name, values in whole.factors.items():
        assert np.array_equal(np.concatenate([part.factors[name] for part in parts]), values)


def test_seeds_and_reset():
    first = make_source("moving-garments", seed=5)
    frames = first.sample(20).frames
    assert np.array_equal(make_source("moving-garments", seed=5).sample(20).frames, frames)
    assert not np.array_equal(make_source("moving-garments", seed=6).sample(20).frames, frames)
    assert not np.array_equal(first.sample(20).frames, frames)
    first.reset(np.random.default_rng(1))
    frames = first.sample(20).frames
    first.reset(np.random.default_rng(1))
    assert np.array_equal(first.sample(20).frames, frames)


def test_batches_belong_to_the_caller():
    source = make_source("glyphs")
    batch = source.sample(5)
    batch.frames[:] = 7
    for values in batch.factors.values():
        values[:] = 0
    assert set(np.unique(source.sample(200).factors["class"])) == set(range(10))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "socks"}, r"source must be one of garments, moving-garments, .*, got 'socks'"),
        ({"name": "inverted-moving-glyphs"}, r"source must be one of .*inverted-moving-glyphs"),
        (
            {"name": "moving-faces"},
            r"inverted-celeba, .*, got 'moving-faces'",
        ),
        ({"name": ["glyphs"]}, r"source must be one of .*got \['glyphs'\]"),
        ({"motion": "fast"}, "motion must be one of independent, smooth, got 'fast'"),
        ({"size": 8}, "size must be an integer of at least 16 pixels, got 8"),
        ({"seed": -3}, "seed must be an integer of at least 0, got -3"),
        ({"split": "dev"}, "split must be one of train, test, got 'dev'"),
    ],
)
def test_bad_arguments_of_a_source(arguments, message):
    with pytest.raises(ValueError, match=message):
        make_source(**{"name": "glyphs", **arguments})


@pytest.mark.parametrize("n", [0, -1, 1.0, True, None])
def test_bad_numbers_of_frames(n):
    with pytest.raises(ValueError, match="n must be an integer of at least 1, got"):
        make_source("glyphs").sample(n)


def test_sequences():
    assert parse_sequence("moving-garments:20000, glyphs,moving-garments:5", 70) == [
        Segment("moving-garments", 20000),
        Segment("glyphs", 70),
        Segment("moving-garments", 5),
    ]


@pytest.mark.parametrize(
    ("sequence", "message"),
    [
        ("", "source must be one of .*, got ''"),
        ("glyphs:5,", "source must be one of .*, got ''"),
        ("glyphs:5,socks:5", "source must be one of .*, got 'socks'"),
        ("glyphs", "positive number of frames, as in glyphs:2000, got 'glyphs'"),
        ("glyphs:", "positive number of frames, as in glyphs:2000, got 'glyphs:'"),
        ("glyphs:0", "got 'glyphs:0'"),
        ("glyphs:-5", "got 'glyphs:-5'"),
        ("glyphs:1e3", "got 'glyphs:1e3'"),
        ("glyphs:5:6", "got 'glyphs:5:6'"),
    ],
)
def test_bad_sequences(sequence, message):
    with pytest.raises(ValueError, match=message):
        parse_sequence(sequence)
