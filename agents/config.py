"""Hyperparameters of the algorithms as plain values that a YAML file and a bundle can hold.

Names are those of Stable-Baselines3. `net_arch`, `activation` and `log_std_init` belong to the
policy there, all others to the algorithm. The defaults suit short episodes, a few dozen latents and
some ten thousand frames.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from .rules import (
    Activation,
    Count,
    CountOrAll,
    CountOrZero,
    EntropyWeight,
    Flag,
    Layers,
    NotNegative,
    Number,
    NumberOrAuto,
    Positive,
    PositiveOrNone,
    Share,
    ShareAboveZero,
    check,
    require,
)


@dataclass(frozen=True)
class PPOConfig:
    """Hyperparameters of `stable_baselines3.PPO` with `MlpPolicy`, checked on construction.

    Raises:
        ValueError: a field breaks its rule; the message names field, rule and value.
    """

    learning_rate: Positive = 1e-3
    n_steps: Count = 512
    """Frames per environment between two updates of the policy."""
    batch_size: Count = 256
    """Frames per minibatch; `n_steps` times the number of environments should be a multiple."""
    n_epochs: Count = 10
    gamma: Share = 0.95
    gae_lambda: Share = 0.9
    clip_range: Positive = 0.2
    normalize_advantage: Flag = True
    ent_coef: NotNegative = 0.0
    vf_coef: NotNegative = 0.5
    max_grad_norm: Positive = 0.5
    target_kl: PositiveOrNone = None
    """An update ends early where the policy has moved by 1.5 times this KL; None: never."""
    net_arch: Layers = (32, 32)
    """Hidden layers of the policy's network, and of the value's."""
    activation: Activation = "tanh"
    log_std_init: Number = -0.5
    """Logarithm of the exploration's standard deviation at first, for continuous actions."""

    def __post_init__(self) -> None:
        check(self)
        several = self.batch_size > 1 or not self.normalize_advantage
        require(self, "batch_size", several, "above 1 where normalize_advantage is set")


@dataclass(frozen=True)
class A2CConfig:
    """Hyperparameters of `stable_baselines3.A2C` with `MlpPolicy`, checked on construction.

    Raises:
        ValueError: a field breaks its rule; the message names field, rule and value.
    """

    learning_rate: Positive = 2e-3
    n_steps: Count = 16
    """Frames per environment between two updates of the policy."""
    gamma: Share = 0.95
    gae_lambda: Share = 0.9
    normalize_advantage: Flag = False
    ent_coef: NotNegative = 0.0
    vf_coef: NotNegative = 0.5
    max_grad_norm: Positive = 0.5
    use_rms_prop: Flag = True
    """RMSprop, as in the original; otherwise Adam."""
    rms_prop_eps: Positive = 1e-5
    net_arch: Layers = (32, 32)
    """Hidden layers of the policy's network, and of the value's."""
    activation: Activation = "tanh"
    log_std_init: Number = -0.5
    """Logarithm of the exploration's standard deviation at first, for continuous actions."""

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class DQNConfig:
    """Hyperparameters of `stable_baselines3.DQN` with `MlpPolicy`, checked on construction.

    Raises:
        ValueError: a field breaks its rule; the message names field, rule and value.
    """

    learning_rate: Positive = 1e-3
    buffer_size: Count = 50_000
    """Transitions that are kept, of all environments together; two frames each."""
    learning_starts: CountOrZero = 500
    """Frames with random actions before the first update."""
    batch_size: Count = 64
    tau: ShareAboveZero = 1.0
    """Share of the way that the target network goes at each of its updates."""
    gamma: Share = 0.95
    train_freq: Count = 4
    """Steps of each environment between two rounds of updates."""
    gradient_steps: CountOrAll = -1
    """Updates per round; -1: as many as frames have come since the last."""
    target_update_interval: Count = 500
    """Frames between two updates of the target network."""
    exploration_fraction: ShareAboveZero = 0.3
    """Share of the training over which the share of random actions falls."""
    exploration_initial_eps: Share = 1.0
    exploration_final_eps: Share = 0.05
    max_grad_norm: Positive = 10.0
    net_arch: Layers = (64, 64)
    """Hidden layers of the network of values."""
    activation: Activation = "relu"

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class SACConfig:
    """Hyperparameters of `stable_baselines3.SAC` with `MlpPolicy`, checked on construction.

    Raises:
        ValueError: a field breaks its rule; the message names field, rule and value.
    """

    learning_rate: Positive = 1e-3
    buffer_size: Count = 50_000
    """Transitions that are kept, of all environments together; two frames each."""
    learning_starts: CountOrZero = 500
    """Frames with random actions before the first update."""
    batch_size: Count = 128
    tau: ShareAboveZero = 0.01
    """Share of the way that the target network goes at each of its updates."""
    gamma: Share = 0.95
    train_freq: Count = 4
    """Steps of each environment between two rounds of updates."""
    gradient_steps: CountOrAll = -1
    """Updates per round; -1: as many as frames have come since the last."""
    ent_coef: EntropyWeight = "auto_0.1"
    """Weight of the entropy; "auto_0.1" learns it from 0.1 on, "auto" from 1 on."""
    target_update_interval: Count = 1
    """Updates between two updates of the target network."""
    target_entropy: NumberOrAuto = "auto"
    """That a learnt weight aims at, in nats; "auto": minus the number of actions' dimensions."""
    net_arch: Layers = (64, 64)
    """Hidden layers of the actor, and of each critic."""
    activation: Activation = "relu"

    def __post_init__(self) -> None:
        check(self)


Config = PPOConfig | A2CConfig | DQNConfig | SACConfig


def plain_values(config: Config) -> dict[str, Any]:
    """Values by field name, as JSON and YAML have them."""
    return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(config).items()}


def from_values(kind: type[Config], values: Mapping[str, Any]) -> Config:
    """Inverse of `plain_values`; what is left out takes its default.

    Raises:
        ValueError: an unknown field, or a value that breaks its rule.
    """
    known = [entry.name for entry in fields(kind)]
    unknown = [name for name in values if name not in known]
    if unknown:
        raise ValueError(
            f"unknown hyperparameter {unknown[0]!r}; {kind.__name__} has {', '.join(known)}"
        )
    return kind(**values)
