"""Which world a frozen stream shows, from its last frames, at little cost beside the encoder."""

from __future__ import annotations

from collections import deque

import numpy as np

from ..learner import VASE

# The world is inferred from the last block of frames whenever a block is new, but of several
# environments, which fill it in few steps, no sooner than after so many of each. What is compared
# of frames costs least when it is computed of many at once, and of every second one alone:
# neighbours are alike.
INTERVAL = 32
STRIDE = 2
# ... and the loss that is reported is that of about so many of the last frames, after every so many
# of each: it needs encoder and decoder, and nothing depends on it.
LOSS_FRAMES = 8
LOSS_INTERVAL = 1024


class Seen:
    """A frame, and what the learner compares of it once that was asked for."""

    __slots__ = ("features", "frame")

    def __init__(self, frame: np.ndarray) -> None:
        self.frame = frame
        self.features: np.ndarray | None = None


class Watch:
    """Every second one of the last frames of every environment, over a block's worth in all."""

    def __init__(self) -> None:
        self._recent: list[deque[Seen]] = []
        self._count: list[int] = []
        self._since_inference = 0
        self._until_inference = 1
        self._since_loss = 0

    def observe(self, vase: VASE, frames: np.ndarray, fresh: np.ndarray) -> int | None:
        """Take in frames (E, H, W, C), of which those with `fresh` (E,) have not been seen before.

        Returns:
            Index of the known environment that the last frames most likely come from; None when it
            is not yet time to ask again.
        """
        if not self._recent:
            share = -(-vase.config.block_frames // (STRIDE * len(frames)))
            self._recent, self._count = [deque(maxlen=share) for _ in frames], [0] * len(frames)
            self._since_loss = LOSS_INTERVAL * len(frames)
        for row, new in enumerate(fresh.tolist()):
            if new and self._count[row] % STRIDE == 0:
                self._recent[row].append(Seen(frames[row]))
            self._count[row] += new
            self._since_inference += new
        if self._since_inference < self._until_inference:
            return None
        # At first with every doubling of what has been seen: one frame can be mistaken.
        seen, block = sum(self._count), vase.config.block_frames
        self._until_inference = seen if seen < block else max(block, INTERVAL * len(frames))
        self._since_loss += self._since_inference
        self._since_inference = 0
        # Environment by environment: neighbours are compared for how much frames resemble.
        recent = [seen for row in self._recent for seen in row]
        return vase.recognise(np.stack([seen.frame for seen in recent]), _features(vase, recent))

    def loss(self, vase: VASE, environment: int, now: bool) -> float | None:
        """Reconstruction loss of the last frames, in nats per frame; None when it is not due."""
        if not now and self._since_loss < LOSS_INTERVAL * len(self._recent):
            return None
        self._since_loss = 0
        share = -(-LOSS_FRAMES // len(self._recent))
        last = [seen.frame for row in self._recent for seen in list(row)[-share:]]
        return vase.reconstruction_loss(np.stack(last), environment)


def _features(vase: VASE, recent: list[Seen]) -> np.ndarray:
    """Features (B, D) of frames; those that have been asked for before are not computed again."""
    new = [seen for seen in recent if seen.features is None]
    if new:
        computed = vase.block_features(np.stack([seen.frame for seen in new]))
        for seen, features in zip(new, computed, strict=True):
            seen.features = features
    return np.stack([seen.features for seen in recent if seen.features is not None])
