"""Recorded files as users have them: layouts, colours, orders of names, and all kinds of damage."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import h5py
import numpy as np
import pytest
from trajectory_formats import make_episodes, make_frame, write_minari

from vase_rl.envs import RecordedTrajectories, TrajectoryError
from vase_rl.envs.trajectories.decoding import decode_image

FRAMES = np.random.default_rng(0).integers(0, 256, (6, 20, 30, 3), dtype=np.uint8)
RED = np.full((4, 5, 3), (250, 0, 10), np.uint8)


def png(image: np.ndarray, suffix: str = ".png") -> bytes:
    """OpenCV takes and writes BGR."""
    done, content = cv2.imencode(suffix, image)
    assert done
    return content.tobytes()


def hdf5(path: Path, **arrays: np.ndarray) -> None:
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            file[name] = array


def spoil(path: Path, part: float = 0.5) -> None:
    """Changes eight bytes in the middle."""
    content = bytearray(path.read_bytes())
    place = int(len(content) * part)
    content[place : place + 8] = bytes(b ^ 0xFF for b in content[place : place + 8])
    path.write_bytes(content)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_arrays_before_and_behind_the_frames(tmp_path: Path, save: Callable[..., None]) -> None:
    """What has no number per frame is nobody's step."""
    path = tmp_path / "a.npz"
    others = {"single": np.float32(3), "objects": np.array([None] * 6), "short": np.arange(5)}
    save(path, aaa=np.arange(6), frames=FRAMES, zzz=np.arange(6), **others)
    episode = RecordedTrajectories(path)[0]
    np.testing.assert_array_equal(episode.read(2, 5), FRAMES[2:5])
    np.testing.assert_array_equal(episode.steps().extra["zzz"], np.arange(6))
    assert set(episode.steps().extra) == {"aaa", "zzz"}
    np.testing.assert_array_equal(episode.read(), FRAMES)


@pytest.mark.parametrize("write", [lambda path, **a: np.savez(path, **a), hdf5])
def test_marks_split_a_shard_into_episodes(tmp_path: Path, write: Callable[..., None]) -> None:
    """The first frame starts an episode, marked or not."""
    suffix = ".h5" if write is hdf5 else ".npz"
    marks = np.array([False, False, True, False, True, False])
    rewards = np.arange(6, dtype=np.float64)
    write(tmp_path / f"s2{suffix}", frames=FRAMES, is_first=marks, rewards=rewards)
    write(tmp_path / f"s10{suffix}", frames=FRAMES[:1])
    recording = RecordedTrajectories(tmp_path)
    assert [len(episode) for episode in recording] == [2, 2, 2, 1]
    assert [episode.number for episode in recording] == [0, 1, 2, 0]
    rewards_1 = recording[1].steps().rewards
    assert rewards_1 is not None
    assert rewards_1.tolist() == [2, 3]
    assert recording[3].steps().rewards is None


@pytest.mark.parametrize(
    ("shape", "expected"),
    [((3, 8, 9), (8, 9, 1)), ((3, 8, 9, 1), (8, 9, 1)), ((3, 8, 9, 4), (8, 9, 3))],
)
def test_channels_of_shards(
    tmp_path: Path, shape: tuple[int, ...], expected: tuple[int, ...]
) -> None:
    frames = np.arange(np.prod(shape), dtype=np.uint8).reshape(shape)
    np.savez(tmp_path / "a.npz", pixels=frames)
    read = RecordedTrajectories(tmp_path, pixels_key="pixels")[0].read()
    assert read.shape[1:] == expected
    np.testing.assert_array_equal(read, frames.reshape(*shape[:3], -1)[..., : expected[2]])


@pytest.mark.parametrize("write", [lambda path, **a: np.savez(path, **a), hdf5])
@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"images": FRAMES}, r"must hold an array 'frames', got \['images'\]"),
        ({"frames": FRAMES.astype(np.float32)}, "must be uint8 .*, got float32"),
        ({"frames": FRAMES[0, 0]}, "must be uint8"),
        ({"frames": FRAMES[..., :2]}, r"C 1, 3 or 4, none of them 0, got uint8 \(6, 20, 30, 2\)"),
        ({"frames": FRAMES[:0]}, r"none of them 0, got uint8 \(0, 20, 30, 3\)"),
        (
            {"frames": FRAMES, "is_first": np.ones(5, bool)},
            r"must mark the starts of episodes among 6 frames, got shape \(5,\)",
        ),
    ],
)
def test_shards_with_another_layout(
    tmp_path: Path, write: Callable[..., None], arrays: dict[str, Any], message: str
) -> None:
    path = tmp_path / ("a.h5" if write is hdf5 else "a.npz")
    write(path, **arrays)
    with pytest.raises(TrajectoryError, match=message) as caught:
        len(RecordedTrajectories(path))
    assert caught.value.path == path


def test_npz_arrays_that_cannot_be_sliced(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", frames=np.asfortranarray(FRAMES))
    with pytest.raises(TrajectoryError, match=r"frames\.npy must be .* in C order .*Fortran"):
        len(RecordedTrajectories(tmp_path))
    np.savez(tmp_path / "a.npz", frames=np.array([None, {}]), allow_pickle=True)
    with pytest.raises(TrajectoryError, match=r"frames\.npy must be an array of numbers"):
        len(RecordedTrajectories(tmp_path))


def compressed_npz(path: Path) -> None:
    np.savez_compressed(path, frames=FRAMES)


def compressed_hdf5(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset("frames", data=FRAMES, chunks=(2, 20, 30, 3), compression="gzip")


def images(path: Path) -> None:
    for i, frame in enumerate(FRAMES):
        path.with_name(f"{i}.png").write_bytes(png(frame))
    path.write_bytes(png(FRAMES[0]))


@pytest.mark.parametrize(
    ("write", "name", "message"),
    [
        (compressed_npz, "a.npz", r"byte [\d,]+: frames\.npy is truncated or damaged"),
        (compressed_hdf5, "a.h5", r"cannot be read \(truncated or damaged\?\)"),
        (images, "3.png", r"the PNG is damaged: the checksum of its chunk at byte \d+ is wrong"),
    ],
)
def test_changed_bytes_are_noticed_where_there_are_checksums(
    tmp_path: Path, write: Callable[[Path], None], name: str, message: str
) -> None:
    write(tmp_path / name)
    spoil(tmp_path / name)
    episode = RecordedTrajectories(tmp_path)[0]
    with pytest.raises(TrajectoryError, match=f"{name}: episode 0.*{message}") as caught:
        episode.read()
    assert caught.value.path == tmp_path / name
    assert caught.value.episode == 0


def test_a_stored_npz_that_ends_early_says_where(tmp_path: Path) -> None:
    """The directory at the end is whole, but promises more than lies before it."""
    path = tmp_path / "a.npz"
    np.savez(path, frames=FRAMES)
    content = path.read_bytes()
    path.write_bytes(content.replace(b"(6, 20, 30, 3)", b"(9, 20, 30, 3)"))
    episode = RecordedTrajectories(path)[0]
    np.testing.assert_array_equal(episode.read(0, 6), FRAMES)
    with pytest.raises(TrajectoryError, match=r"byte 10,928: frames\.npy must go on to byte"):
        episode.read(5, 7)


def test_images_in_natural_order(tmp_path: Path) -> None:
    for number in (2, 10, 1, 9):
        (tmp_path / f"run{number}").mkdir()
        for i in (1, 11, 2):
            image = np.full((4, 5), 10 * number + i, np.uint8)
            (tmp_path / f"run{number}" / f"x{i}.png").write_bytes(png(image))
    recording = RecordedTrajectories(tmp_path)
    found = [episode.read()[:, 0, 0, 0].tolist() for episode in recording]
    assert found == [[10 * n + i for i in (1, 2, 11)] for n in (1, 2, 9, 10)]
    assert recording.shape == (4, 5, 1)


def test_images_of_an_episode_have_one_shape_and_folders_images(tmp_path: Path) -> None:
    for name in ("a/1.png", "a/2.png", "b/notes.txt", "c/1.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(png(RED if name != "a/2.png" else RED[:2]))
    recording = RecordedTrajectories(tmp_path, skip_bad=True)
    assert [(e.number, len(e)) for e in recording] == [(0, 2), (2, 1)]
    assert "b: episode 1: holds no PNG or JPEG image" in str(recording.bad[0])
    with pytest.raises(TrajectoryError, match=r"2\.png: episode 0: .*got \(2, 5, 3\) after \(4,"):
        recording[0].read()


@pytest.mark.parametrize(
    ("content", "swapped", "pixel"),
    [
        (png(RED[..., ::-1]), False, [250, 0, 10]),
        (png(RED), True, [250, 0, 10]),
        (png(np.dstack([RED[..., ::-1], RED[..., :1]])), False, [250, 0, 10]),
        (png(np.dstack([RED, RED[..., :1]])), True, [250, 0, 10]),
        (png(RED[..., 0]), False, [250]),
    ],
)
def test_colours_of_images(content: bytes, swapped: bool, pixel: list[int]) -> None:
    image = decode_image(content, swapped=swapped)
    assert image.shape == (4, 5, len(pixel))
    assert (image == pixel).all()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "must be PNG or JPEG, got bytes that start with b''"),
        (b"GIF89a" + bytes(20), "must be PNG or JPEG, got bytes that start with b'GIF89a"),
        (png(RED)[:-5], r"the PNG is cut off: its chunk at byte \d+ ends at byte \d+ of \d+"),
        (png(RED)[:8], "the PNG is cut off: its chunk at byte 8"),
        (png(RED)[:50] + b"!" + png(RED)[51:], "the PNG is damaged: the checksum of its chunk"),
        (png(RED, ".jpg")[:-20], r"the JPEG is cut off: its \d+ bytes end without an end mark"),
        (b"\xff\xd8" + bytes(30) + b"\xff\xd9", "the image cannot be decoded"),
        (png(RED.astype(np.uint16)), "an image must have 8 bits per colour, got uint16"),
    ],
)
def test_damaged_images(content: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        decode_image(content)


def test_a_file_that_is_no_video(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"no video at all")
    with pytest.raises(TrajectoryError, match=r"a\.mp4: is no video that OpenCV can open"):
        len(RecordedTrajectories(tmp_path))
    # In a process of its own: FFmpeg is told once what to print.
    read = "import sys; from vase_rl.envs import *; r = RecordedTrajectories(sys.argv[1], skip_bad"
    command = [sys.executable, "-c", f"{read}=True); print(len(r), len(r.bad))", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("0 1\n", "")


def test_frames_of_an_episode_that_change_their_shape(tmp_path: Path) -> None:
    """After the first frame, which is read alone, as well as later."""
    for places in ((1, 2), (2,)):
        for i in range(3):
            image = np.zeros((8, 9 if i in places else 7, 3), np.uint8)
            cv2.imwrite(str(tmp_path / f"{i}.png"), image)
        with pytest.raises(TrajectoryError, match=r"one shape, got \(8, 9, 3\) after \(8, 7, 3\)"):
            list(RecordedTrajectories(tmp_path)[0])
        recording = RecordedTrajectories(tmp_path, skip_bad=True)
        assert 1 <= len(list(recording[0])) < 3
        assert len(recording.bad) == 1


@pytest.fixture(scope="module")
def minari_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_minari("hdf5", False, True)(tmp_path_factory.mktemp("minari"), make_episodes())


def test_minari_data_sets_by_name(minari_set: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(minari_set.parents[1]))
    recording = RecordedTrajectories("tests/little-v0", pixels_key="screen")
    np.testing.assert_array_equal(recording.frame(4), make_frame(4))
    steps = recording[0].steps()
    assert set(steps.extra) == {"infos/health"}
    assert steps.extra["infos/health"].shape == (4,)


def test_frames_are_those_that_minari_reads(minari_set: Path) -> None:
    minari = pytest.importorskip("minari")
    for theirs, ours in zip(
        minari.MinariDataset(minari_set / "data"), RecordedTrajectories(minari_set), strict=True
    ):
        np.testing.assert_array_equal(theirs.observations["screen"], ours.read())
        np.testing.assert_array_equal(theirs.actions, ours.steps().actions)


@pytest.mark.parametrize("key", ["position", "nothing"])
def test_minari_observations_without_that_image(minari_set: Path, key: str) -> None:
    with pytest.raises(TrajectoryError, match=rf"pixels_key must name .*\['screen'\], got '{key}'"):
        RecordedTrajectories(minari_set, pixels_key=key)


def test_damaged_minari_data_sets(minari_set: Path, tmp_path: Path) -> None:
    written = write_minari("hdf5", True, False)(tmp_path, make_episodes())
    with h5py.File(written / "data" / "main_data.hdf5", "a") as file:
        del file["episode_0"]
        jpegs = file["episode_2/observations"]
        spoiled = jpegs[1].copy()
        spoiled[:2] = 0
        jpegs[1] = spoiled
    recording = RecordedTrajectories(written, skip_bad=True)
    assert [len(list(episode.chunks(1))) for episode in recording] == [7, 1]
    assert [error.episode for error in recording.bad] == [0, 2]
    assert all("main_data.hdf5: episode" in str(error) for error in recording.bad)
    (written / "data" / "metadata.json").write_text('{"data_format": "hdf5"}')
    with pytest.raises(TrajectoryError, match=r"data: is no whole Minari data set \(.*Error"):
        RecordedTrajectories(written)
