"""Imagined goals: an agent practises to bring about configurations that its learner imagines.

Where no spatial transformer models what actions do, z* becomes the goal of a goal-conditioned
agent. It needs no reward from the environment, and reaches what a picture shows by encoding it.
"""

from __future__ import annotations

from typing import Any, Literal

import gymnasium as gym
import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3 import DQN, SAC, HerReplayBuffer

from ..wrappers import VASEObservationWrapper
from .algorithms import check_action_space
from .episodes import check_episodes
from .imagination import imagine

Observation = dict[str, np.ndarray]
DISCOUNT = 0.9
"""Goals are reached within tens of steps."""


class ImaginedGoals(gym.Wrapper[Observation, Any, np.ndarray, Any]):
    """Every episode asks for an imagined configuration z*; the reward is −‖z* − z‖.

    Observations are a `Dict` as hindsight experience replay wants it: the latents as `observation`,
    and as `achieved_goal` and `desired_goal` those of them that the world uses. The environment's
    own reward is dropped, and where it ends an episode, the episode is cut off and not over.
    `reset(options={"goal": picture})` asks for what a picture shows: an observation of the
    environment, or only its image.

    Args:
        env: a trained learner's adapter that does not train: goals of yesterday's encoder say
            nothing to today's.
        horizon: steps of an episode.
        environment: index of the world whose used latents count and are imagined; the present one
            by default.
        seed: of what is imagined.

    Raises:
        TypeError: `env` is no `VASEObservationWrapper`.
        ValueError: it trains, its learner uses no latents in that world, or an argument breaks its
            rule.

    Example:
        >>> import gymnasium as gym
        >>> from vase_rl.agents import ImaginedGoals, goal_agent
        >>> from vase_rl.wrappers import VASEObservationWrapper
        >>> env = gym.make("vase_rl/SpriteReach-v0", success_radius=1e-6)
        >>> env = VASEObservationWrapper(  # doctest: +SKIP
        ...     env, load_path="runs/demo/encoder.pt", training=False)
        >>> agent = goal_agent(ImaginedGoals(env)).learn(10_000)  # doctest: +SKIP
    """

    def __init__(
        self,
        env: VASEObservationWrapper,
        *,
        horizon: int = 20,
        environment: int | None = None,
        seed: int | None = None,
    ) -> None:
        check_episodes(env, horizon)
        if env.training:
            raise ValueError("env must not train: make it with training=False")
        super().__init__(env)  # type: ignore[arg-type]  # observations change their kind
        self.adapter = env
        self.horizon = horizon
        self.environment = env.vase.environment if environment is None else environment
        self.attended = _attended(env, self.environment)
        self.generator = torch.Generator()
        self.generator.manual_seed(torch.Generator().seed() if seed is None else seed)
        goal = spaces.Box(-np.inf, np.inf, (int(self.attended.sum()),), np.float32)
        latents = env.observation_space
        parts = {"observation": latents, "achieved_goal": goal, "desired_goal": goal}
        self.observation_space: spaces.Space[Any] = spaces.Dict(parts)
        self._goal = np.zeros(goal.shape, np.float32)
        self._steps = 0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """As the environment's, and a new goal: imagined, or `options["goal"]`'s."""
        if seed is not None:
            self.generator.manual_seed(seed)
        rest = dict(options or {})
        picture = rest.pop("goal", None)
        latents, info = self.adapter.reset(seed=seed, options=rest or None)
        self._goal = self._imagined() if picture is None else self.encode(picture)
        self._steps = 0
        return self._shown(latents), info

    def step(self, action: Any) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        latents, _, terminated, truncated, info = self.adapter.step(action)
        self._steps += 1
        seen = self._shown(latents)
        reward = float(self.compute_reward(seen["achieved_goal"], self._goal, info))
        return seen, reward, False, terminated or truncated or self._steps >= self.horizon, info

    def compute_reward(self, achieved: np.ndarray, desired: np.ndarray, info: Any) -> np.ndarray:
        """−‖z* − z‖ of goals (..., K), as hindsight experience replay asks for it."""
        return np.asarray(-np.linalg.norm(achieved - desired, axis=-1), dtype=np.float32)

    def encode(self, picture: Any) -> np.ndarray:
        """The goal (K,) that a picture shows.

        Raises:
            ValueError: it is no observation of the environment.
        """
        frame = self.adapter.observer.frame(picture)[None]
        goal: np.ndarray = self.adapter.vase.encode(frame)[0][0][self.attended]
        return goal

    def _imagined(self) -> np.ndarray:
        wish = imagine(self.adapter.vase, self.environment, 1, self.generator)
        goal: np.ndarray = wish.latents[0].cpu().numpy()[self.attended]
        return goal

    def _shown(self, latents: np.ndarray) -> Observation:
        achieved = latents[: len(self.attended)][self.attended]
        return {
            "observation": latents,
            "achieved_goal": achieved,
            "desired_goal": self._goal.copy(),
        }


def goal_agent(
    env: ImaginedGoals, algorithm: Literal["sac", "dqn"] = "sac", *, seed: int = 0, **options: Any
) -> SAC | DQN:
    """An agent with hindsight experience replay for imagined goals; `learn` lets it practise.

    Args:
        env: where it practises.
        algorithm: "sac" for continuous actions, "dqn" for discrete ones.
        seed: of the agent; Stable-Baselines3 seeds the global generators with it.
        **options: of the algorithm, in place of the defaults here.

    Raises:
        ValueError: another algorithm, or actions that it cannot choose.
    """
    if algorithm not in ("sac", "dqn"):
        raise ValueError(f"algorithm must be one of sac, dqn, got {algorithm!r}")
    check_action_space(env.action_space, algorithm)
    settings: dict[str, Any] = dict(
        replay_buffer_class=HerReplayBuffer,
        replay_buffer_kwargs=dict(n_sampled_goal=4, goal_selection_strategy="future"),
        buffer_size=50_000,
        # The buffer relabels whole episodes, so one must have ended.
        learning_starts=max(200, 2 * env.horizon),
        learning_rate=1e-3,
        batch_size=128,
        gamma=DISCOUNT,
        policy_kwargs=dict(net_arch=[128, 128]),
        seed=seed,
        device="cpu",
    )
    kind = SAC if algorithm == "sac" else DQN
    return kind("MultiInputPolicy", env, **{**settings, **options})


def _attended(env: VASEObservationWrapper, environment: int) -> np.ndarray:
    known = [world.index for world in env.vase.environments if world.alive]
    whole = isinstance(environment, (int, np.integer)) and not isinstance(environment, bool)
    if not whole or environment not in known:
        raise ValueError(
            f"environment must be one of the {len(known)} that the learner knows, got "
            f"{environment!r}; none that is forbidden is a goal's"
        )
    world = env.vase.environments[environment]
    attended: np.ndarray = (world.used_latents & world.latent_mask).cpu().numpy()
    if not attended.any():
        raise ValueError(
            f"the learner uses no latents in environment {environment}: train it first (used "
            "latents are estimated every used_interval steps), or its mask leaves none"
        )
    return attended
