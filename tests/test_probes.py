"""The linear read-out against closed forms and scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import Ridge as ReferenceRidge
from sklearn.metrics import r2_score as reference_r2

from vase_rl import VASE, VASEConfig
from vase_rl.envs import make_source
from vase_rl.experiments.probes import RIDGE, Ridge, probe_position, r2_score, world_frames


def test_ridge_equals_scikit_learn_on_standardised_inputs() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(3, 2, (60, 4)).astype(np.float32)
    y = (x @ rng.normal(size=(4, 2)) + rng.normal(size=(60, 2))).astype(np.float32)
    z = (x - x.mean(0)) / x.std(0)
    reference = ReferenceRidge(alpha=RIDGE * len(x)).fit(z, y)
    np.testing.assert_allclose(Ridge(x, y)(x), reference.predict(z), rtol=1e-4, atol=1e-5)


def test_ridge_reads_a_linear_map_and_ignores_masked_inputs() -> None:
    rng = np.random.default_rng(1)
    x = rng.normal(size=(500, 3)).astype(np.float32)
    x[:, 2] = 0.0
    y = np.stack([2 * x[:, 0] + 1, x[:, 1] - x[:, 0]], axis=1)
    assert (r2_score(y, Ridge(x, y)(x)) > 0.99999).all()


def test_r2_has_its_known_values_and_equals_scikit_learn() -> None:
    truth = np.array([[0.0, 1.0], [1.0, 3.0], [2.0, 8.0]], np.float32)
    assert r2_score(truth, truth).tolist() == [1.0, 1.0]
    assert r2_score(truth, np.tile(truth.mean(0), (3, 1))).tolist() == [0.0, 0.0]
    guess = np.array([[0.5, 1.0], [1.0, 2.0], [2.5, 6.0]], np.float32)
    expected = reference_r2(truth, guess, multioutput="raw_values")
    np.testing.assert_allclose(r2_score(truth, guess), expected, rtol=1e-6)


def test_r2_of_a_constant_is_refused() -> None:
    with pytest.raises(ValueError, match="truth must vary in every column, got a constant one"):
        r2_score(np.ones((5, 1), np.float32), np.zeros((5, 1), np.float32))


def test_world_frames_come_at_the_learners_size_and_colour() -> None:
    vase = VASE(VASEConfig.preset("compact", channels=3), seed=0, device="cpu")
    frames, positions = world_frames(make_source("moving-glyphs"), 5, vase)
    assert frames.shape == (5, 32, 32, 3)
    assert frames.dtype == np.uint8
    assert positions.shape == (5, 2)


def test_the_position_is_probed_on_other_sprites_and_the_learner_does_not_change() -> None:
    vase = VASE(VASEConfig.preset("compact"), seed=0, device="cpu")
    frames, _ = world_frames(make_source("moving-garments"), 64, vase)
    vase.update(frames)
    before = vase.encode(frames)[0]
    first = probe_position(vase, "moving-garments", seed=0, train=400, test=200)
    again = probe_position(vase, "moving-garments", seed=0, train=400, test=200)
    assert first.truth.shape == first.read_out.shape == (200, 2)
    assert first.environment == 0
    np.testing.assert_array_equal(first.read_out, again.read_out)
    np.testing.assert_array_equal(vase.encode(frames)[0], before)
    # Even random convolutions know roughly where a sprite is, but they are no map of it.
    assert 0.3 < first.r2 < 0.99
    assert first.r2 == pytest.approx(np.mean(first.r2_by_axis))
