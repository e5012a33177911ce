"""Detectors of shifts, side by side: what one must do, which there are, how sensitive they can be.

Each has one setting that says how sensitive it is. A detector that names the environments it
believes in says so by `beliefs`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ..blocks import Block
from ..config import VASEConfig
from ..shifts import ShiftDetector
from .baselines import MMD, Welch, adwin, page_hinkley
from .onlooker import Stretch
from .printed_rule import PrintedRule

BLOCK = VASEConfig.block_frames
ENVIRONMENTS = 64
"""So many that none is refused for want of room: false ones shall show."""

Values = TypeVar("Values", Tensor, npt.NDArray[Any])


class Beliefs(Protocol):
    """Which environments a detector knows, and where it believes to be."""

    @property
    def merges(self) -> int:
        """Environments that were given up as no new ones."""
        ...

    @property
    def environment(self) -> int:
        """Place in `opened` of the present environment; 0 before the first."""
        ...

    @property
    def opened(self) -> Sequence[int]:
        """Of every environment ever opened, the index of the one that its frames count to now."""
        ...


class Detector(Protocol):
    """Sees a stream in consecutive stretches."""

    @property
    def beliefs(self) -> Beliefs | None:
        """None where it names no environments."""
        ...

    def observe(self, stretch: Stretch) -> list[int]:
        """Places in the stretch, from 0, at which an alarm is raised.

        After an alarm it starts anew, or adapts, as its method says.
        """
        ...


class Blockwise(Generic[Values]):
    """A rule that says of every `BLOCK` frames whether they raise an alarm.

    Args:
        rule: given what `pick` takes of one block.
        pick: an array or tensor (n, ...) of a stretch.
        beliefs: of the rule.
    """

    def __init__(
        self,
        rule: Callable[[Values], bool],
        pick: Callable[[Stretch], Values],
        beliefs: Beliefs | None = None,
    ) -> None:
        self.beliefs = beliefs
        self._rule: Callable[[Values], bool] = rule
        self._pick: Callable[[Stretch], Values] = pick
        self._waiting: list[Values] = []

    def observe(self, stretch: Stretch) -> list[int]:
        """As `Detector.observe`: an alarm is raised at the last frame of a block."""
        alarms = []
        for place, value in enumerate(self._pick(stretch)):
            self._waiting.append(value)
            if len(self._waiting) == BLOCK:
                block, self._waiting = self._joined(), []
                if self._rule(block):
                    alarms.append(place)
        return alarms

    def _joined(self) -> Values:
        first = self._waiting[0]
        return torch.stack(self._waiting) if isinstance(first, Tensor) else np.stack(self._waiting)


class BlocksRule:
    """VASE's rule without its networks (`shifts.ShiftDetector`), with room for `ENVIRONMENTS`.

    Args:
        deviations: `VASEConfig.shift_deviations`.
    """

    def __init__(self, deviations: float) -> None:
        self.rule = ShiftDetector(ENVIRONMENTS, deviations)

    @property
    def environment(self) -> int:
        """As `Beliefs.environment`."""
        where = self.rule.where
        return where.opened.index(where.environment)

    @property
    def opened(self) -> Sequence[int]:
        """As `Beliefs.opened`."""
        return self.rule.where.opened

    @property
    def merges(self) -> int:
        """As `Beliefs.merges`."""
        return self.rule.where.merges

    def __call__(self, features: Tensor) -> bool:
        """Whether features (`BLOCK`, D) of further frames lead to another environment."""
        shifts = self.rule.observe(Block.of(features.double().numpy()))
        return any(shift.kind in ("enter", "open") for shift in shifts)


@dataclass(frozen=True)
class Method:
    """A way to detect shifts.

    Attributes:
        make: a fresh detector of a setting.
        settings: from the most sensitive on.
        default: one of them.
        knob: what the setting is.
        plain: whether it looks at the plain VAE.
        costly: whether it learns networks of its own at every setting; left out unless named.
    """

    make: Callable[[float], Detector]
    settings: tuple[float, ...] = (0.0,)
    default: float = 0.0
    knob: str = "nothing to set"
    plain: bool = True
    costly: bool = False


def _losses(stretch: Stretch) -> npt.NDArray[Any]:
    assert stretch.losses is not None
    return stretch.losses


def _latents(stretch: Stretch) -> npt.NDArray[Any]:
    assert stretch.latents is not None
    return stretch.latents


def _small_pixels(stretch: Stretch) -> npt.NDArray[Any]:
    """float32 (n, 8·8·C), means of areas in [0, 1]."""
    n, height, width, channels = stretch.frames.shape
    cells = stretch.frames.reshape(n, 8, height // 8, 8, width // 8, channels)
    return np.asarray(cells.mean((2, 4), dtype=np.float32).reshape(n, -1) / np.float32(255))


def _features(stretch: Stretch) -> Tensor:
    return stretch.features


def _blocks(deviations: float) -> Detector:
    rule = BlocksRule(deviations)
    return Blockwise(rule, _features, rule)


MMD_FACTORS = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0)
METHODS: dict[str, Method] = {
    "blocks": Method(
        _blocks, (3.0, 3.5, 4.0, 4.5, 5.0, 5.5, 6.0, 7.0), 4.0, "deviations", plain=False
    ),
    "algorithm1": Method(PrintedRule, (1.1, 1.5, 3.0), 1.5, "kappa", plain=False, costly=True),
    "adwin": Method(
        lambda setting: adwin(setting, _losses),
        (0.05, 0.002, 1e-4, 1e-6, 1e-9, 1e-15, 1e-30, 1e-60, 1e-120), 0.002, "delta",
    ),
    "page-hinkley": Method(
        lambda setting: page_hinkley(setting, _losses),
        (25.0, 50.0, 100.0, 200.0, 400.0, 800.0, 1600.0), 50.0, "threshold",
    ),
    "welch": Method(
        lambda setting: Blockwise(Welch(setting), _losses),
        (2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0, 24.0, 32.0, 64.0), 4.0, "|t|",
    ),
    "mmd-latents": Method(
        lambda setting: Blockwise(MMD(setting), _latents), MMD_FACTORS, 1.0, "factor"
    ),
    "mmd-pixels": Method(
        lambda setting: Blockwise(MMD(setting), _small_pixels), MMD_FACTORS, 1.0, "factor",
        plain=False,
    ),
    "always": Method(
        lambda setting: Blockwise(lambda block: True, _features), plain=False
    ),
    "never": Method(
        lambda setting: Blockwise(lambda block: False, _features), plain=False
    ),
}  # fmt: skip
"""By the names that users write."""
DEFAULT_METHODS = tuple(name for name, method in METHODS.items() if not method.costly)


def check_methods(names: Sequence[str]) -> list[str]:
    """Returns the names, each once.

    Raises:
        ValueError: no such detector, or the library of one is not installed.
    """
    for name in names:
        if name not in METHODS:
            raise ValueError(f"--detectors must be among {', '.join(METHODS)}, got {name!r}")
        METHODS[name].make(METHODS[name].default)
    return list(dict.fromkeys(names))
