"""What a bundle says about its agent, as JSON without any code."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from gymnasium import spaces

from .algorithms import ALGORITHMS, algorithm_of
from .config import Config, from_values, plain_values

FORMAT = "vase_rl agent"
VERSION = 1


class BundleError(ValueError):
    """A file that is no bundle, is damaged, or does not fit; the message says which."""


@dataclass(frozen=True)
class AgentCard:
    """Description of an agent: enough to rebuild its policy before loading the weights."""

    hyperparameters: Config
    """Their type says which algorithm it is."""
    observation_space: spaces.Box
    """Latents (N,), with a one-hot environment behind them where `append_environment` is set."""
    action_space: spaces.Space[Any]
    append_environment: bool
    pixels_key: str | None
    """Key of the image in the environment's `Dict` observation."""
    attended_latents: tuple[bool, ...] | None
    """Latents that the policy sees (see `attended`); None: all."""
    env_id: str | None
    """The environment that it was trained in."""
    frames: int
    """Frames that it was trained on."""

    @property
    def algorithm(self) -> str:
        """Name of the algorithm as Stable-Baselines3 writes it."""
        return algorithm_of(self.hyperparameters).name

    def to_json(self) -> dict[str, Any]:
        """Plain values; spaces as `describe_space` gives them."""
        attended = self.attended_latents
        return {
            "format": FORMAT,
            "version": VERSION,
            "algorithm": self.algorithm,
            "hyperparameters": plain_values(self.hyperparameters),
            "observation_space": describe_space(self.observation_space),
            "action_space": describe_space(self.action_space),
            "append_environment": self.append_environment,
            "pixels_key": self.pixels_key,
            "attended_latents": None if attended is None else list(attended),
            "env_id": self.env_id,
            "frames": self.frames,
        }

    @classmethod
    def from_json(cls, values: Any) -> AgentCard:
        """Inverse of `to_json`.

        Raises:
            BundleError: another format, version or algorithm, or a field that is missing or wrong.
        """
        if not isinstance(values, dict) or values.get("format") != FORMAT:
            raise BundleError(f"it is not a {FORMAT}")
        if values.get("version") != VERSION:
            raise BundleError(
                f"it has version {values.get('version')!r}, this program reads {VERSION}"
            )
        kinds = {kind.name: kind for kind in ALGORITHMS.values()}
        name = values.get("algorithm")
        if not isinstance(name, str) or name not in kinds:
            raise BundleError(f"its algorithm must be one of {', '.join(kinds)}, got {name!r}")
        try:
            return cls._from_fields(kinds[name].config, values)
        except (KeyError, TypeError, ValueError, OverflowError, AssertionError) as error:
            raise BundleError(f"its description is wrong: {_reason(error)}") from error

    @classmethod
    def _from_fields(cls, kind: type[Config], values: Mapping[str, Any]) -> AgentCard:
        observation = parse_space(values["observation_space"])
        if not isinstance(observation, spaces.Box) or len(observation.shape) != 1:
            raise ValueError(f"observation_space must be a Box of vectors, got {observation}")
        attended = values["attended_latents"]
        return cls(
            hyperparameters=from_values(kind, values["hyperparameters"]),
            observation_space=observation,
            action_space=parse_space(values["action_space"]),
            append_environment=_of_type(values, "append_environment", bool),
            pixels_key=_of_type(values, "pixels_key", str, type(None)),
            attended_latents=None if attended is None else _flags(attended),
            env_id=_of_type(values, "env_id", str, type(None)),
            frames=_of_type(values, "frames", int),
        )


def describe_space(space: spaces.Space[Any]) -> dict[str, Any]:
    """A space as plain values; infinite bounds as strings, which JSON has no number for.

    Raises:
        BundleError: not one of the action or observation spaces of the algorithms.
    """
    if isinstance(space, spaces.Box):
        return {
            "type": "Box",
            "low": _plain(space.low),
            "high": _plain(space.high),
            "shape": list(space.shape),
            "dtype": str(space.dtype),
        }
    if isinstance(space, spaces.Discrete):
        return {"type": "Discrete", "n": int(space.n), "start": int(space.start)}
    if isinstance(space, spaces.MultiDiscrete) and space.nvec.ndim == 1 and not space.start.any():
        return {"type": "MultiDiscrete", "nvec": space.nvec.tolist()}
    if isinstance(space, spaces.MultiBinary) and isinstance(space.n, int):
        return {"type": "MultiBinary", "n": space.n}
    raise BundleError(f"a bundle holds Box, Discrete, MultiDiscrete or MultiBinary, got {space}")


def parse_space(values: Mapping[str, Any]) -> spaces.Space[Any]:
    """Inverse of `describe_space`.

    Raises:
        KeyError, TypeError, ValueError, AssertionError: not such a description.
    """
    kind = values["type"]
    if kind == "Box":
        dtype, shape = np.dtype(values["dtype"]), tuple(values["shape"])
        low = np.array([float(v) for v in values["low"]], dtype).reshape(shape)
        high = np.array([float(v) for v in values["high"]], dtype).reshape(shape)
        return spaces.Box(low, high, shape, dtype.type)
    if kind == "Discrete":
        return spaces.Discrete(values["n"], start=values["start"])
    if kind == "MultiDiscrete":
        return spaces.MultiDiscrete(values["nvec"])
    if kind == "MultiBinary":
        return spaces.MultiBinary(values["n"])
    raise ValueError(f"unknown type of space {kind!r}")


def _plain(bounds: np.ndarray[Any, Any]) -> list[float | str]:
    values = [float(value) for value in bounds.ravel()]
    return [value if math.isfinite(value) else str(value) for value in values]


def _flags(values: Any) -> tuple[bool, ...]:
    if not isinstance(values, list) or not all(isinstance(v, bool) for v in values):
        raise ValueError(f"attended_latents must be a list of flags or null, got {values!r}")
    return tuple(values)


def _of_type(values: Mapping[str, Any], name: str, *types: type) -> Any:
    value = values[name]
    if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
        names = " or ".join(t.__name__ for t in types)
        raise ValueError(f"{name} must be {names}, got {value!r}")
    return value


def _reason(error: Exception) -> str:
    return f"{error} is missing" if isinstance(error, KeyError) else str(error)
