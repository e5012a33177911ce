"""Tables of means and standard errors over seeds, as Markdown and CSV."""

from __future__ import annotations

import csv
import io
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..files import write_whole


@dataclass(frozen=True)
class Column:
    """One number of a result: where it is, what it is called, how it is printed."""

    key: str
    header: str
    scale: float = 1.0
    digits: int = 1


@dataclass(frozen=True)
class Row:
    """One condition: mean and standard error per column, None where there is no number."""

    name: str
    runs: int
    failed: int
    cells: dict[str, tuple[float, float | None] | None]

    def to_dict(self) -> dict[str, Any]:
        """For `metrics.json`."""
        return {
            "condition": self.name,
            "runs": self.runs,
            "failed": self.failed,
            **{
                key: None if cell is None else {"mean": cell[0], "standard_error": cell[1]}
                for key, cell in self.cells.items()
            },
        }


def mean_and_standard_error(values: Sequence[float]) -> tuple[float, float | None]:
    """Mean and s/√n; no standard error of a single value."""
    if len(values) < 2:
        return values[0], None
    return statistics.fmean(values), statistics.stdev(values) / math.sqrt(len(values))


def row_of(name: str, results: Sequence[dict[str, Any]], columns: Sequence[Column]) -> Row:
    """Summarise the results of one condition over its seeds."""
    finished = [r for r in results if "diverged" not in r]
    cells: dict[str, tuple[float, float | None] | None] = {}
    for column in columns:
        values = [float(r[column.key]) for r in finished if r.get(column.key) is not None]
        cells[column.key] = mean_and_standard_error(values) if values else None
    return Row(name, len(results), len(results) - len(finished), cells)


def write_tables(folder: Path, rows: Sequence[Row], columns: Sequence[Column]) -> None:
    """`table.md` and `table.csv`."""
    write_whole(folder / "table.md", markdown(rows, columns).encode())
    write_whole(folder / "table.csv", _csv(rows, columns).encode())


def markdown(rows: Sequence[Row], columns: Sequence[Column]) -> str:
    """One line per row, `mean ± standard error`."""
    lines = [
        "| " + " | ".join(["condition", "runs", *(c.header for c in columns)]) + " |",
        "|" + "---|" * (len(columns) + 2),
    ]
    for row in rows:
        runs = f"{row.runs}" if not row.failed else f"{row.runs} ({row.failed} diverged)"
        texts = [_text(row.cells[c.key], c) for c in columns]
        lines.append("| " + " | ".join([row.name, runs, *texts]) + " |")
    return "\n".join(lines) + "\n"


def _text(cell: tuple[float, float | None] | None, column: Column) -> str:
    if cell is None:
        return "–"
    mean, error = (None if v is None else v * column.scale for v in cell)
    text = f"{mean:.{column.digits}f}"
    return text if error is None else f"{text} ± {error:.{column.digits}f}"


def _csv(rows: Sequence[Row], columns: Sequence[Column]) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    heads = [h for c in columns for h in (c.key, f"{c.key}_standard_error")]
    writer.writerow(["condition", "runs", "failed", *heads])
    for row in rows:
        numbers = [n for c in columns for n in (row.cells[c.key] or (None, None))]
        writer.writerow([row.name, row.runs, row.failed, *numbers])
    return buffer.getvalue()
