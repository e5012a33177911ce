"""Weights from a seed, with the caller's random numbers left where they were."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Within the block, torch's global generator of the CPU starts from `seed`.

    torch's layers take their first weights from nowhere else. Afterwards it is as it was;
    those of accelerators are never moved.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield
