"""How fast PPO trains on latents, against `CnnPolicy` on the same pixels: ratios within one run.

    python benchmarks/throughput.py --out runs/throughput

Eight `vase_rl/SpriteReach-v0` of 64×64 pixels, the same frames, rollouts and hyperparameters for
all: pixels through `CnnPolicy`; latents of the paper's network, frozen; those of `compact`, frozen
and learning along. The variants take turns, several rounds over, and what counts is the median of
the ratios of a round.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import VecEnv
from tqdm import tqdm
from typing_extensions import Unpack

from vase_rl import VASE, VASEConfig
from vase_rl.agents import RefreshView
from vase_rl.wrappers import VASEVecEnvWrapper
from vase_rl.wrappers.observer import Options

ENVIRONMENTS = 8
N_STEPS, BATCH, EPOCHS = 128, 256, 10
BASELINE = "CnnPolicy, 64×64 pixels"


def environments(seed: int) -> VecEnv:
    """Eight of them, one after the other in this process."""
    return make_vec_env("vase_rl/SpriteReach-v0", ENVIRONMENTS, seed, env_kwargs={"size": 64})


def learner(preset: str, seed: int) -> VASE:
    """One that knows an environment, so that it is not in its warm-up."""
    vase = VASE(VASEConfig.preset(preset), seed=seed, device="cpu")
    size = vase.config.image_size
    rng = np.random.default_rng(seed)
    vase.update(rng.integers(0, 256, (64, size, size, 1), dtype=np.uint8))
    return vase


def on_pixels(frames: int, seed: int) -> float:
    """Frames per second of a policy that learns from pixels."""
    return timed(environments(seed), "CnnPolicy", frames, seed)


def on_latents(
    preset: str, frames: int, seed: int, training: bool = False, **options: Unpack[Options]
) -> float:
    """Frames per second of a policy on latents."""
    venv = VASEVecEnvWrapper(
        environments(seed), learner=learner(preset, seed), training=training, seed=seed,
        view="held" if training else "live", **options,
    )  # fmt: skip
    return timed(venv, "MlpPolicy", frames, seed, [RefreshView(venv)] if training else [])


def timed(
    venv: VecEnv, policy: str, frames: int, seed: int, callbacks: list[RefreshView] | None = None
) -> float:
    """Frames per second of collecting and learning, after one rollout to warm up."""
    agent = PPO(
        policy, venv, n_steps=N_STEPS, batch_size=BATCH, n_epochs=EPOCHS, seed=seed, device="cpu"
    )
    rollout = N_STEPS * ENVIRONMENTS
    agent.learn(rollout, callback=callbacks)
    start = time.perf_counter()
    agent.learn(frames, callback=callbacks, reset_num_timesteps=False)
    rate = (agent.num_timesteps - rollout) / (time.perf_counter() - start)
    venv.close()
    return rate


VARIANTS: dict[str, Callable[[int, int], float]] = {
    BASELINE: on_pixels,
    "latents of the paper's network, frozen": lambda f, s: on_latents("ablation", f, s),
    "the same in bfloat16": lambda f, s: on_latents("ablation", f, s, precision="bfloat16"),
    "latents of compact, frozen": lambda f, s: on_latents("compact", f, s),
    "latents of compact, learning": lambda f, s: on_latents("compact", f, s, True),
    "the same with a step every 8 frames": lambda f, s: on_latents(
        "compact", f, s, True, frames_per_update=8
    ),
}


def main(arguments: list[str]) -> None:
    """Measure, print a table, write `throughput.json`."""
    assert __doc__ is not None
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=4096, help="per variant and round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("runs/throughput"))
    options = parser.parse_args(arguments)
    rates: dict[str, list[float]] = {name: [] for name in VARIANTS}
    with tqdm(total=options.rounds * len(VARIANTS), desc="measuring") as progress:
        for round_ in range(options.rounds):
            for name, measure in VARIANTS.items():
                rates[name].append(measure(options.frames, options.seed + round_))
                progress.update()
    threads = torch.get_num_threads()
    print(f"\n| {ENVIRONMENTS} environments, {threads} threads | frames per second | ratio |")
    print("|---|---|---|")
    result = {}
    for name, values in rates.items():
        ratio = statistics.median(v / b for v, b in zip(values, rates[BASELINE], strict=True))
        result[name] = {"frames_per_second": values, "ratio": ratio}
        print(f"| {name} | {statistics.median(values):.0f} | {ratio:.2f} |")
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "throughput.json").write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
