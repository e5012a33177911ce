"""Tables of `vase-rl detect`: detectors as they come, and at matched false-alarm rates."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

Numbers = Mapping[str, Any]
"""Per detector, as in `metrics.json`."""


def matched_setting(rates: Sequence[float], wanted: float) -> int | None:
    """Which setting to compare at, of those in order from the most sensitive on.

    Args:
        rates: false alarms per million frames of each, where nothing changes.
        wanted: at most so many.

    Returns:
        Place of the first that keeps to it; None where none does, or nothing was measured.
    """
    return next((place for place, rate in enumerate(rates) if rate <= wanted), None)


def tables(numbers: Numbers, wanted: float) -> str:
    """Markdown: every detector on every stream, at its default and at the matched setting."""
    streams = next(iter(numbers.values()))["streams"]
    changing = [stream for stream, row in streams.items() if row["boundaries"]]
    default = _table(numbers, streams, lambda row: row)
    matched = _table(numbers, changing, lambda row: row["matched"])
    return (
        f"At their default settings:\n\n{default}\n"
        f"At the most sensitive setting with at most {wanted:g} false alarms per million frames\n"
        f"on the group's `still` stream; – where no setting kept to that, or it was not run:\n\n"
        f"{matched}"
    )


COLUMNS: dict[str, Callable[[Numbers], str]] = {
    "setting": lambda row: f"{row['setting']:g}",
    "missed": lambda row: f"{row['missed']} of {row['boundaries']}",
    "delay, median": lambda row: _number(row["delay_frames_median"]),
    "delay, 90%": lambda row: _number(row["delay_frames_p90"]),
    "false per million": lambda row: _number(row["false_alarms_per_million"]),
    "frames between": lambda row: _number(row["run_length_mean"]),
    "precision": lambda row: _number(row["precision"], 2),
    "recall": lambda row: _number(row["recall"], 2),
    "returns recognised": lambda row: _of(row, "returns_recognised", "returns"),
    "environments": lambda row: _of(row, "environments", "worlds"),
}


def _table(
    numbers: Numbers, streams: Iterable[str], pick: Callable[[Numbers], Numbers | None]
) -> str:
    lines = [
        "| " + " | ".join(["stream", "detector", *COLUMNS]) + " |",
        "|" + "---|" * (len(COLUMNS) + 2),
    ]
    for stream in streams:
        for name, found in numbers.items():
            row = pick(found["streams"][stream])
            cells = ["–"] * len(COLUMNS) if row is None else [c(row) for c in COLUMNS.values()]
            lines.append("| " + " | ".join([stream, name, *cells]) + " |")
    return "\n".join(lines) + "\n"


def _number(value: float | None, digits: int = 0) -> str:
    return "–" if value is None else f"{value:,.{digits}f}"


def _of(row: Numbers, part: str, whole: str) -> str:
    return f"{row[part]} of {row[whole]}" if part in row else "–"
