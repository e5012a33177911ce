"""The report's sentences stay true when a run goes wrong."""

from __future__ import annotations

from typing import Any

from vase_rl.experiments.scoring import Switch, Visit, score
from vase_rl.experiments.words import memory_words, number_rows, percent, stream_words, tiles

VISITS = (Visit(0, 1000, "a"), Visit(1000, 2000, "b"), Visit(2000, 3000, "a"))


def metrics_of(openings: list[int], switches: list[Switch]) -> dict[str, Any]:
    return {
        "frames": 3000,
        **score(VISITS, openings, switches).to_dict(),
        "switches": [vars(switch) for switch in switches],
    }


def test_a_faultless_stream() -> None:
    metrics = metrics_of([10, 1100], [Switch(1100, 1, True), Switch(2050, 0, False)])
    assert stream_words(metrics) == (
        "The stream shows 3,000 frames of 2 worlds and changes 2 times. Every change was found, "
        "100 and 50 frames after it happened. When a came back, it was recognised."
    )
    assert tiles(metrics)[:2] == [
        ("2 of 2", "worlds found, none opened twice"),
        ("100", "frames at most until a change was noticed"),
    ]


def test_a_world_that_was_opened_twice_is_not_called_recognised() -> None:
    metrics = metrics_of([10, 1100, 2100], [Switch(1100, 1, True), Switch(2100, 2, True)])
    text = stream_words(metrics)
    assert "1 of the 2 changes were found, 100 frames after it happened." in text
    assert "recognised" not in text
    assert "1 environment was opened for a world that already had one." in text
    assert "1 switch was made without a change." in text
    assert tiles(metrics)[0] == ("3 for 2", "worlds found, 1 opened without need")
    assert tiles(metrics)[1][1].endswith("; 1 missed")


def test_a_stream_without_any_switch() -> None:
    metrics = metrics_of([10], [])
    assert "0 of the 2 changes were found." in stream_words(metrics)
    assert [value for value, _ in tiles(metrics)] == ["1 of 2"]
    assert "delay_frames_median" not in [key for key, _, _ in number_rows(metrics)]


def test_memory_compares_the_end_of_a_visit_with_the_last_test_before_the_return() -> None:
    memory = [
        {"visit": "a", "position_r2": {"a": 0.9}},
        {"visit": "b", "position_r2": {"a": 0.8, "b": 0.95}},
        {"visit": "c", "position_r2": {"a": 0.7, "b": 0.94}},
        {"visit": "a", "position_r2": {"a": 0.99, "b": 0.93}},
    ]
    text = memory_words({"memory": memory})
    assert "When a was left, R² was 0.900; 2 visits elsewhere later it was 0.700." in text
    assert "When b was left, R² was 0.950; 2 visits elsewhere later it was 0.930." in text
    assert "0.990" not in text


def test_shares_are_not_rounded_up_to_certainty() -> None:
    shares = (0.0, 0.0825, 0.205, 0.995, 0.99975, 1.0)
    assert [percent(share) for share in shares] == [
        "0%",
        "8.25%",
        "20.5%",
        "99.5%",
        "99.975%",
        "100%",
    ]
