"""An encoder inside a policy, for those who keep pixels as observations."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3.common.preprocessing import is_image_space_channels_first
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from torch import Tensor, nn

from ..config import VASEConfig
from ..learner import VASE
from ..networks import Encoder

# Of RGB in grey, as OpenCV and ITU-R BT.601 have it.
GREY = (0.299, 0.587, 0.114)


@dataclass(frozen=True, eq=False)
class EncoderCopy:
    """What a policy needs of a learner: weights of its encoder, and a mask.

    `EncoderCopy.of` makes one. Stable-Baselines3 writes all arguments of a policy to the agent's
    file: this one is small there, and the file is all that loading the agent takes.
    """

    config: VASEConfig
    weights: dict[str, Tensor] = field(repr=False)
    latent_mask: Tensor
    """bool (N,): True where the latent is active."""

    @classmethod
    def of(cls, learner: VASE, environment: int | None = None) -> EncoderCopy:
        """Of a learner as it is now.

        Args:
            learner: one that has seen frames, or, for `LearningFeatures`, a new one.
            environment: whose mask applies; the learner's present one by default.

        Raises:
            ValueError: the learner does not know the environment.
        """
        known = learner.environments
        index = learner.environment if environment is None else environment
        if not (known or environment is None) or (known and not 0 <= index < len(known)):
            raise ValueError(
                f"environment must be among the {len(known)} that the learner knows, counted from "
                f"0, got {environment}"
            )
        mask = known[index].latent_mask if known else torch.ones(learner.config.latents).bool()
        weights = learner.networks.encoder.state_dict()
        cpu = {name: weight.detach().cpu().clone() for name, weight in weights.items()}
        return cls(learner.config, cpu, mask.cpu().clone())


class VASEFeatures(BaseFeaturesExtractor):
    """Latents of a learner as the features of `CnnPolicy`; the policy does not train them.

    The replay or rollout buffer then holds pixels, and equal pixels give equal features. Masked
    latents are 0. `LearningFeatures` lets a learner train them.

    Args:
        observation_space: images as Stable-Baselines3 hands them to a policy: channels first, any
            size, grey or RGB, scaled to [0, 1].
        encoder: `EncoderCopy.of(learner)`, or the path of a saved learner, which must be there
            again when the agent is loaded.

    Raises:
        TypeError: `encoder` is neither.
        ValueError: the observations are no images with channels first.
        FileNotFoundError, CheckpointError: as `VASE.load`.

    Example:
        >>> from stable_baselines3 import PPO
        >>> from vase_rl import VASE
        >>> from vase_rl.agents import EncoderCopy, VASEFeatures
        >>> kwargs = {  # doctest: +SKIP
        ...     "features_extractor_class": VASEFeatures,
        ...     "features_extractor_kwargs": {"encoder": EncoderCopy.of(VASE.load("encoder.pt"))},
        ... }
        >>> agent = PPO("CnnPolicy", env, policy_kwargs=kwargs)  # doctest: +SKIP
    """

    def __init__(self, observation_space: spaces.Box, encoder: EncoderCopy | str | Path) -> None:
        shape = observation_space.shape
        if len(shape) != 3 or not is_image_space_channels_first(observation_space):
            raise ValueError(f"observations must be images with channels first, got {shape}")
        if shape[0] not in (1, 3):
            raise ValueError(f"observations must have 1 or 3 channels, got {shape[0]}")
        if isinstance(encoder, (str, Path)):
            encoder = EncoderCopy.of(VASE.load(encoder, device="cpu"))
        if not isinstance(encoder, EncoderCopy):
            raise TypeError(f"encoder must be EncoderCopy.of(learner) or a path, got {encoder!r}")
        config = encoder.config
        super().__init__(observation_space, config.latents)
        self.config = config
        # Initialising weights that are overwritten must not advance the caller's random numbers.
        with torch.random.fork_rng(devices=[]):
            self.encoder = Encoder(config).requires_grad_(False)
        self.latent_mask: Tensor
        self.grey: Tensor
        self.register_buffer("latent_mask", torch.ones(config.latents, dtype=torch.bool))
        self.register_buffer("grey", torch.tensor(GREY).view(1, 3, 1, 1))
        self.rows: Tensor
        self.columns: Tensor
        self.register_buffer("rows", resizing(shape[1], config.image_size))
        self.register_buffer("columns", resizing(shape[2], config.image_size))
        self.take(encoder.weights, encoder.latent_mask)

    def take(self, weights: dict[str, Tensor], latent_mask: Tensor) -> None:
        """Go on with other weights and another mask.

        Never within a rollout: its log-probabilities would be wrong.
        """
        self.encoder.load_state_dict(weights)
        self.latent_mask.copy_(latent_mask)

    def apply(self, fn: Callable[[nn.Module], None]) -> VASEFeatures:
        """Does nothing: actor-critic policies initialise all that they hold anew through it."""
        return self

    def forward(self, observations: Tensor) -> Tensor:
        """Latents (B, N) of images (B, C, H, W)."""
        mean, _ = self.encoder(self._prepared(observations))
        features: Tensor = mean * self.latent_mask
        return features

    def _prepared(self, images: Tensor) -> Tensor:
        """In the learner's colours, and by area to its size."""
        if images.shape[1] == 3 and self.config.channels == 1:
            images = (images * self.grey).sum(1, keepdim=True)
        elif images.shape[1] == 1 and self.config.channels == 3:
            images = images.expand(-1, 3, -1, -1)
        return self.rows @ images @ self.columns.T


def resizing(old: int, new: int) -> Tensor:
    """The wrappers' resizing of one axis as a matrix (new, old): by area, or linear to grow."""
    rule = cv2.INTER_AREA if new < old else cv2.INTER_LINEAR
    return torch.from_numpy(
        cv2.resize(np.eye(old, dtype=np.float32), (old, new), interpolation=rule)
    )
