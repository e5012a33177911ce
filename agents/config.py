"""Hyperparameters of PPO as plain values that a bundle can hold as JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, get_args

from stable_baselines3 import PPO
from stable_baselines3.common.torch_layers import FlattenExtractor
from torch import nn

from .attended import AttendedLatents

Activation = Literal["tanh", "relu"]
ACTIVATIONS: dict[str, type[nn.Module]] = {"tanh": nn.Tanh, "relu": nn.ReLU}
# Arguments of PPO that share their names with a field here.
SHARED = (
    "learning_rate",
    "n_steps",
    "batch_size",
    "n_epochs",
    "gamma",
    "gae_lambda",
    "clip_range",
    "normalize_advantage",
    "ent_coef",
    "vf_coef",
    "max_grad_norm",
    "target_kl",
)
_POLICY_KEYS = {
    "net_arch",
    "activation_fn",
    "log_std_init",
    "features_extractor_class",
    "features_extractor_kwargs",
}


@dataclass(frozen=True)
class PPOConfig:
    """Hyperparameters of Stable-Baselines3's PPO with `MlpPolicy`, checked on construction.

    Names are those of `stable_baselines3.PPO`. The defaults suit short episodes and a few dozen
    latents: small networks, short rollouts, large minibatches.

    Raises:
        ValueError: a field breaks its rule; the message names field, rule and value.
    """

    learning_rate: float = 1e-3
    n_steps: int = 512
    """Frames per environment between two updates of the policy."""
    batch_size: int = 256
    """Frames per minibatch; `n_steps` times the number of environments should be a multiple."""
    n_epochs: int = 10
    gamma: float = 0.95
    gae_lambda: float = 0.9
    clip_range: float = 0.2
    normalize_advantage: bool = True
    ent_coef: float = 0.0
    vf_coef: float = 0.5
    max_grad_norm: float = 0.5
    target_kl: float | None = None
    """An update ends early where the policy has moved by 1.5 times this KL; None: never."""
    net_arch: tuple[int, ...] = (32, 32)
    """Hidden layers of the policy's network, and of the value's."""
    activation: Activation = "tanh"
    log_std_init: float = -0.5
    """Logarithm of the exploration's standard deviation at first, for continuous actions."""

    def __post_init__(self) -> None:
        for name in ("n_steps", "batch_size", "n_epochs"):
            self._require(name, _is_integer(getattr(self, name), 1), "a positive integer")
        for name in ("learning_rate", "clip_range", "max_grad_norm"):
            value = getattr(self, name)
            self._require(name, _is_number(value) and value > 0, "a finite number above 0")
        for name in ("gamma", "gae_lambda"):
            value = getattr(self, name)
            self._require(name, _is_number(value) and 0 <= value <= 1, "a number in [0, 1]")
        for name in ("ent_coef", "vf_coef"):
            value = getattr(self, name)
            self._require(name, _is_number(value) and value >= 0, "a finite number, 0 or above")
        self._require("log_std_init", _is_number(self.log_std_init), "a finite number")
        kl = self.target_kl
        self._require("target_kl", kl is None or (_is_number(kl) and kl > 0), "None or above 0")
        flag = isinstance(self.normalize_advantage, bool)
        self._require("normalize_advantage", flag, "True or False")
        choices = get_args(Activation)
        self._require("activation", self.activation in choices, f"one of {choices}")
        layers = isinstance(self.net_arch, (list, tuple))
        layers = layers and all(_is_integer(width, 1) for width in self.net_arch)
        self._require("net_arch", layers, "a sequence of positive integers")
        object.__setattr__(self, "net_arch", tuple(self.net_arch))

    def _require(self, name: str, holds: bool, rule: str) -> None:
        if not holds:
            raise ValueError(f"PPOConfig.{name} must be {rule}, got {getattr(self, name)!r}")

    def policy_kwargs(self, attended: tuple[bool, ...] | None) -> dict[str, Any]:
        """Arguments of `ActorCriticPolicy`.

        Args:
            attended: latents that the policy sees; None: it sees all that there are.
        """
        values: dict[str, Any] = {
            "net_arch": list(self.net_arch),
            "activation_fn": ACTIVATIONS[self.activation],
            "log_std_init": self.log_std_init,
        }
        if attended is not None:
            values["features_extractor_class"] = AttendedLatents
            values["features_extractor_kwargs"] = {"attended": attended}
        return values

    def ppo_kwargs(self, attended: tuple[bool, ...] | None) -> dict[str, Any]:
        """Arguments of `stable_baselines3.PPO`, those of the policy among them."""
        shared = {name: getattr(self, name) for name in SHARED}
        return {**shared, "policy_kwargs": self.policy_kwargs(attended)}

    @classmethod
    def of(cls, model: PPO) -> PPOConfig:
        """The hyperparameters of a model that a user made.

        Raises:
            ValueError: it has some that are not plain values, or that have no field here.
        """
        kwargs = dict(model.policy_kwargs)
        unknown = sorted(set(kwargs) - _POLICY_KEYS)
        if unknown:
            raise ValueError(f"policy_kwargs must be among {sorted(_POLICY_KEYS)}, got {unknown}")
        extractor = kwargs.get("features_extractor_class", FlattenExtractor)
        if extractor not in (FlattenExtractor, AttendedLatents):
            raise ValueError(
                "features_extractor_class must be the default or AttendedLatents, got "
                f"{extractor.__name__}"
            )
        values = {name: getattr(model, name) for name in SHARED}
        # PPO has made a schedule of the number by now: a function of the progress that remains.
        clip_ranges = {float(model.clip_range(left)) for left in (1.0, 0.5, 0.0)}  # type: ignore[operator]
        if len(clip_ranges) > 1:
            raise ValueError(f"clip_range must be constant, got {sorted(clip_ranges)} over time")
        values["clip_range"] = clip_ranges.pop()
        values["activation"] = _activation_name(kwargs.get("activation_fn", nn.Tanh))
        # What MlpPolicy falls back to.
        layers = kwargs.get("net_arch")
        values["net_arch"] = (64, 64) if layers is None else layers
        values["log_std_init"] = kwargs.get("log_std_init", 0.0)
        if model.clip_range_vf is not None or model.use_sde:
            raise ValueError("clip_range_vf must be None and use_sde False")
        return cls(**values)

    def to_json(self) -> dict[str, Any]:
        """Plain values by field name."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> PPOConfig:
        """Inverse of `to_json`.

        Raises:
            ValueError: an unknown field, or a value that breaks its rule.
        """
        unknown = sorted(set(values) - {field.name for field in fields(cls)})
        if unknown:
            raise ValueError(f"unknown hyperparameter {unknown[0]!r}")
        return cls(**values)


def _activation_name(activation: type[nn.Module]) -> str:
    for name, known in ACTIVATIONS.items():
        if activation is known:
            return name
    raise ValueError(f"activation_fn must be nn.Tanh or nn.ReLU, got {activation.__name__}")


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _is_integer(value: object, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least
