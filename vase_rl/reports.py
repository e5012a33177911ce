"""What the learner says of a batch: after learning from it, and without."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .registry import Status


@dataclass(frozen=True)
class UpdateReport:
    """What `VASE.update` found and did."""

    environment: int
    """Index of the environment that the learner is in, from 0."""
    new_environment: bool
    """Whether this update opened it."""
    shift: bool
    """Whether the environment differs from the one before this update."""
    merged: bool
    """Whether the environment before this update turned out to be a known one under a new name, or
    a passing oddity: it is gone, and its index free."""
    candidate: bool
    """Whether the batch speaks for another environment and was held back from training."""
    trained: bool
    blocks: int
    """Where something has changed, how many of the last blocks belong to the environment."""
    status: Status
    """Of the environment: "candidate", "confirmed" or "recognised" (`VASE.status`)."""
    latent_mask: np.ndarray
    """aˢ, bool (N,)."""
    atypicality: np.ndarray
    """α of this batch in nats, float32 (N,)."""
    losses: dict[str, float]
    """Losses by name (`objective.LOSS_NAMES`), in nats per frame; empty when not trained."""
    updates: int
    """Training steps taken so far."""


@dataclass(frozen=True)
class Inference:
    """What `VASE.infer` makes of a batch, without learning from it."""

    environment: int
    """The most likely known environment."""
    known: bool
    """Whether that environment explains the batch."""
    latent_mask: np.ndarray
    """aˢ of that environment, bool (N,)."""
    atypicality: np.ndarray
    """α of this batch in nats, float32 (N,)."""
    reconstruction_loss: float
    """−log p(x|z, s) in nats per frame."""
    probabilities: np.ndarray
    """q(s|x) averaged over the batch, float32 (environments,), sums to 1."""
    shift_statistics: np.ndarray
    """How foreign the batch is to each environment, float32 (environments,): about 1 or below where
    it belongs. NaN for one that was merged, and for all with the paper's rule or without S."""
