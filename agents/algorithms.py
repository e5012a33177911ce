"""The algorithms by name: what each is made of, and which actions it can choose."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from gymnasium import spaces
from stable_baselines3 import A2C, DQN, PPO, SAC
from stable_baselines3.common.policies import ActorCriticPolicy, BasePolicy
from stable_baselines3.dqn.policies import DQNPolicy
from stable_baselines3.sac.policies import SACPolicy

from .config import A2CConfig, Config, DQNConfig, PPOConfig, SACConfig, from_values
from .rules import Rule

Model = PPO | A2C | DQN | SAC


def _is_bounded_box(space: object) -> bool:
    bounds = (space.low, space.high) if isinstance(space, spaces.Box) else ()
    return bool(bounds) and all(bool(np.isfinite(bound).all()) for bound in bounds)


def _is_discrete(space: object) -> bool:
    return isinstance(space, spaces.Discrete) and int(space.start) == 0


def _is_any(space: object) -> bool:
    if isinstance(space, spaces.MultiDiscrete):
        return space.nvec.ndim == 1 and not space.start.any()
    if isinstance(space, spaces.MultiBinary):
        return len(space.shape) == 1
    return _is_bounded_box(space) or _is_discrete(space)


BOX = Rule("a Box with finite bounds", _is_bounded_box)
DISCRETE = Rule("a Discrete that starts at 0", _is_discrete)
ANY = Rule(
    "a Box with finite bounds, a Discrete or one-dimensional MultiDiscrete that starts at 0, or a "
    "one-dimensional MultiBinary",
    _is_any,
)


@dataclass(frozen=True)
class Algorithm:
    """What one algorithm of Stable-Baselines3 is made of."""

    model: type[Model]
    policy: type[BasePolicy]
    """The class behind "MlpPolicy"."""
    config: type[Config]
    on_policy: bool
    """Whether it learns from rollouts of its present policy; otherwise from a replay buffer."""
    actions: Rule

    @property
    def name(self) -> str:
        """As Stable-Baselines3 writes it."""
        return self.model.__name__


ALGORITHMS = {
    "ppo": Algorithm(PPO, ActorCriticPolicy, PPOConfig, True, ANY),
    "a2c": Algorithm(A2C, ActorCriticPolicy, A2CConfig, True, ANY),
    "dqn": Algorithm(DQN, DQNPolicy, DQNConfig, False, DISCRETE),
    "sac": Algorithm(SAC, SACPolicy, SACConfig, False, BOX),
}
"""By the names that users write."""


def find_algorithm(name: str) -> Algorithm:
    """The algorithm of a name.

    Raises:
        ValueError: there is none.
    """
    if name not in ALGORITHMS:
        raise ValueError(f"algorithm must be one of {', '.join(ALGORITHMS)}, got {name!r}")
    return ALGORITHMS[name]


def algorithm_of(value: Any) -> Algorithm:
    """The algorithm of a model or of a configuration.

    Raises:
        ValueError: it is of another kind.
    """
    for kind in ALGORITHMS.values():
        if isinstance(value, (kind.model, kind.config)):
            return kind
    names = ", ".join(kind.name for kind in ALGORITHMS.values())
    raise ValueError(f"must be one of {names} of stable_baselines3, got {type(value).__name__}")


def check_action_space(space: spaces.Space[Any], algorithm: str = "ppo") -> None:
    """Whether an algorithm of Stable-Baselines3 can choose such actions.

    Raises:
        ValueError: it cannot; the message says what it could, and which algorithm can.
    """
    chosen = find_algorithm(algorithm)
    if not chosen.actions.holds(space):
        others = [name for name, kind in ALGORITHMS.items() if kind.actions.holds(space)]
        hint = f"; such actions suit {', '.join(others)}" if others else ""
        raise ValueError(
            f"for {chosen.name} the action space must be {chosen.actions.text}, got {space}{hint}"
        )


def make_config(algorithm: str, n_envs: int = 1, /, **values: Any) -> Config:
    """Hyperparameters by name, the others at their defaults for so many environments.

    The default of `n_steps` is divided among the environments, so that a rollout holds as many
    frames in all as with one.

    Raises:
        ValueError: an unknown algorithm or hyperparameter, or a value that breaks its rule.
    """
    kind = find_algorithm(algorithm).config
    config = from_values(kind, values)
    if isinstance(config, (PPOConfig, A2CConfig)) and "n_steps" not in values:
        config = from_values(kind, {**values, "n_steps": max(1, config.n_steps // n_envs)})
    check_rollout(config, n_envs)
    return config


def check_rollout(config: Config, n_envs: int) -> None:
    """Whether the advantages of one rollout can be normalised where that is asked for.

    Raises:
        ValueError: one frame alone has no standard deviation.
    """
    if isinstance(config, (PPOConfig, A2CConfig)) and config.normalize_advantage:
        frames = config.n_steps * n_envs
        if frames < 2:
            raise ValueError(
                f"{type(config).__name__}.n_steps times the number of environments must be above "
                f"1 where normalize_advantage is set, got {frames}"
            )
