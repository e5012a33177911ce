"""Disentanglement metrics on representations whose score is known."""

from __future__ import annotations

import numpy as np
import pytest

from vase_rl.experiments.disentanglement import (
    all_scores,
    binned,
    chance_information,
    dci,
    entropies,
    factor_matrix,
    factor_vae,
    mig,
    modularity,
    mutual_information,
)

K, BINS, FRAMES = 3, 10, 3000


@pytest.fixture(name="factors", scope="module")
def _factors() -> np.ndarray:
    return np.random.default_rng(0).integers(BINS, size=(FRAMES, K))


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(1).normal(size=shape)


def information_of(codes: np.ndarray, factors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return mutual_information(codes, factors), entropies(factors)


def test_a_perfect_representation(factors):
    scores = all_scores(factors + 0.01 * noise(FRAMES, K), factors)
    assert scores["mig"] > 0.98
    assert scores["dci_disentanglement"] > 0.9
    assert scores["dci_completeness"] > 0.9
    assert scores["dci_informativeness"] > 0.98
    assert scores["sap"] == pytest.approx(1 - 1 / BINS, abs=0.05), "the second best guesses"
    assert scores["modularity"] > 0.98
    assert scores["factor_vae"] == 1.0


def test_noise(factors):
    scores = all_scores(noise(FRAMES, 5), factors)
    assert scores["mig"] < 0.02
    assert scores["modularity"] == 0.0
    assert scores["sap"] < 0.05
    assert scores["dci_disentanglement"] < 0.05
    assert scores["dci_informativeness"] == pytest.approx(1 / BINS, abs=0.04)
    assert scores["factor_vae"] == pytest.approx(1 / K, abs=0.12)


@pytest.mark.parametrize("idle", [0.0, 1.0])
def test_idle_codes_count_for_nothing_whether_masked_or_noise(factors, idle):
    codes = factors + 0.01 * noise(FRAMES, K)
    padded = np.concatenate([codes, idle * noise(FRAMES, 4)], axis=1)
    alone, beside = all_scores(codes, factors), all_scores(padded, factors)
    assert beside["modularity"] == pytest.approx(alone["modularity"], abs=1e-6)
    assert beside["mig"] == pytest.approx(alone["mig"], abs=0.02)
    assert beside["dci_disentanglement"] == pytest.approx(alone["dci_disentanglement"], abs=0.05)
    assert beside["factor_vae"] == 1.0


def test_a_rotation_by_45_degrees_is_informative_and_entangled(factors):
    first, second, third = factors.T.astype(float)
    codes = np.stack([first + second, first - second, third], axis=1)
    information, entropy = information_of(codes, factors)
    gap = (np.sort(information, 0)[-1] - np.sort(information, 0)[-2]) / entropy
    assert gap[:2] == pytest.approx([0, 0], abs=0.03)
    assert gap[2] > 0.98
    assert mig(information, entropy) == pytest.approx(gap.mean())
    # Two codes speak of two factors alike, out of two possible others; the third of one.
    assert modularity(information, chance_information(factors)) == pytest.approx(
        (0.5 + 0.5 + 1) / 3, abs=0.05
    )


def test_a_doubled_code_has_no_gap_and_stays_modular(factors):
    codes = np.concatenate([factors, factors], axis=1) + 0.01 * noise(FRAMES, 2 * K)
    information, entropy = information_of(codes, factors)
    assert mig(information, entropy) == pytest.approx(0, abs=0.03)
    assert modularity(information, chance_information(factors)) > 0.98


def test_mutual_information_of_equal_and_independent_columns(factors):
    information, entropy = information_of(factors.astype(float), factors)
    assert np.diag(information) == pytest.approx(entropy, rel=1e-6)
    assert entropy == pytest.approx(np.full(K, np.log(BINS)), rel=1e-2)
    # Chance alone gives (bins − 1)² / 2n.
    chance = (BINS - 1) ** 2 / (2 * FRAMES)
    off = information[~np.eye(K, dtype=bool)]
    assert off.mean() == pytest.approx(chance, rel=0.5)


@pytest.mark.parametrize(
    ("importance", "disentanglement", "completeness"),
    [
        (np.eye(4), 1.0, 1.0),
        (np.ones((4, 4)), 0.0, 0.0),
        (np.zeros((4, 4)), 0.0, 0.0),
        # Two codes per factor: each code is pure, each factor is spread over two of four.
        (np.repeat(np.eye(2), 2, axis=0), 1.0, 1 - np.log(2) / np.log(4)),
        # One code for two factors: the mirror image.
        (np.repeat(np.eye(2), 2, axis=1), 1 - np.log(2) / np.log(4), 1.0),
        # A code of no importance has no weight.
        (np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]]), 1.0, 1.0),
    ],
)
def test_dci_of_an_importance_matrix(importance, disentanglement, completeness):
    assert dci(importance) == pytest.approx((disentanglement, completeness), abs=1e-9)


def test_the_factor_vae_score_ignores_codes_that_hardly_vary(factors):
    codes = np.concatenate([factors.astype(float), 0.01 * noise(FRAMES, 2)], axis=1)
    assert factor_vae(codes, factors) == 1.0
    assert factor_vae(0.001 * noise(FRAMES, 4), factors) == 0.0


def test_bins_have_equal_counts_and_ties_share_one():
    counts = np.bincount(binned(noise(1000), 10))
    assert counts.tolist() == [100] * 10
    assert len(np.unique(binned(np.zeros(50), 10))) == 1


def test_factors_become_columns_and_constants_are_left_out():
    factors = {
        "class": np.array([0, 1, 2, 1]),
        "position": np.array([[0.0, 0.5], [0.2, 0.5], [0.9, 0.5], [0.4, 0.5]], np.float32),
        "texture": np.zeros(4, np.int64),
    }
    matrix = factor_matrix(factors)
    assert matrix.shape == (4, 2)
    assert matrix[:, 0].tolist() == [0, 1, 2, 1]


@pytest.mark.parametrize(
    ("codes", "factors", "message"),
    [
        (np.zeros((5, 3)), np.zeros((4, 2), int), "must have as many rows, got shapes"),
        (np.zeros((5, 1)), np.arange(10).reshape(5, 2), "at least two columns, got 1 and 2"),
        (np.zeros((5, 3)), np.zeros((5, 2), int), "every factor must vary, got a constant one"),
    ],
)
def test_bad_input(codes, factors, message):
    with pytest.raises(ValueError, match=message):
        all_scores(codes, factors)
