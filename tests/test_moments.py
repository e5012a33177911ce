"""Fixed features, running moments, the two-sample test and the effective sample size."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats
from worlds import bars, checkers, tiny

from vase_rl.frames import to_tensor
from vase_rl.moments import DIMENSION, FixedFeatures, Moments, effective_sample_size, two_sample_f

CPU = torch.device("cpu")


def normal(frames: int, dimension: int = DIMENSION) -> torch.Tensor:
    return torch.randn(frames, dimension, dtype=torch.double)


# ---------------------------------------------------------------- features


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [8, 32, 64])
def test_features_never_change(channels, size):
    """Whatever the global generator did, and without gradients: moments stay valid for life."""
    x = torch.rand(4, channels, size, size)
    first = FixedFeatures(channels, CPU)
    torch.randn(99)
    again = FixedFeatures(channels, CPU)
    assert first(x).shape == (4, DIMENSION)
    assert not first(x).requires_grad
    assert torch.equal(first(x), again(x))
    torch.testing.assert_close(first(x[2:3]), first(x)[2:3])


def test_features_leave_the_global_generator_alone():
    before = torch.random.get_rng_state()
    FixedFeatures(1, CPU)
    assert torch.equal(torch.random.get_rng_state(), before)


# ---------------------------------------------------------------- moments


def test_moments_are_mean_and_covariance():
    x = normal(50, 4) @ normal(4, 4) + 3
    moments = Moments.of(x.float())
    data = x.float().double().numpy()
    assert moments.count == 50
    np.testing.assert_allclose(moments.mean.numpy(), data.mean(0))
    np.testing.assert_allclose(moments.covariance.numpy(), np.cov(data, rowvar=False))


@pytest.mark.parametrize("sizes", [(30, 20), (1, 5), (5, 1), (1, 1), (7, 64, 3, 1, 40)])
def test_merged_moments_are_those_of_the_concatenation(sizes):
    parts = [normal(n, 4) * (i + 1) + 5 * i for i, n in enumerate(sizes)]
    merged = Moments.of(parts[0])
    for part in parts[1:]:
        merged = merged.merged(Moments.of(part), memory=1e9)
    expected = Moments.of(torch.cat(parts))
    assert merged.count == expected.count == sum(sizes)
    torch.testing.assert_close(merged.mean, expected.mean)
    torch.testing.assert_close(merged.covariance, expected.covariance)


def test_beyond_their_memory_moments_follow_recent_frames():
    moments = Moments.of(normal(500, 3))
    for _ in range(60):
        moments = moments.merged(Moments.of(2 * normal(50, 3) + 7), memory=500)
        assert moments.count <= 550
    assert moments.count == 500
    np.testing.assert_allclose(moments.mean.numpy(), 7, atol=0.5)
    np.testing.assert_allclose(moments.covariance.numpy(), 4 * np.eye(3), atol=1.0)


@pytest.mark.parametrize("frames", [1, 500, 501, 9000])
def test_a_batch_larger_than_the_memory_takes_over(frames):
    old, new = Moments.of(normal(500, 3)), Moments.of(normal(frames, 3) + 4)
    merged = old.merged(new, memory=500)
    assert merged.covariance.isfinite().all()
    if frames >= 500:
        torch.testing.assert_close(merged.mean, new.mean, atol=0.05, rtol=0)


# ---------------------------------------------------------------- two-sample test


def test_one_feature_gives_the_square_of_students_t():
    a, b = normal(30, 1) + 0.4, normal(80, 1)
    t = stats.ttest_ind(a.numpy().ravel(), b.numpy().ravel()).statistic
    f = two_sample_f(Moments.of(a), Moments.of(b), 30)
    assert f == pytest.approx(t**2, rel=2e-3)  # less the ridge of one in a thousand


def test_it_is_hotellings_statistic():
    n, m, d = 60, 200, 5
    mixing = normal(d, d) + 2 * torch.eye(d)
    a, b = (normal(n, d) + 0.2) @ mixing, normal(m, d) @ mixing
    x, y = a.numpy(), b.numpy()
    pooled = ((n - 1) * np.cov(x.T) + (m - 1) * np.cov(y.T)) / (n + m - 2)
    gap = x.mean(0) - y.mean(0)
    t_squared = n * m / (n + m) * gap @ np.linalg.inv(pooled) @ gap
    expected = (n + m - d - 1) / (d * (n + m - 2)) * t_squared
    f = two_sample_f(Moments.of(a), Moments.of(b), n)
    assert f == pytest.approx(expected, rel=0.05)
    assert f <= expected  # the ridge only takes away


@pytest.mark.parametrize(("n", "m"), [(8, 8), (16, 64), (64, 64), (64, 2000)])
def test_under_the_null_hypothesis_p_values_are_uniform(n, m):
    """Also where the frames are fewer than the features, of which fewer are compared then."""
    d = max(1, min(DIMENSION, (n + m - 2) // 3))
    statistics = [two_sample_f(Moments.of(normal(n)), Moments.of(normal(m)), n) for _ in range(200)]
    p_values = stats.f.sf(statistics, d, n + m - d - 1)
    assert stats.kstest(p_values, "uniform").pvalue > 0.01


def test_foreign_batches_exceed_any_threshold():
    reference = Moments.of(normal(2000))
    for shift in (1.0, 3.0):
        assert two_sample_f(Moments.of(normal(64) + shift), reference, 64) > 10


def test_a_batch_worth_fewer_frames_weighs_less():
    batch, reference = Moments.of(normal(64) + 0.5), Moments.of(normal(2000))
    values = [two_sample_f(batch, reference, n) for n in (12, 24, 48, 64)]
    assert values == sorted(values)


@pytest.mark.parametrize(("n", "m"), [(1, 1), (1, 2), (2, 1), (1, 500)])
def test_single_frames_give_a_finite_statistic(n, m):
    f = two_sample_f(Moments.of(normal(n)), Moments.of(normal(m)), float(n))
    assert np.isfinite(f)
    assert f >= 0.0


def test_constant_frames_give_a_finite_statistic():
    still = Moments.of(torch.ones(64, DIMENSION))
    assert two_sample_f(still, still, 64) == 0.0
    assert two_sample_f(Moments.of(torch.zeros(64, DIMENSION)), still, 64) > 1e3


def test_two_worlds_are_told_apart_and_one_is_not():
    rng, features = np.random.default_rng(0), FixedFeatures(1, CPU)

    def moments(world, frames: int) -> Moments:
        return Moments.of(features(to_tensor(world(rng, frames), tiny(), CPU)))

    references = [moments(world, 2000) for world in (bars, checkers)]
    own = [two_sample_f(moments(bars, 64), references[0], 64) for _ in range(40)]
    other = [two_sample_f(moments(bars, 64), references[1], 64) for _ in range(40)]
    assert np.mean(own) < 1.3
    assert max(own) < 3.0 < 100.0 < min(other)


# ---------------------------------------------------------------- effective sample size


def autoregressive(rho: float, frames: int, paths: int = 4) -> torch.Tensor:
    """Unit-variance AR(1) paths from their stationary distribution, (frames, paths)."""
    rng = np.random.default_rng(1)
    x = np.empty((frames, paths))
    x[0] = rng.standard_normal(paths)
    for i in range(1, frames):
        x[i] = rho * x[i - 1] + np.sqrt(1 - rho**2) * rng.standard_normal(paths)
    return torch.from_numpy(x)


@pytest.mark.parametrize("rho", [0.3, 0.6, 0.9, 0.97])
def test_correlated_frames_are_worth_what_theory_says(rho):
    frames = 8000
    expected = frames * (1 - rho) / (1 + rho)
    assert effective_sample_size(autoregressive(rho, frames)) == pytest.approx(expected, rel=0.15)


def test_by_definition_their_mean_varies_like_that_of_so_many_independent_frames():
    paths = autoregressive(0.8, 500, paths=4000)
    by_definition = 1.0 / float(paths.mean(0).var())  # each path has variance 1
    estimates = [effective_sample_size(paths[:, i : i + 4]) for i in range(0, 80, 4)]
    assert np.mean(estimates) == pytest.approx(by_definition, rel=0.25)


def test_independent_frames_are_worth_their_number():
    worth = [effective_sample_size(normal(64)) for _ in range(50)]
    assert worth == [64.0] * 50


@pytest.mark.parametrize("frames", [1, 2, 3, 5])
def test_the_effective_size_is_between_one_and_all(frames):
    for x in (normal(frames), torch.linspace(0, 1, frames)[:, None], torch.ones(frames, 2)):
        assert 1.0 <= effective_sample_size(x) <= frames


def test_consecutive_frames_of_a_slow_process_are_not_worth_a_test():
    assert effective_sample_size(autoregressive(0.99, 64)) < tiny().minimum_effective_frames
