"""The paper's rule as printed, for comparison: Algorithm 1 in a learner of its own."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

from ..config import VASEConfig
from ..learner import VASE
from ..wrappers.stream import FrameStream
from .onlooker import Stretch

SEED = 0


class PrintedRule:
    """Alarms where a learner of the paper's recipe, behind a wrapper's stream, changes environment.

    It needs encoder, decoder and classifier, so it learns them as it goes, at every setting anew.
    Networks are of the size of `compact`, on the CPU. Once all environments are taken it opens no
    more.

    Args:
        kappa: `VASEConfig.loss_tolerance`.
    """

    merges = 0

    def __init__(self, kappa: float) -> None:
        self.kappa = kappa
        self._stream: FrameStream | None = None

    @property
    def beliefs(self) -> PrintedRule:
        """As `Detector.beliefs`: itself."""
        return self

    @property
    def vase(self) -> VASE | None:
        """The learner; None before the first frame."""
        return None if self._stream is None else self._stream.vase

    @property
    def environment(self) -> int:
        """As `Beliefs.environment`."""
        return 0 if self.vase is None else self.vase.registry.serial(self.vase.environment)

    @property
    def opened(self) -> Sequence[int]:
        """As `Beliefs.opened`."""
        return () if self.vase is None else self.vase.registry.opened

    def observe(self, stretch: Stretch) -> list[int]:
        """As `Detector.observe`."""
        if self._stream is None:
            self._stream = self._start(channels=stretch.frames.shape[3])
        with warnings.catch_warnings():
            # That all environments are taken shows in the results.
            warnings.simplefilter("ignore", RuntimeWarning)
            changes = [self._stream.observe(frame[None]) for frame in stretch.frames]
        return [place for place, change in enumerate(changes) if change.shift]

    def _start(self, channels: int) -> FrameStream:
        config = VASEConfig.preset(
            "compact", as_printed=True, channels=channels, loss_tolerance=self.kappa
        )
        return FrameStream(VASE(config, seed=SEED, device="cpu"), seed=SEED)
