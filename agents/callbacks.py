"""Callbacks of Stable-Baselines3 for an encoder that learns beside the policy."""

from __future__ import annotations

from typing import Any

from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.vec_env import VecEnv, VecFrameStack, VecMonitor, VecNormalize

from ..wrappers import FrameStream, VASEVecEnvWrapper


class Every:
    """Says once per so many frames that it is time.

    Args:
        frames: of all environments together, at least 1.

    Raises:
        ValueError: `frames` is not a positive integer.
    """

    def __init__(self, frames: int) -> None:
        if not isinstance(frames, int) or isinstance(frames, bool) or frames < 1:
            raise ValueError(f"every must be a positive number of frames, got {frames!r}")
        self.frames = frames
        self._last: int | None = None

    def start(self, now: int) -> None:
        """Count from here, unless this run goes on where the last one stopped counting."""
        if self._last is None or now < self._last:
            self._last = now

    def due(self, now: int) -> bool:
        """Whether `frames` have passed since it was last time; then it counts from here."""
        if now - (self._last or 0) < self.frames:
            return False
        self._last = now
        return True


def source_of_observations(env: VecEnv) -> VecEnv:
    """What gives an algorithm its observations: the outermost wrapper that may change them."""
    while isinstance(env, VecMonitor) or (isinstance(env, VecNormalize) and not env.norm_obs):
        env = env.venv
    return env


def check_trained_on(venv: VASEVecEnvWrapper, trained_on: VecEnv) -> None:
    """Whether an algorithm sees the observations of `venv` as they are.

    Raises:
        ValueError: it trains on something else, or through a wrapper that changes them.
    """
    inner = source_of_observations(trained_on)
    if inner is not venv:
        hint = ""
        if isinstance(inner, VecFrameStack):
            hint = ', which would mix latents of two encoders; view="average" needs no refresh'
        raise ValueError(
            f"venv must be what the algorithm trains on, which is a {type(inner).__name__}{hint}"
        )


class RefreshView(BaseCallback):
    """Lets a held view take over the learner's weights before every rollout, and only then.

    While the encoder moves, equal latents mean different things at the two ends of a rollout, and
    the value of its last observation is not comparable with that of its first. With `view="held"`
    and this callback all observations of a rollout come from one encoder, and those of an
    environment have one mask, while the learner goes on learning behind it. `vase/drift` tells how
    far each refresh moved the latents (root mean square, in units of the prior's standard
    deviation).

    Args:
        venv: the adapter that the algorithm trains on, with `view="held"`. Nothing around it may
            change the observations.

    Raises:
        ValueError: the view is not a held one, or, when training starts, the algorithm trains on
            something else.
    """

    def __init__(self, venv: VASEVecEnvWrapper) -> None:
        super().__init__()
        if not isinstance(venv, VASEVecEnvWrapper):
            # A VecFrameStack, say, would hand on the attributes of the adapter in it.
            raise ValueError(f"venv must be a VASEVecEnvWrapper, got a {type(venv).__name__}")
        kind = venv.observer.stream.view.kind
        if kind != "held":
            raise ValueError(f"venv must have view='held', got {kind!r}")
        self.venv = venv

    def _init_callback(self) -> None:
        check_trained_on(self.venv, self.training_env)

    def _on_rollout_start(self) -> None:
        latents, drift = self.venv.refresh()
        # The first observation of the rollout was encoded before.
        self.model._last_obs = latents
        self.logger.record("vase/drift", drift)

    def _on_step(self) -> bool:
        return True


class LogLearner(BaseCallback):
    """Writes what the learner does to the log of Stable-Baselines3, TensorBoard's among them.

    `vase/environment`, `vase/environments`, `vase/updates`, `vase/reconstruction_loss` (nats per
    frame), `vase/latents_unmasked`, `vase/latents_used` (of the present environment), and
    `vase/shifts` since the run began.

    Args:
        venv: the adapter that the algorithm trains on.
    """

    def __init__(self, venv: VASEVecEnvWrapper) -> None:
        super().__init__()
        self.venv = venv
        self.shifts = 0

    def _on_step(self) -> bool:
        infos: list[dict[str, Any]] = self.locals["infos"]
        self.shifts += int(infos[0]["vase"]["shift"])
        return True

    def _on_rollout_end(self) -> None:
        record_learner(self.logger, self.venv.observer.stream)
        self.logger.record("vase/shifts", self.shifts)


def record_learner(logger: Logger, stream: FrameStream) -> None:
    """What there is to log of a learner, but for what happened since; see `LogLearner`."""
    environments = stream.vase.environments
    logger.record("vase/environment", stream.environment)
    logger.record("vase/environments", len(stream.vase.registry.known))
    logger.record("vase/updates", stream.vase.updates)
    logger.record("vase/reconstruction_loss", stream.reconstruction_loss)
    if environments:
        present = environments[stream.environment]
        logger.record("vase/latents_unmasked", int(present.latent_mask.sum()))
        logger.record("vase/latents_used", int(present.used_latents.sum()))
