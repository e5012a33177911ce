"""For tools that build environments, agents and callbacks from a file, as rl_zoo3 does."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from stable_baselines3.common.callbacks import BaseCallback, CallbackList, EvalCallback
from stable_baselines3.common.vec_env import VecEnv, unwrap_vec_wrapper

from ..wrappers import VASEVecEnvWrapper
from .callbacks import LogLearner, RefreshView
from .replay import FrameReplayBuffer


class VASECallback(CallbackList):
    """Does what its surroundings ask for, where none of them can be handed an adapter.

    - The adapters of `EvalCallback`s beside it look through the training one's learner: a policy
      is useless on the latents of another.
    - With `view="held"`, as `RefreshView`; with a `FrameReplayBuffer`, `attach`.
    - Always as `LogLearner`.

    Args:
        save_path: file that the learner is written to when training ends. Stable-Baselines3 does
            not call callbacks after Ctrl-C; rl_zoo3 calls the first one.

    Raises:
        ValueError: when training starts, the algorithm trains on no `VASEVecEnvWrapper`, or an
            `EvalCallback` on another kind of observation.
    """

    def __init__(self, save_path: str | Path | None = None) -> None:
        super().__init__([])
        self.save_path = save_path

    def _init_callback(self) -> None:
        self.venv = adapter_of(self.training_env)
        self.callbacks = [LogLearner(self.venv)]
        if self.venv.observer.stream.view.kind == "held":
            self.callbacks.append(RefreshView(self.venv))
        buffer = getattr(self.model, "replay_buffer", None)
        if isinstance(buffer, FrameReplayBuffer):
            buffer.attach(self.venv)
        super()._init_callback()

    def _on_training_start(self) -> None:
        for callback in beside(self.locals.get("callback")):
            if isinstance(callback, EvalCallback):
                adapter_of(callback.eval_env).follow(self.venv)
        super()._on_training_start()

    def _on_training_end(self) -> None:
        super()._on_training_end()
        if self.save_path is not None:
            self.venv.save(self.save_path)


def adapter_of(env: VecEnv) -> VASEVecEnvWrapper:
    """The adapter among an environment's wrappers.

    Raises:
        ValueError: there is none.
    """
    venv = unwrap_vec_wrapper(env, VASEVecEnvWrapper)
    if venv is None:
        raise ValueError(f"VASECallback needs a VASEVecEnvWrapper, got {type(env).__name__}")
    return venv


def beside(callback: Any) -> Iterator[BaseCallback]:
    """All callbacks of a list, and of the lists in it."""
    if isinstance(callback, CallbackList):
        for part in callback.callbacks:
            yield from beside(part)
    elif isinstance(callback, BaseCallback):
        yield callback
