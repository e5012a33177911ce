"""The encoder that a policy looks through: the learner's own, or one that moves less."""

from __future__ import annotations

import copy
from typing import Literal, get_args

import numpy as np
import torch
from torch import nn

from ..environments import Environment
from ..frames import to_tensor
from ..learner import VASE
from ..precision import dtype_of

View = Literal["live", "held", "average"]
Precision = Literal["float32", "bfloat16"]
AVERAGE_RATE = 0.01
"""Share of the way to the learner's weights that the average goes with every training step."""


class PolicyView:
    """A target encoder, so that a policy is not trained on latents that move under it.

    Args:
        vase: the learner.
        kind: "live", the learner's encoder; "held", a copy that stays as it is until `refresh`;
            "average", a copy that follows the learner's by an exponential moving average. A held
            view holds the masks too, of the environments known when it was refreshed.
        precision: of the layers below the posterior: "float32" or "bfloat16"; where the learner
            computes in bfloat16, so does the view.

    Raises:
        ValueError: `kind` or `precision` is none of these.
    """

    def __init__(self, vase: VASE, kind: View = "live", precision: Precision = "float32") -> None:
        for name, value, choices in (
            ("view", kind, get_args(View)),
            ("precision", precision, get_args(Precision)),
        ):
            if value not in choices:
                raise ValueError(f"{name} must be one of {choices}, got {value!r}")
        self.vase = vase
        self.kind = kind
        self.precision = precision
        self._rounded: nn.Module | None = None
        self._rounded_at = -1
        self.encoder = vase.networks.encoder
        if kind != "live":
            self.encoder = copy.deepcopy(self.encoder).requires_grad_(False)
        self._held_masks = self._masks_to_hold()

    @torch.inference_mode()
    def encode(self, frames: np.ndarray) -> np.ndarray:
        """Posterior means (B, N) of frames uint8 (B, H, W, C), no mask applied."""
        x = to_tensor(frames, self.vase.config, self.vase.device)
        learnt_in = dtype_of(self.vase.config.precision, self.vase.device)
        if self.precision == "float32" and learnt_in == torch.float32:
            features = self.encoder.features(x)
        else:
            features = self._rounded_trunk()(x.bfloat16()).float()
        means: np.ndarray = self.encoder.heads(features)[0].cpu().numpy()
        return means

    def _rounded_trunk(self) -> nn.Module:
        """A copy of the layers below the posterior, made anew when they have changed."""
        moved = self.kind != "held" and self._rounded_at != self.vase.updates
        if self._rounded is None or moved:
            rounded = copy.deepcopy(self.encoder.trunk).bfloat16()
            # Convolutions of such numbers are fastest with the channels last.
            self._rounded = rounded.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
            self._rounded_at = self.vase.updates
        return self._rounded

    def mask(self, environment: int) -> np.ndarray:
        """aˢ of one known environment, bool (N,), to be read only; all ones before the first."""
        if self.kind == "held" or not self.vase.environments:
            mask: np.ndarray = self.masks()[environment]
            return mask
        return self.vase.environments[environment].latent_mask.cpu().numpy()

    def masks(self) -> np.ndarray:
        """aˢ of every known environment, bool (K, N); all ones before the first."""
        masks = self._learner_masks()
        if self.kind == "held":
            known = self.vase.environments
            for environment, mask in self._held_masks:
                # The index of one that was given up goes to another.
                index = environment.index
                if index < len(known) and known[index] is environment:
                    masks[index] = mask
        return masks

    def _masks_to_hold(self) -> list[tuple[Environment, np.ndarray]]:
        """Of the known environments, as they are now."""
        # Before the first there is a mask, but of none.
        return list(zip(self.vase.environments, self._learner_masks(), strict=False))

    def _learner_masks(self) -> np.ndarray:
        if not self.vase.environments:
            return np.ones((1, self.vase.config.latents), dtype=bool)
        # Stacked on the device: one transfer, however many environments there are.
        masks: np.ndarray = (
            torch.stack([e.latent_mask for e in self.vase.environments]).cpu().numpy()
        )
        return masks

    @torch.no_grad()
    def follow(self, steps: int) -> None:
        """Go after a learner that has taken so many training steps; moves the average alone."""
        if self.kind == "average" and steps:
            rate = 1 - (1 - AVERAGE_RATE) ** steps
            learner = self.vase.networks.encoder
            for mine, theirs in zip(self.encoder.parameters(), learner.parameters(), strict=True):
                mine.lerp_(theirs, rate)

    def refresh(self) -> None:
        """Take over the learner's weights and masks as they are now."""
        self._held_masks = self._masks_to_hold()
        self._rounded = None
        if self.kind != "live":
            self.encoder.load_state_dict(self.vase.networks.encoder.state_dict())
