"""Algorithm 1, eq. 6, and the batches in a row that a change takes."""

from __future__ import annotations

import pytest
import torch

from vase_rl import VASEConfig
from vase_rl.distributions import loss_floor
from vase_rl.environments import LOSS_MEMORY, Environment, LossStatistics
from vase_rl.inference import Persistence, algorithm_1, loss_fits
from vase_rl.whereabouts import Shift


def bits(pattern: str) -> torch.Tensor:
    return torch.tensor([c == "1" for c in pattern])


def environment(index: int, **fields) -> Environment:
    ones = torch.ones(4, dtype=torch.bool)
    return Environment(index=index, **{"latent_mask": ones, "used_latents": ones, **fields})


# ---------------------------------------------------------------- Algorithm 1

ALGORITHM_1 = [
    # loss against L̃ = 100 with κ = 1.5, aˢ, uˢ, a(x), accepted
    ("usual loss, same mask", 100.0, "1100", "1111", "1100", True),
    ("loss at the limit", 150.0, "1100", "1111", "1100", True),
    ("loss above the limit", 150.1, "1100", "1111", "1100", False),
    ("loss far below the average", 1.0, "1100", "1111", "1100", True),
    ("a used latent is atypical", 100.0, "1100", "1100", "1000", False),
    ("a masked latent is typical and would be used", 100.0, "1100", "1111", "1110", False),
    ("an unused latent is atypical", 100.0, "1100", "1000", "1000", True),
    ("an unused latent is typical", 100.0, "1100", "1100", "1111", True),
    ("nothing is used", 100.0, "1100", "0000", "0011", True),
    ("both conditions fail", 900.0, "1100", "1111", "0011", False),
]


@pytest.mark.parametrize(
    ("loss", "mask", "used", "batch_mask", "accepted"),
    [row[1:] for row in ALGORITHM_1],
    ids=[row[0] for row in ALGORITHM_1],
)
def test_algorithm_1(loss, mask, used, batch_mask, accepted):
    candidate = environment(2, latent_mask=bits(mask), used_latents=bits(used))
    candidate.loss.add(100.0)
    verdict = algorithm_1(candidate, loss, bits(batch_mask), VASEConfig(loss_tolerance=1.5))
    assert verdict == (2 if accepted else None)


@pytest.mark.parametrize(("loss", "accepted"), [(-900.0, True), (-852.0, True), (-848.0, False)])
def test_algorithm_1_tolerates_losses_above_the_floor_of_a_gaussian(loss, accepted):
    """κ·L̃ as printed would refuse every batch whose average loss L̃ is negative."""
    config = VASEConfig(likelihood="gaussian", loss_tolerance=1.5)
    offset = loss_floor(config) + 1000.0
    candidate = environment(0)
    candidate.loss.add(-900.0 + offset)
    verdict = algorithm_1(candidate, loss + offset, bits("1111"), config)
    assert verdict == (0 if accepted else None)


@pytest.mark.parametrize(("loss", "accepted"), [(89, False), (91, True), (109, True), (111, False)])
def test_the_two_sided_test_refuses_losses_that_are_too_good(loss, accepted):
    candidate = environment(0)
    candidate.loss = LossStatistics(count=500, mean=100.0, variance=25.0)
    config = VASEConfig(loss_test="two_sided", loss_deviations=2.0)
    assert loss_fits(candidate, float(loss), config) is accepted
    assert loss_fits(candidate, 20.0, VASEConfig()), "the upper test finds any low loss good enough"


# ---------------------------------------------------------------- the loss level of eq. 6


def test_loss_statistics_are_plain_moments_at_first():
    values = torch.randn(LOSS_MEMORY) * 3 + 50
    loss = LossStatistics()
    for value in values.tolist():
        loss.add(value)
    assert loss.mean == pytest.approx(float(values.mean()), rel=1e-5)
    assert loss.variance == pytest.approx(float(values.var(correction=0)), rel=1e-4)


def test_loss_statistics_forget_the_high_losses_of_the_beginning():
    loss = LossStatistics()
    for step in range(1000):
        loss.add(500.0 if step < 100 else 40.0)
    assert loss.mean == pytest.approx(40.0, abs=0.1)


# ---------------------------------------------------------------- persistence


def shifts(
    verdicts: list[int | None], needed: int = 2, most: int = 3
) -> tuple[list[Shift | None], Persistence]:
    """What each verdict of the rule leads to, from environment 0 of two, and the rule."""
    rule = Persistence(most, needed)
    rule.where.go(None, 1)
    rule.where.go(0, 1)
    found = [rule.observe(verdict) for verdict in verdicts]
    assert all(len(shift) < 2 for shift in found)
    return [shift[0] if shift else None for shift in found], rule


ENTER, OPEN = Shift("enter", 0, 1, 2), Shift("open", 0, 2, 2)
PERSISTENCE = [
    ("the present environment changes nothing", [0, 0], [None, None], False),
    ("two that agree", [1, 1], [None, ENTER], False),
    ("one is not enough", [1], [None], True),
    ("the present environment wipes it", [1, 0, 1], [None, None, None], True),
    ("another environment starts anew", [1, None, None], [None, None, OPEN], False),
    ("a known one after a stranger", [None, 1, 1], [None, None, ENTER], False),
]


@pytest.mark.parametrize(
    ("verdicts", "expected", "suspects"),
    [row[1:] for row in PERSISTENCE],
    ids=[row[0] for row in PERSISTENCE],
)
def test_a_change_takes_verdicts_in_a_row(verdicts, expected, suspects):
    found, rule = shifts(verdicts)
    assert found == expected
    assert rule.suspects == suspects


def test_once_is_as_printed():
    assert shifts([1], needed=1)[0] == [Shift("enter", 0, 1, 1)]


def test_beyond_the_last_environment_nothing_opens():
    found, rule = shifts([None, None, None], most=2)
    assert found == [None, Shift("full", 0, 0), Shift("full", 0, 0)]
    assert rule.suspects
    assert rule.where.known == [0, 1]


def test_going_on_from_a_saved_state_equals_never_having_stopped():
    rule, back = shifts([None])[1], Persistence(3, 2)
    back.load_state_dict(rule.state_dict())
    assert (back.suspects, back.where) == (True, rule.where)
    assert back.observe(None) == [OPEN]
