"""The learner's loss curve is what it was (`tests/golden.py` says how it is made)."""

from __future__ import annotations

import json

import numpy as np
import pytest
from golden import PATH, UPDATES, curve

TOLERANCE = 0.01
"""Relative; kernels of another release or machine round differently, and 50 steps amplify it."""


@pytest.fixture(name="curves", scope="module")
def _curves() -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    return json.loads(PATH.read_text()), curve()


def test_fifty_updates_cost_what_they_did(curves):
    stored, now = curves
    assert list(now) == list(stored)
    for name, values in stored.items():
        assert len(values) == UPDATES
        np.testing.assert_allclose(now[name], values, rtol=TOLERANCE, atol=1e-3, err_msg=name)


def test_the_curve_covers_learning_and_dreaming(curves):
    stored, _ = curves
    total, dreamt = stored["total"], np.asarray(stored["decoder_dreaming"])
    assert total[25] < 0.8 * total[0]
    assert (dreamt[:30] == 0).all()
    assert (dreamt[32:] > 0).all()
