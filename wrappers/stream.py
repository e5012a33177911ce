"""The learner in front of a stream of frames: what is tested, learnt from, and shown when.

Frames arrive one step at a time, from one environment or several. Nothing is learnt from before it
is tested: fresh frames gather to a block, `VASE.update` says whether the block belongs to the
present world, and only then do its frames join the window that training draws from. A block that
speaks for another world is held in quarantine until that world is confirmed.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np

from ..learner import VASE
from ..reports import UpdateReport

# A block of frames that resemble each other too much to be tested grows up to so many batches.
LARGEST_BLOCK = 16
# ... until it is worth so many times the least number of independent frames: at the least itself,
# chance decides too often how much a block seems worth.
COMFORT = 2
# Frozen, the environment is inferred from so many recent frames, every so many frames.
RECENT_FRAMES = 64
INFERENCE_INTERVAL = 16


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
    frames_per_update: int = 8
    """Frames seen per training step."""

    def __post_init__(self) -> None:
        for name in ("warmup_frames", "window_frames", "frames_per_update"):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise ValueError(f"{name} must be a positive integer, got {value!r}")


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
        seed: of the order in which the window is drawn from.
    """

    def __init__(
        self,
        vase: VASE,
        config: StreamConfig | None = None,
        *,
        training: bool = True,
        seed: int | None = None,
    ) -> None:
        self.vase = vase
        self.config = config or StreamConfig()
        self.training = training
        self.environment = vase.environment
        self.reconstruction_loss = 0.0
        self.report: UpdateReport | None = None
        self._rng = np.random.default_rng(seed)
        self._fresh: list[np.ndarray] = []
        self._held: list[np.ndarray] = []
        self._window: deque[np.ndarray] = deque(maxlen=self.config.window_frames)
        self._recent: deque[np.ndarray] = deque(maxlen=RECENT_FRAMES)
        self._since_inference = 0
        self._steps_due = 0.0

    def observe(self, frames: np.ndarray) -> Change:
        """Take in the frames of one step, uint8 (E, H, W, C): one per parallel environment."""
        return self._learn(frames) if self.training else self._watch(frames)

    def latents(self, frames: np.ndarray) -> np.ndarray:
        """Posterior means of frames (E, H, W, C), masked as the environment says, (E, N)."""
        mean, _ = self.vase.encode(frames)
        if self.vase.environments:
            mean = mean * self.latent_mask
        return mean

    @property
    def latent_mask(self) -> np.ndarray:
        """aˢ of the environment that the stream is in, bool (N,); all ones before the first."""
        if not self.vase.environments:
            return np.ones(self.vase.config.latents, dtype=bool)
        mask: np.ndarray = self.vase.environments[self.environment].latent_mask.cpu().numpy()
        return mask

    def forget_recent(self) -> None:
        """Drop the frames that the frozen stream infers its environment from."""
        self._recent.clear()
        self._since_inference = 0
        self.environment = self.vase.environment
        self.reconstruction_loss = 0.0

    # ---------------------------------------------------------------- training

    def _learn(self, frames: np.ndarray) -> Change:
        self._fresh.append(frames)
        change = self._test() if self._block_is_due() else NO_CHANGE
        if self._window and self.vase.evidence is None:
            self._steps_due += len(frames) / self.config.frames_per_update
            self._practise()
        return change

    def _block_is_due(self) -> bool:
        batch = self.vase.config.batch_size
        count = sum(len(f) for f in self._fresh)
        if not self.vase.environments:
            return count >= max(self.config.warmup_frames, 2)
        if count < batch or count % batch >= len(self._fresh[-1]):
            return False
        if count >= LARGEST_BLOCK * batch:
            return True
        needed = self.vase.config.minimum_effective_frames
        return self.vase.effective_frames(self._block()) >= COMFORT * needed

    def _block(self) -> np.ndarray:
        """Fresh frames (B, H, W, C), environment by environment, each in its own order."""
        stacked = np.stack(self._fresh)
        return np.ascontiguousarray(stacked.swapaxes(0, 1)).reshape(-1, *stacked.shape[2:])

    def _test(self) -> Change:
        """Let the learner say where the fresh frames belong, and put them there."""
        block = self._block()
        self._fresh.clear()
        report = self.vase.update(block)
        self.report = report
        self.environment = report.environment
        change = Change(report.shift, report.new_environment)
        if change != NO_CHANGE:
            self._window.clear()
        if report.candidate:
            self._quarantine(block)
            return change
        if change != NO_CHANGE:
            # The first block in quarantine may straddle the switch; the later ones are pure.
            for held in self._held[1:]:
                self._window.extend(held)
        self._held.clear()
        self._window.extend(block)
        self.reconstruction_loss = report.losses.get("reconstruction", self.reconstruction_loss)
        self._steps_due -= 1.0
        return change

    def _quarantine(self, block: np.ndarray) -> None:
        """Keep a block that speaks for another world until that world is confirmed."""
        evidence = self.vase.evidence
        batches = 0 if evidence is None else evidence.batches
        if batches <= 1:
            self._held.clear()
        # Beyond that many, all environments are taken and this world will never be learnt.
        if batches < self.vase.config.persistence:
            self._held.append(block)

    def _practise(self) -> None:
        while self._steps_due >= 1.0:
            self._steps_due -= 1.0
            size = min(self.vase.config.batch_size, len(self._window))
            chosen = self._rng.choice(len(self._window), size, replace=False)
            losses = self.vase.practise(np.stack([self._window[i] for i in chosen]))
            self.reconstruction_loss = losses["reconstruction"]

    # ---------------------------------------------------------------- frozen

    def _watch(self, frames: np.ndarray) -> Change:
        if not self.vase.environments:
            return NO_CHANGE
        first = not self._recent
        self._recent.extend(frames)
        self._since_inference += len(frames)
        if not first and self._since_inference < INFERENCE_INTERVAL:
            return NO_CHANGE
        self._since_inference = 0
        found = self.vase.infer(np.stack(self._recent))
        shift = found.environment != self.environment
        self.environment = found.environment
        self.reconstruction_loss = found.reconstruction_loss
        return Change(shift=shift)
