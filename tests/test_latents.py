"""Atypicality, masks, used latents: eq. 4, eq. 5 and A.2."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Normal, kl_divergence
from worlds import tiny

from vase_rl.distributions import expected_pixels, negative_log_likelihood
from vase_rl.latents import (
    NOISE_CAP,
    atypicality,
    entry_mask,
    hysteresis_mask,
    keep_minimum,
    tolerated_noise,
    used_latents,
)

CONFIG = tiny(
    minimum_active=1, atypicality_lower=0.3, atypicality_threshold=0.6, atypicality_upper=1.2
)


# ---------------------------------------------------------------- atypicality


def test_atypicality_is_the_divergence_of_the_fitted_gaussian():
    samples = torch.randn(200, 5) * torch.tensor([0.1, 0.5, 1.0, 2.0, 6.0]) + torch.arange(5.0)
    fitted = Normal(samples.mean(0), samples.std(0, correction=0))
    expected = kl_divergence(fitted, Normal(0.0, 1.0))
    torch.testing.assert_close(atypicality(samples), expected)


def test_atypicality_of_prior_samples_vanishes_with_their_number():
    """A fit of two parameters to B samples leaves 2/(2B) on average."""
    for frames in (64, 1024, 16384):
        alpha = atypicality(torch.randn(frames, 400))
        assert float(alpha.mean()) == pytest.approx(1.0 / frames, rel=0.2)
        assert (alpha >= -1e-5).all()


def test_atypicality_does_not_depend_on_the_order_of_frames():
    samples = torch.randn(32, 3)
    torch.testing.assert_close(atypicality(samples.flip(0)), atypicality(samples))


@pytest.mark.parametrize("frames", [1, 2, 64])
def test_atypicality_of_equal_samples_is_large_and_finite(frames):
    alpha = atypicality(torch.zeros(frames, 3))
    assert alpha.isfinite().all()
    assert (alpha > CONFIG.atypicality_upper).all()


# ---------------------------------------------------------------- masks


def test_entry_mask_keeps_the_typical():
    alpha = torch.tensor([0.0, 0.599, 0.6, 0.601, 50.0, 0.3])
    assert entry_mask(alpha, CONFIG).tolist() == [True, True, False, False, False, True]


HYSTERESIS = [
    # before, α, after: masked above λ1 = 1.2, unmasked below λ0 = 0.3, else kept
    (True, 0.1, True),
    (True, 0.7, True),
    (True, 1.3, False),
    (False, 0.1, True),
    (False, 0.7, False),
    (False, 1.3, False),
    (True, 1.2, True),
    (False, 1.2, False),
    (True, 0.3, True),
    (False, 0.3, False),
]


@pytest.mark.parametrize(("before", "alpha", "after"), HYSTERESIS)
def test_hysteresis(before, alpha, after):
    # A second, typical latent keeps the minimum of active latents out of the way.
    mask = hysteresis_mask(torch.tensor([before, True]), torch.tensor([alpha, 0.0]), CONFIG)
    assert mask.tolist() == [after, True]


def test_hysteresis_has_the_polarity_of_equation_5():
    """A.2 prints the cases the other way round; typical latents must be the active ones."""
    typical, atypical = atypicality(torch.randn(64, 6)), atypicality(4 + torch.randn(64, 6))
    for before in (torch.ones(6, dtype=torch.bool), torch.zeros(6, dtype=torch.bool)):
        assert hysteresis_mask(before, typical, CONFIG).all()
    roomy = hysteresis_mask(torch.ones(6, dtype=torch.bool), atypical, CONFIG)
    assert int(roomy.sum()) == CONFIG.minimum_active


def test_masks_do_not_change_their_input():
    mask, alpha = torch.ones(6, dtype=torch.bool), torch.full((6,), 9.0)
    hysteresis_mask(mask, alpha, CONFIG)
    keep_minimum(~mask, alpha, 3)
    assert mask.all()


@pytest.mark.parametrize("minimum", [1, 3, 6])
def test_the_most_typical_latents_are_kept_when_too_few_are_active(minimum):
    generator = torch.Generator().manual_seed(minimum)
    for _ in range(50):
        alpha = torch.rand(6, generator=generator)
        before = torch.rand(6, generator=generator) < 0.4
        after = keep_minimum(before, alpha, minimum)
        assert (after | ~before).all()  # none is masked
        assert int(after.sum()) == max(int(before.sum()), minimum)
        added, left = after & ~before, ~after
        if added.any() and left.any():
            assert alpha[added].max() <= alpha[left].min()


# ---------------------------------------------------------------- used latents


class LinearDecoder(nn.Module):
    """output = W·z as a 1 × 4 × 4 image."""

    def __init__(self, weights: Tensor) -> None:
        super().__init__()
        self.weights = weights

    def forward(self, z: Tensor, s: Tensor) -> Tensor:
        return (z @ self.weights).unflatten(1, (1, 4, 4))


def test_tolerated_noise_of_a_linear_decoder_is_exact():
    """−log p grows by ½hσ² with h = ‖wₙ‖²/std² at every z, so σ² = 2/h without approximation."""
    config = tiny(likelihood="gaussian", gaussian_std=0.3)
    weights = torch.randn(3, 16) * torch.tensor([[0.01], [0.2], [3.0]])
    z, s = torch.randn(8, 3), torch.zeros(8, dtype=torch.int64)
    noise = tolerated_noise(LinearDecoder(weights), z, s, config)  # type: ignore[arg-type]
    h = weights.square().sum(1) / 0.3**2
    torch.testing.assert_close(noise, (2 / h).sqrt())


def test_tolerated_noise_minimises_the_objective_of_the_appendix():
    """For the same decoder: no other σ gives a lower E[−log p] − log σ²."""
    config = tiny(likelihood="gaussian", gaussian_std=0.3)
    weights = torch.randn(1, 16)
    z, s = torch.randn(4, 1), torch.zeros(4, dtype=torch.int64)
    best = float(tolerated_noise(LinearDecoder(weights), z, s, config))  # type: ignore[arg-type]
    nodes = torch.linspace(-6, 6, 401, dtype=torch.double)
    weight = torch.exp(-nodes.square() / 2) / torch.exp(-nodes.square() / 2).sum()

    def objective(sigma: float) -> float:
        output = (sigma * nodes)[:, None] * weights.double()
        growth = 0.5 * (output / 0.3).square().sum(1)
        return float((weight * growth).sum()) - 2 * math.log(sigma)

    assert objective(best) < min(objective(best * 0.97), objective(best * 1.03))


def test_a_latent_without_effect_tolerates_the_cap():
    weights = torch.zeros(2, 16)
    z, s = torch.randn(4, 2), torch.zeros(4, dtype=torch.int64)
    noise = tolerated_noise(LinearDecoder(weights), z, s, tiny())  # type: ignore[arg-type]
    assert noise.tolist() == [NOISE_CAP, NOISE_CAP]


class SmallDecoder(nn.Module):
    """Two layers; latents 0 and 1 belong to one environment each, 4 and 5 do next to nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(6, 40), nn.Linear(40, 16)
        with torch.no_grad():
            self.first.weight *= torch.tensor([6.0, 6.0, 4.0, 4.0, 0.05, 0.0])
            self.second.weight *= 4.0

    def forward(self, z: Tensor, s: Tensor) -> Tensor:
        switch = torch.ones_like(z)
        switch[:, 0], switch[:, 1] = (s == 0).float(), (s == 1).float()
        hidden = torch.relu(self.first(z * switch))
        output: Tensor = self.second(hidden).unflatten(1, (1, 4, 4))
        return output


def noise_by_gradient_descent(decoder: nn.Module, z: Tensor, s: Tensor) -> Tensor:
    """A.2 as printed: argmin over Σ of E[−log p(x|z_ε, s)] − log|Σ|, one latent at a time."""
    config = tiny()
    frames, latents = z.shape
    x = expected_pixels(decoder(z, s), config).detach()
    log_sigma = torch.full((latents,), -1.0, requires_grad=True)
    optimizer = torch.optim.Adam([log_sigma], lr=0.1)
    each, many = torch.eye(latents).repeat_interleave(frames, 0), (latents, 1, 1, 1)
    for _ in range(150):
        noise = torch.randn(latents * frames, 1) * each * log_sigma.exp()
        output = decoder(z.repeat(latents, 1) + noise, s.repeat(latents))
        loss = negative_log_likelihood(output, x.repeat(many), config)
        objective = loss.unflatten(0, (latents, frames)).mean(1).sum() - 2 * log_sigma.sum()
        optimizer.zero_grad()
        objective.backward()
        optimizer.step()
        with torch.no_grad():
            log_sigma.clamp_(max=math.log(NOISE_CAP))
    return log_sigma.detach().exp()


@pytest.mark.parametrize("environment", [0, 1])
def test_tolerated_noise_agrees_with_the_optimisation_of_the_appendix(environment):
    torch.manual_seed(3)
    decoder = SmallDecoder().requires_grad_(False)
    z, s = torch.randn(64, 6), torch.full((64,), environment)
    expansion = tolerated_noise(decoder, z, s, tiny())  # type: ignore[arg-type]
    optimised = noise_by_gradient_descent(decoder, z, s)
    used = [n in (environment, 2, 3) for n in range(6)]
    for noise in (expansion, optimised):
        assert (noise < tiny().used_noise_threshold).tolist() == used
    ratio = expansion[used] / optimised[used]
    assert 0.5 < float(ratio.min()) <= float(ratio.max()) < 2.0


def test_used_latents_are_sensitive_and_active():
    noise = torch.tensor([0.1, 0.1, 5.0, 5.0, 0.99, 1.0])
    mask = torch.tensor([True, False, True, False, True, True])
    assert used_latents(noise, mask, tiny()).tolist() == [True, False, False, False, True, False]
