"""Settings shared by all tests; fixtures of one subject live beside its tests."""

from __future__ import annotations

import os

# Before anything imports matplotlib: no test opens a window.
os.environ["MPLBACKEND"] = "Agg"

import pytest
import torch


@pytest.fixture(autouse=True)
def _isolated_from_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests see the built-in data only, unless they name a data directory themselves."""
    monkeypatch.delenv("VASE_RL_DATA", raising=False)


@pytest.fixture(autouse=True)
def _seeded() -> None:
    """torch's global generator starts equal in each test, whichever tests ran before."""
    torch.manual_seed(0)
