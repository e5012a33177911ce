"""The learner's loss curve: 50 updates from a seed, across a switch of worlds.

`python tests/golden.py` writes it anew, after a change that is meant to change it.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from worlds import bars, checkers, tiny

from vase_rl import VASE

PATH = Path(__file__).parent / "assets" / "golden_losses.json"
UPDATES = 50


def curve() -> dict[str, list[float]]:
    """Every loss of every step by name; 30 batches of bars, then checkers, 32 frames each."""
    rng = np.random.default_rng(0)
    vase = VASE(tiny(), seed=0, device="cpu")
    losses: dict[str, list[float]] = {}
    while vase.updates < UPDATES:
        world = bars if vase.updates < 30 else checkers
        for name, value in vase.update(world(rng, 32)).losses.items():
            losses.setdefault(name, []).append(round(value, 6))
    return losses


if __name__ == "__main__":
    torch.set_num_threads(1)
    PATH.write_text(json.dumps(curve(), indent=1) + "\n")
