"""A trained encoder inside a policy, for those who keep pixels as observations."""

from __future__ import annotations

import copy
from collections.abc import Callable

import cv2
import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3.common.preprocessing import is_image_space_channels_first
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from torch import Tensor, nn

from ..learner import VASE

# Of RGB in grey, as OpenCV and ITU-R BT.601 have it.
GREY = (0.299, 0.587, 0.114)


class VASEFeatures(BaseFeaturesExtractor):
    """Latents of a learner as the features of `CnnPolicy`; frozen.

    The replay or rollout buffer then holds pixels, and equal pixels give equal features. Masked
    latents are 0.

    Args:
        observation_space: images as Stable-Baselines3 hands them to a policy: channels first, any
            size, grey or RGB, scaled to [0, 1].
        learner: one that has seen frames. Its encoder is copied.
        environment: whose mask applies; the learner's present one by default.

    Raises:
        ValueError: the observations are no images with channels first, or the learner does not
            know the environment.

    Example:
        >>> from stable_baselines3 import PPO
        >>> from vase_rl import VASE
        >>> from vase_rl.agents import VASEFeatures
        >>> kwargs = {  # doctest: +SKIP
        ...     "features_extractor_class": VASEFeatures,
        ...     "features_extractor_kwargs": {"learner": VASE.load("encoder.pt")},
        ... }
        >>> agent = PPO("CnnPolicy", env, policy_kwargs=kwargs)  # doctest: +SKIP
    """

    def __init__(
        self, observation_space: spaces.Box, learner: VASE, environment: int | None = None
    ) -> None:
        shape = observation_space.shape
        if len(shape) != 3 or not is_image_space_channels_first(observation_space):
            raise ValueError(f"observations must be images with channels first, got {shape}")
        if shape[0] not in (1, 3):
            raise ValueError(f"observations must have 1 or 3 channels, got {shape[0]}")
        if not learner.environments:
            raise ValueError("learner must have seen frames, got one that knows no environment")
        index = learner.environment if environment is None else environment
        if not 0 <= index < len(learner.environments):
            raise ValueError(
                f"environment must be among the {len(learner.environments)} that the learner "
                f"knows, counted from 0, got {index}"
            )
        super().__init__(observation_space, learner.config.latents)
        self.size = learner.config.image_size
        self.channels = learner.config.channels
        self.encoder = copy.deepcopy(learner.networks.encoder).requires_grad_(False)
        self.latent_mask: Tensor
        self.grey: Tensor
        mask = learner.environments[index].latent_mask
        self.register_buffer("latent_mask", mask.detach().clone())
        self.register_buffer("grey", torch.tensor(GREY).view(1, 3, 1, 1))
        self.rows: Tensor
        self.columns: Tensor
        self.register_buffer("rows", resizing(shape[1], self.size))
        self.register_buffer("columns", resizing(shape[2], self.size))

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
        if images.shape[1] == 3 and self.channels == 1:
            images = (images * self.grey).sum(1, keepdim=True)
        elif images.shape[1] == 1 and self.channels == 3:
            images = images.expand(-1, 3, -1, -1)
        return self.rows @ images @ self.columns.T


def resizing(old: int, new: int) -> Tensor:
    """The wrappers' resizing of one axis as a matrix (new, old): by area, or linear to grow."""
    rule = cv2.INTER_AREA if new < old else cv2.INTER_LINEAR
    return torch.from_numpy(
        cv2.resize(np.eye(old, dtype=np.float32), (old, new), interpolation=rule)
    )
