"""The same little episodes, written in every format that recordings come in.

A new format is one more `Kind` in `KINDS`: `tests/test_trajectories.py` then holds it to the
contract of all readers, and `benchmarks/reading.py` measures it, with longer episodes of larger
frames.
"""

from __future__ import annotations

import gzip
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from gymnasium import spaces
from tfrecords import (
    dmlab_episode,
    encode_example,
    frame_records,
    rlds_episode,
    write_rlds_metadata,
)

Images = npt.NDArray[np.uint8]

HEIGHT, WIDTH = 72, 96
LENGTHS = (4, 7, 3)
MARK = (slice(8, 40), slice(16, 64))
"""Rows and columns of a grey patch whose brightness is the frame's number."""
MARK_STEP = 15


@dataclass(frozen=True)
class Recorded:
    """An episode: frames (T, H, W, 3), and T − 1 actions with their rewards."""

    frames: Images
    actions: npt.NDArray[np.int64]
    rewards: npt.NDArray[np.float32]
    terminated: bool


def make_frame(number: int) -> Images:
    """Red at the left, blue at the lower right, green nowhere; the patch tells the number."""
    frame = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    frame[:, :48] = (200, 60, 20)
    frame[40:, 48:] = (20, 40, 180)
    frame[MARK] = number * MARK_STEP
    return frame


def number_of(frame: Images) -> int:
    """Which frame it is, also after lossy compression."""
    return round(float(np.mean(frame[MARK][6:-6, 6:-6])) / MARK_STEP)


def make_episodes() -> list[Recorded]:
    """Frames are numbered through all episodes; the second one is cut off, the others end."""
    episodes, first = [], 0
    for i, length in enumerate(LENGTHS):
        numbers = np.arange(first, first + length)
        episodes.append(
            Recorded(
                frames=np.stack([make_frame(n) for n in numbers]),
                actions=numbers[:-1] % 3,
                rewards=(numbers[:-1] / 2).astype(np.float32),
                terminated=i != 1,
            )
        )
        first += length
    return episodes


def with_marks(episodes: list[Recorded]) -> dict[str, npt.NDArray[Any]]:
    """All episodes in one shard: the last step of each has an action and a reward of 0."""
    ends = np.cumsum([len(e.frames) for e in episodes]) - 1
    starts, total = np.array([0, *(ends[:-1] + 1)]), ends[-1] + 1
    return {
        "frames": np.concatenate([e.frames for e in episodes]),
        "actions": np.concatenate([np.append(e.actions, 0) for e in episodes]),
        "rewards": np.concatenate([np.append(e.rewards, 0) for e in episodes]),
        "episode_starts": np.isin(np.arange(total), starts),
        "terminated": np.isin(np.arange(total), ends[[e.terminated for e in episodes]]),
        "depth": np.arange(total, dtype=np.float32),
    }


def alone(episode: Recorded) -> dict[str, npt.NDArray[Any]]:
    """A shard of one episode."""
    ends = np.zeros(len(episode.frames), bool)
    ends[-1] = episode.terminated
    return {
        "frames": episode.frames, "actions": episode.actions, "rewards": episode.rewards,
        "terminated": ends,
    }  # fmt: skip


def write_npz(save: Callable[..., None]) -> Callable[[Path, list[Recorded]], Path]:
    def write(folder: Path, episodes: list[Recorded]) -> Path:
        for i, episode in enumerate(episodes):
            save(folder / f"shard{i}.npz", **alone(episode))
        return folder

    return write


def write_npz_with_marks(folder: Path, episodes: list[Recorded]) -> Path:
    np.savez(folder / "all.npz", **with_marks(episodes))
    return folder / "all.npz"


def write_hdf5_file(path: Path, arrays: dict[str, npt.NDArray[Any]]) -> None:
    import h5py

    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            file.create_dataset(name, data=array, compression="gzip")


def write_hdf5(folder: Path, episodes: list[Recorded]) -> Path:
    for i, episode in enumerate(episodes):
        write_hdf5_file(folder / f"shard{i}.h5", alone(episode))
    return folder


def write_hdf5_with_marks(folder: Path, episodes: list[Recorded]) -> Path:
    write_hdf5_file(folder / "all.hdf5", with_marks(episodes))
    return folder / "all.hdf5"


def write_video(suffix: str, codec: str) -> Callable[[Path, list[Recorded]], Path]:
    def write(folder: Path, episodes: list[Recorded]) -> Path:
        for i, episode in enumerate(episodes):
            height, width = episode.frames.shape[1:3]
            writer = cv2.VideoWriter(
                str(folder / f"{i}{suffix}"), cv2.VideoWriter.fourcc(*codec), 30, (width, height)
            )
            assert writer.isOpened()
            for frame in episode.frames:
                writer.write(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
            writer.release()
        return folder

    return write


def write_images(suffix: str) -> Callable[[Path, list[Recorded]], Path]:
    def write(folder: Path, episodes: list[Recorded]) -> Path:
        for i, episode in enumerate(episodes):
            (folder / f"episode{i}").mkdir()
            for t, frame in enumerate(episode.frames):
                # From 8 to 10 and on: their order as words is another.
                path = folder / f"episode{i}" / f"{t + 8}{suffix}"
                assert cv2.imwrite(str(path), cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
        return folder

    return write


def write_minari(format: str, jpeg: bool, nested: bool) -> Callable[[Path, list[Recorded]], Path]:
    def write(folder: Path, episodes: list[Recorded]) -> Path:
        import minari
        from minari.data_collector import EpisodeBuffer

        image = spaces.Box(0, 255, episodes[0].frames.shape[1:], np.uint8)
        position = spaces.Box(-1, 1, (2,), np.float32)
        buffers = [
            EpisodeBuffer(
                observations={"screen": list(e.frames), "position": [np.zeros(2, np.float32)] * n}
                if nested
                else list(e.frames),
                actions=list(e.actions),
                rewards=[float(r) for r in e.rewards],
                terminations=[False] * (n - 2) + [e.terminated],
                truncations=[False] * (n - 2) + [not e.terminated],
                infos={"health": [1.0] * n},
            )
            for e in episodes
            for n in [len(e.frames)]
        ]
        # It warns of everything that the data set does not say, such as its author.
        with warnings.catch_warnings(), pytest.MonkeyPatch.context() as patch:
            warnings.simplefilter("ignore")
            patch.setenv("MINARI_DATASETS_PATH", str(folder))
            minari.create_dataset_from_buffers(
                "tests/little-v0",
                buffers,
                observation_space=spaces.Dict(screen=image, position=position) if nested else image,
                action_space=spaces.Discrete(3),
                data_format=format,
                jpeg_encoding=jpeg,
            )
        return folder / "tests" / "little-v0"

    return write


def write_rl_unplugged(shards: int) -> Callable[[Path, list[Recorded]], Path]:
    def write(folder: Path, episodes: list[Recorded]) -> Path:
        payloads = [
            encode_example(
                dmlab_episode(e.frames, i)
                | {"actions": np.append(e.actions, 0), "rewards": np.append(e.rewards, 0)}
            )
            for i, e in enumerate(episodes)
        ]
        size = -(-len(episodes) // shards)
        for i in range(shards):
            content = gzip.compress(frame_records(payloads[i * size : (i + 1) * size]))
            (folder / f"tfrecord-{i:05d}-of-{shards:05d}").write_bytes(content)
        return folder if shards > 1 else folder / "tfrecord-00000-of-00001"

    return write


def write_rlds(folder: Path, episodes: list[Recorded]) -> Path:
    for i, e in enumerate(episodes):
        features = rlds_episode(e.frames, i, terminal=e.terminated)
        features["steps/action"] = np.append(e.actions, 0)
        features["steps/reward"] = np.append(e.rewards, 0)
        name = f"little-train.tfrecord-{i:05d}-of-{len(episodes):05d}"
        (folder / name).write_bytes(frame_records([encode_example(features)]))
    write_rlds_metadata(folder, "little", "1.0.0")
    return folder


@dataclass(frozen=True)
class Kind:
    """A format, or a variant of one.

    Attributes:
        format: its name in `formats.FORMATS`, as it must be guessed.
        write: writes episodes into an empty folder and returns the path to open.
        tolerance: mean absolute error of a lossy frame, 0 for a lossless one.
        steps: whether actions, rewards and ends are recorded.
        victim: the file, below the path to open, that a test cuts off; empty for the path itself.
        survivors: episodes that can still be read after that, whole.
    """

    format: str
    write: Callable[[Path, list[Recorded]], Path]
    tolerance: float = 0
    steps: bool = True
    victim: str = ""
    survivors: tuple[int, ...] = (0, 2)


def minari_kinds() -> dict[str, Kind]:
    made = {}
    for format, nested in (("hdf5", True), ("arrow", True), ("parquet", False)):
        hdf5 = format == "hdf5"
        for jpeg in (False, True):
            made[f"minari-{format}{'-jpeg' if jpeg else ''}"] = Kind(
                "minari",
                write_minari(format, jpeg, nested),
                tolerance=4 if jpeg else 0,
                victim="data/main_data.hdf5" if hdf5 else f"data/1/part-0.{format}",
                survivors=() if hdf5 else (0, 2),
            )
    return made


KINDS = {
    "rl-unplugged": Kind(
        "rl-unplugged", write_rl_unplugged(shards=3), victim="tfrecord-00001-of-00003"
    ),
    "rl-unplugged-shard": Kind("rl-unplugged", write_rl_unplugged(shards=1), survivors=(0,)),
    "rlds": Kind("rlds", write_rlds, victim="little-train.tfrecord-00001-of-00003"),
    "npz": Kind("npz", write_npz(np.savez), victim="shard1.npz"),
    "npz-compressed": Kind("npz", write_npz(np.savez_compressed), victim="shard1.npz"),
    "npz-marks": Kind("npz", write_npz_with_marks, survivors=()),
    "hdf5": Kind("hdf5", write_hdf5, victim="shard1.h5"),
    "hdf5-marks": Kind("hdf5", write_hdf5_with_marks, survivors=()),
    "avi": Kind("video", write_video(".avi", "MJPG"), tolerance=6, steps=False, victim="1.avi"),
    "mp4": Kind("video", write_video(".mp4", "mp4v"), tolerance=6, steps=False, victim="1.mp4"),
    "png": Kind("images", write_images(".png"), steps=False, victim="episode1/10.png"),
    "jpeg": Kind(
        "images", write_images(".jpg"), tolerance=4, steps=False, victim="episode1/10.jpg"
    ),
    **minari_kinds(),
}
