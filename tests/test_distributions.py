"""Likelihoods, divergences and distances against torch.distributions and scipy."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.linalg import sqrtm
from scipy.stats import norm
from torch.distributions import Bernoulli, Independent, Normal, kl_divergence
from worlds import tiny

from vase_rl.distributions import (
    capacity_term,
    decoder_divergence,
    expected_pixels,
    gaussian_divergence,
    kl_to_standard_normal,
    loss_floor,
    negative_log_likelihood,
    pixel_precision,
    squared_wasserstein,
)

BERNOULLI = tiny()
GAUSSIAN = tiny(likelihood="gaussian", gaussian_std=0.2, channels=3)
IMAGES = (7, 3, 8, 8)


def test_kl_to_the_prior_is_the_closed_form():
    mean, std = 3 * torch.randn(50, 4), torch.exp(torch.randn(50, 4))
    expected = kl_divergence(Normal(mean, std), Normal(0.0, 1.0))
    torch.testing.assert_close(kl_to_standard_normal(mean, std), expected)
    assert float(kl_to_standard_normal(torch.zeros(1), torch.ones(1))) == 0.0


def test_wasserstein_distance_is_that_of_full_gaussians():
    """‖μ−μ'‖² + tr(A + B − 2·(A^½·B·A^½)^½), which covers any covariances A and B."""
    mean, other_mean = torch.randn(20, 5), torch.randn(20, 5)
    std, other_std = torch.rand(20, 5) + 0.05, 2 * torch.rand(20, 5) + 0.05
    for i, distance in enumerate(squared_wasserstein(mean, std, other_mean, other_std).sum(1)):
        a, b = (np.diag(s[i].double().numpy() ** 2) for s in (std, other_std))
        root = sqrtm(a)
        gap = (mean[i] - other_mean[i]).double().numpy()
        expected = gap @ gap + np.trace(a + b - 2 * np.real(sqrtm(root @ b @ root)))
        assert float(distance) == pytest.approx(expected, rel=1e-4, abs=1e-5)


def test_wasserstein_distance_is_the_cost_of_the_best_transport():
    """By definition, on a line: the quantiles of one distribution are moved onto the other's."""
    m, s, m2, s2 = 0.7, 0.4, -0.5, 1.3

    def cost(p: float) -> float:
        return float(norm.ppf(p, m, s) - norm.ppf(p, m2, s2)) ** 2

    expected, _ = quad(cost, 0.0, 1.0, limit=200)
    distance = squared_wasserstein(*(torch.tensor([[v]]) for v in (m, s, m2, s2)))
    assert float(distance) == pytest.approx(expected, rel=1e-3)


def test_bernoulli_likelihood():
    logits, x = 3 * torch.randn(IMAGES), torch.rand(IMAGES).round()
    expected = -Independent(Bernoulli(logits=logits), 3).log_prob(x)
    torch.testing.assert_close(negative_log_likelihood(logits, x, BERNOULLI), expected)


def test_bernoulli_likelihood_of_grey_pixels_is_the_cross_entropy():
    logits, x = torch.randn(IMAGES), torch.rand(IMAGES)
    p = torch.sigmoid(logits.double())
    expected = -(x * p.log() + (1 - x) * (1 - p).log()).flatten(1).sum(1)
    loss = negative_log_likelihood(logits, x, BERNOULLI)
    torch.testing.assert_close(loss.double(), expected, rtol=1e-5, atol=1e-5)


def test_gaussian_likelihood():
    output, x = torch.rand(IMAGES), torch.rand(IMAGES)
    expected = -Independent(Normal(output, 0.2), 3).log_prob(x)
    torch.testing.assert_close(negative_log_likelihood(output, x, GAUSSIAN), expected)


def test_the_loss_floor_is_the_loss_of_a_perfect_output():
    black_and_white = torch.rand(1, 1, 8, 8).round()
    perfect = (black_and_white - 0.5) * 1e4
    loss = negative_log_likelihood(perfect, black_and_white, BERNOULLI)
    assert float(loss) == pytest.approx(loss_floor(BERNOULLI), abs=1e-6)
    x = torch.rand(1, 3, 8, 8)
    assert float(negative_log_likelihood(x, x, GAUSSIAN)) == pytest.approx(loss_floor(GAUSSIAN))
    assert loss_floor(GAUSSIAN) < 0.0


def test_gaussian_divergence():
    mean, other_mean = torch.randn(2, 5, 4)
    std, other_std = 0.1 + torch.rand(2, 5, 4)
    expected = kl_divergence(Normal(mean, std), Normal(other_mean, other_std))
    torch.testing.assert_close(gaussian_divergence(mean, std, other_mean, other_std), expected)


def test_bernoulli_decoder_divergence():
    old, new = 4 * torch.randn(IMAGES), 4 * torch.randn(IMAGES)
    expected = kl_divergence(
        Independent(Bernoulli(logits=old), 3), Independent(Bernoulli(logits=new), 3)
    )
    torch.testing.assert_close(decoder_divergence(old, new, BERNOULLI), expected)


def test_bernoulli_decoder_divergence_is_cross_entropy_less_entropy():
    old, new = torch.randn(IMAGES), torch.randn(IMAGES)
    targets = torch.sigmoid(old)
    cross_entropy = negative_log_likelihood(new, targets, BERNOULLI)
    entropy = Independent(Bernoulli(logits=old), 3).entropy()
    difference = cross_entropy - entropy
    torch.testing.assert_close(decoder_divergence(old, new, BERNOULLI), difference)


def test_gaussian_decoder_divergence():
    old, new = torch.randn(IMAGES), torch.randn(IMAGES)
    expected = kl_divergence(Independent(Normal(old, 0.2), 3), Independent(Normal(new, 0.2), 3))
    torch.testing.assert_close(decoder_divergence(old, new, GAUSSIAN), expected)


@pytest.mark.parametrize("config", [BERNOULLI, GAUSSIAN])
def test_divergences_of_extreme_outputs_are_finite_with_finite_gradients(config):
    old = torch.tensor([-1e4, -30.0, 0.0, 30.0, 1e4, 0.0]).reshape(1, 1, 2, 3)
    new = torch.tensor([1e4, 30.0, 0.0, -30.0, 1e4, 90.0]).reshape(1, 1, 2, 3).requires_grad_()
    divergence = decoder_divergence(old, new, config).sum()
    divergence.backward()
    assert divergence.isfinite()
    assert new.grad is not None
    assert new.grad.isfinite().all()


def test_expected_pixels_are_the_mean_of_the_likelihood():
    output = 2 * torch.randn(IMAGES)
    torch.testing.assert_close(expected_pixels(output, BERNOULLI), Bernoulli(logits=output).mean)
    shown = expected_pixels(output, GAUSSIAN)
    inside = (output >= 0) & (output <= 1)
    assert torch.equal(shown[inside], output[inside])
    assert 0.0 <= float(shown.min()) < float(shown.max()) <= 1.0


@pytest.mark.parametrize("config", [BERNOULLI, GAUSSIAN])
def test_pixel_precision_is_the_curvature_of_the_divergence(config):
    """The Fisher information is the second derivative of KL(p_old ‖ p) where both agree."""
    output = torch.randn(1, 1, 4, 4, dtype=torch.double)
    hessian = torch.autograd.functional.hessian(
        lambda new: decoder_divergence(output, new, config).sum(), output
    ).reshape(16, 16)
    expected = torch.diag(pixel_precision(output, config).flatten())
    torch.testing.assert_close(hessian, expected)


CAPACITY_TERMS = [
    # form, KL, expected at C = 10, γ = 4, β = 3
    ("squared", 7.0, 4 * 9.0),
    ("squared", 10.0, 0.0),
    ("squared", 12.0, 4 * 4.0),
    ("absolute", 7.0, 4 * 3.0),
    ("absolute", 10.0, 0.0),
    ("absolute", 12.0, 4 * 2.0),
    ("bounded", 7.0, 3 * 7.0),
    ("bounded", 10.0, 3 * 10.0),
    ("bounded", 12.0, 3 * 12.0 + 4 * 4.0),
]


@pytest.mark.parametrize(("form", "kl", "expected"), CAPACITY_TERMS)
def test_capacity_term(form, kl, expected):
    config = tiny(capacity_form=form, gamma=4.0)
    assert float(capacity_term(torch.tensor(kl), 10.0, 3.0, config)) == pytest.approx(expected)


@pytest.mark.parametrize("form", ["squared", "absolute", "bounded"])
def test_capacity_term_pulls_the_way_it_should(form):
    """Equality forms raise a KL below C; the bounded form never does."""
    config = tiny(capacity_form=form, gamma=4.0)
    slopes = []
    for value in (5.0, 15.0):
        kl = torch.tensor(value, requires_grad=True)
        capacity_term(kl, 10.0, 1.0, config).backward()
        assert kl.grad is not None
        slopes.append(float(kl.grad))
    assert slopes[1] > 0.0
    assert (slopes[0] > 0.0) == (form == "bounded")


def test_normalised_gaussian_likelihood_integrates_to_one():
    config = tiny(likelihood="gaussian", gaussian_std=0.2)
    x = torch.linspace(-3, 3, 6001).reshape(-1, 1, 1, 1)
    density = torch.exp(-negative_log_likelihood(torch.full_like(x, 0.4), x, config))
    assert float(density.sum()) * 6 / 6000 == pytest.approx(1.0, abs=1e-4)
    assert math.isclose(float(density.max()), 1 / (0.2 * math.sqrt(2 * math.pi)), rel_tol=1e-4)
