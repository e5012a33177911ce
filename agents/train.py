"""Agents of Stable-Baselines3 on the latents of VASE, from an environment's name to a bundle."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypedDict

from stable_baselines3 import A2C, PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.utils import safe_mean
from typing_extensions import Unpack

from ..config import VASEConfig
from ..envs import make_world
from ..wrappers import VASEVecEnvWrapper, View
from .algorithms import (
    Algorithm,
    Model,
    check_action_space,
    check_rollout,
    find_algorithm,
    make_config,
)
from .arguments import make_model
from .attended import AttendToUsedLatents
from .bundle import Bundle
from .callbacks import LogLearner, RefreshView
from .config import Config, PPOConfig
from .figures import LogFigures
from .progress import CurvePoint, CurveRecorder, Reporter

# A rollout of PPO by default. Those of the others are a few frames long: what is averaged and
# logged once per rollout of PPO is, for them, once per so many frames.
INTERVAL = 512


@dataclass(frozen=True)
class TrainResult:
    """What a training run left behind."""

    bundle: Bundle
    curve: list[CurvePoint]
    frames: int
    return_mean: float | None
    """Over the last 100 episodes, of the actions that the agent explored with; None before the
    first has ended."""
    frames_per_second: float
    interrupted: bool
    """Whether Ctrl-C ended the run before `frames` were seen."""


class TrainOptions(TypedDict, total=False):
    """Keyword arguments of `train_agent` for any algorithm."""

    env_kwargs: Mapping[str, Any] | None
    encoder: str | Path | None
    config: str | VASEConfig
    online: bool
    n_envs: int
    frames: int
    seed: int
    device: str
    attend_used: bool
    pixels_key: str | None
    append_environment: bool
    tensorboard: str | Path | None
    progress: Reporter | None
    callback: BaseCallback | list[BaseCallback] | None


def train_agent(
    env_id: str,
    algorithm: str = "ppo",
    *,
    hyperparameters: Config | None = None,
    env_kwargs: Mapping[str, Any] | None = None,
    encoder: str | Path | None = None,
    config: str | VASEConfig = "compact",
    online: bool = False,
    n_envs: int = 1,
    frames: int = 30_000,
    seed: int = 0,
    device: str = "auto",
    attend_used: bool = True,
    pixels_key: str | None = None,
    append_environment: bool = False,
    tensorboard: str | Path | None = None,
    progress: Reporter | None = None,
    callback: BaseCallback | list[BaseCallback] | None = None,
) -> TrainResult:
    """Trains an agent on the latents of an environment's frames.

    Ctrl-C ends the run early and gives what has been learnt so far, with `interrupted` set:
    saving it is up to the caller. Returns and successes are those of the actions that the agent
    explores with; `evaluate_agent` takes the most likely ones.

    Args:
        env_id: name of a Gymnasium environment with image observations.
        algorithm: "ppo" or "a2c", for all kinds of actions; "dqn", for discrete ones; "sac", for
            continuous ones.
        hyperparameters: a `PPOConfig`, `A2CConfig`, `DQNConfig` or `SACConfig`; by default those of
            `make_config`, for so many environments.
        env_kwargs: arguments of `gymnasium.make`.
        encoder: a checkpoint of `VASE`; None starts an untrained one that learns online.
        config: of an untrained encoder, a preset's name or a `VASEConfig`.
        online: whether the encoder of a checkpoint goes on learning. Frozen, it gives equal
            latents for equal frames throughout; learning, it moves under the policy. PPO and A2C
            see a learning one through a held view, which moves between rollouts only; DQN and SAC
            keep frames in place of latents and encode them whenever they learn from them.
        n_envs: environments side by side, whose frames are encoded at once.
        frames: frames to train on, all environments together, rounded up to whole rollouts (of
            `n_steps` each; of `train_freq` for DQN and SAC).
        seed: of the environment, the policy and an untrained encoder. Stable-Baselines3 seeds the
            global generators of Python, numpy and torch with it.
        device: of the encoder; the policy is small and stays on the CPU.
        attend_used: whether the policy sees latents that the environment does not use as 0 (see
            `attended`), so that they cannot disturb it in another world.
        pixels_key: the image's key in a `Dict` observation.
        append_environment: whether the policy also sees the environment as a one-hot.
        tensorboard: folder of TensorBoard's logs, with figures of the learner every 10,000 frames;
            needs the package tensorboard.
        progress: is told of every frame and of every point of the curve.
        callback: callbacks of Stable-Baselines3.

    Raises:
        ValueError: an unknown algorithm, hyperparameters of another one, `frames` or `n_envs` not
            positive, no images, or actions that the algorithm cannot choose.
        FileNotFoundError, CheckpointError: `encoder` is missing or damaged.
        WorldError: (a ValueError) the library of the environment is not installed.
        ImportError: `tensorboard` is given, and the package is not installed.
        gymnasium.error.Error: no environment of that name.
    """
    for name, value in (("frames", frames), ("n_envs", n_envs)):
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise ValueError(f"{name} must be a positive integer, got {value!r}")
    kind = find_algorithm(algorithm)
    settings = _settings(kind, hyperparameters or make_config(algorithm, n_envs), n_envs)
    learning = online or encoder is None
    # Given the name, Stable-Baselines3 would ask for pictures, which not every environment draws.
    make = partial(make_world, env_id, **(env_kwargs or {}))
    with closing(make_vec_env(make, n_envs, seed)) as venv:
        check_action_space(venv.action_space, algorithm)
        env = VASEVecEnvWrapper(
            venv,
            config,
            load_path=encoder,
            training=learning,
            pixels_key=pixels_key,
            append_environment=append_environment,
            view=_view(kind, learning),
            seed=seed,
            device=device,
        )
        # Of all latents at first: which ones the world uses is not known yet.
        attended = (True,) * env.vase.config.latents if attend_used else None
        model = make_model(settings, env, attended, seed)
        model.tensorboard_log = None if tensorboard is None else str(tensorboard)
        interval = 0 if algorithm == "ppo" else INTERVAL
        recorder = CurveRecorder(frames, progress, interval)
        callbacks: list[BaseCallback] = [recorder, LogLearner(env)]
        if learning and kind.on_policy:
            callbacks.append(RefreshView(env))
        if tensorboard is not None:
            callbacks.append(LogFigures(env))
        if attend_used:
            callbacks.append(AttendToUsedLatents(env.vase, interval))
        callbacks += [callback] if isinstance(callback, BaseCallback) else callback or []
        seconds, interrupted = _learn(model, frames, callbacks)
        recorder.finish()
        return _result(model, env, env_id, recorder, seconds, interrupted)


def train_ppo(
    env_id: str, *, ppo: PPOConfig | None = None, **options: Unpack[TrainOptions]
) -> TrainResult:
    """`train_agent` with "ppo", whose hyperparameters are called `ppo` here.

    Args:
        env_id, **options: as of `train_agent`.
        ppo: hyperparameters.

    Raises:
        ValueError, FileNotFoundError, CheckpointError, ImportError, gymnasium.error.Error: as
            `train_agent`.
    """
    return train_agent(env_id, "ppo", hyperparameters=ppo, **options)


def _settings(kind: Algorithm, given: Config, n_envs: int) -> Config:
    if not isinstance(given, kind.config):
        raise ValueError(
            f"hyperparameters must be a {kind.config.__name__} for {kind.name}, got a "
            f"{type(given).__name__}"
        )
    check_rollout(given, n_envs)
    return given


def _view(kind: Algorithm, learning: bool) -> View:
    """The encoder that an agent sees through.

    On-policy, one that holds still for a rollout, so that its advantages compare like with like.
    The rollouts of DQN and SAC are a few steps long, too short to hold it for, and a batch from
    their buffer is encoded at once in any case. They see through the live encoder, which is also
    the one that a bundle keeps: behind an average of its weights, which moves less under the
    target network, they would learn on latents that nobody sees afterwards.
    """
    return "held" if learning and kind.on_policy else "live"


def _result(
    model: Model,
    env: VASEVecEnvWrapper,
    env_id: str,
    recorder: CurveRecorder,
    seconds: float,
    interrupted: bool,
) -> TrainResult:
    episodes = model.ep_info_buffer or ()
    return TrainResult(
        bundle=Bundle.of(model, env, env_id=env_id),
        curve=recorder.curve,
        frames=model.num_timesteps,
        return_mean=float(safe_mean([e["r"] for e in episodes])) if episodes else None,
        frames_per_second=model.num_timesteps / seconds,
        interrupted=interrupted,
    )


def _log_interval(model: Model) -> int:
    """Rollouts (PPO, A2C) or episodes (DQN, SAC) from one line of the log to the next.

    Stable-Baselines3's own for A2C is 100 rollouts, which a short run does not reach.
    """
    if isinstance(model, (PPO, A2C)):
        return max(1, INTERVAL // (model.n_steps * model.n_envs))
    return 4


def _learn(model: Model, frames: int, callbacks: list[BaseCallback]) -> tuple[float, bool]:
    """Returns (seconds taken, whether Ctrl-C ended it)."""
    start, interrupted = time.perf_counter(), False
    try:
        model.learn(frames, callback=callbacks, log_interval=_log_interval(model))
    except KeyboardInterrupt:
        interrupted = True
    return time.perf_counter() - start, interrupted
