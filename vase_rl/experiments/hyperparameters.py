"""Hyperparameters from a YAML file, by the names of Stable-Baselines3."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from ..agents import make_config
from ..agents.config import Config


def read_config(path: str | None, algorithm: str, n_envs: int) -> Config:
    """What a file says, the rest at its defaults.

    Args:
        path: a flat mapping in YAML; None: all at their defaults.
        algorithm: one of `agents.ALGORITHMS`.
        n_envs: environments side by side, among which the default of `n_steps` is divided.

    Raises:
        ValueError: no such file, not a flat mapping, or a hyperparameter that is unknown or breaks
            its rule; the message names file, key, rule and value.
    """
    if path is None:
        return make_config(algorithm, n_envs)
    if not Path(path).is_file():
        raise ValueError(f"--hyperparameters must be a file, got {path!r}")
    try:
        return make_config(algorithm, n_envs, **read_mapping(Path(path).read_bytes()))
    except ValueError as error:
        raise ValueError(f"--hyperparameters {path}: {error}") from error


def read_mapping(text: bytes) -> dict[str, Any]:
    """A flat mapping in YAML.

    Raises:
        ValueError: it is not YAML, no mapping, or has a key twice or one that is no text.
    """
    try:
        values = yaml.safe_load(text)
        nodes = yaml.compose(text, yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ValueError(f"it must be YAML: line {line}: {error.problem}") from error
    except (yaml.YAMLError, RecursionError) as error:
        raise ValueError(f"it must be YAML: {error}") from error
    if not isinstance(values, dict) or not isinstance(nodes, yaml.MappingNode):
        found = "nothing" if values is None else f"a {type(values).__name__}"
        raise ValueError(f"it must be a mapping as in `learning_rate: 0.001`, got {found}")
    for key in values:
        if not isinstance(key, str):
            raise ValueError(f"a key must be the name of a hyperparameter, got {key!r}")
    names = [key.value for key, _ in nodes.value]
    twice = [name for name in values if names.count(name) > 1]
    if twice:
        raise ValueError(f"{twice[0]} must stand there once, got it {names.count(twice[0])} times")
    return {key: _number_if_it_is_one(value) for key, value in values.items()}


def _number_if_it_is_one(value: Any) -> Any:
    """`1e-3` is text in YAML 1.1, which wants a point in it; nobody means text by it."""
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            pass
    return value
