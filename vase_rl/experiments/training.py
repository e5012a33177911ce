"""`vase-rl train` and `evaluate`: an agent on the latents of any environment with images."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gymnasium as gym

from ..agents import (
    ALGORITHMS,
    Bundle,
    CurvePoint,
    Evaluation,
    check_action_space,
    evaluate_agent,
    train_agent,
)
from ..agents.config import Config, plain_values
from ..envs import make_world
from ..files import write_whole
from ..wrappers import VASEObservationWrapper
from .hyperparameters import read_config
from .inspection import environment_table
from .pictures import gif, together
from .progress import Progress, say
from .results import RunDirectory

BUNDLE, ENCODER = "agent.zip", "encoder.pt"
WRITTEN = (BUNDLE, ENCODER)
"""What `train` leaves beside `metrics.json`."""
NEW_ENCODER = "compact"


@dataclass(frozen=True)
class TrainSettings:
    """As the options of `vase-rl train`."""

    env_id: str
    algorithm: str = "ppo"
    hyperparameters: str | None = None
    """YAML file; None: all at their defaults."""
    env_kwargs: dict[str, Any] = field(default_factory=dict)
    frames: int = 30_000
    encoder: str | None = None
    """Checkpoint of a learner; None starts one that learns along."""
    online: bool = False
    n_envs: int = 1
    """Environments side by side."""
    config: str | None = None
    """Preset of a new encoder; None is "compact". An encoder from a checkpoint has its own."""
    pixels_key: str | None = None
    append_environment: bool = False
    tensorboard: str | None = None
    """Folder of TensorBoard's logs; None: none."""
    seed: int = 0
    device: str = "auto"


def run_train(settings: TrainSettings, out: str | Path, arguments: list[str]) -> RunDirectory:
    """Train an agent on the latents; leave `metrics.json`, `agent.zip` and `encoder.pt`.

    An interrupt leaves what was learnt so far.

    Raises:
        ValueError, OSError: a setting breaks its rule, or files are missing or damaged.
        KeyboardInterrupt: after the agent was saved.
    """
    hyperparameters = check_training(settings)
    run = RunDirectory(out, "train", arguments, stale=WRITTEN)
    what = "as it goes on learning" if settings.online else "frozen"
    source = (
        "a new encoder that learns along"
        if settings.encoder is None
        else (f"the encoder {settings.encoder}, {what}")
    )
    name = ALGORITHMS[settings.algorithm].name
    say(f"training {name} in {settings.env_id} for {settings.frames:,} frames on {source}")
    with Progress(settings.frames, "training") as progress:
        trained = train_agent(
            settings.env_id,
            settings.algorithm,
            hyperparameters=hyperparameters,
            env_kwargs=settings.env_kwargs,
            encoder=settings.encoder,
            config=settings.config or NEW_ENCODER,
            online=settings.online,
            n_envs=settings.n_envs,
            frames=settings.frames,
            seed=settings.seed,
            device=settings.device,
            pixels_key=settings.pixels_key,
            append_environment=settings.append_environment,
            tensorboard=settings.tensorboard,
            progress=progress,
        )
    trained.bundle.save(run.path / BUNDLE)
    write_whole(run.path / ENCODER, trained.bundle.encoder_bytes)
    run.record(
        env=settings.env_id,
        env_kwargs=settings.env_kwargs,
        algorithm=settings.algorithm,
        hyperparameters=plain_values(hyperparameters),
        seed=settings.seed,
        frames=trained.frames,
        return_mean=trained.return_mean,
        frames_per_second=round(trained.frames_per_second, 1),
        curve=curve_columns(trained.curve),
        environments=environment_table(trained.bundle.encoder(device="cpu")),
    )
    say(f"saved {run.path / BUNDLE}")
    if trained.interrupted:
        raise KeyboardInterrupt
    run.finish()
    return run


def run_evaluate(
    bundle_path: str,
    env_id: str,
    env_kwargs: dict[str, Any],
    *,
    episodes: int,
    record: int,
    seed: int,
    device: str,
    out: str | Path,
    arguments: list[str],
) -> RunDirectory:
    """Run a bundle for whole episodes; leave `metrics.json` and, on request, an animation.

    Raises:
        ValueError, OSError: an argument breaks its rule, or files are missing or damaged.
    """
    bundle = Bundle.load(bundle_path)
    with closing(make_environment(env_id, env_kwargs)) as env:
        bundle.wrap(env, training=False, device=device)
    run = RunDirectory(out, "evaluate", arguments, stale=("episodes.gif",))
    say(f"running {bundle_path} in {env_id} for {episodes} episodes, nothing learns")
    found = evaluate_agent(
        bundle,
        env_id,
        env_kwargs=env_kwargs,
        episodes=episodes,
        seed=seed,
        record_episodes=min(record, episodes),
        device=device,
    )
    if found.frames:
        write_whole(run.path / "episodes.gif", gif(together(found.frames)))
    run.record(env=env_id, env_kwargs=env_kwargs, seed=seed, **evaluation_metrics(found))
    run.finish()
    return run


def evaluation_metrics(found: Evaluation) -> dict[str, Any]:
    """The numbers for `metrics.json`; `success` is null where the environment tells none."""
    return {
        "return_mean": found.return_mean,
        "return_std": found.return_std,
        "episodes": found.episodes,
        "success": found.success,
        "length_mean": found.length_mean,
    }


def curve_columns(curve: Sequence[CurvePoint]) -> dict[str, list[float | None]]:
    """A learning curve as columns of equal length."""
    return {
        "frames": [point.frames for point in curve],
        "success": [point.success_rate for point in curve],
        "return_mean": [point.return_mean for point in curve],
    }


def check_training(settings: TrainSettings) -> Config:
    """Put everything together once, so that bad input is found before anything is written.

    Returns:
        The hyperparameters.

    Raises:
        ValueError, OSError: a setting breaks its rule, or files are missing or damaged.
    """
    if settings.encoder is not None and settings.config is not None:
        raise ValueError(
            "--config must not stand beside --encoder, which has its own configuration, got "
            f"{settings.config!r}"
        )
    if settings.encoder is None and settings.online:
        raise ValueError("--online must stand beside --encoder: a new encoder learns anyway")
    if settings.encoder is not None and not Path(settings.encoder).is_file():
        raise ValueError(f"--encoder must be a file, got {settings.encoder!r}")
    if settings.tensorboard is not None and importlib.util.find_spec("tensorboard") is None:
        raise ValueError(
            '--tensorboard needs the package tensorboard: pip install "vase_rl[tensorboard]"'
        )
    config = read_config(settings.hyperparameters, settings.algorithm, settings.n_envs)
    with closing(make_environment(settings.env_id, settings.env_kwargs)) as env:
        check_action_space(env.action_space, settings.algorithm)
        VASEObservationWrapper(
            env,
            settings.config or NEW_ENCODER,
            load_path=settings.encoder,
            pixels_key=settings.pixels_key,
            device=settings.device,
        )
    return config


def make_environment(env_id: str, env_kwargs: dict[str, Any]) -> gym.Env[Any, Any]:
    """`make_world`, with one kind of error for names and arguments that Gymnasium does not know.

    Raises:
        ValueError: it cannot be made.
    """
    try:
        return make_world(env_id, **env_kwargs)
    except (TypeError, ImportError, gym.error.Error) as error:
        raise ValueError(f"environment {env_id}: {error}") from error


def parse_env_argument(text: str) -> tuple[str, Any]:
    """`KEY=VALUE` for `gymnasium.make`; a value that is JSON is taken as such.

    Raises:
        ValueError: no `=`, or no key.
    """
    key, separator, value = text.partition("=")
    if not separator or not key.isidentifier():
        raise ValueError(f"must be KEY=VALUE, got {text!r}")
    try:
        return key, json.loads(value)
    except ValueError:
        return key, value
