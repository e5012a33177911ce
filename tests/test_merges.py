"""Environments that their user merges: nothing is left of them, and nothing else is lost."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from counting import TINY

from vase_rl import VASE
from vase_rl.shifts import ShiftDetector

LEVELS = (40, 100, 160, 220)


def learner() -> VASE:
    return VASE(TINY, seed=0, device="cpu")


def show(vase: VASE, world: int, blocks: int) -> None:
    """So many blocks of noise about one grey."""
    rng = np.random.default_rng(vase.updates)
    level = LEVELS[world]
    for _ in range(blocks):
        vase.update(rng.integers(level - 30, level + 30, (16, 16, 16, 1), dtype=np.uint8))


def through(*worlds: int, blocks: int = 24) -> VASE:
    vase = learner()
    for world in worlds:
        show(vase, world, blocks)
    return vase


def rule(vase: VASE) -> ShiftDetector:
    assert isinstance(vase.registry.rule, ShiftDetector)
    return vase.registry.rule


def test_what_was_merged_into_one_that_is_merged_goes_along() -> None:
    vase = through(0, 1, 2)
    vase.merge(1, 2)
    vase.merge(2, 0)
    assert vase.registry.opened == [0, 0, 0]
    assert [vase.registry.serial(index) for index in range(2)] == [0, 0]
    assert vase.environments[1].merged_into == 0
    show(vase, 3, 24)
    assert vase.environment == 2
    assert vase.environments[1].merged_into == 0
    assert vase.registry.serial(1) == 0


def test_a_candidate_is_given_up_for_what_its_predecessor_was_merged_into() -> None:
    vase = through(0, 1)
    show(vase, 2, 3)
    assert (vase.environment, vase.status) == (2, "candidate")
    vase.merge(1, 0)
    show(vase, 0, 3)
    assert vase.environment == 0
    assert vase.registry.opened == [0, 0, 0]


def test_a_candidate_that_takes_in_another_environment_stays() -> None:
    vase = through(0, 1)
    show(vase, 2, 3)
    assert vase.status == "candidate"
    vase.merge(1, 2)
    assert vase.status == "confirmed"
    show(vase, 0, 3)
    assert vase.environment == 0
    assert vase.registry.opened == [0, 2, 2]


@pytest.mark.parametrize(
    ("index", "into", "message"),
    [
        (7, 0, r"environment must be a known environment, \[0, 1\], got 7"),
        (-1, 0, r"environment must be a known environment, \[0, 1\], got -1"),
        (0, 7, r"into must be a known environment, \[0, 1\], got 7"),
        (1, 1, "into must be another environment than 1, got 1"),
    ],
)
def test_a_merge_that_is_refused_changes_nothing(index: int, into: int, message: str) -> None:
    vase = through(0, 1)
    before: dict[str, Any] = rule(vase).models[0].state_dict(), rule(vase).models[1].state_dict()
    with pytest.raises(ValueError, match=message):
        vase.merge(index, into)
    for model, state in zip(rule(vase).models, before, strict=True):
        assert model.blocks == state["blocks"]
        np.testing.assert_array_equal(model.mean, state["mean"])
        np.testing.assert_array_equal(model.between, state["between"])
    assert vase.registry.opened == [0, 1]
