"""The weights of an agent and the state of its optimizers, as bytes that are read as data only."""

from __future__ import annotations

import io
import pickle
import zipfile
from typing import Any, Protocol

import torch
from stable_baselines3 import SAC
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.sac.policies import SACPolicy
from torch import Tensor

from .algorithms import Model
from .config import Config, SACConfig


class _Part(Protocol):
    """What has a state, as modules and optimizers of torch do."""

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state: dict[str, Any], /) -> Any: ...


class _Temperature:
    """SAC's weight of the entropy where it is learnt: it belongs to no policy."""

    def __init__(self, log: Tensor, optimizer: torch.optim.Optimizer) -> None:
        self.log, self.optimizer = log, optimizer

    def state_dict(self) -> dict[str, Any]:
        return {"log": self.log.detach().clone(), "optimizer": self.optimizer.state_dict()}

    def load_state_dict(self, state: dict[str, Any], /) -> None:
        with torch.no_grad():
            self.log.copy_(state["log"])
        self.optimizer.load_state_dict(state["optimizer"])


def write_weights(model: Model) -> bytes:
    """The state of all that a model has learnt, but for a replay buffer."""
    buffer = io.BytesIO()
    parts = {**_policy_parts(model.policy), **_model_parts(model)}
    torch.save({name: part.state_dict() for name, part in parts.items()}, buffer)
    return buffer.getvalue()


def load_policy(policy: BasePolicy, content: bytes) -> None:
    """Gives a policy its weights, and its optimizers their state.

    Raises:
        ValueError: damaged, or of another policy.
    """
    _load(_policy_parts(policy), content)


def load_model(model: Model, content: bytes) -> None:
    """The same for a model that can go on learning.

    Raises:
        ValueError: damaged, or of another model.
    """
    _load({**_policy_parts(model.policy), **_model_parts(model)}, content)


def check_weights(policy: BasePolicy, config: Config, content: bytes) -> None:
    """Whether `load_model` can load them.

    Args:
        policy: whose weights are overwritten.

    Raises:
        ValueError: damaged, or of another model.
    """
    parts = _policy_parts(policy)
    if isinstance(config, SACConfig) and isinstance(config.ent_coef, str):
        log = torch.zeros(1, requires_grad=True)
        parts["temperature"] = _Temperature(log, torch.optim.Adam([log]))
    _load(parts, content)


def _policy_parts(policy: BasePolicy) -> dict[str, _Part]:
    if isinstance(policy, SACPolicy):
        actor, critic = policy.actor.optimizer, policy.critic.optimizer
        return {"policy": policy, "actor_optimizer": actor, "critic_optimizer": critic}
    return {"policy": policy, "optimizer": policy.optimizer}


def _model_parts(model: Model) -> dict[str, _Part]:
    if not isinstance(model, SAC) or model.log_ent_coef is None:
        return {}
    assert model.ent_coef_optimizer is not None
    return {"temperature": _Temperature(model.log_ent_coef, model.ent_coef_optimizer)}


def _load(parts: dict[str, _Part], content: bytes) -> None:
    try:
        if not zipfile.is_zipfile(io.BytesIO(content)):
            raise zipfile.BadZipFile("it was not written by torch.save")
        state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
        for name, part in parts.items():
            part.load_state_dict(state[name])
    except (
        RuntimeError, EOFError, pickle.UnpicklingError, zipfile.BadZipFile, KeyError, TypeError,
        ValueError, AttributeError,
    ) as error:  # fmt: skip
        raise ValueError(str(error).strip() or type(error).__name__) from error
