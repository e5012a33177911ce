"""Between hyperparameters as plain values and the arguments of Stable-Baselines3."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import torch
from stable_baselines3 import A2C, PPO
from stable_baselines3.common.torch_layers import FlattenExtractor
from stable_baselines3.common.type_aliases import TrainFrequencyUnit
from stable_baselines3.common.vec_env import VecEnv, unwrap_vec_wrapper
from torch import nn

from ..wrappers import VASEVecEnvWrapper
from .algorithms import Model, algorithm_of
from .attended import AttendedLatents
from .config import A2CConfig, Config, from_values
from .replay import FrameReplayBuffer

ACTIVATIONS: dict[str, type[nn.Module]] = {"tanh": nn.Tanh, "relu": nn.ReLU}
POLICY_FIELDS = ("net_arch", "activation", "log_std_init")
"""Hyperparameters that are arguments of the policy; all others are the algorithm's."""
_POLICY_KEYS = {
    "net_arch",
    "activation_fn",
    "log_std_init",
    "features_extractor_class",
    "features_extractor_kwargs",
}
_FIXED = {"use_sde": False, "clip_range_vf": None, "action_noise": None}
"""What no hyperparameter stands for: a model must have left it at this."""


def policy_kwargs(config: Config, attended: tuple[bool, ...] | None) -> dict[str, Any]:
    """Arguments of the policy's class.

    Args:
        config: of any algorithm.
        attended: latents that the policy sees; None: it sees all that there are.
    """
    values: dict[str, Any] = {
        "net_arch": list(config.net_arch),
        "activation_fn": ACTIVATIONS[config.activation],
    }
    if hasattr(config, "log_std_init"):
        values["log_std_init"] = config.log_std_init
    if isinstance(config, A2CConfig) and config.use_rms_prop:
        values.update(_rms_prop(config.rms_prop_eps))
    if attended is not None:
        values["features_extractor_class"] = AttendedLatents
        values["features_extractor_kwargs"] = {"attended": attended}
    return values


def model_kwargs(config: Config, attended: tuple[bool, ...] | None) -> dict[str, Any]:
    """Arguments of the algorithm's class, those of the policy among them."""
    own = [entry.name for entry in fields(config) if entry.name not in POLICY_FIELDS]
    values = {name: getattr(config, name) for name in own}
    return {**values, "policy_kwargs": policy_kwargs(config, attended)}


def make_model(
    config: Config, env: Any, attended: tuple[bool, ...] | None, seed: int | None
) -> Model:
    """An untrained model on the CPU.

    Args:
        config: its type says which algorithm.
        env: gives latents, single or vectorised.
        attended: latents that the policy sees; None: all.
        seed: of the weights, actions and minibatches.

    Raises:
        ValueError: the replay buffer does not fit into memory.
    """
    algorithm = algorithm_of(config)
    kwargs = model_kwargs(config, attended)
    if not algorithm.on_policy:
        kwargs.update(_replay_kwargs(env))
    try:
        return algorithm.model("MlpPolicy", env, seed=seed, device="cpu", **kwargs)
    except MemoryError as error:
        raise ValueError(f"buffer_size must fit into memory: {error}") from error


def _replay_kwargs(env: Any) -> dict[str, Any]:
    """Frames are kept where latents would go stale.

    A frozen encoder gives equal latents for good: kept as they are, they need no second pass
    through it at every update.
    """
    adapter = unwrap_vec_wrapper(env, VASEVecEnvWrapper) if isinstance(env, VecEnv) else None
    if adapter is None or not adapter.training:
        return {}
    return {"replay_buffer_class": FrameReplayBuffer, "replay_buffer_kwargs": {"venv": adapter}}


def config_of(model: Model) -> Config:
    """The hyperparameters of a model that a user made.

    Raises:
        ValueError: it has some that are not plain values, or that have no field here.
    """
    algorithm = algorithm_of(model)
    values = {
        entry.name: getattr(model, entry.name)
        for entry in fields(algorithm.config)
        if hasattr(model, entry.name)
    }
    given = dict(model.policy_kwargs)
    values.update(_settled_values(model, given))
    _check_given(model, given)
    policy: Any = model.policy
    values["activation"] = _activation_name(policy.activation_fn)
    values["net_arch"] = given.get("net_arch") or _own_layers(policy.net_arch)
    if algorithm.on_policy:
        values["log_std_init"] = policy.log_std_init
    return from_values(algorithm.config, values)


def _settled_values(model: Model, given: dict[str, Any]) -> dict[str, Any]:
    """What a model keeps otherwise than it was told; takes out of `given` what this explains."""
    if isinstance(model, PPO):
        # A schedule by now: a function of the progress that remains.
        ranges = {float(model.clip_range(left)) for left in (1.0, 0.5, 0.0)}  # type: ignore[operator]
        if len(ranges) > 1:
            raise ValueError(f"clip_range must be constant, got {sorted(ranges)} over time")
        return {"clip_range": ranges.pop()}
    if isinstance(model, A2C):
        optimizer = {key: given.pop(key) for key in ("optimizer_class", "optimizer_kwargs")
                     if key in given}  # fmt: skip
        if not optimizer:
            return {"use_rms_prop": False}
        eps = (optimizer.get("optimizer_kwargs") or {}).get("eps")
        if optimizer != _rms_prop(eps):
            raise ValueError(f"the optimizer must be A2C's RMSprop or Adam, got {optimizer}")
        return {"use_rms_prop": True, "rms_prop_eps": eps}
    given.pop("use_sde", None)
    frequency: Any = model.train_freq
    if frequency.unit is not TrainFrequencyUnit.STEP:
        raise ValueError(f"train_freq must be in steps, got {frequency.unit.value}s")
    if model.n_steps != 1:
        raise ValueError(f"n_steps must be 1, got {model.n_steps}")
    return {"train_freq": frequency.frequency}


def _check_given(model: Model, given: dict[str, Any]) -> None:
    unknown = sorted(set(given) - _POLICY_KEYS)
    if unknown:
        raise ValueError(f"policy_kwargs must be among {sorted(_POLICY_KEYS)}, got {unknown}")
    extractor = given.get("features_extractor_class", FlattenExtractor)
    if extractor not in (FlattenExtractor, AttendedLatents):
        raise ValueError(
            f"features_extractor_class must be the default or AttendedLatents, got "
            f"{extractor.__name__}"
        )
    for name, value in _FIXED.items():
        if getattr(model, name, value) != value:
            raise ValueError(f"{name} must be {value}, got {getattr(model, name)!r}")


def _own_layers(layers: Any) -> Any:
    """Those that a policy falls back to; an actor-critic one keeps them for either network."""
    return layers["pi"] if isinstance(layers, dict) else layers


def _rms_prop(eps: Any) -> dict[str, Any]:
    """As A2C asks its policy for it."""
    settings = {"alpha": 0.99, "eps": eps, "weight_decay": 0}
    return {"optimizer_class": torch.optim.RMSprop, "optimizer_kwargs": settings}


def _activation_name(activation: type[nn.Module]) -> str:
    for name, known in ACTIVATIONS.items():
        if activation is known:
            return name
    raise ValueError(f"activation_fn must be nn.Tanh or nn.ReLU, got {activation.__name__}")
