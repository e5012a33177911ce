"""Imagined goals on SpriteReach: practice on what the learner imagines, then what a picture shows.

    python benchmarks/imagined_goals.py --seeds 10-12

The learner watches random actions; SAC then practises with hindsight on imagined goals alone. It is
tested on pictures of other garments at places anywhere: the share of episodes that end with the
sprite within 10% of the canvas of the one in the picture, beside the same with random actions. The
environment's own target is put out of the way, and its reward is never looked at.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
from intervals import mean_with_interval

import vase_rl  # noqa: F401  (registers SpriteReach)
from vase_rl.agents import ImaginedGoals, goal_agent
from vase_rl.envs import make_source
from vase_rl.experiments.options import parse_seeds
from vase_rl.wrappers import VASEObservationWrapper

SIZE = 64
TOLERANCE = 0.1
"""Of the canvas."""


def main() -> None:
    """Runs every seed and prints the shares."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=parse_seeds, default=[0])
    parser.add_argument("--watch", type=int, default=12_000, help="frames of random actions")
    parser.add_argument("--practice", type=int, default=10_000, help="frames of practice")
    parser.add_argument("--episodes", type=int, default=100)
    options = parser.parse_args()
    found = []
    for seed in options.seeds:
        found.append(run(seed, options.watch, options.practice, options.episodes))
        print(f"seed {seed}: reached {found[-1][0]:.2f}, random actions {found[-1][1]:.2f}")
    for name, shares in zip(("reached", "random actions"), zip(*found, strict=True), strict=True):
        print(f"{name}: {mean_with_interval(list(shares))}")


def run(seed: int, watch: int, practice: int, episodes: int) -> tuple[float, float]:
    """Shares of goal pictures that are reached, by the agent and by random actions."""
    world = gym.make("vase_rl/SpriteReach-v0", seed=seed, success_radius=1e-6)
    seen = VASEObservationWrapper(world, seed=seed, frames_per_update=6, warmup_frames=512)
    _watch(seen, watch, seed)
    seen.training = False
    env = ImaginedGoals(seen, seed=seed)
    agent = goal_agent(env, seed=seed).learn(practice)

    def chosen(observation: Any) -> Any:
        return agent.predict(observation, deterministic=True)[0]

    env.action_space.seed(seed + 1)
    return (
        _share(env, chosen, episodes, seed),
        _share(env, lambda _: env.action_space.sample(), episodes, seed),
    )


def _watch(env: VASEObservationWrapper, frames: int, seed: int) -> None:
    """Let the learner see random actions."""
    env.action_space.seed(seed)
    env.reset(seed=seed)
    for _ in range(frames):
        _, _, terminated, truncated, _ = env.step(env.action_space.sample())
        if terminated or truncated:
            env.reset()
    env.vase.estimate_used_latents()


def _share(env: ImaginedGoals, act: Callable[[Any], Any], episodes: int, seed: int) -> float:
    goals = make_source("moving-garments", size=SIZE, seed=seed, split="test").sample(episodes)
    span = 1 - round(SIZE * 28 / 64) / SIZE
    reached = []
    for picture, place in zip(goals.frames, goals.factors["position"], strict=True):
        seen, info = env.reset(options={"goal": picture})
        done = False
        while not done:
            seen, _, _, done, info = env.step(act(seen))
        reached.append(np.linalg.norm(info["position"] - place) * span <= TOLERANCE)
    return float(np.mean(reached))


if __name__ == "__main__":
    main()
