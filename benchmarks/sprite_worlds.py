"""SpriteReach in one world after another: environments, trials, two ways to spend frames."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import gymnasium as gym
import numpy as np
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import VecEnv

from vase_rl.envs.families import check_family
from vase_rl.wrappers import VASEVecEnvWrapper

REACH = "vase_rl/SpriteReach-v0"
SIZE = 64
ENVIRONMENTS = 8


def parse_world(world: str) -> tuple[str, float]:
    """Family and light of a world's name: `glyphs`, `glyphs@0.2`.

    Raises:
        ValueError: no such family, or no number from 0 to below 1 behind the @.
    """
    family, at, light = world.partition("@")
    check_family(family)
    try:
        level = float(light) if at else 0.0
    except ValueError:
        level = math.nan
    if not 0 <= level < 1:
        raise ValueError(
            f"light must be a number from 0 to below 1, as in glyphs@0.2, got {world!r}"
        )
    return family, level


class World(gym.ObservationWrapper[Any, Any, Any]):
    """Changes sprites and light at the next episode, which no one is told.

    At light L black is shown as L of white, and white stays: sprites stand out less.
    """

    def __init__(self, env: gym.Env[Any, Any], world: str) -> None:
        super().__init__(env)
        self.enter(world)

    def enter(self, world: str) -> None:
        """From the next episode on."""
        self.family, self.next_light = parse_world(world)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        self.light = self.next_light
        chosen = {**(options or {}), "family": self.family}
        return super().reset(seed=seed, options=chosen)

    def observation(self, observation: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        if self.light == 0:
            return observation
        return np.rint(255 * self.light + (1 - self.light) * observation).astype(np.uint8)


def environments(world: str, seed: int, split: str, data_dir: str | None) -> VecEnv:
    """Eight of them, one after the other in this process."""
    family, _ = parse_world(world)

    def make() -> World:
        env = gym.make(REACH, family=family, size=SIZE, seed=seed, split=split, data_dir=data_dir)
        return World(env, world)

    return make_vec_env(make, ENVIRONMENTS, seed)


@dataclass
class Agent:
    """A policy, the environments it lives in, and those it is tried in."""

    model: PPO | None
    """None: random actions."""
    venv: VecEnv
    trial: VecEnv
    encoder: VASEVecEnvWrapper | None = None
    """The adapter, where there is one."""
    callbacks: list[BaseCallback] = field(default_factory=list)
    frames: int = 0
    """Seen so far, in whatever way."""


@dataclass(frozen=True)
class Trial:
    """Averages over whole episodes with sprites that no one has trained on."""

    success: float
    return_mean: float


def trial(agent: Agent, world: str, episodes: int, seed: int) -> Trial:
    """Try an agent deterministically, equally many episodes in each environment; nothing learns."""
    if agent.encoder is not None and agent.encoder.training:
        agent.encoder.refresh()
    venv = agent.trial
    venv.env_method("enter", world)
    venv.seed(seed)
    venv.action_space.seed(seed)
    observations = venv.reset()
    each = -(-episodes // venv.num_envs)
    ended, successes, returns = np.zeros(venv.num_envs, dtype=int), 0, 0.0
    while ended.min() < each:
        observations, rewards, dones, infos = venv.step(_actions(agent, venv, observations))
        returns += float(rewards[ended < each].sum())
        for i in np.flatnonzero(dones & (ended < each)):
            successes += bool(infos[i]["success"])
            ended[i] += 1
    count = each * venv.num_envs
    return Trial(successes / count, returns / count)


def _actions(agent: Agent, venv: VecEnv, observations: Any) -> np.ndarray[Any, Any]:
    if agent.model is None:
        return np.stack([venv.action_space.sample() for _ in range(venv.num_envs)])
    return agent.model.predict(observations, deterministic=True)[0]


def watch(agent: Agent, world: str, frames: int, seed: int) -> None:
    """Random actions, without reward: the encoder learns, where there is one that does."""
    agent.venv.env_method("enter", world)
    agent.venv.action_space.seed(seed)
    agent.venv.reset()
    for _ in range(frames // agent.venv.num_envs):
        actions = [agent.venv.action_space.sample() for _ in range(agent.venv.num_envs)]
        agent.venv.step(np.stack(actions))
    agent.frames += frames // agent.venv.num_envs * agent.venv.num_envs


def practise(
    agent: Agent, world: str, frames: int, every: int, tried: Callable[[], Trial]
) -> list[tuple[int, float]]:
    """PPO, with reward.

    Returns:
        The learning curve: all frames that the agent has seen so far, and its success, about
        `every` frames.
    """
    assert agent.model is not None
    agent.venv.env_method("enter", world)
    curve = _Curve(every, agent.frames, tried)
    before = agent.model.num_timesteps
    # Stable-Baselines3 starts a fresh episode where it has no last observation.
    agent.model._last_obs = None
    agent.model.learn(
        frames, callback=[*agent.callbacks, curve], reset_num_timesteps=before == 0
    )  # fmt: skip
    agent.frames += agent.model.num_timesteps - before
    return curve.points


class _Curve(BaseCallback):
    """Tries the agent between two rollouts, every so many frames."""

    def __init__(self, every: int, seen: int, tried: Callable[[], Trial]) -> None:
        super().__init__()
        self.every, self.seen, self.tried = every, seen, tried
        self.points: list[tuple[int, float]] = []

    def _init_callback(self) -> None:
        self.first = self.last = self.num_timesteps

    def _on_rollout_start(self) -> None:
        if self.num_timesteps - self.last >= self.every:
            self.last = self.num_timesteps
            frames = self.seen + self.num_timesteps - self.first
            self.points.append((frames, self.tried().success))

    def _on_step(self) -> bool:
        return True
