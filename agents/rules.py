"""What a hyperparameter may be: the rules that the configurations of all algorithms share."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal, get_type_hints

ACTIVATIONS = ("tanh", "relu")


@dataclass(frozen=True)
class Rule:
    """What a value must be, in words and as a test."""

    text: str
    holds: Callable[[Any], bool]


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _is_integer(value: object, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _is_entropy_weight(value: object) -> bool:
    if isinstance(value, str):
        start, _, first = value.partition("_")
        return value == "auto" or (start == "auto" and _reads_positive(first))
    return _is_number(value) and value >= 0  # type: ignore[operator]


def _reads_positive(text: str) -> bool:
    try:
        return 0 < float(text) < math.inf
    except ValueError:
        return False


def _is_layers(value: object) -> bool:
    return isinstance(value, (list, tuple)) and all(_is_integer(width, 1) for width in value)


Count = Annotated[int, Rule("a positive integer", lambda v: _is_integer(v, 1))]
CountOrZero = Annotated[int, Rule("an integer, 0 or above", lambda v: _is_integer(v, 0))]
CountOrAll = Annotated[
    int, Rule("a positive integer, or -1", lambda v: _is_integer(v, -1) and v != 0)
]
Number = Annotated[float, Rule("a finite number", _is_number)]
Positive = Annotated[float, Rule("a finite number above 0", lambda v: _is_number(v) and v > 0)]
NotNegative = Annotated[
    float, Rule("a finite number, 0 or above", lambda v: _is_number(v) and v >= 0)
]
Share = Annotated[float, Rule("a number in [0, 1]", lambda v: _is_number(v) and 0 <= v <= 1)]
ShareAboveZero = Annotated[
    float, Rule("a number in (0, 1]", lambda v: _is_number(v) and 0 < v <= 1)
]
PositiveOrNone = Annotated[
    float | None, Rule("None or above 0", lambda v: v is None or (_is_number(v) and v > 0))
]
Flag = Annotated[bool, Rule("True or False", lambda v: isinstance(v, bool))]
Layers = Annotated[tuple[int, ...], Rule("a sequence of positive integers", _is_layers)]
Activation = Annotated[
    Literal["tanh", "relu"], Rule(f"one of {ACTIVATIONS}", lambda v: v in ACTIVATIONS)
]
EntropyWeight = Annotated[
    float | str,
    Rule("'auto', 'auto_X' with X above 0, or a finite number, 0 or above", _is_entropy_weight),
]
NumberOrAuto = Annotated[
    float | str, Rule("'auto' or a finite number", lambda v: v == "auto" or _is_number(v))
]


def check(config: Any) -> None:
    """Holds every field of a frozen dataclass to the rule in its type; lists become tuples.

    Raises:
        ValueError: a field breaks its rule; the message names field, rule and value.
    """
    for name, rule in _rules(type(config)).items():
        value = getattr(config, name)
        require(config, name, rule.holds(value), rule.text)
        if isinstance(value, list):
            object.__setattr__(config, name, tuple(value))


def _rules(kind: type) -> dict[str, Rule]:
    hints = get_type_hints(kind, include_extras=True)
    return {name: hint.__metadata__[0] for name, hint in hints.items()}


def require(config: Any, name: str, holds: bool, rule: str) -> None:
    """Holds one field to a rule, such as one that depends on another field.

    Raises:
        ValueError: it does not hold.
    """
    if not holds:
        raise ValueError(
            f"{type(config).__name__}.{name} must be {rule}, got {getattr(config, name)!r}"
        )
