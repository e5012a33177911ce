"""Algorithm 1, eq. 6, the moments rule, and the evidence that a change takes."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch.distributions import MultivariateNormal
from worlds import tiny

from vase_rl import VASEConfig
from vase_rl.distributions import loss_floor
from vase_rl.environments import LOSS_MEMORY, Environment, LossStatistics
from vase_rl.inference import (
    Evidence,
    algorithm_1,
    f_statistics,
    loss_fits,
    moments_rule,
    most_likely,
    resembles,
    same_world,
    weigh,
)
from vase_rl.moments import Moments, two_sample_f

CONFIG = tiny(shift_threshold=3.0)
DIMENSION = 6


def bits(pattern: str) -> torch.Tensor:
    return torch.tensor([c == "1" for c in pattern])


def moments_at(place: float, frames: int = 2000, spread: float = 1.0) -> Moments:
    x = torch.randn(frames, DIMENSION, dtype=torch.double)
    return Moments.of(place + spread * x)


def environment(index: int, moments: Moments | None = None, **fields) -> Environment:
    ones = torch.ones(4, dtype=torch.bool)
    known = {"latent_mask": ones, "used_latents": ones, **fields}
    known.setdefault("frames", 1000)
    return Environment(index=index, moments=moments or moments_at(0.0), **known)


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


def test_a_candidate_is_the_world_whose_frames_it_repeats():
    def world(index, level, frames):
        features = torch.randn(frames, 32) + level
        return environment(index, moments=Moments.of(features))

    known = [world(0, 0.0, 2000), world(1, 1.0, 2000)]
    config = VASEConfig()
    for level, expected in [(0.0, known[0]), (1.0, known[1]), (2.0, None), (0.5, None)]:
        candidate = world(2, 9.0, 50)
        candidate.trial = world(2, level, 500).moments
        assert same_world(candidate, [*known, candidate], config) is expected
    assert same_world(world(2, 0.0, 500), known, config) is None, "there was no frame since"


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


# ---------------------------------------------------------------- the rule of moments


def test_the_likeliest_environment_is_that_of_a_gaussian_density():
    environments = [
        environment(0, moments_at(0.0)),
        environment(1, moments_at(0.0, spread=3.0)),
        environment(2, moments_at(1.0)),
    ]
    for place, spread in [(0.0, 1.0), (0.0, 3.0), (1.0, 1.0), (0.6, 0.5), (0.2, 2.0)]:
        x = place + spread * torch.randn(400, DIMENSION, dtype=torch.double)
        densities = [
            MultivariateNormal(e.moments.mean, e.moments.covariance).log_prob(x).mean()
            for e in environments
        ]
        expected = int(torch.stack(densities).argmax())
        assert most_likely(Moments.of(x), environments) == expected


def test_statistics_come_in_the_order_of_the_environments():
    environments = [environment(i, moments_at(float(2 * i))) for i in range(3)]
    statistics = f_statistics(moments_at(2.0, 64), 64, environments)
    assert statistics[1] < 3.0 < min(statistics[0], statistics[2])


MOMENTS_RULE = [
    # the batch's place, present environment, verdict; environments at 0, 0.05, 5
    ("the present one explains it", 0.0, 0, 0),
    ("the present one is preferred to a likelier one", 0.0, 1, 1),
    ("a known one explains it", 5.0, 0, 2),
    ("the likeliest of two that explain it", 0.0, 2, 0),
    ("none explains it", 2.5, 0, None),
]


@pytest.mark.parametrize(
    ("place", "present", "verdict"),
    [row[1:] for row in MOMENTS_RULE],
    ids=[row[0] for row in MOMENTS_RULE],
)
def test_moments_rule(place, present, verdict):
    known = [environment(i, moments_at(p, 20_000)) for i, p in enumerate((0.0, 0.05, 5.0))]
    batch = moments_at(place, 64)
    if verdict == 0:
        batch.mean = torch.zeros_like(batch.mean)
    assert moments_rule(batch, 64, known, present, CONFIG) == verdict


def test_false_alarms_are_rare():
    """One environment, 500 batches of its own: never None, whatever the number of frames so far."""
    reference = moments_at(0.0, 32)
    for _ in range(500):
        batch = moments_at(0.0, 32)
        known = [environment(0, reference)]
        assert moments_rule(batch, 32, known, 0, tiny(shift_threshold=5.0)) == 0
        reference = reference.merged(batch, 20_000)


# ---------------------------------------------------------------- evidence


def verdicts(
    rows: list[tuple[int | None, float]], current: int = 0, config: VASEConfig = CONFIG
) -> list[tuple[int | None, int] | None]:
    """(environment, batches) of the evidence after each (verdict, place of the batch)."""
    evidence, seen = None, []
    for verdict, place in rows:
        evidence = weigh(evidence, verdict, moments_at(place, 64), 64, current, config)
        seen.append(None if evidence is None else (evidence.environment, evidence.batches))
    return seen


EVIDENCE = [
    ("the present environment leaves no evidence", [(0, 0.0)], [None]),
    ("agreeing batches add up", [(1, 5.0)] * 3, [(1, 1), (1, 2), (1, 3)]),
    ("the present environment wipes it", [(1, 5.0), (0, 0.0), (1, 5.0)], [(1, 1), None, (1, 1)]),
    ("another environment starts anew", [(1, 5.0), (2, 9.0), (2, 9.0)], [(1, 1), (2, 1), (2, 2)]),
    ("strangers that resemble each other add up", [(None, 7.0)] * 2, [(None, 1), (None, 2)]),
    (
        "unlike strangers start anew",
        [(None, 7.0), (None, -7.0), (None, -7.0)],
        [(None, 1), (None, 1), (None, 2)],
    ),
    ("a stranger after a known one", [(1, 5.0), (None, 5.0)], [(1, 1), (None, 1)]),
    ("a known one after a stranger", [(None, 5.0), (1, 5.0)], [(None, 1), (1, 1)]),
]


@pytest.mark.parametrize(
    ("rows", "expected"), [row[1:] for row in EVIDENCE], ids=[row[0] for row in EVIDENCE]
)
def test_evidence(rows, expected):
    assert verdicts(rows) == expected


def test_evidence_remembers_what_it_saw_and_is_never_changed():
    first = weigh(None, None, moments_at(7.0, 64), 64, 0, CONFIG)
    assert first is not None
    count, mean = first.moments.count, first.moments.mean.clone()
    second = weigh(first, None, moments_at(7.0, 32), 32, 0, CONFIG)
    assert second is not None
    assert second.moments.count == 96
    assert (first.batches, first.moments.count) == (1, count)
    assert torch.equal(first.moments.mean, mean)
    with pytest.raises(dataclasses.FrozenInstanceError):
        second.batches = 9  # type: ignore[misc]


def test_evidence_for_a_known_environment_needs_no_resemblance():
    evidence = Evidence(1, 1, moments_at(5.0, 64))
    assert evidence.supported_by(1, moments_at(-5.0, 64), 64, CONFIG)
    assert not evidence.supported_by(2, moments_at(5.0, 64), 64, CONFIG)


def test_an_environment_of_few_frames_does_not_say_no():
    far = moments_at(100.0)
    assert moments_rule(far, 64, [environment(0, frames=24)], 0, CONFIG) is None
    assert moments_rule(far, 64, [environment(0, frames=23)], 0, CONFIG) == 0


@pytest.mark.parametrize(
    ("effective", "times"), [(24.0, 1.0), (12.0, 1.0), (6.0, 2.0), (1.0, 12.0)]
)
def test_fewer_independent_frames_need_a_rarer_accident(effective, times):
    batch, reference = moments_at(1.0), moments_at(0.0)
    f = two_sample_f(batch, reference, effective)
    just, barely = 1.001 * f / times, 0.999 * f / times
    assert resembles(batch, reference, effective, tiny(shift_threshold=just))
    assert not resembles(batch, reference, effective, tiny(shift_threshold=barely))
