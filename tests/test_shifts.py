"""Blocks of frames: their model against closed forms, and changes of world found in them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from scipy import stats
from torch.nn import functional as F

from vase_rl.blocks import WINDOWS, Block, BlockModel, Calibration, f_quantile
from vase_rl.fixed_features import DIMENSION, FixedFeatures
from vase_rl.shifts import TRIAL, ShiftDetector
from vase_rl.whereabouts import Shift, Whereabouts

BLOCK = 64


def rooms(
    seed: int, centre: float, spread: float, stay: float, noise: float = 1.0
) -> Iterator[Block]:
    """Blocks of frames about a point that wanders: an AR(1) process of block means.

    Args:
        seed: of all randomness.
        centre: of the world, in every dimension.
        spread: standard deviation of the points.
        stay: correlation of neighbouring blocks' points.
        noise: standard deviation of frames about the point.
    """
    rng = np.random.default_rng(seed)
    point = spread * rng.normal(size=DIMENSION)
    while True:
        point = stay * point + (1 - stay**2) ** 0.5 * spread * rng.normal(size=DIMENSION)
        yield Block.of(centre + point + noise * rng.normal(size=(BLOCK, DIMENSION)))


def watch(detector: ShiftDetector, world: Iterator[Block], blocks: int) -> dict[int, Shift]:
    """The changes found, by the number of blocks since the visit began."""
    found = {}
    for number in range(1, blocks + 1):
        for shift in detector.observe(next(world)):
            found[number] = shift
    return found


# ---------------------------------------------------------------- the model


@pytest.mark.parametrize("z", [2.3, 3.7])
@pytest.mark.parametrize("denominator", [20.0, 60.0, 500.0])
def test_quantile_is_that_of_the_f_distribution(z: float, denominator: float) -> None:
    exact = stats.f.isf(stats.norm.sf(z), DIMENSION, denominator)
    assert f_quantile(z, DIMENSION, denominator) == pytest.approx(exact, rel=0.04)


def test_quantile_without_an_answer_excludes_nothing() -> None:
    assert f_quantile(7.0, DIMENSION, 2.0) == np.inf


def test_block_of_independent_frames_has_their_moments() -> None:
    frames = np.random.default_rng(0).normal(size=(BLOCK, DIMENSION))
    block = Block.of(frames)
    np.testing.assert_allclose(block.mean, frames.mean(0))
    np.testing.assert_allclose(block.covariance, np.cov(frames.T, bias=True))
    assert block.effective == BLOCK


@pytest.mark.parametrize("rho", [0.5, 0.9])
def test_effective_frames_are_those_of_an_autoregressive_process(rho: float) -> None:
    rng = np.random.default_rng(1)
    frames = [rng.normal(size=1000)]
    for _ in range(2000):
        frames.append(rho * frames[-1] + (1 - rho**2) ** 0.5 * rng.normal(size=1000))
    expected = len(frames) * (1 - rho) / (1 + rho)
    assert Block.of(np.array(frames)).effective == pytest.approx(expected, rel=0.03)


def test_constant_frames_are_worth_one() -> None:
    assert Block.of(np.ones((BLOCK, DIMENSION))).effective == 1.0


def model_of(world: Iterator[Block], blocks: int) -> BlockModel:
    model = BlockModel()
    for _ in range(blocks):
        model.add(next(world))
    return model


@pytest.mark.parametrize("window", [8, 16])
def test_the_mean_of_a_world_may_wander_by_a_quarter_of_its_frames_deviation(window: int) -> None:
    model = model_of(rooms(6, 3.0, 0.3, 0.0), 400)
    deviation = np.linalg.cholesky(model.within + model.between).sum(1)
    assert model.explains(model.mean + 0.24 * deviation, window, 1.0)
    assert not model.explains(model.mean + 0.26 * deviation, window, 1.0)


@pytest.mark.parametrize(("distance", "kinds"), [(0.15, []), (0.6, ["open"])])
def test_a_learning_agent_moves_the_mean_and_another_world_moves_it_more(
    distance: float, kinds: list[str]
) -> None:
    detector = ShiftDetector()
    assert watch(detector, rooms(7, 0.0, 0.3, 0.0), 200) == {}
    changes = watch(detector, rooms(8, distance, 0.3, 0.0), 60)
    assert [shift.kind for shift in changes.values()] == kinds


@pytest.mark.parametrize("stay", [0.0, 0.7])
def test_model_learns_scatter_and_correlation_of_block_means(stay: float) -> None:
    model = model_of(rooms(2, 3.0, 2.0, stay), 1000)
    expected = 2.0**2 + 1 / BLOCK
    assert model.between.diagonal().mean() == pytest.approx(expected, rel=0.15)
    assert model.within.diagonal().mean() == pytest.approx(1.0, rel=0.05)
    assert model.correlation == pytest.approx(stay, abs=0.06)
    independent = 1000 * (1 - stay) / (1 + stay)
    assert 0.7 * independent < model.independent <= independent * 1.05


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize(("spread", "stay"), [(0.0, 0.0), (1.0, 0.0), (1.0, 0.6)])
def test_statistic_is_about_one_in_the_world_itself(
    window: int, spread: float, stay: float
) -> None:
    model = model_of(rooms(3, 0.0, spread, stay), 800)
    world = rooms(4, 0.0, spread, stay)
    means = [np.mean([next(world).mean for _ in range(window)], axis=0) for _ in range(150)]
    assert 0.6 < np.mean([model.statistic(mean, window) for mean in means]) < 1.4


def test_likelihood_is_highest_where_blocks_come_from() -> None:
    near, far = model_of(rooms(5, 0.0, 0.1, 0.0), 200), model_of(rooms(6, 2.0, 0.1, 0.0), 200)
    mean = next(rooms(7, 2.0, 0.1, 0.0)).mean
    assert far.log_likelihood(mean, 1) > near.log_likelihood(mean, 1) + 100


def test_a_model_of_a_time_with_fewer_windows_goes_on() -> None:
    model = model_of(rooms(7, 0.0, 1.0, 0.0), 40)
    model.calibration[1].add(0.7)
    state = model.state_dict()
    state["calibration"] = state["calibration"][:-1]
    back = BlockModel.from_state_dict(state)
    assert back.calibration == model.calibration
    state["calibration"] *= 2
    with pytest.raises(ValueError, match="zip"):
        BlockModel.from_state_dict(state)


def test_calibration_is_that_of_the_logarithms() -> None:
    calibration, rng = Calibration(), np.random.default_rng(8)
    for value in np.exp(rng.normal(0.3, 0.2, 20_000)):
        calibration.add(value)
    assert np.log(calibration.limit(0.0)) == pytest.approx(0.3, abs=0.06)
    assert np.log(calibration.limit(3.0)) == pytest.approx(0.3 + 3 * 0.2, abs=0.2)


@pytest.mark.parametrize("channels", [1, 3])
def test_features_tell_a_thing_from_another_wherever_it_is(channels: int) -> None:
    features = FixedFeatures(channels, torch.device("cpu"))

    def frame(size: int, place: int) -> torch.Tensor:
        x = torch.zeros(1, channels, 32, 32)
        x[..., place : place + size, place : place + size] = 1.0
        return x

    small, moved, large = (features(frame(*at))[0] for at in ((6, 4), (6, 16), (12, 10)))
    assert small.shape == (DIMENSION,)
    what = slice(0, 16)
    assert (small - moved)[what].norm() < 0.1 * (small - large)[what].norm()
    assert (small - moved)[16:].norm() > 0.5 * (small - large)[16:].norm()
    doubled = frame(6, 4).repeat_interleave(2, 2).repeat_interleave(2, 3)
    torch.testing.assert_close(features(doubled)[0], small)


@pytest.mark.parametrize("size", [16, 32, 48, 64, 128, 192])
@pytest.mark.parametrize("channels", [1, 3])
def test_fixed_features_are_those_of_plain_layers(channels: int, size: int) -> None:
    fixed = FixedFeatures(channels, torch.device("cpu"))
    x = torch.rand(5, size, size, channels, generator=torch.Generator().manual_seed(1))
    x = x.permute(0, 3, 1, 2)
    small = F.interpolate(x.contiguous(), size=(32, 32), mode="area")
    first = F.conv2d(small, fixed.first, fixed.first_bias, padding=2).relu()
    second = F.conv2d(F.avg_pool2d(first, 2), fixed.second, fixed.second_bias, padding=1).relu()
    spread = (second.square().mean((2, 3)) + 1e-6).sqrt()
    what = torch.cat([second.mean((2, 3)), spread], 1) @ fixed.what
    where = torch.einsum("fw,bfp,mp->bwm", fixed.where, second.flatten(2), fixed.places)
    expected = torch.cat([what, where.flatten(1)], 1)
    torch.testing.assert_close(fixed(x), expected, rtol=1e-4, atol=1e-5)


# ---------------------------------------------------------------- changes


WORLDS = [(0.0, 0.0), (1.0, 0.0), (1.0, 0.6)]
"""Spread of block means and their correlation: independent frames, sprites, rooms."""


@pytest.mark.parametrize(("spread", "stay"), WORLDS)
def test_worlds_are_told_apart_and_recognised(spread: float, stay: float) -> None:
    detector = ShiftDetector()
    first, second = rooms(10, 0.0, spread, stay), rooms(11, 6.0, spread, stay)
    assert watch(detector, first, 150) == {}
    assert watch(detector, second, 150) == {2: Shift("open", 0, 1, 2)}
    assert watch(detector, first, 150) == {2: Shift("enter", 1, 0, 2)}
    assert watch(detector, second, 150) == {2: Shift("enter", 0, 1, 2)}
    assert detector.where.known == [0, 1]


@pytest.mark.parametrize(("spread", "stay"), WORLDS)
def test_twenty_switches_leave_two_environments(spread: float, stay: float) -> None:
    detector = ShiftDetector()
    worlds = rooms(30, 0.0, spread, stay), rooms(31, 3.0, spread, stay)
    for visit in range(21):
        found = watch(detector, worlds[visit % 2], 50)
        assert len(found) == (visit > 0)
        assert detector.where.environment == visit % 2
    assert detector.where.known == [0, 1]


@pytest.mark.parametrize(("spread", "stay"), WORLDS)
def test_nothing_is_found_where_nothing_changes(spread: float, stay: float) -> None:
    detector = ShiftDetector()
    assert watch(detector, rooms(12, 0.0, spread, stay), 1000) == {}
    assert not detector.suspects


@pytest.mark.parametrize("stay", [0.0, 0.6])
@pytest.mark.parametrize("spread", [3.0, 5.0])
@pytest.mark.parametrize("seed", [60, 61])
def test_a_world_whose_blocks_differ_far_more_than_their_frames_is_one_world(
    seed: int, spread: float, stay: float
) -> None:
    detector = ShiftDetector()
    watch(detector, rooms(seed, 0.0, spread, stay), 200)
    assert detector.where.known == [0]


def test_a_small_change_shows_in_many_blocks() -> None:
    """Less than half a standard deviation of a block's mean: no single block is odd."""
    detector = ShiftDetector()
    watch(detector, rooms(13, 0.0, 1.0, 0.0), 400)
    found = watch(detector, rooms(14, 0.45, 1.0, 0.0), 60)
    assert [shift.kind for shift in found.values()] == ["open"]
    assert 4 < min(found) <= 32


def test_a_world_little_different_from_the_first_is_told_from_it_in_most_streams() -> None:
    """By a third of a standard deviation of their blocks' means."""
    found = []
    for seed in range(10):
        detector = ShiftDetector()
        first, second = rooms(200 + seed, 0.0, 1.0, 0.0), rooms(300 + seed, 0.35, 1.0, 0.0)
        watch(detector, first, 80)
        for _ in range(4):
            watch(detector, second, 90)
            watch(detector, first, 90)
        found.append(detector.where.known)
    assert found.count([0, 1]) >= 6


def test_a_world_within_a_wider_one_is_recognised() -> None:
    detector = ShiftDetector()
    narrow, wide = rooms(15, 0.3, 0.05, 0.0), rooms(16, 0.0, 4.0, 0.5)
    watch(detector, narrow, 100)
    assert watch(detector, wide, 300)[2] == Shift("open", 0, 1, 2)
    assert detector.where.known == [0, 1]
    assert list(watch(detector, narrow, 50).values()) == [Shift("enter", 1, 0, 2)]


def test_one_odd_block_changes_nothing() -> None:
    detector, world = ShiftDetector(), rooms(17, 0.0, 1.0, 0.0)
    watch(detector, world, 200)
    assert watch(detector, rooms(18, 9.0, 1.0, 0.0), 1) == {}
    assert detector.suspects
    assert watch(detector, world, 200) == {}
    assert abs(detector.models[0].mean).max() < 0.5, "the odd block was not learnt"


def test_frames_that_never_change_are_a_world_too() -> None:
    detector = ShiftDetector()
    still, other = (rooms(23, centre, 0.0, 0.0, noise=0.0) for centre in (0.0, 1.0))
    assert watch(detector, still, 100) == {}
    assert watch(detector, other, 100) == {2: Shift("open", 0, 1, 2)}
    assert watch(detector, still, 10) == {2: Shift("enter", 1, 0, 2)}


def test_three_blocks_are_too_few_to_say_no() -> None:
    detector = ShiftDetector()
    watch(detector, rooms(19, 0.0, 0.0, 0.0), 3)
    assert watch(detector, rooms(20, 50.0, 0.0, 0.0), 5) == {}


def test_a_young_environment_refuses_what_no_blocks_of_one_world_would_show() -> None:
    detector = ShiftDetector()
    assert watch(detector, rooms(19, 0.0, 0.0, 0.0), 12) == {}
    assert detector.models[0].young
    assert watch(detector, rooms(20, 50.0, 0.0, 0.0), 12) == {2: Shift("open", 0, 1, 2)}


# ---------------------------------------------------------------- candidates


@pytest.mark.parametrize(("blocks", "left"), [(3, "merge"), (10, "enter")])
def test_a_candidate_is_left_for_a_world_that_is_known_at_once(blocks: int, left: str) -> None:
    detector, home = ShiftDetector(), rooms(32, 0.0, 0.5, 0.3)
    watch(detector, home, 150)
    assert watch(detector, rooms(33, 6.0, 0.5, 0.3), blocks) == {2: Shift("open", 0, 1, 2)}
    assert detector.candidate
    (shift,) = watch(detector, home, 20).values()
    assert (shift.kind, shift.left, shift.environment) == (left, 1, 0)
    # A short visit is a visit, a very short one an oddity.
    assert detector.where.known == ([0, 1] if left == "enter" else [0])


def test_a_candidate_is_confirmed_by_blocks_of_its_own() -> None:
    detector = ShiftDetector()
    watch(detector, rooms(34, 0.0, 0.5, 0.3), 150)
    other = rooms(35, 6.0, 0.5, 0.3)
    watch(detector, other, 2 + TRIAL - 1)
    assert detector.candidate
    watch(detector, other, 1)
    assert not detector.candidate
    assert detector.where.known == [0, 1]


def test_an_odd_stretch_is_merged_back() -> None:
    """Nothing but the stretch differs: what comes after it is the world from before."""
    detector, home = ShiftDetector(), rooms(36, 0.0, 1.0, 0.0)
    watch(detector, home, 200)
    assert watch(detector, rooms(37, 9.0, 1.0, 0.0), 2) == {2: Shift("open", 0, 1, 2)}
    found = watch(detector, home, 30)
    assert [shift.kind for shift in found.values()] == ["merge"]
    assert detector.where.known == [0]
    assert detector.where.opened == [0, 0]
    assert not detector.candidate
    assert len(detector.models) == 1


@pytest.mark.parametrize("blocks", [4, 6, 8])
def test_short_visits_leave_nothing_behind_that_is_never_recognised(blocks: int) -> None:
    detector, home = ShiftDetector(), rooms(44, 0.0, 0.5, 0.3)
    other = rooms(45, 6.0, 0.5, 0.3)
    watch(detector, home, 150)
    for _ in range(4):
        watch(detector, other, blocks)
        found = watch(detector, home, 40)
        assert [shift.kind for shift in found.values()] in (["merge"], ["enter"])
    assert len(detector.where.known) <= 2


def test_merged_worlds_stay_one_however_different_they_are() -> None:
    detector, home, other = ShiftDetector(), rooms(46, 0.0, 0.5, 0.0), rooms(47, 6.0, 0.5, 0.0)
    watch(detector, home, 150)
    watch(detector, other, 20)
    assert detector.where.known == [0, 1]
    detector.merge(1, 0)
    for world in (home, other, home, other):
        assert watch(detector, world, 40) == {}
    assert (detector.where.known, detector.where.environment) == ([0], 0)


@pytest.mark.parametrize("deviations", [1e-9, 8.0, 12.0, 60.0])
def test_any_deviations_have_an_answer(deviations: float) -> None:
    detector = ShiftDetector(deviations=deviations)
    changes = watch(detector, rooms(48, 0.0, 0.5, 0.3), 60)
    assert changes == {} or deviations < 1
    assert 60 - WINDOWS[-1] <= sum(model.blocks for model in detector.models) <= 60


def test_a_confirmed_candidate_stays() -> None:
    detector, home = ShiftDetector(), rooms(36, 0.0, 1.0, 0.0)
    watch(detector, home, 200)
    watch(detector, rooms(37, 9.0, 1.0, 0.0), 2)
    detector.confirm()
    watch(detector, home, 30)
    assert detector.where.known == [0, 1]


def test_pooled_models_are_that_of_all_their_blocks() -> None:
    first, second, both = model_of(rooms(40, 0.0, 1.0, 0.0), 60), BlockModel(), BlockModel()
    for _, block in zip(range(60), rooms(40, 0.0, 1.0, 0.0), strict=False):
        both.add(block)
    for _, block in zip(range(40), rooms(41, 2.0, 1.0, 0.0), strict=False):
        both.add(block)
        second.add(block)
    first.pool(second)
    assert first.blocks == both.blocks == 100
    for name in ("mean", "within", "between", "share"):
        np.testing.assert_allclose(getattr(first, name), getattr(both, name), atol=1e-9)


def test_a_merge_counts_one_environment_to_another_and_moves_no_third() -> None:
    detector = ShiftDetector()
    worlds = [rooms(42, centre, 0.5, 0.0) for centre in (0.0, 6.0, 90.0)]
    for world in worlds:
        watch(detector, world, 80)
    detector.merge(1, 0)
    assert detector.where.known == [0, 2]
    assert detector.where.opened == [0, 0, 2]
    assert watch(detector, worlds[1], 40) == {2: Shift("enter", 2, 0, 2)}
    assert watch(detector, worlds[2], 40) == {2: Shift("enter", 0, 2, 2)}
    detector.merge(2, 0)
    assert detector.where.environment == 0
    assert (detector.where.known, detector.where.slots) == ([0], 1)


@pytest.mark.parametrize(
    ("index", "into", "message"),
    [
        (3, 0, r"environment must be a known environment, \[0, 1\], got 3"),
        (0, 3, r"into must be a known environment, \[0, 1\], got 3"),
        (1, 1, r"into must be another environment than 1, got 1"),
    ],
)
def test_merges_of_what_is_not_there(index: int, into: int, message: str) -> None:
    where = Whereabouts()
    where.go(None, 1)
    with pytest.raises(ValueError, match=message):
        where.merge(index, into)


# ---------------------------------------------------------------- limits, keeping


def test_beyond_the_last_environment_nothing_opens_and_nothing_is_learnt() -> None:
    detector = ShiftDetector(max_environments=1)
    watch(detector, rooms(21, 0.0, 0.0, 0.0), 100)
    mean = detector.models[0].mean.copy()
    found = watch(detector, rooms(22, 5.0, 0.0, 0.0), 50)
    assert set(found.values()) == {Shift("full", 0, 0)}
    assert detector.suspects
    np.testing.assert_array_equal(detector.models[0].mean, mean)


def test_beyond_the_last_environment_blocks_are_seen_as_the_nearest() -> None:
    detector = ShiftDetector(max_environments=2)
    first, second = rooms(24, 0.0, 0.5, 0.0), rooms(25, 9.0, 0.5, 0.0)
    watch(detector, first, 100)
    watch(detector, second, 100)
    assert watch(detector, rooms(26, 2.0, 0.5, 0.0), 2) == {2: Shift("full", 1, 0)}
    assert detector.where.environment == 0
    assert detector.suspects
    assert watch(detector, second, 5) == {2: Shift("enter", 0, 1, 2)}


@pytest.mark.parametrize("blocks", [0, 1, 40, 101, 104, 130])
def test_going_on_from_a_saved_state_equals_never_having_stopped(blocks: int) -> None:
    """In the middle of a visit, of evidence, and of a trial."""
    stream = [*(b for _, b in zip(range(100), rooms(50, 0.0, 1.0, 0.5), strict=False))]
    stream += [*(b for _, b in zip(range(60), rooms(51, 5.0, 1.0, 0.5), strict=False))]
    whole, half, back = ShiftDetector(), ShiftDetector(), ShiftDetector()
    for block in stream[:blocks]:
        half.observe(block)
        whole.observe(block)
    back.load_state_dict(half.state_dict())
    later = [whole.observe(block) for block in stream[blocks:]]
    assert [back.observe(block) for block in stream[blocks:]] == later
    assert back.suspects == whole.suspects
    assert back.where == whole.where
    for mine, theirs in zip(back.models, whole.models, strict=True):
        np.testing.assert_array_equal(mine.mean, theirs.mean)
        np.testing.assert_array_equal(mine.between, theirs.between)
