"""`vase-rl record`: what an environment shows, with a random or a saved policy, in a data set."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, SupportsFloat

import gymnasium as gym
import numpy as np

from ..agents import Bundle
from ..envs.screens import Screen, fit
from ..envs.trajectories.minari_writer import MinariWriter, Take, check_made_with
from .progress import Progress, say
from .results import RunDirectory
from .training import make_environment

DATA = "data"
"""Folder of the data set in DIR; Minari's own layout."""


@dataclass(frozen=True)
class RecordSettings:
    """As the options of `vase-rl record`."""

    env_id: str
    env_kwargs: dict[str, Any] = field(default_factory=dict)
    frames: int = 10_000
    """At least so many; the last episode is cut off at this number."""
    size: tuple[int, int] | None = None
    """Width and height that the picture is resized to by area; None: as it is."""
    policy: str | None = None
    """A bundle, whose agent takes its most likely actions; None: random actions."""
    seed: int = 0
    device: str = "auto"

    def made_with(self) -> dict[str, Any]:
        """What two parts of one recording must have in common."""
        policy = None
        if self.policy is not None:
            policy = hashlib.sha256(Path(self.policy).read_bytes()).hexdigest()
        size = None if self.size is None else list(self.size)
        return {"env": self.env_id, "env_args": self.env_kwargs, "size": size, "seed": self.seed,
                "policy": policy}  # fmt: skip


class Tape(gym.Wrapper[Any, Any, Any, Any]):
    """Keeps the present episode: pictures, actions and rewards.

    Args:
        env: with a picture in its observations.
        size: width and height of the pictures kept; None: as they are.
    """

    def __init__(self, env: gym.Env[Any, Any], size: tuple[int, int] | None) -> None:
        super().__init__(env)
        self._screen = Screen(env.observation_space)
        height, width, channels = self._screen.shape
        self.size = size or (width, height)
        self.space = gym.spaces.Box(0, 255, (self.size[1], self.size[0], channels), np.uint8)
        self.frames: list[np.ndarray[Any, Any]] = []
        self.actions: list[Any] = []
        self.rewards: list[float] = []

    def reset(self, **options: Any) -> tuple[Any, dict[str, Any]]:
        """A new episode; the last one is forgotten."""
        observation, info = self.env.reset(**options)
        self.frames, self.actions, self.rewards = [self._picture(observation)], [], []
        self.terminated = self.ended = False
        return observation, info

    def step(self, action: Any) -> tuple[Any, SupportsFloat, bool, bool, dict[str, Any]]:
        """As the environment's."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        self.frames.append(self._picture(observation))
        self.actions.append(action)
        self.rewards.append(float(reward))
        self.terminated, self.ended = bool(terminated), bool(terminated or truncated)
        return observation, reward, terminated, truncated, info

    def take(self, seed: int) -> Take:
        """The episode so far."""
        return Take(
            frames=np.stack(self.frames),
            actions=stack(self.actions),
            rewards=np.array(self.rewards),
            terminated=self.terminated,
            seed=seed,
        )

    def _picture(self, observation: Any) -> np.ndarray[Any, Any]:
        return fit(self._screen.read(observation), *self.size)


def run_record(settings: RecordSettings, out: str | Path, arguments: list[str]) -> RunDirectory:
    """Record an environment; leave `metrics.json` and a Minari data set in `data`.

    An interrupt leaves the finished episodes, and a second call goes on behind them. Each episode
    has its own seed, so both together leave what one call would have left.

    Raises:
        ValueError, OSError: a setting breaks its rule, the environment cannot be made or has no
            picture, or `out` holds another recording.
    """
    folder, made_with = Path(out) / DATA, settings.made_with()
    check_made_with(folder, made_with)
    with closing(make_environment(settings.env_id, settings.env_kwargs)) as env:
        tape = Tape(env, settings.size)
        played, act = player(tape, settings)
        run = RunDirectory(out, "record", arguments)
        writer = MinariWriter(folder, tape.space, env.action_space, made_with, env.spec)
        if writer.frames:
            say(f"going on after {writer.frames:,} frames, {writer.episodes:,} episodes in {out}")
        try:
            with Progress(settings.frames, "recording") as progress:
                progress.advance(min(writer.frames, settings.frames))
                while (left := settings.frames - writer.frames) > 0:
                    take = play(played, tape, act, settings.seed, writer.episodes, left)
                    writer.write(take)
                    progress.advance(min(len(take.frames), left))
                    _note(run, settings, writer)
        finally:
            _note(run, settings, writer)
    run.finish()
    return run


def player(tape: Tape, settings: RecordSettings) -> tuple[gym.Env[Any, Any], Callable[[Any], Any]]:
    """The environment as the policy sees it, and its choice of actions.

    Raises:
        ValueError: the bundle cannot be read, or has other actions or no picture to look at.
    """
    if settings.policy is None:
        return tape, lambda _: tape.action_space.sample()
    bundle = Bundle.load(settings.policy)
    policy = bundle.policy()
    env = bundle.wrap(tape, training=False, device=settings.device)
    return env, lambda latents: policy.predict(latents, deterministic=True)[0]


def play(
    env: gym.Env[Any, Any],
    tape: Tape,
    act: Callable[[Any], Any],
    seed: int,
    episode: int,
    limit: int,
) -> Take:
    """One episode, seeded by its number, of at least one step and else at most `limit` frames."""
    world, actions = (int(s) for s in np.random.SeedSequence([seed, episode]).generate_state(2))
    tape.action_space.seed(actions)
    observation, _ = env.reset(seed=world)
    while not tape.ended and len(tape.frames) < max(limit, 2):
        observation = env.step(act(observation))[0]
    return tape.take(world)


def stack(values: list[Any]) -> Any:
    """Actions one above the other: arrays (T, ...), or a dict or tuple of them."""
    first = values[0]
    if isinstance(first, dict):
        return {key: stack([value[key] for value in values]) for key in first}
    if isinstance(first, tuple):
        return tuple(stack(list(parts)) for parts in zip(*values, strict=True))
    return np.asarray(values)


def _note(run: RunDirectory, settings: RecordSettings, writer: MinariWriter) -> None:
    run.record(
        env=settings.env_id,
        env_kwargs=settings.env_kwargs,
        policy=settings.policy,
        frames=writer.frames,
        episodes=writer.episodes,
        path=str(run.path),
        seed=settings.seed,
    )
