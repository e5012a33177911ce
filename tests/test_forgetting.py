"""Change, extreme and backward transfer of made-up curves."""

from __future__ import annotations

import pytest

from vase_rl.experiments.forgetting import Forgetting, forgetting, mean_of
from vase_rl.experiments.scoring import Visit

SPANS = [Visit(0, 3, "a"), Visit(3, 5, "b"), Visit(5, 6, "a")]


def test_an_accuracy_that_falls_and_recovers():
    curve = [0.5, 0.9, 0.8, 0.6, 0.7, 0.75]
    found = forgetting(curve, SPANS, "a", higher_is_better=True)
    assert found.best == 0.9
    assert found.at_end == 0.8
    assert found.change == pytest.approx(-0.3), "from the best while trained to the worst after"
    assert found.backward_transfer == pytest.approx(-0.05), "from the end of the visit to the end"


def test_an_error_that_rises():
    curve = [9.0, 2.0, 3.0, 5.0, 8.0, 4.0]
    found = forgetting(curve, SPANS, "a", higher_is_better=False)
    assert (found.best, found.change, found.backward_transfer) == (2.0, 6.0, 1.0)


def test_the_second_source_counts_from_its_own_visit():
    found = forgetting([0.9, 0.9, 0.9, 0.2, 0.4, 0.1], SPANS, "b", higher_is_better=True)
    assert found == Forgetting(0.4, 0.4, pytest.approx(-0.3), pytest.approx(-0.3))


def test_what_comes_last_cannot_be_forgotten():
    found = forgetting([0.1, 0.2], [Visit(0, 1, "a"), Visit(1, 2, "b")], "b", higher_is_better=True)
    assert found == Forgetting(0.2, 0.2, None, None)


def test_a_source_that_is_never_visited():
    with pytest.raises(ValueError, match="source must be one of the visits' sources, got 'c'"):
        forgetting([0.1] * 6, SPANS, "c", higher_is_better=True)


def test_means_leave_out_what_is_not_there():
    assert mean_of([1.0, None, 3.0]) == 2.0
    assert mean_of([None]) is None
