"""What the paper prints: every number that `vase-rl reproduce` sets beside its own, and from where.

Numbers are in the paper's units: accuracies in %, mean squared errors of the position in 1e-4.
"Change" is of an accuracy, where forgetting is negative, or of an error, where it is positive. What
follows ± in Table 1 is printed without a word on whether it is a deviation or a standard error.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Printed:
    """One number of the paper.

    Attributes:
        value: as printed.
        spread: what follows ±; None where nothing does.
        where: in the paper.
    """

    value: float
    spread: float | None
    where: str


TABLE_1 = "Table 1"
TABLE_3 = "Table 3"
TABLE_1_COLUMNS = ("object_max", "object_change", "position_min", "position_change")
TABLE_3_COLUMNS = ("object_change", "object_max")

Pair = tuple[float, float]
_TABLE_1: dict[str, tuple[Pair, Pair, Pair, Pair]] = {
    "none": ((88.6, 0.4), (-15.2, 2.8), (3.5, 0.05), (24.8, 13.5)),
    "S": ((88.9, 0.5), (-13.9, 1.9), (3.4, 0.05), (22.5, 12.2)),
    "D": ((88.6, 0.3), (-14.4, 1.9), (3.3, 0.04), (21.4, 4.9)),
    "A": ((86.7, 1.9), (-24.5, 1.0), (3.3, 0.04), (67.6, 107.0)),
    "SA": ((87.1, 1.8), (-28.1, 0.08), (3.3, 0.04), (78.9, 109.0)),
    "DA": ((86.3, 2.5), (-25.2, 0.5), (3.3, 0.04), (72.2, 90.0)),
    "SD": ((88.3, 0.3), (-12.9, 1.9), (3.4, 0.05), (20.0, 3.5)),
    "SDA": ((88.6, 0.4), (-5.4, 0.3), (3.2, 0.03), (3.0, 0.2)),
    "none, entangled": ((91.8, 0.4), (-12.1, 0.8), (4.2, 0.7), (10.5, 2.6)),
    "S, entangled": ((91.7, 0.4), (-12.2, 0.03), (4.5, 0.8), (10.9, 3.1)),
    "D, entangled": ((91.8, 0.4), (-12.4, 0.7), (4.3, 0.7), (11.7, 3.2)),
    "A, entangled": ((88.6, 0.3), (-19.7, 0.5), (4.5, 0.7), (47.1, 26.2)),
    "SA, entangled": ((89.9, 1.3), (-18.3, 0.4), (4.8, 0.7), (41.8, 20.6)),
    "DA, entangled": ((88.8, 0.3), (-19.4, 0.4), (4.6, 0.7), (40.2, 19.2)),
    "SD, entangled": ((91.4, 0.3), (-11.7, 0.6), (4.3, 0.5), (11.6, 1.9)),
    "SDA, entangled": ((91.5, 0.1), (-6.5, 0.7), (4.2, 0.4), (3.9, 1.1)),
}
_TABLE_3: dict[str, Pair] = {
    "DA": (-7.9, 90.5),
    "SD": (-2.2, 91.0),
    "S": (-3.9, 90.8),
    "A": (-9.6, 90.2),
    "SA": (-5.9, 90.0),
    "none": (-4.4, 91.1),
    "D": (-6.0, 90.5),
    "SDA": (-0.9, 90.3),
    "DA, entangled": (-12.1, 90.9),
    "SD, entangled": (-4.3, 92.1),
    "S, entangled": (-8.4, 91.5),
    "A, entangled": (-10.1, 91.7),
    "SA, entangled": (-10.3, 91.0),
    "none, entangled": (-6.6, 92.6),
    "D, entangled": (-6.9, 91.4),
    "SDA, entangled": (-2.5, 91.2),
}


def table_1(*conditions: str) -> dict[tuple[str, str], Printed]:
    """Rows of Table 1, all by default, by condition and column."""
    return {
        (condition, column): Printed(*pair, TABLE_1)
        for condition in conditions or _TABLE_1
        for column, pair in zip(TABLE_1_COLUMNS, _TABLE_1[condition], strict=True)
    }


def table_3(*conditions: str) -> dict[tuple[str, str], Printed]:
    """Rows of Table 3, all by default, by condition and column."""
    return {
        (condition, column): Printed(value, None, TABLE_3)
        for condition in conditions or _TABLE_3
        for column, value in zip(TABLE_3_COLUMNS, _TABLE_3[condition], strict=True)
    }


LATENTS_USED = Printed(8, None, 'section 4, "8/24 latent dimensions at the end of training"')

PUBLISHED: dict[str, dict[tuple[str, str], Printed]] = {
    "table1": table_1(),
    "table3": table_3(),
    # The figures' own sequence and conditions are those of the tables; curves have no numbers.
    "fig2": {**table_1("SDA", "none"), ("SDA", "latents_used"): LATENTS_USED},
    "fig5a": table_3("SDA"),
    "fig6": table_1("SDA", "SDA, entangled"),
}
"""By target, then by condition and column; of targets that are not here the paper prints none."""
