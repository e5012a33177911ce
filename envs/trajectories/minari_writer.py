"""Writes episodes to a Minari data set, losslessly and one at a time, and goes on with one."""

from __future__ import annotations

import json
import re
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import numpy.typing as npt

from .damage import damage
from .extras import require
from .minari_files import HDF5_FILE
from .reader import Images, TrajectoryError

METADATA_FILE = "metadata.json"
MADE_WITH = "vase_rl_recording"
"""Key of the metadata under which stands what a recording was made with."""


@dataclass(frozen=True)
class Take:
    """One episode of T steps.

    Attributes:
        frames: uint8 (T + 1, H, W, C), from the one of `reset` to the one of the last step.
        actions: T of them: an array (T, ...), or a dict or tuple of such.
        rewards: (T,).
        terminated: whether it ended by itself; it was cut off otherwise.
        seed: of its `reset`.
    """

    frames: Images
    actions: Any
    rewards: npt.NDArray[np.float64]
    terminated: bool
    seed: int


class MinariWriter:
    """A Minari data set in HDF5, without compression, to which whole episodes are added.

    Minari's own collector loses detail to JPEG by default and needs jax; this writes what it would
    write with `jpeg_encoding=False`. What was added stays whole when the program is interrupted.

    Args:
        folder: of the data set's files; an existing data set is continued.
        observation_space: of the frames, a uint8 Box (H, W, C).
        action_space: of the actions.
        made_with: values of JSON that tell how the recording is made.
        spec: of the environment, for those who want to make it again; left out if it is not
            made of plain values.

    Attributes:
        episodes, frames: how many the data set holds.

    Raises:
        MissingLibraryError: (a ValueError) Minari is not installed.
        ValueError: the folder holds a recording made with something else.
        TrajectoryError: (a ValueError) it holds one that is damaged.
    """

    def __init__(
        self,
        folder: Path,
        observation_space: gymnasium.spaces.Box,
        action_space: gymnasium.spaces.Space[Any],
        made_with: dict[str, Any],
        spec: gymnasium.envs.registration.EnvSpec | None = None,
    ) -> None:
        storage = require("minari.dataset.minari_storage").MinariStorage
        self._buffer = require("minari.data_collector.episode_buffer").EpisodeBuffer
        # Minari looks for files of relative folders below themselves.
        folder = folder.absolute()
        if check_made_with(folder, made_with):
            _remove_unfinished(folder)
            self._storage = storage.read(folder)
        else:
            folder.mkdir(parents=True, exist_ok=True)
            self._storage = storage.new(
                folder,
                observation_space=observation_space,
                action_space=action_space,
                env_spec=_plain(spec),
                jpeg_encoding=False,
            )
            self._storage.update_metadata(_metadata(made_with))
        self.episodes: int = self._storage.total_episodes
        self.frames: int = self._storage.total_steps + self.episodes

    def write(self, take: Take) -> None:
        """Adds an episode; Ctrl-C waits until it is written."""
        steps = len(take.rewards)
        last = np.arange(steps) == steps - 1
        with _undisturbed():
            self._storage.update_episodes([
                self._buffer(
                    id=self.episodes,
                    seed=take.seed,
                    observations=take.frames,
                    actions=take.actions,
                    rewards=take.rewards,
                    terminations=last & take.terminated,
                    truncations=last & (not take.terminated),
                )
            ])  # fmt: skip
            self.episodes += 1
            self.frames += len(take.frames)


def check_made_with(folder: Path, made_with: dict[str, Any]) -> bool:
    """Whether the folder holds a recording, which then was made with just that.

    Raises:
        ValueError: it was made with something else.
        TrajectoryError: (a ValueError) it is damaged.
    """
    path = folder / METADATA_FILE
    if not path.is_file():
        return False
    with damage(path):
        metadata = json.loads(path.read_text("utf-8"))
    found = metadata.get(MADE_WITH) if isinstance(metadata, dict) else None
    if not isinstance(found, dict):
        raise TrajectoryError(path, "is not of a recording that can be continued")
    wanted = json.loads(json.dumps(made_with))
    for name in sorted(found.keys() | wanted.keys()):
        if found.get(name) != wanted.get(name):
            raise ValueError(
                f"{folder} holds a recording made with {name} {found.get(name)!r}, to which none "
                f"with {wanted.get(name)!r} can be added"
            )
    return True


def _metadata(made_with: dict[str, Any]) -> dict[str, Any]:
    """What Minari needs to open a data set; its name is that of the environment."""
    name = re.sub(r"[^\w-]+", "-", str(made_with["env"]))
    return {
        "dataset_id": name if re.search(r"-v\d+$", name) else f"{name}-v0",
        "minari_version": require("minari").__version__,
        MADE_WITH: made_with,
    }


def _plain(
    spec: gymnasium.envs.registration.EnvSpec | None,
) -> gymnasium.envs.registration.EnvSpec | None:
    try:
        return spec if spec is not None and spec.to_json() else None
    except (TypeError, ValueError):
        return None


def _remove_unfinished(folder: Path) -> None:
    """Drops an episode that the metadata do not count: its writing was killed half-way."""
    h5py = require("h5py")
    counted = json.loads((folder / METADATA_FILE).read_text("utf-8"))["total_episodes"]
    path = folder / HDF5_FILE
    if not path.is_file() or not path.stat().st_size:
        return
    with damage(path), h5py.File(path, "a") as file:
        for name in [name for name in file if int(name.removeprefix("episode_")) >= counted]:
            del file[name]


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Ctrl-C takes effect at the end."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _: came.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if came:
        raise KeyboardInterrupt
