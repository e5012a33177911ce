"""The environments in the order of their opening, and what their user says of them."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from torch import Tensor

from .config import VASEConfig
from .environments import Environment
from .inference import Persistence
from .shifts import ShiftDetector

Status = Literal["candidate", "confirmed", "recognised"]


class Registry:
    """What is kept of each environment, beside the rule that says which is the present one.

    Args:
        config: for `inference`, `max_environments`, `shift_deviations` and `persistence`.

    Attributes:
        environments: by index; none before the first batch.
        rule: what decides.
    """

    def __init__(self, config: VASEConfig) -> None:
        self.environments: list[Environment] = []
        self.rule: ShiftDetector | Persistence = (
            ShiftDetector(config.max_environments, config.shift_deviations)
            if config.inference == "blocks"
            else Persistence(config.max_environments, config.persistence)
        )

    @property
    def index(self) -> int:
        """Of the present environment; 0 before the first."""
        return self.rule.where.environment

    @property
    def present(self) -> Environment:
        """The present environment."""
        return self.environments[self.index]

    @property
    def opened(self) -> list[int]:
        """As of `whereabouts.Whereabouts`; none before the first batch."""
        return self.rule.where.opened if self.environments else []

    @property
    def known(self) -> list[Environment]:
        """Those that were not merged into others."""
        return [e for e in self.environments if e.merged_into is None]

    @property
    def status(self) -> Status:
        """Of the present environment: it may yet be merged back; it is here to stay; or it is,
        and was known when it was entered."""
        if self.rule.candidate:
            return "candidate"
        return "recognised" if self.rule.where.returned else "confirmed"

    def serial(self, index: int) -> int:
        """Where a known environment stands in `opened`; 0 before the first.

        An index that was given up goes to another world; a place in `opened` never does.
        """
        if not self.environments:
            return 0
        into = self.environments[index].merged_into
        return self.opened.index(index) if into is None else self.serial(into)

    def open(self, mask: Tensor) -> None:
        """What the rule has opened gets its latent mask, bool (N,)."""
        self.environments.append(Environment(self.index, mask, torch.zeros_like(mask)))

    def forget(self, index: int, into: int) -> None:
        """What the rule has merged is gone; its index is free if there is no higher one."""
        held = self.environments[index].held_latents
        if held is not None:
            self.environments[into].hold(held)
        for environment in self.environments:
            if environment.index == index or environment.merged_into == index:
                environment.merged_into = into
        while self.environments[-1].merged_into is not None:
            self.environments.pop()

    def require(self, what: str) -> None:
        """RuntimeError, in the name of `what`, before the first batch."""
        if not self.environments:
            raise RuntimeError(f"{what} needs a learner that has seen frames: call update first")

    def checked(self, environment: int, what: str, argument: str = "environment") -> int:
        """The index of a known environment.

        Args:
            environment: what was given.
            what: the method that it was given to.
            argument: the method's name for it.

        Raises:
            RuntimeError: there is none yet.
            ValueError: it is none.
        """
        self.require(what)
        whole = isinstance(environment, (int, np.integer)) and not isinstance(environment, bool)
        known = [e.index for e in self.known]
        if not whole or environment not in known:
            raise ValueError(
                f"{argument} must be one of {known}, the environments known so far, "
                f"got {environment!r}"
            )
        return int(environment)
