"""Means, standard errors, and how they are written."""

from __future__ import annotations

import csv

import numpy as np
import pytest
from scipy import stats

from vase_rl.experiments.tables import (
    Column,
    markdown,
    mean_and_standard_error,
    row_of,
    write_tables,
)

COLUMNS = (Column("accuracy", "accuracy, %", 100), Column("kl", "KL, nats", digits=2))


def test_standard_errors_are_scipys():
    values = [1.0, 2.0, 4.0, 8.0]
    mean, error = mean_and_standard_error(values)
    assert mean == pytest.approx(np.mean(values))
    assert error == pytest.approx(stats.sem(values))
    assert mean_and_standard_error([3.0]) == (3.0, None)


def test_a_table(tmp_path):
    rows = [
        row_of("one", [{"accuracy": 0.5, "kl": 1.0}, {"accuracy": 0.7, "kl": None}], COLUMNS),
        row_of("two", [{"diverged": "loss"}, {"accuracy": 0.25, "kl": 2.0}], COLUMNS),
        row_of("three", [{"diverged": "loss"}], COLUMNS),
    ]
    assert markdown(rows, COLUMNS).splitlines() == [
        "| condition | runs | accuracy, % | KL, nats |",
        "|---|---|---|---|",
        "| one | 2 | 60.0 ± 10.0 | 1.00 |",
        "| two | 2 (1 diverged) | 25.0 | 2.00 |",
        "| three | 1 (1 diverged) | – | – |",
    ]
    write_tables(tmp_path, rows, COLUMNS)
    with (tmp_path / "table.csv").open() as file:
        read = list(csv.DictReader(file))
    assert float(read[0]["accuracy"]) == pytest.approx(0.6)
    assert float(read[0]["accuracy_standard_error"]) == pytest.approx(0.1)
    assert read[2]["kl"] == ""
    assert read[1]["failed"] == "1"
    assert rows[0].to_dict()["accuracy"]["mean"] == pytest.approx(0.6)
