"""PPO of Stable-Baselines3 on the latents of VASE, from an environment's name to a bundle."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.utils import safe_mean

from ..config import VASEConfig
from ..wrappers import VASEVecEnvWrapper
from .attended import AttendToUsedLatents
from .bundle import Bundle
from .callbacks import LogLearner, RefreshView
from .config import PPOConfig
from .figures import LogFigures
from .progress import CurvePoint, CurveRecorder, Reporter


@dataclass(frozen=True)
class TrainResult:
    """What a training run left behind."""

    bundle: Bundle
    curve: list[CurvePoint]
    frames: int
    return_mean: float | None
    """Over the last 100 episodes; None before the first has ended."""
    frames_per_second: float
    interrupted: bool
    """Whether Ctrl-C ended the run before `frames` were seen."""


def train_ppo(
    env_id: str,
    *,
    env_kwargs: Mapping[str, Any] | None = None,
    encoder: str | Path | None = None,
    config: str | VASEConfig = "compact",
    online: bool = False,
    n_envs: int = 1,
    frames: int = 30_000,
    seed: int = 0,
    device: str = "auto",
    ppo: PPOConfig | None = None,
    attend_used: bool = True,
    pixels_key: str | None = None,
    append_environment: bool = False,
    tensorboard: str | Path | None = None,
    progress: Reporter | None = None,
    callback: BaseCallback | list[BaseCallback] | None = None,
) -> TrainResult:
    """Trains an agent on the latents of an environment's frames.

    Ctrl-C ends the run early and gives what has been learnt so far, with `interrupted` set:
    saving it is up to the caller.

    Args:
        env_id: name of a Gymnasium environment with image observations.
        env_kwargs: arguments of `gymnasium.make`.
        encoder: a checkpoint of `VASE`; None starts an untrained one that learns online.
        config: of an untrained encoder, a preset's name or a `VASEConfig`.
        online: whether the encoder of a checkpoint goes on learning. Frozen, it gives equal
            latents for equal frames throughout; learning, it moves under the policy.
            A learning one is seen through a held view, which moves between rollouts only.
        n_envs: environments side by side, whose frames are encoded at once.
        frames: frames to train on, all environments together, rounded up to whole rollouts of
            `ppo.n_steps` each.
        seed: of the environment, the policy and an untrained encoder. Stable-Baselines3 seeds the
            global generators of Python, numpy and torch with it.
        device: of the encoder; the policy is small and stays on the CPU.
        ppo: hyperparameters; `PPOConfig` with rollouts of 512 frames in all by default.
        attend_used: whether the policy sees latents that the environment does not use as 0 (see
            `attended`), so that they cannot disturb it in another world.
        pixels_key: the image's key in a `Dict` observation.
        append_environment: whether the policy also sees the environment as a one-hot.
        tensorboard: folder of TensorBoard's logs, with figures of the learner every 10,000 frames;
            needs the package tensorboard.
        progress: is told of every frame and of every point of the curve.
        callback: callbacks of Stable-Baselines3.

    Raises:
        ValueError: `frames` or `n_envs` is not positive, there are no images, or PPO cannot choose
            its actions.
        FileNotFoundError, CheckpointError: `encoder` is missing or damaged.
        ImportError: `tensorboard` is given, and the package is not installed.
        gymnasium.error.Error: no environment of that name.
    """
    for name, value in (("frames", frames), ("n_envs", n_envs)):
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise ValueError(f"{name} must be a positive integer, got {value!r}")
    learning = online or encoder is None
    # Given the name, Stable-Baselines3 would ask for pictures, which not every environment draws.
    make = partial(gym.make, env_id, **(env_kwargs or {}))
    with closing(make_vec_env(make, n_envs, seed)) as venv:
        check_action_space(venv.action_space)
        env = VASEVecEnvWrapper(
            venv,
            config,
            load_path=encoder,
            training=learning,
            pixels_key=pixels_key,
            append_environment=append_environment,
            view="held" if learning else "live",
            seed=seed,
            device=device,
        )
        latents = env.vase.config.latents if attend_used else None
        model = _model(env, ppo or PPOConfig(n_steps=max(1, 512 // n_envs)), latents, seed)
        model.tensorboard_log = None if tensorboard is None else str(tensorboard)
        recorder = CurveRecorder(frames, progress)
        callbacks: list[BaseCallback] = [recorder]
        if learning:
            callbacks.append(RefreshView(env))
        callbacks.append(LogLearner(env))
        if tensorboard is not None:
            callbacks.append(LogFigures(env))
        if attend_used:
            callbacks.append(AttendToUsedLatents(env.vase))
        callbacks += [callback] if isinstance(callback, BaseCallback) else callback or []
        seconds, interrupted = _learn(model, frames, callbacks)
        return _result(model, env, env_id, recorder, seconds, interrupted)


def _model(env: VASEVecEnvWrapper, settings: PPOConfig, latents: int | None, seed: int) -> PPO:
    """An untrained agent that attends to all of so many latents, or to whatever it sees."""
    kwargs = settings.ppo_kwargs(None if latents is None else (True,) * latents)
    return PPO("MlpPolicy", env, seed=seed, device="cpu", **kwargs)


def _result(
    model: PPO,
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


def check_action_space(space: spaces.Space[Any]) -> None:
    """Whether PPO of Stable-Baselines3 can choose such actions.

    Raises:
        ValueError: it cannot.
    """
    if isinstance(space, spaces.Box):
        fits = bool(np.isfinite(space.low).all() and np.isfinite(space.high).all())
    elif isinstance(space, spaces.Discrete):
        fits = int(space.start) == 0
    elif isinstance(space, spaces.MultiDiscrete):
        fits = space.nvec.ndim == 1 and not space.start.any()
    else:
        fits = isinstance(space, spaces.MultiBinary) and len(space.shape) == 1
    if not fits:
        raise ValueError(
            "the action space must be a Box with finite bounds, a Discrete or one-dimensional "
            f"MultiDiscrete that starts at 0, or a one-dimensional MultiBinary, got {space}"
        )


def _learn(model: PPO, frames: int, callbacks: list[BaseCallback]) -> tuple[float, bool]:
    """Returns (seconds taken, whether Ctrl-C ended it)."""
    start, interrupted = time.perf_counter(), False
    try:
        model.learn(frames, callback=callbacks)
    except KeyboardInterrupt:
        interrupted = True
    return time.perf_counter() - start, interrupted
