"""Sources whose frames come in their own order: environments that are played, and recordings."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import count, islice
from typing import Any, NamedTuple

import gymnasium
import numpy as np

from ..endings import is_dead
from .batch import Batch, check_count
from .canvas import Images
from .screens import Screen
from .trajectories.preparation import prepare
from .trajectories.recording import RecordedTrajectories
from .worlds import WorldError, make_world

SEEDS = 2**31
Policy = Callable[[gymnasium.Env[Any, Any], dict[str, Any]], Any]
"""What to do next, in an environment whose last `info` was this."""


def act_at_random(env: gymnasium.Env[Any, Any], info: dict[str, Any]) -> Any:
    """Any action, as likely as any other."""
    return env.action_space.sample()


class Shot(NamedTuple):
    """A frame (H, W, C) of an episode: numbers count from 0, `step` also counts frames left out."""

    frame: Images
    episode: int
    step: int


class WorldSource:
    """Frames of a Gymnasium environment, by default under random actions, episode after episode.

    A last frame of an episode that shows no world (`endings.is_dead`) is left out.

    Args:
        name: of the source, `env:` and the environment's name.
        env_id: the environment's name.
        size: side of the frames in pixels, made as those of a `TrajectorySource`: a world and its
            recording look the same.
        rng: seeds environment and actions.
        policy: chooses the actions.
        env_kwargs: arguments of `make_world`.

    Attributes:
        name, size: as above.
        env: the environment; nothing has been played before the first `sample`.
        channels: 1 for grey worlds, 3 for RGB.
        skipped: nothing; worlds are not damaged.

    Raises:
        WorldError: (a ValueError) Gymnasium cannot make it, or its observations hold no picture.
    """

    moving = False

    def __init__(
        self,
        name: str,
        env_id: str,
        size: int,
        rng: np.random.Generator,
        *,
        policy: Policy = act_at_random,
        env_kwargs: Mapping[str, Any] | None = None,
    ) -> None:
        self.name, self.size = name, size
        self._policy = policy
        try:
            self.env = make_world(env_id, **(env_kwargs or {}))
            self._screen = Screen(self.env.observation_space)
        except (ValueError, TypeError, ImportError, gymnasium.error.Error) as error:
            raise WorldError(f"source {name}: {error}") from error
        self.channels = self._screen.shape[2]
        self.skipped: list[str] = []
        self.reset(rng)

    def reset(self, rng: np.random.Generator) -> None:
        """Starts with a new episode, and seeds environment and actions from `rng`."""
        self._shots = self._play(rng)

    def sample(self, n: int) -> Batch:
        """The next `n` frames; factors are `episode` and `step`, int64."""
        return gather(self._shots, n, self.size, self.channels)

    def close(self) -> None:
        """Closes the environment."""
        self.env.close()

    def _play(self, rng: np.random.Generator) -> Iterator[Shot]:
        env, seed = self.env, int(rng.integers(SEEDS))
        env.action_space.seed(int(rng.integers(SEEDS)))
        for episode in count():
            observation, info = env.reset(seed=None if episode else seed)
            frame, ended = self._screen.read(observation), False
            yield Shot(frame, episode, 0)
            for step in count(1):
                if ended:
                    break
                action = self._policy(env, info)
                observation, _, terminated, truncated, info = env.step(action)
                before, frame = frame, self._screen.read(observation)
                ended = bool(terminated or truncated)
                if not (ended and is_dead(frame, before)):
                    yield Shot(frame, episode, step)


class TrajectorySource:
    """Frames of a recording in their own order, from its first episode on, again and again.

    A last frame of an episode that shows no world (`endings.is_dead`) is left out.

    Args:
        name: of the source, `trajectory:` and the path.
        path: of a file or folder that `RecordedTrajectories` reads.
        size: side of the frames in pixels, made by `trajectories.preparation.prepare`: the paper's
            way for frames of DM Lab, their middle square otherwise.
        skip_bad: leave out what is damaged.

    Attributes:
        name, size: as above.
        channels: 1 for grey recordings, 3 for RGB.

    Raises:
        ValueError: there is no recording, or it cannot be read.
    """

    moving = False

    def __init__(self, name: str, path: str, size: int, *, skip_bad: bool = False) -> None:
        self.name, self.size = name, size
        self._recording = RecordedTrajectories(path, skip_bad=skip_bad)
        self.channels = self._recording.shape[2]
        self._shots = self._replay()

    @property
    def skipped(self) -> list[str]:
        """What was damaged so far, one line each."""
        return [str(error) for error in self._recording.bad]

    def reset(self, rng: np.random.Generator) -> None:
        """Starts with the first episode again; nothing is random."""
        self._shots = self._replay()

    def sample(self, n: int) -> Batch:
        """The next `n` frames; factors are `episode` and `step`, int64.

        Raises:
            TrajectoryError: (a ValueError) the recording is damaged.
        """
        return gather(self._shots, n, self.size, self.channels)

    def close(self) -> None:
        """Closes the recording."""
        self._recording.close()

    def _replay(self) -> Iterator[Shot]:
        while True:
            for episode, recorded in enumerate(self._recording):
                before = None
                for step, frame in enumerate(recorded):
                    ended = 0 < step == len(recorded) - 1
                    if not (ended and is_dead(frame, before)):
                        yield Shot(frame, episode, step)
                    before = frame


def gather(shots: Iterator[Shot], n: int, size: int, channels: int) -> Batch:
    """The next `n` shots, prepared one by one, with `episode` and `step` as factors."""
    taken = list(islice(shots, check_count(n)))
    frames = [prepare(shot.frame[None], size, channels=channels) for shot in taken]
    factors: dict[str, np.ndarray[Any, Any]] = {
        "episode": np.array([shot.episode for shot in taken], np.int64),
        "step": np.array([shot.step for shot in taken], np.int64),
    }
    return Batch(np.concatenate(frames), factors)
