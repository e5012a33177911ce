"""How well an agent does, with its encoder frozen; or how well chance does."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import gymnasium as gym
import numpy as np

from ..envs import make_world
from .bundle import Bundle
from .progress import episode_success

Act = Callable[[Any], Any]


@dataclass(frozen=True)
class Evaluation:
    """Averages over whole episodes."""

    return_mean: float
    """Undiscounted return per episode."""
    return_std: float
    """Standard deviation between episodes."""
    success: float | None
    """Share of successful episodes; None where the environment reports no success."""
    episodes: int
    length_mean: float
    """Steps per episode."""
    frames: list[np.ndarray[Any, Any]] = field(default_factory=list, repr=False, compare=False)
    """Pictures of each recorded episode from its first to its last, uint8 (T + 1, H, W, 3)."""


@dataclass(frozen=True)
class _Episode:
    total: float
    length: int
    success: bool | None
    frames: np.ndarray[Any, Any] | None


def evaluate_agent(
    bundle: Bundle | None,
    env_id: str,
    *,
    env_kwargs: Mapping[str, Any] | None = None,
    episodes: int = 100,
    seed: int = 0,
    deterministic: bool = True,
    record_episodes: int = 0,
    device: str = "auto",
) -> Evaluation:
    """Runs an agent for whole episodes; nothing learns.

    Args:
        bundle: the agent; None takes random actions.
        env_id: name of a Gymnasium environment with the agent's actions and images.
        env_kwargs: arguments of `gymnasium.make`.
        episodes: how many, at least 1.
        seed: of the first reset (the later episodes follow from it) and of random actions.
        deterministic: the most likely action; otherwise one drawn from the policy, as in training,
            by torch's global generator. DQN's policy always takes the best one.
        record_episodes: so many episodes, from the first on, are rendered.
        device: of the encoder.

    Raises:
        ValueError: a count breaks its rule, or the environment renders no pictures to record.
        BundleError: (a ValueError) the environment's action space is not the agent's.
        WorldError: (a ValueError) the library of the environment is not installed.
        gymnasium.error.Error: no environment of that name.
    """
    for name, value, least in (("episodes", episodes, 1), ("record_episodes", record_episodes, 0)):
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise ValueError(f"{name} must be an integer, at least {least}, got {value!r}")
    kwargs = dict(env_kwargs or {})
    if record_episodes:
        kwargs["render_mode"] = "rgb_array"
    env: gym.Env[Any, Any] = make_world(env_id, **kwargs)
    try:
        act: Act = _random_actions(env, seed)
        if bundle is not None:
            env = bundle.wrap(env, training=False, device=device)
            act = _policy_actions(bundle, deterministic)
        runs = []
        for episode in range(episodes):
            first_seed = seed if episode == 0 else None
            runs.append(_run(env, act, first_seed, record=episode < record_episodes))
    finally:
        env.close()
    return _averages(runs)


def _random_actions(env: gym.Env[Any, Any], seed: int) -> Act:
    # The environment is seeded with `seed` itself: equal generators would draw alike, and random
    # actions would know what the environment drew.
    state = np.random.SeedSequence(seed, spawn_key=(1,)).generate_state(1)
    env.action_space.seed(int(state[0]))
    return lambda _: env.action_space.sample()


def _policy_actions(bundle: Bundle, deterministic: bool) -> Act:
    policy = bundle.policy()
    return lambda latents: policy.predict(latents, deterministic=deterministic)[0]


def _run(env: gym.Env[Any, Any], act: Act, seed: int | None, *, record: bool) -> _Episode:
    observation, info = env.reset(seed=seed)
    pictures = [_picture(env)] if record else []
    total, length, done = 0.0, 0, False
    while not done:
        observation, reward, terminated, truncated, info = env.step(act(observation))
        total += float(reward)
        length += 1
        done = terminated or truncated
        if record:
            pictures.append(_picture(env))
    return _Episode(total, length, episode_success(info), np.stack(pictures) if record else None)


def _picture(env: gym.Env[Any, Any]) -> np.ndarray[Any, Any]:
    picture = env.render()
    if not isinstance(picture, np.ndarray):
        raise ValueError(
            f"record_episodes needs an environment that renders arrays, {env} gave "
            f"{type(picture).__name__}"
        )
    return np.array(picture)


def _averages(runs: list[_Episode]) -> Evaluation:
    returns = [run.total for run in runs]
    successes = [run.success for run in runs if run.success is not None]
    return Evaluation(
        return_mean=float(np.mean(returns)),
        return_std=float(np.std(returns)),
        success=float(np.mean(successes)) if successes else None,
        episodes=len(runs),
        length_mean=float(np.mean([run.length for run in runs])),
        frames=[run.frames for run in runs if run.frames is not None],
    )
