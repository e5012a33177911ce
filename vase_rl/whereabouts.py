"""Which environments are known, and which is the present one."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True)
class Shift:
    """A change of environment.

    Attributes:
        kind: "enter" a known one; "open" a new one; "merge": the one before was a known one under a
            new name, or a passing oddity, and is gone; "full": all are taken, what came is seen as
            the nearest known one, and must not be learnt.
        left: index of the environment before.
        environment: index of the one that is now the present one; of a merge, the known one.
        blocks: how many of the last blocks belong to it.
    """

    kind: Literal["enter", "open", "merge", "full"]
    left: int
    environment: int
    blocks: int = 0


@dataclass
class Whereabouts:
    """Indices of environments.

    Attributes:
        environment: the present one.
        opened: of every environment ever opened, in their order, the index of the one that its
            frames count to now: its own, or that of the one it was merged into.
        returned: whether the present one was known when it was entered.
    """

    environment: int = 0
    opened: list[int] = field(default_factory=lambda: [0])
    returned: bool = False

    @property
    def slots(self) -> int:
        """Indices that are taken, from 0. One that was merged into another is free again once there
        is no higher one; until then it stays empty, for no other may change its index."""
        return max(self.opened) + 1

    @property
    def known(self) -> list[int]:
        """Indices of the environments that were not merged into others."""
        return sorted(set(self.opened))

    @property
    def merges(self) -> int:
        """How many were merged into others."""
        return len(self.opened) - len(set(self.opened))

    def go(self, environment: int | None, blocks: int) -> Shift:
        """Enter a known environment, or (None) open a new one, for so many blocks."""
        left, self.returned = self.environment, environment is not None
        if environment is not None:
            self.environment = environment
            return Shift("enter", left, environment, blocks)
        self.environment = self.slots
        self.opened.append(self.environment)
        return Shift("open", left, self.environment, blocks)

    def check_pair(self, index: int, into: int) -> None:
        """ValueError unless they are two known environments."""
        for name, value in (("environment", index), ("into", into)):
            if isinstance(value, bool) or value not in self.known:
                raise ValueError(f"{name} must be a known environment, {self.known}, got {value!r}")
        if index == into:
            raise ValueError(f"into must be another environment than {index}, got {into}")

    def merge(self, index: int, into: int) -> Shift:
        """Count an environment to another one.

        Raises:
            ValueError: they are not two known environments.
        """
        self.check_pair(index, into)
        self.opened = [into if i == index else i for i in self.opened]
        if self.environment == index:
            self.environment, self.returned = into, True
        return Shift("merge", index, into)

    def state_dict(self) -> dict[str, Any]:
        """As plain values."""
        return {
            "environment": self.environment,
            "opened": list(self.opened),
            "returned": self.returned,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Inverse of `state_dict`.

        Raises:
            KeyError, ValueError: it is none.
        """
        opened = [int(i) for i in state["opened"]]
        if min(opened) < 0 or state["environment"] not in opened:
            raise ValueError(f"environment {state['environment']} of {opened}")
        self.environment, self.opened = int(state["environment"]), opened
        self.returned = bool(state["returned"])
