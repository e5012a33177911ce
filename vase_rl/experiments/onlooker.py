"""What detectors of shifts look at: frames, fixed features, and a plain VAE that learns online."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ..config import VASEConfig
from ..distributions import negative_log_likelihood
from ..frames import to_tensor
from ..learner import VASE
from ..wrappers.stream import FrameStream

Frames = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Stretch:
    """Consecutive frames of a stream, and what is known of each before it is learnt from."""

    frames: Frames
    """uint8 (n, H, W, C)."""
    features: Tensor
    """float32 (n, D), `fixed_features.FixedFeatures`."""
    losses: Floats | None = None
    """(n,): reconstruction losses of the plain VAE, in nats; None where no detector needs it."""
    latents: Floats | None = None
    """(n, N): its posterior means."""

    def __len__(self) -> int:
        return len(self.frames)


class Onlooker:
    """Sees a stream once, for all detectors.

    The plain VAE has one environment, no mask and no dreams. It learns as behind the wrapper: a
    step for every 8 frames, on recent ones.

    Args:
        channels: of the frames, 32×32 pixels each: 1 or 3.
        plain: whether there is a plain VAE.
        seed: of its weights, its noise, and the order in which it learns.
        device: as of `VASE`.
    """

    def __init__(self, channels: int, *, plain: bool, seed: int, device: str = "auto") -> None:
        config = VASEConfig.preset(
            "compact", channels=channels, clustering=False, dreaming=False, masking=False
        )
        self.vase = VASE(config, seed=seed, device=device)
        self._learning = FrameStream(self.vase, seed=seed) if plain else None

    @torch.no_grad()
    def look(self, frames: Frames) -> Stretch:
        """Describe the next frames of the stream, then learn from them.

        Raises:
            TypeError, ValueError: as `frames.to_tensor`.
        """
        x = to_tensor(frames, self.vase.config, self.vase.device)
        features = self.vase.features(x).cpu()
        if self._learning is None:
            return Stretch(frames, features)
        latents, _ = self.vase.networks.encoder(x)
        world = torch.zeros(len(x), dtype=torch.long, device=x.device)
        output = self.vase.networks.decoder(latents, world)
        losses = negative_log_likelihood(output, x, self.vase.config)
        for frame in frames:
            self._learning.observe(frame[None])
        seen = losses.cpu().numpy(), latents.cpu().numpy()
        return Stretch(frames, features, *seen)
