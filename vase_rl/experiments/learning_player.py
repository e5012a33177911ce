"""Frames that a learning agent causes: one PPO that goes from world to world."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import gymnasium
import numpy as np
import numpy.typing as npt
import torch
from gymnasium import spaces
from stable_baselines3 import PPO

from ..endings import is_dead
from ..envs.batch import Batch
from ..envs.canvas import Images
from ..envs.ordered import SEEDS, Shot, gather
from ..envs.screens import Screen
from ..envs.trajectories.preparation import prepare

ROLLOUT = 512
"""Steps that PPO plays before it learns from them."""
HYPERPARAMETERS: dict[str, Any] = dict(
    batch_size=128, n_epochs=4, learning_rate=3e-4, ent_coef=0.01
)
"""Few epochs: a step costs a fraction of a millisecond."""

Floats = npt.NDArray[np.float32]
World = gymnasium.Env[Floats, Any]
Look = Callable[[Images, Any, dict[str, Any]], Floats]
"""What the agent sees, float32 (n,), of a frame (size, size, C), the observation and `info`."""


class Filmed(gymnasium.Wrapper[Floats, Any, Any, Any]):
    """An environment whose pictures go on film, and whose agent sees a few numbers instead.

    A last frame of an episode that shows no world (`endings.is_dead`) is left out.

    Args:
        env: its observations hold a picture.
        size: side of the frames, made as those of a `WorldSource`.
        look: the numbers.
        space: of the numbers.

    Attributes:
        film: frames that nobody has taken yet.
        channels: 1 for grey worlds, 3 for RGB.

    Raises:
        ValueError: the observations hold no picture.
    """

    def __init__(
        self, env: gymnasium.Env[Any, Any], size: int, look: Look, space: spaces.Box
    ) -> None:
        super().__init__(env)
        self.observation_space = space  # type: ignore[assignment]
        self.film: deque[Shot] = deque()
        self._screen = Screen(env.observation_space)
        self.size, self.channels = size, self._screen.shape[2]
        self._look = look
        self._episode, self._step = -1, 0
        self._before: Images | None = None

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Floats, dict[str, Any]]:
        """As of the environment, with numbers for its observation."""
        observation, info = self.env.reset(seed=seed, options=options)
        self._episode, self._step, self._before = self._episode + 1, 0, None
        return self._shoot(observation, info, ended=False), info

    def step(self, action: Any) -> tuple[Floats, Any, bool, bool, dict[str, Any]]:
        """As of the environment, with numbers for its observation."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        self._step += 1
        numbers = self._shoot(observation, info, ended=bool(terminated or truncated))
        return numbers, reward, terminated, truncated, info

    def _shoot(self, observation: Any, info: dict[str, Any], ended: bool) -> Floats:
        raw = self._screen.read(observation)
        frame = prepare(raw[None], self.size, channels=self.channels)[0]
        if not (ended and is_dead(raw, self._before)):
            self.film.append(Shot(frame, self._episode, self._step))
        self._before = raw
        return self._look(frame, observation, info)


class LearningPlayer:
    """PPO that learns in whichever world it is put, and keeps what it has learnt.

    It moves none of the global random generators, which Stable-Baselines3 draws from.

    Args:
        seed: of weights, actions and worlds.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.model: PPO | None = None
        self._world: World | None = None
        self._rng = np.random.default_rng(seed)
        self._states: tuple[Any, ...] | None = None

    def practise(self, world: World) -> None:
        """Plays one rollout and learns from it. Another world than last begins a new episode."""
        with self._own_randomness():
            if self.model is None:
                self.model = PPO(
                    "MlpPolicy", world, n_steps=ROLLOUT, seed=self.seed, device="cpu",
                    **HYPERPARAMETERS,
                )  # fmt: skip
            elif world is not self._world:
                self.model.set_env(world)
                assert self.model.env is not None
                self.model.env.seed(int(self._rng.integers(SEEDS)))
            self._world = world
            self.model.learn(ROLLOUT, reset_num_timesteps=False)

    @contextmanager
    def _own_randomness(self) -> Iterator[None]:
        theirs, threads = _states(), torch.get_num_threads()
        if self._states is not None:
            _restore(self._states)
        # Its networks are too small to share their work between threads.
        torch.set_num_threads(1)
        try:
            yield
        finally:
            self._states = _states()
            _restore(theirs)
            torch.set_num_threads(threads)


def _states() -> tuple[Any, ...]:
    return torch.get_rng_state(), np.random.get_state(), random.getstate()  # noqa: NPY002


def _restore(states: tuple[Any, ...]) -> None:
    torch.set_rng_state(states[0])
    np.random.set_state(states[1])  # noqa: NPY002
    random.setstate(states[2])


class LearningSource:
    """The frames of one world that a learning player causes; a `Source`.

    Whenever they run out, the player learns from one more rollout here. Frames left of its last
    rollout when another world takes over wait until this one returns.

    Args:
        name: of the source.
        world: where it plays: a `Filmed` environment, possibly wrapped further.
        player: may play in other worlds in between.
    """

    moving = False

    def __init__(self, name: str, world: World, player: LearningPlayer) -> None:
        self.name = name
        self.size: int = world.get_wrapper_attr("size")
        self.channels: int = world.get_wrapper_attr("channels")
        self.skipped: list[str] = []
        self._film: deque[Shot] = world.get_wrapper_attr("film")
        self._world, self._player = world, player
        self._shots = self._play()

    def reset(self, rng: np.random.Generator) -> None:
        """Drops the frames that wait; the player goes on as it is."""
        self._film.clear()

    def sample(self, n: int) -> Batch:
        """The next `n` frames; factors are `episode` and `step`, int64."""
        return gather(self._shots, n, self.size, self.channels)

    def close(self) -> None:
        """Closes the world."""
        self._world.close()

    def _play(self) -> Iterator[Shot]:
        while True:
            while not self._film:
                self._player.practise(self._world)
            yield self._film.popleft()
