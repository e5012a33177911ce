"""Bundles of agent and encoder, left on disk while the training goes on."""

from __future__ import annotations

from pathlib import Path

from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.utils import safe_mean
from stable_baselines3.common.vec_env import VecMonitor, is_vecenv_wrapped

from ..wrappers import VASEVecEnvWrapper
from .bundle import Bundle
from .callbacks import Every, check_trained_on

BEST = "best.zip"


class SaveCheckpoints(BaseCallback):
    """Saves the agent with its encoder every so many frames, as bundles that `Bundle.load` reads.

    A checkpoint is `agent-FRAMES.zip`, written at the end of the first rollout that has come so
    far: under a temporary name first, so that an interruption leaves no broken file. Older ones
    that this callback has written are removed after it; files of earlier runs stay.

    Whatever would make saving impossible is found when training starts.

    Args:
        venv: the adapter that the algorithm trains on. Nothing around it may change the
            observations.
        folder: made where missing.
        every: frames between two checkpoints, all environments together.
        keep: so many of the newest are kept.
        best: whether to keep, as `best.zip`, also the checkpoint with the highest mean return of
            the last 100 episodes.
        env_id: name of the environment, for the record.

    Raises:
        ValueError: `every` or `keep` is not a positive integer. When training starts: the algorithm
            trains on something else, or, with `best`, its environments tell no returns
            (`Monitor` or `VecMonitor` does).
        BundleError: when training starts, the model cannot be bundled.
        OSError: a file or the folder cannot be written.
    """

    def __init__(
        self,
        venv: VASEVecEnvWrapper,
        folder: str | Path,
        *,
        every: int = 50_000,
        keep: int = 3,
        best: bool = False,
        env_id: str | None = None,
    ) -> None:
        super().__init__()
        if not isinstance(keep, int) or isinstance(keep, bool) or keep < 1:
            raise ValueError(f"keep must be a positive integer, got {keep!r}")
        self.venv = venv
        self.folder = Path(folder)
        self.keep = keep
        self.best = best
        self.env_id = env_id
        self.best_return = -float("inf")
        self._every = Every(every)
        self._written: list[Path] = []

    def _init_callback(self) -> None:
        check_trained_on(self.venv, self.training_env)
        if self.best and not self._tells_returns():
            raise ValueError("best needs environments in a Monitor or VecMonitor, got neither")
        self._bundle()
        self.folder.mkdir(parents=True, exist_ok=True)

    def _tells_returns(self) -> bool:
        env = self.training_env
        return is_vecenv_wrapped(env, VecMonitor) or all(env.env_is_wrapped(Monitor))

    def _on_training_start(self) -> None:
        self._every.start(self.num_timesteps)

    def _on_step(self) -> bool:
        return True

    def _on_rollout_end(self) -> None:
        if self._every.due(self.num_timesteps):
            self._save()

    def _save(self) -> None:
        bundle = self._bundle()
        path = self.folder / f"agent-{self.num_timesteps}.zip"
        bundle.save(path)
        self._written = [*(p for p in self._written if p != path), path]
        while len(self._written) > self.keep:
            self._written.pop(0).unlink(missing_ok=True)
        episodes = self.model.ep_info_buffer
        if self.best and episodes:
            mean = float(safe_mean([episode["r"] for episode in episodes]))
            if mean > self.best_return:
                bundle.save(self.folder / BEST)
                self.best_return = mean

    def _bundle(self) -> Bundle:
        # `Bundle.of` says what is wrong with a model of another algorithm.
        return Bundle.of(self.model, self.venv, env_id=self.env_id)  # type: ignore[arg-type]
