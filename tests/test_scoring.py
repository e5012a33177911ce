"""Switches against the truth, on streams small enough to score by hand."""

from __future__ import annotations

import pytest

from vase_rl.experiments.scoring import Score, Switch, Visit, score

A_B_A = (Visit(0, 100, "a"), Visit(100, 200, "b"), Visit(200, 300, "a"))


def test_a_perfect_stream_has_delays_and_no_faults() -> None:
    result = score(A_B_A, [10, 110], [Switch(110, 1, True), Switch(230, 0, False)])
    assert (result.environments_true, result.environments_found) == (2, 2)
    assert (result.false_environments, result.missed, result.false_switches) == (0, 0, 0)
    assert result.delays == [10, 30]
    assert result.owners == ("a", "b")
    numbers = result.to_dict()
    assert numbers["delay_frames_median"] == 20.0
    assert numbers["delay_frames_max"] == 30
    assert numbers["boundaries"][1] == {"frame": 200, "source": "a", "found": 230, "delay": 30}


@pytest.mark.parametrize(
    ("openings", "switches", "expected"),
    [
        # Nothing noticed at all.
        ([10], [], dict(false_environments=0, missed=2, false_switches=0, delays=[])),
        # The returning world is opened again.
        (
            [10, 110, 230],
            [Switch(110, 1, True), Switch(230, 2, True)],
            dict(false_environments=1, missed=1, false_switches=1, delays=[10]),
        ),
        # ... but recognised in the end.
        (
            [10, 110, 230],
            [Switch(110, 1, True), Switch(230, 2, True), Switch(250, 0, False)],
            dict(false_environments=1, missed=0, false_switches=1, delays=[10, 50]),
        ),
        # A second environment is opened within the first world.
        (
            [10, 50, 110],
            [Switch(50, 1, True), Switch(110, 2, True), Switch(210, 1, False)],
            dict(false_environments=1, missed=0, false_switches=1, delays=[10, 10]),
        ),
        # A flicker that finds its way back.
        (
            [10, 110],
            [
                Switch(110, 1, True),
                Switch(120, 0, False),
                Switch(130, 1, False),
                Switch(205, 0, False),
            ],
            dict(false_environments=0, missed=0, false_switches=2, delays=[10, 5]),
        ),
        # The change is found only after the next one: too late.
        (
            [10, 210],
            [Switch(210, 1, True)],
            dict(false_environments=1, missed=2, false_switches=1, delays=[]),
        ),
    ],
)
def test_faults(openings: list[int], switches: list[Switch], expected: dict[str, object]) -> None:
    result = score(A_B_A, openings, switches)
    assert {name: getattr(result, name) for name in expected} == expected


def test_a_world_whose_first_visit_was_missed_may_be_opened_at_the_second() -> None:
    visits = (*A_B_A, Visit(300, 400, "b"))
    result = score(visits, [10, 320], [Switch(320, 1, True)])
    # a → b unnoticed, b → a unnoticed for the learner never left a, a → b found.
    assert result.missed == 2
    assert result.delays == [20]
    assert result.false_environments == 0


def test_a_stream_without_changes_or_environments_has_no_delays() -> None:
    result: Score = score([Visit(0, 50, "a")], [], [])
    numbers = result.to_dict()
    assert numbers["delay_frames_median"] is None
    assert numbers["delay_frames_max"] is None
    assert (result.missed, result.false_environments, result.environments_true) == (0, 0, 1)
