"""What share of the learner's time goes into finding out which world this is, in one run.

    python benchmarks/detection.py --out runs/detection-cost

The learner knows several worlds and goes on in the last one. Timed is all that `VASE.update` does,
and within it the rule: features of the block, models of all known worlds, tests. Two paces: one
training step per block of 64 frames, as for data sets, and eight, as behind the wrappers. What
counts is the median over rounds; none may be above a tenth.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from vase_rl import VASE, VASEConfig
from vase_rl.frames import to_tensor

RULE = 0.1
SETTLING = 24
"""Blocks of each world before anything is timed."""
STEPS = {"one step a block": 1, "eight steps a block": 8}
LEARNERS = {
    "compact": VASEConfig.preset("compact"),
    "dmlab-compact": VASEConfig.preset("dmlab-compact"),
    "ablation": VASEConfig.preset("ablation"),
}


def blocks(config: VASEConfig, world: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Noise of another brightness in every world, uint8 (64, H, W, C)."""
    shape = (config.block_frames, config.image_size, config.image_size, config.channels)
    while True:
        yield rng.integers(0, 40 + 50 * world, shape, dtype=np.uint8)


def that_knows(worlds: int, config: VASEConfig, seed: int) -> tuple[VASE, Iterator[np.ndarray]]:
    """A learner that knows so many worlds, and blocks of the last one.

    Nothing is trained: what the networks have learnt is nothing to the time.
    """
    vase, rng = VASE(config, seed=seed, device="cpu"), np.random.default_rng(seed)
    for world in range(worlds):
        frames = blocks(config, world, rng)
        for _ in range(SETTLING):
            vase._arrive(to_tensor(next(frames), config, vase.device))
    found = len(vase.registry.known)
    assert found == worlds, f"{found} of {worlds} were found"
    return vase, frames


@contextmanager
def timed(vase: VASE) -> Iterator[list[float]]:
    """Seconds that the rule takes, call by call: features of frames, their blocks, and tests."""
    seconds: list[float] = []

    def watch(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
        def call(argument: Any) -> Any:
            start = time.perf_counter()
            result = function(argument)
            seconds.append(time.perf_counter() - start)
            return result

        return call

    rule = vase.registry.rule
    kept = vase._features, vase._blocks, rule.observe
    vase._features, vase._blocks, rule.observe = map(watch, kept)  # type: ignore[method-assign]
    try:
        yield seconds
    finally:
        vase._features, vase._blocks, rule.observe = kept  # type: ignore[method-assign]


def share(vase: VASE, frames: Iterator[np.ndarray], steps: int, updates: int) -> float:
    """Of the learner's time, what the rule takes."""
    vase.update(next(frames))
    with timed(vase) as seconds:
        shown = [next(frames) for _ in range(updates)]
        start = time.perf_counter()
        for block in shown:
            vase.update(block)
            for _ in range(steps - 1):
                vase.practise(block)
        return sum(seconds) / (time.perf_counter() - start)


def measure(options: argparse.Namespace) -> dict[str, dict[str, list[float]]]:
    """Shares by learner and pace, one per round."""
    shares: dict[str, dict[str, list[float]]] = {n: {p: [] for p in STEPS} for n in LEARNERS}
    learners = {
        name: that_knows(options.worlds, config, options.seed) for name, config in LEARNERS.items()
    }
    for _ in tqdm(range(options.rounds), desc="measuring"):
        for name, (vase, frames) in learners.items():
            for pace, steps in STEPS.items():
                shares[name][pace].append(share(vase, frames, steps, options.updates))
    return shares


def table(shares: dict[str, dict[str, list[float]]]) -> str:
    """Markdown: medians in percent."""
    lines = [f"| learner | {' | '.join(STEPS)} |", "|---|" + "---|" * len(STEPS)]
    for name, paces in shares.items():
        cells = " | ".join(f"{statistics.median(paces[pace]):.1%}" for pace in STEPS)
        lines.append(f"| {name} | {cells} |")
    return "\n".join(lines)


def summary(shares: dict[str, dict[str, list[float]]]) -> dict[str, Any]:
    """Shares, the largest median, and whether it keeps the rule."""
    largest = max(statistics.median(p) for paces in shares.values() for p in paces.values())
    return {"shares": shares, "largest": largest, "rule": RULE, "rule_kept": largest <= RULE}


def main(arguments: list[str]) -> None:
    """Measure, print a table, write `detection.json` and `detection.md`."""
    assert __doc__ is not None
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--worlds", type=int, default=4, help="that the learner knows")
    parser.add_argument("--updates", type=int, default=10, help="of each learner, per round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("runs/detection-cost"))
    options = parser.parse_args(arguments)
    shares = measure(options)
    text = table(shares)
    print(f"\n{text}\n")
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "detection.md").write_text(text + "\n")
    (options.out / "detection.json").write_text(json.dumps(summary(shares), indent=1) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
