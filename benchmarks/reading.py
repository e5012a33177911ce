"""How fast each format of recordings is read, against what the learner consumes, in one run.

    python benchmarks/reading.py --out runs/reading

The same frames of 111×84 pixels in every format that the tests can write, from opening the
recording to shuffled batches of 64×64, the search for episodes included; the files come from the
page cache. Beside it the frames per second that `VASE.update` takes: the paper's network for DM
Lab, and `compact` in colour. Readers and learners take turns, several rounds over, and what counts
is the median of the ratios of a round. No reader may deliver less than five times what the paper's
network consumes; `compact` learns from 32×32 pixels and is there to compare.
"""

from __future__ import annotations

import argparse
import importlib
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from tqdm import tqdm

from vase_rl import VASE, VASEConfig
from vase_rl.envs import RecordedTrajectories
from vase_rl.envs.trajectories.preparation import prepare

TESTS = Path(__file__).parents[1] / "tests"
EPISODE_FRAMES = 250
BATCH = 64
RULE = 5
LEARNERS = {
    "dmlab": VASEConfig.preset("dmlab"),
    "compact, RGB": VASEConfig.preset("compact", channels=3),
}


def recorded(frames: int, seed: int) -> list[Any]:
    """Episodes of a view that pans over a landscape: as easily compressed as a rendered world."""
    formats = importlib.import_module("trajectory_formats")
    rng = np.random.default_rng(seed)
    episodes = []
    for length in (min(EPISODE_FRAMES, frames - i) for i in range(0, frames, EPISODE_FRAMES)):
        coarse = rng.integers(0, 256, (15, 15 + length // 4, 3), dtype=np.uint8)
        scene = cv2.resize(coarse, (111 + 2 * length, 84), interpolation=cv2.INTER_LINEAR)
        scene = np.clip(scene + rng.normal(0, 3, scene.shape), 0, 255).astype(np.uint8)
        episodes.append(
            formats.Recorded(
                frames=np.stack([scene[:, 2 * t : 2 * t + 111] for t in range(length)]),
                actions=np.zeros(length - 1, np.int64),
                rewards=np.zeros(length - 1, np.float32),
                terminated=True,
            )
        )
    return episodes


def write_all(folder: Path, frames: int, seed: int) -> dict[str, Path]:
    """The recording in every format, by the name of its writer."""
    kinds = importlib.import_module("trajectory_formats").KINDS
    episodes, paths = recorded(frames, seed), {}
    for name, kind in tqdm(kinds.items(), desc="writing"):
        (folder / name).mkdir()
        paths[name] = kind.write(folder / name, episodes)
    return paths


def reading_rate(path: Path, frames: int, seed: int) -> float:
    """Frames per second from opening a recording to its last batch."""
    start = time.perf_counter()
    with RecordedTrajectories(path) as recording:
        read = sum(map(len, recording.batches(BATCH, seed=seed, prepare=prepare, epochs=1)))
    assert read == frames, f"{path}: {read} of {frames} frames were read"
    return read / (time.perf_counter() - start)


def learning_rate(config: VASEConfig, batches: int, seed: int) -> float:
    """Frames per second of `VASE.update`, after one batch to warm up."""
    vase = VASE(config, seed=seed, device="cpu")
    shape = (BATCH, config.image_size, config.image_size, config.channels)
    frames = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    vase.update(frames)
    start = time.perf_counter()
    for _ in range(batches):
        vase.update(frames)
    return batches * BATCH / (time.perf_counter() - start)


def measure(paths: dict[str, Path], options: argparse.Namespace) -> dict[str, list[float]]:
    """Frames per second of each learner and reader, one value per round."""
    rates: dict[str, list[float]] = {name: [] for name in (*LEARNERS, *paths)}
    for round_ in tqdm(range(options.rounds), desc="measuring"):
        for name, config in LEARNERS.items():
            rates[name].append(learning_rate(config, options.updates, options.seed + round_))
        for name, path in paths.items():
            rates[name].append(reading_rate(path, options.frames, options.seed + round_))
    return rates


def ratio(rates: dict[str, list[float]], name: str, learner: str) -> float:
    """How many times as fast as a learner, in the median round."""
    return statistics.median(r / c for r, c in zip(rates[name], rates[learner], strict=True))


def table(rates: dict[str, list[float]]) -> str:
    """Markdown: readers from the slowest to the fastest, below the learners."""
    lines = [
        f"| format | frames per second | × {' | × '.join(LEARNERS)} |",
        "|---|---|" + "---|" * len(LEARNERS),
    ]
    readers = sorted(set(rates) - set(LEARNERS), key=lambda name: statistics.median(rates[name]))
    for name in (*LEARNERS, *readers):
        title = f"`VASE.update`, {name}" if name in LEARNERS else name
        ratios = " | ".join(f"{ratio(rates, name, learner):.1f}" for learner in LEARNERS)
        lines.append(f"| {title} | {statistics.median(rates[name]):,.0f} | {ratios} |")
    return "\n".join(lines)


def summary(rates: dict[str, list[float]]) -> dict[str, Any]:
    """Rates, ratios, and for each learner the slowest reader and whether it keeps the rule."""
    readers = [name for name in rates if name not in LEARNERS]
    verdicts = {}
    for learner in LEARNERS:
        ratios = {name: ratio(rates, name, learner) for name in readers}
        slowest = min(ratios, key=lambda name: ratios[name])
        verdicts[learner] = {
            "ratios": ratios, "slowest": slowest, "slowest_ratio": ratios[slowest],
            "rule_kept": ratios[slowest] >= RULE,
        }  # fmt: skip
    return {"frames_per_second": rates, "rule": RULE, "learners": verdicts}


def main(arguments: list[str]) -> None:
    """Measure, print a table, write `reading.json` and `reading.md`."""
    assert __doc__ is not None
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=4000, help="per recording")
    parser.add_argument("--updates", type=int, default=8, help="of each learner per round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("runs/reading"))
    options = parser.parse_args(arguments)
    sys.path.insert(0, str(TESTS))
    with tempfile.TemporaryDirectory() as folder:
        rates = measure(write_all(Path(folder), options.frames, options.seed), options)
    text, found = table(rates), summary(rates)
    print(f"\n{text}\n")
    for learner, verdict in found["learners"].items():
        print(f"{learner}: the slowest reader, {verdict['slowest']}, delivers "
              f"{verdict['slowest_ratio']:.1f} times what it consumes.")  # fmt: skip
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "reading.md").write_text(text + "\n")
    (options.out / "reading.json").write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
