"""Which world a frozen stream shows, from its last frames, at little cost beside the encoder."""

from __future__ import annotations

from collections import deque

import numpy as np

from ..learner import VASE

# The world is inferred from the last block of frames whenever that is new, and no sooner than after
# so many frames of each environment: several fill a block in few steps.
INTERVAL = 32
# Two of every four frames are compared. Neighbours are alike, so the answers hardly differ at half
# the cost; every second one would show but one half of what blinks from frame to frame.
KEPT, OF = 2, 4
# The loss that is reported is that of about so many of the last frames, after every so many of
# each: it needs encoder and decoder, and nothing depends on it.
LOSS_FRAMES = 8
LOSS_INTERVAL = 1024


class Watch:
    """Half of the last frames of every environment, over a block's worth of all."""

    def __init__(self) -> None:
        self._recent: list[deque[np.ndarray]] = []
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
            share = -(-vase.config.block_frames * KEPT // (OF * len(frames)))
            self._recent, self._count = [deque(maxlen=share) for _ in frames], [0] * len(frames)
            self._since_loss = LOSS_INTERVAL * len(frames)
        for row, new in enumerate(fresh.tolist()):
            if new and self._count[row] % OF < KEPT:
                self._recent[row].append(frames[row])
            self._count[row] += new
            self._since_inference += new
        if self._since_inference < self._until_inference:
            return None
        # At first with every doubling of what has been seen: one frame can be mistaken.
        seen, block = sum(self._count), vase.config.block_frames
        self._until_inference = seen if seen < block else max(block, INTERVAL * len(frames))
        self._since_loss += self._since_inference
        self._since_inference = 0
        return vase.recognise(np.stack([frame for row in self._recent for frame in row]))

    def loss(self, vase: VASE, environment: int, now: bool) -> float | None:
        """Reconstruction loss of the last frames, in nats per frame; None when it is not due."""
        if not now and self._since_loss < LOSS_INTERVAL * len(self._recent):
            return None
        self._since_loss = 0
        share = -(-LOSS_FRAMES // len(self._recent))
        last = [frame for row in self._recent for frame in list(row)[-share:]]
        return vase.reconstruction_loss(np.stack(last), environment)
