"""A task that no one here made: MiniGrid in RGB, on latents and on pixels.

    pip install minigrid
    python benchmarks/foreign.py --seeds 10-14

PPO in `MiniGrid-Empty-Random-6x6-v0`, seen from above in 48×48 RGB: walk to the green square from
a random place in a random direction; the return is 1 less 0.9 of the share of time taken, 0 if it
is not reached. Eight environments, the same hyperparameters for all: latents of a VASE that learns
along, latents of an encoder that never learns, and `CnnPolicy`. The return counted is that of
episodes during training (sampled actions), and of 100 episodes at the end, also sampled: a
deterministic policy that is half learnt turns on the spot until the time is up.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import gymnasium as gym
from intervals import mean_with_interval
from resume import Result, Runs
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.vec_env import VecEnv, VecMonitor

from vase_rl import VASEConfig
from vase_rl.agents import CurveRecorder, RefreshView
from vase_rl.experiments.options import parse_seeds
from vase_rl.files import write_whole
from vase_rl.wrappers import VASEVecEnvWrapper

ENVIRONMENTS, EPISODES = 8, 100
PPO_SETTINGS: dict[str, Any] = dict(
    n_steps=128, batch_size=256, n_epochs=10, learning_rate=1e-3, gamma=0.99, gae_lambda=0.95,
    ent_coef=0.01,
)  # fmt: skip


@dataclass(frozen=True)
class Settings:
    """What is run; part of every result."""

    env: str
    frames: int
    preset: str
    warmup: int


def make(env_id: str) -> gym.Env[Any, Any]:
    """The grid as an RGB image, eight pixels a cell."""
    from minigrid.wrappers import ImgObsWrapper, RGBImgObsWrapper

    return ImgObsWrapper(RGBImgObsWrapper(gym.make(env_id), tile_size=8))


def environments(settings: Settings, seed: int) -> VecEnv:
    return make_vec_env(partial(make, settings.env), ENVIRONMENTS, seed)


def on_pixels(settings: Settings, seed: int) -> Result:
    """`CnnPolicy`."""
    model = PPO("CnnPolicy", environments(settings, seed), seed=seed, device="cpu", **PPO_SETTINGS)
    return _learn(model, settings.frames, [], environments(settings, seed + 1_000))


def on_latents(settings: Settings, seed: int, *, learns: bool) -> Result:
    """Latents; a learner watches `warmup` frames of random actions first."""
    config = VASEConfig.preset(settings.preset, channels=3)
    venv = VASEVecEnvWrapper(
        environments(settings, seed), config, training=learns, view="held", seed=seed, device="cpu",
        frames_per_update=8,
    )  # fmt: skip
    model = PPO("MlpPolicy", venv, seed=seed, device="cpu", **PPO_SETTINGS)
    seen = settings.warmup if learns else 0
    if learns:
        venv.reset()
        for _ in range(settings.warmup // ENVIRONMENTS):
            venv.step([venv.action_space.sample() for _ in range(ENVIRONMENTS)])
    other = venv.evaluation(environments(settings, seed + 1_000))
    result = _learn(model, settings.frames, [RefreshView(venv)], other, seen)
    result["known"] = len(venv.vase.registry.known)
    return result


def _learn(
    model: PPO, frames: int, callbacks: list[BaseCallback], other: VecEnv, seen: int = 0
) -> Result:
    """Train until so many frames have been seen in all, `seen` of them before."""
    curve = CurveRecorder(frames - seen)
    model.learn(frames - seen, callback=[curve, *callbacks])
    mean, _ = evaluate_policy(model, VecMonitor(other), EPISODES, deterministic=False)
    points = [(seen + p.frames, p.return_mean) for p in curve.curve]
    return {"return_mean": float(mean), "curve": points}


def at_random(settings: Settings, seed: int) -> Result:
    """Random actions."""
    venv = VecMonitor(environments(settings, seed + 1_000))
    venv.action_space.seed(seed)
    venv.reset()
    returns: list[float] = []
    while len(returns) < EPISODES:
        infos = venv.step([venv.action_space.sample() for _ in range(ENVIRONMENTS)])[3]
        returns += [float(info["episode"]["r"]) for info in infos if "episode" in info]
    return {"return_mean": sum(returns) / len(returns), "curve": []}


METHODS = {
    "VASE, learning": partial(on_latents, learns=True),
    "encoder that never learns": partial(on_latents, learns=False),
    "CnnPolicy": on_pixels,
    "random actions": at_random,
}


def table(found: dict[str, list[Result]], frames: int) -> str:
    """Returns: during training, after a quarter, a half and all of the frames, and at the end."""
    marks = {"a quarter": frames // 4, "a half": frames // 2, "all": frames}
    heads = [*(f"training, {name} of the frames" for name in marks), "afterwards"]
    lines = ["| method | seeds | " + " | ".join(heads) + " |", "|" + "---|" * (len(heads) + 2)]
    for method, runs in found.items():
        cells = [
            mean_with_interval([_around(run, mark, frames / 10) for run in runs])
            for mark in marks.values()
        ]
        cells.append(mean_with_interval([run["return_mean"] for run in runs]))
        lines.append(f"| {method} | {len(runs)} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _around(run: Result, mark: int, width: float) -> float | None:
    """Mean return of the frames before a mark."""
    chosen = [value for frames, value in run["curve"] if mark - width < frames <= mark]
    return sum(chosen) / len(chosen) if chosen else None


def main(arguments: list[str]) -> None:
    """Run what is missing, print and write the table."""
    assert __doc__ is not None
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--env", default="MiniGrid-Empty-Random-6x6-v0")
    parser.add_argument("--seeds", type=parse_seeds, default=[0], help="as 10-14 or 1,2,5")
    parser.add_argument("--only", choices=list(METHODS), help="one method")
    parser.add_argument("--frames", type=int, default=32_768, help="all frames, warm-up included")
    parser.add_argument("--preset", default="compact-detail", help="of the learner")
    parser.add_argument("--warmup", type=int, default=4_096, help="frames of random actions")
    parser.add_argument("--out", type=Path, default=Path("runs/foreign"))
    options = parser.parse_args(arguments)
    try:
        import minigrid  # noqa: F401
    except ImportError:
        parser.error("MiniGrid is missing: pip install minigrid")
    settings = Settings(options.env, options.frames, options.preset, options.warmup)
    runs = Runs(
        options.out / options.env,
        asdict(settings),
        {name: partial(method, settings) for name, method in METHODS.items()},
    )
    runs.complete(options.seeds, options.only)
    text = table(runs.by_method(options.seeds), options.frames)
    write_whole(options.out / f"{options.env}.md", text.encode())
    print(text)


if __name__ == "__main__":
    main(sys.argv[1:])
