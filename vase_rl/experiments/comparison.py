"""The paper's numbers beside ours: as Markdown, as CSV with a line per number, and for JSON."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from .published import Printed
from .tables import Column, Row


@dataclass(frozen=True)
class Compared:
    """One number of one condition, in the paper's units.

    Attributes:
        target: the table or figure.
        condition: as in `studies.CONDITIONS`.
        measure: the key of what is measured, as in the results of runs.
        header: what it is called in the table, with its unit.
        paper, paper_spread: the paper's number and what follows its ±; None where it prints none.
        where: in the paper.
        mean, standard_error: ours, over seeds; None where there is nothing, or a single seed.
        seeds: runs behind it.
        diverged: how many of them came to nothing.
    """

    target: str
    condition: str
    measure: str
    header: str
    paper: float | None
    paper_spread: float | None
    where: str
    mean: float | None
    standard_error: float | None
    seeds: int
    diverged: int

    def to_dict(self) -> dict[str, Any]:
        """For `metrics.json`."""
        return asdict(self)


def compare(
    target: str,
    rows: Sequence[Row],
    columns: Sequence[Column],
    printed: Mapping[tuple[str, str], Printed],
) -> list[Compared]:
    """Every number of a target, the conditions one after the other.

    Args:
        target: name of the table or figure.
        rows: ours, by condition.
        columns: what there is of each.
        printed: the paper's, by condition and key of the column.
    """
    found = []
    for row in rows:
        for column in columns:
            paper = printed.get((row.name, column.key))
            mean, error = row.cells[column.key] or (None, None)
            found.append(
                Compared(
                    target,
                    row.name,
                    column.key,
                    column.header,
                    None if paper is None else paper.value,
                    None if paper is None else paper.spread,
                    "" if paper is None else paper.where,
                    None if mean is None else mean * column.scale,
                    None if error is None else error * column.scale,
                    row.runs,
                    row.failed,
                )
            )
    return found


def markdown(compared: Sequence[Compared], columns: Sequence[Column]) -> str:
    """A line per condition; where the paper prints a number for any of them, a column for it."""
    beside = {c.measure for c in compared if c.paper is not None}
    heads = ["condition", "runs"]
    for column in columns:
        name = column.header
        heads += [f"{name}: paper", f"{name}: here"] if column.key in beside else [name]
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    for start in range(0, len(compared), len(columns)):
        row = compared[start : start + len(columns)]
        runs = f"{row[0].seeds}" + (f" ({row[0].diverged} diverged)" if row[0].diverged else "")
        texts = [row[0].condition, runs]
        for cell, column in zip(row, columns, strict=True):
            if cell.measure in beside:
                texts.append("–" if cell.paper is None else _as_printed(cell))
            texts.append(_text(cell.mean, cell.standard_error, column.digits))
        lines.append("| " + " | ".join(texts) + " |")
    return "\n".join(lines) + "\n"


def _as_printed(cell: Compared) -> str:
    return f"{cell.paper:g}" + ("" if cell.paper_spread is None else f" ± {cell.paper_spread:g}")


def _text(mean: float | None, error: float | None, digits: int) -> str:
    if mean is None:
        return "–"
    return f"{mean:.{digits}f}" + ("" if error is None else f" ± {error:.{digits}f}")


def to_csv(compared: Sequence[Compared]) -> str:
    """A line per number, with its unit in `header`."""
    buffer = io.StringIO()
    names = [field.name for field in fields(Compared)]
    writer = csv.DictWriter(buffer, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(cell.to_dict() for cell in compared)
    return buffer.getvalue()
