"""Which environment is this? Algorithm 1 and eq. 6, as the paper has them.

The rule that stands in for them online is in `shifts`.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from .config import VASEConfig
from .distributions import loss_floor
from .environments import Environment
from .whereabouts import Shift, Whereabouts


def algorithm_1(
    candidate: Environment, loss: float, batch_mask: Tensor, config: VASEConfig
) -> int | None:
    """Algorithm 1 and eq. 6, for the most likely environment ŝ = argmax q(s|x).

    The printed algorithm takes argmax of −log p, and eq. 6 lacks the −log; A.2 says what is meant:
    ŝ is the classifier's choice, and the loss must not be much above that environment's average.

    Args:
        candidate: ŝ with its average loss L̃, mask aˢ and used latents uˢ.
        loss: −log p(x|z, ŝ), averaged over the batch, in nats.
        batch_mask: a(x), bool (N,).

    Returns:
        ŝ, or None for a new environment.
    """
    if not loss_fits(candidate, loss, config):
        return None
    used = candidate.used_latents
    if not torch.equal(candidate.latent_mask & used, batch_mask & used):
        return None
    return candidate.index


def loss_fits(candidate: Environment, loss: float, config: VASEConfig) -> bool:
    """Whether a batch's reconstruction loss, in nats, is one of the environment's.

    The upper test (eq. 6) compares with κ times the average. κ multiplies what lies above the loss
    of a perfect reconstruction, for the negative losses of a Gaussian likelihood would shrink when
    multiplied. The two-sided test compares with mean and deviation of the environment's batches.
    """
    if config.loss_test == "two_sided":
        allowed = config.loss_deviations * math.sqrt(candidate.loss.variance)
        return abs(loss - candidate.loss_mean) <= allowed
    floor = loss_floor(config)
    return loss - floor <= config.loss_tolerance * (candidate.loss_mean - floor)


class Persistence:
    """Goes where Algorithm 1 points once several batches in a row agree; once is as printed.

    Args:
        max_environments: when so many are open, batches of further ones are not learnt.
        needed: how many batches must agree.

    Attributes:
        where: which environments are known, and which is the present one.
    """

    candidate = False
    """The paper knows no candidates."""

    def __init__(self, max_environments: int, needed: int) -> None:
        self.max_environments, self.needed = max_environments, needed
        self.where = Whereabouts()
        self._verdict: int | None = None
        self._count = 0

    @property
    def suspects(self) -> bool:
        """Whether the last batch spoke against the present environment."""
        return self._count > 0

    def observe(self, verdict: int | None) -> list[Shift]:
        """Take in what the rule says of the next batch (None: a new environment).

        Returns:
            The changes that it completes, mostly none.
        """
        if verdict == self.where.environment:
            self._count = 0
            return []
        self._count = self._count + 1 if verdict == self._verdict and self._count else 1
        self._verdict = verdict
        if self._count < self.needed:
            return []
        if verdict is None and self.where.slots == self.max_environments:
            return [Shift("full", self.where.environment, self.where.environment)]
        blocks, self._count = self._count, 0
        return [self.where.go(verdict, blocks)]

    def confirm(self) -> None:
        """Every environment is confirmed already."""

    def merge(self, index: int, into: int) -> Shift:
        """Count the batches of an environment to another one from now on."""
        self._count = 0
        return self.where.merge(index, into)

    def state_dict(self) -> dict[str, Any]:
        """Everything that later decisions depend on, as plain values."""
        return {
            "where": self.where.state_dict(),
            "verdict": self._verdict,
            "count": self._count,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Inverse of `state_dict`.

        Raises:
            KeyError, TypeError, ValueError: it is none.
        """
        self.where.load_state_dict(state["where"])
        self._verdict, self._count = state["verdict"], int(state["count"])
