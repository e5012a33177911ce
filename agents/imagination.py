"""What an agent may wish for: configurations z* that the learnt worlds could show."""

from __future__ import annotations

from typing import Annotated, Literal, NamedTuple

import torch
from torch import Tensor

from ..distributions import expected_pixels
from ..learner import VASE
from .rules import Rule

WISHES = ("dream", "prior")
Wishes = Annotated[
    Literal["dream", "prior"], Rule(f"one of {WISHES}", lambda value: value in WISHES)
]
DREAMT_AGAIN = 6
"""Times that a draw from the prior is decoded and encoded before it is wished for."""


class Wish(NamedTuple):
    """Configurations z* (B, N), and which latents they are about, bool (N,); the others are 0."""

    latents: Tensor
    attended: Tensor

    def passed_on(self) -> Wish:
        """The same configurations, each for the next frame of a batch."""
        return Wish(self.latents.roll(1, 0), self.attended)


def imaginable(vase: VASE) -> list[int]:
    """Environments that can be imagined here: known ones that use latents and are not forbidden;
    the others than the present one, if there are any."""
    known = [world for world in vase.environments if world.alive]
    if not known:
        return []
    anything = torch.stack([(e.used_latents & e.latent_mask).any() for e in known])
    found = [e.index for e, any_ in zip(known, anything.tolist(), strict=True) if any_]
    return [index for index in found if index != vase.environment] or found


@torch.no_grad()
def imagine(
    vase: VASE, environment: int, count: int, generator: torch.Generator, wishes: Wishes = "dream"
) -> Wish:
    """Draw configurations of an environment from the prior.

    Most draws show nothing that exists: three latents may hold two coordinates, and no picture has
    all triples. "dream" decodes a draw and encodes what came out, a few times; what is left are
    configurations that the learner sees in pictures. "prior" is the paper's draw as it is.

    Args:
        vase: the learner; its random state does not move.
        environment: index of a known environment; its mask and its used latents apply.
        count: B.
        generator: of the draws.
    """
    world = vase.environments[environment]
    z = torch.randn(count, vase.config.latents, generator=generator).to(vase.device)
    s = torch.full((count,), environment, device=vase.device)
    networks, config = vase.networks, vase.config
    for _ in range(DREAMT_AGAIN if wishes == "dream" else 0):
        frames = expected_pixels(networks.decoder(z * world.latent_mask, s), config)
        z = networks.encoder(frames)[0]
    attended = world.used_latents & world.latent_mask
    return Wish(z * attended, attended)
