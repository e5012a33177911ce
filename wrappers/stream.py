"""The learner in front of a stream of frames: what is tested, learnt from, and shown when.

Frames arrive one step at a time, from one environment or several. Nothing is learnt from before it
is tested: fresh frames gather to a block, `VASE.update` says whether the block belongs to the
present world, and only then do its frames join the window that training draws from. A block that
speaks for another world is held in quarantine until the learner goes there, or stays.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np

from ..endings import is_dead
from ..learner import VASE
from ..registry import Status
from ..reports import UpdateReport
from ..shifts import LONG_PERSISTENCE
from .view import PolicyView, Precision, View
from .watch import Watch


@dataclass(frozen=True)
class StreamConfig:
    """How a stream of frames feeds the learner.

    Raises:
        ValueError: a field breaks its rule.
    """

    warmup_frames: int = 256
    """Frames gathered before the first training step, so that the first batch is diverse."""
    window_frames: int = 2048
    """Recent frames of the present environment that training draws from."""
    frames_per_update: int | None = None
    """Frames seen per training step, and at least one step per block. None: 8, but with many
    environments side by side a training step after every fourth of theirs, or learning would take
    longer than everything else."""

    def __post_init__(self) -> None:
        for name in ("warmup_frames", "window_frames", "frames_per_update"):
            value = getattr(self, name)
            if value is None and name == "frames_per_update":
                continue
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise ValueError(f"{name} must be a positive integer, got {value!r}")

    def pace(self, environments: int) -> int:
        """Frames per training step with so many environments."""
        return self.frames_per_update or max(8, 4 * environments)


@dataclass(frozen=True)
class Change:
    """What one step of the stream changed."""

    shift: bool = False
    new_environment: bool = False


NO_CHANGE = Change()


class FrameStream:
    """Feeds a learner with frames in their own order and gives latents back.

    Args:
        vase: the learner, which several streams must not share while they train.
        config: the schedule.
        training: whether frames are learnt from; can be switched at any time.
        view, precision: through which encoder `latents` looks, and how exactly (see `PolicyView`).
        seed: of the order in which the window is drawn from.
    """

    def __init__(
        self,
        vase: VASE,
        config: StreamConfig | None = None,
        *,
        training: bool = True,
        view: View = "live",
        precision: Precision = "float32",
        seed: int | None = None,
    ) -> None:
        self.vase = vase
        self.view = PolicyView(vase, view, precision)
        self.config = config or StreamConfig()
        self._training = training
        self._environment = vase.environment
        self.reconstruction_loss = 0.0
        self.report: UpdateReport | None = None
        self._rng = np.random.default_rng(seed)
        self._fresh: list[list[np.ndarray]] = []
        self._last_count = 0
        self._last: np.ndarray | None = None
        self._held: deque[np.ndarray] = deque(maxlen=LONG_PERSISTENCE)
        self._window: deque[np.ndarray] = deque(maxlen=self.config.window_frames)
        self._watch = Watch()
        self._steps_due = 0.0

    @property
    def environment(self) -> int:
        """Index of the environment that the stream is in.

        A stream that does not train may believe in one that the learner has given up since.
        """
        known = self.vase.environments
        if self._training or self._environment >= len(known):
            return self.vase.environment
        into = known[self._environment].merged_into
        return self._environment if into is None else into

    @property
    def status(self) -> Status:
        """Of that environment, as `VASE.status`; a stream that does not train recognises only."""
        return self.vase.status if self._training else "recognised"

    @property
    def name(self) -> str:
        """Of that environment, as `VASE.rename` has given it; empty by default."""
        known = self.vase.environments
        return known[self.environment].name if known else ""

    @property
    def forbidden(self) -> bool:
        """Whether that environment is one that `VASE.forbid` was told of: nothing is learnt."""
        known = self.vase.environments
        return bool(known) and known[self.environment].forbidden

    @property
    def training(self) -> bool:
        """Whether frames are learnt from."""
        return self._training

    @training.setter
    def training(self, value: bool) -> None:
        if value != self._training:
            # Frames that wait to be tested may be of another world than the next ones.
            self._fresh = []
            self._held.clear()
            self.forget_recent()
        self._training = value

    def use(self, vase: VASE) -> None:
        """Go on with another learner, as if this stream had begun with it."""
        self.vase = vase
        self.view = PolicyView(vase, self.view.kind, self.view.precision)
        self.report = None
        self._last = None
        self._fresh = []
        self._held.clear()
        self._window.clear()
        self._steps_due = 0.0
        self.forget_recent()

    def observe(
        self,
        frames: np.ndarray,
        fresh: np.ndarray | None = None,
        ended: np.ndarray | None = None,
    ) -> Change:
        """Take in the frames of one step, one per parallel environment.

        Args:
            frames: uint8 (E, H, W, C); E never changes. They are kept, not copied: an array that
                is written into again must be copied by the caller.
            fresh: bool (E,), which of them have not been seen before; all by default. The others
                are neither tested nor learnt from.
            ended: bool (E,), which of them are the last of their episode; none by default. Those
                that are black, or show the frame before once more, are no picture of their world
                and count as not fresh.
        """
        seen = np.ones(len(frames), dtype=bool) if fresh is None else fresh
        if ended is not None and ended.any():
            seen = seen & ~self._dead(frames, ended)
        self._last = frames
        return self._learn(frames, seen) if self.training else self._see(frames, seen)

    def _dead(self, frames: np.ndarray, ended: np.ndarray) -> np.ndarray:
        dead = np.zeros(len(frames), dtype=bool)
        for row in np.flatnonzero(ended):
            dead[row] = is_dead(frames[row], None if self._last is None else self._last[row])
        return dead

    def latents(self, frames: np.ndarray, environments: np.ndarray | None = None) -> np.ndarray:
        """Posterior means of frames (B, H, W, C) as the policy sees them, float32 (B, N).

        Args:
            frames: uint8.
            environments: indices (B,) of the known environments whose masks apply; the present
                one by default.
        """
        view = self.view
        one = environments is None
        mask = view.mask(self.environment) if one else view.masks()[environments]
        latents: np.ndarray = view.encode(frames) * mask
        return latents

    def refresh(self) -> float:
        """Let a held view take over the learner's weights.

        Returns:
            How far that moved the latents of the last frames seen, as a root mean square in units
            of the prior's standard deviation; 0 before the first frame.
        """
        if self._last is None:
            self.view.refresh()
            return 0.0
        before = self.latents(self._last)
        self.view.refresh()
        return float(np.sqrt(np.mean((self.latents(self._last) - before) ** 2)))

    def forget_recent(self) -> None:
        """Drop the frames that the frozen stream infers its environment from."""
        self._watch = Watch()
        self._environment = self.vase.environment
        self.reconstruction_loss = 0.0

    # ---------------------------------------------------------------- training

    def _learn(self, frames: np.ndarray, fresh: np.ndarray) -> Change:
        updates = self.vase.updates
        self._gather(frames, fresh)
        change = self._test() if self._block_is_due() else NO_CHANGE
        if self._window and not self.vase.paused:
            self._steps_due += self._last_count / self.config.pace(len(frames))
            self._practise()
        self.view.follow(self.vase.updates - updates)
        return change

    def _gather(self, frames: np.ndarray, fresh: np.ndarray) -> None:
        if not self._fresh:
            self._fresh = [[] for _ in frames]
        for row in np.flatnonzero(fresh):
            self._fresh[row].append(frames[row])
        self._last_count = int(fresh.sum())

    def _block_is_due(self) -> bool:
        count = sum(len(row) for row in self._fresh)
        if not self.vase.environments:
            return count >= max(self.config.warmup_frames, 2)
        return count >= self.vase.config.block_frames

    def _block(self) -> np.ndarray:
        """Fresh frames (B, H, W, C), environment by environment, each in its own order."""
        return np.stack([frame for row in self._fresh for frame in row])

    def _test(self) -> Change:
        """Let the learner say where the fresh frames belong, and put them there."""
        block = self._block()
        self._fresh.clear()
        report = self.vase.update(block)
        self.report = report
        change = Change(report.shift, report.new_environment)
        if change != NO_CHANGE:
            self._window.clear()
        if report.candidate:
            self._held.append(block)
            return change
        if change != NO_CHANGE:
            for held in self._pure(report.blocks, block):
                self._window.extend(held)
        self._held.clear()
        if report.trained:
            self._window.extend(block)
            # Every block is trained on once, however rare further steps are.
            self._steps_due = max(self._steps_due - 1.0, -1.0)
            self.reconstruction_loss = report.losses["reconstruction"]
        return change

    def _pure(self, blocks: int, last: np.ndarray) -> list[np.ndarray]:
        """Held frames of the world that was entered with so many of the learner's blocks, the last
        of which are not held; the first may straddle the switch."""
        parts = max(1, len(last) // self.vase.config.block_frames)
        count = min(len(self._held), max(0, (blocks - 1) // parts - 1))
        return list(self._held)[len(self._held) - count :]

    def _practise(self) -> None:
        while self._steps_due >= 1.0:
            self._steps_due -= 1.0
            size = min(self.vase.config.batch_size, len(self._window))
            chosen = self._rng.choice(len(self._window), size, replace=False)
            losses = self.vase.practise(np.stack([self._window[i] for i in chosen]))
            self.reconstruction_loss = losses["reconstruction"]

    # ---------------------------------------------------------------- frozen

    def _see(self, frames: np.ndarray, fresh: np.ndarray) -> Change:
        if not self.vase.environments or not fresh.any():
            return NO_CHANGE
        found = self._watch.observe(self.vase, frames, fresh)
        if found is None:
            return NO_CHANGE
        shift = found != self.environment
        self._environment = found
        loss = self._watch.loss(self.vase, found, shift)
        if loss is not None:
            self.reconstruction_loss = loss
        return Change(shift=shift)
