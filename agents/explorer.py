"""Imagination-driven exploration (A.4): a policy that realises what the learner imagines.

The learner has seen things move in one world. In the next, where nothing moves by itself, the
explorer imagines what the first could have shown, moves what it sees there, and lets the learner
train on the outcome.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..frames import to_frames, to_tensor
from ..latents import atypicality, hysteresis_mask
from ..learner import VASE
from ..reports import UpdateReport
from ..seeding import seeded
from .control import Control
from .imagination import Wish, Wishes, imaginable, imagine
from .policy import SMALLEST_SIZE, TranslationPolicy
from .rules import Count, Flag, Positive, ShareAboveZero, check, require
from .translation import carried_out, translated

CONTROL_EVERY = 4
"""Steps of the policy between two measurements of what it controls."""
AVERAGED = 100
"""Steps of the policy over which the one that acts is averaged; at first, a fourth of all."""


@dataclass(frozen=True)
class ExplorerConfig:
    """How to explore.

    Raises:
        ValueError: a field breaks its rule.
    """

    share: ShareAboveZero = 0.5
    """Share of explored frames in what the learner trains on, from the second environment on;
    below 1."""
    reach: ShareAboveZero = 0.6
    """Longest translation along an axis, in parts of the picture."""
    hidden: Count = 256
    """Units of the policy's hidden layer."""
    learning_rate: Positive = 1e-3
    policy_steps: Count = 2
    """Steps of the policy per batch: it is small, and the encoder that it follows moves on."""
    wishes: Wishes = "dream"
    """Where z* comes from (see `imagination.imagine`); the paper draws from the "prior"."""
    weigh_latents: Flag = True
    """Whether ‖z* − z‖² counts directions of the latents by how far the place of things explains
    them (see `control`). The paper counts all alike, also those of the shape, which no translation
    changes."""

    def __post_init__(self) -> None:
        check(self)
        require(self, "share", self.share < 1, "below 1")


class Explored(NamedTuple):
    """Frames and what became of them: uint8 (B, H, W, C), z*, and shifts (B, 2) in parts of the
    picture, to the right and downwards."""

    frames: np.ndarray
    wish: Wish
    shift: np.ndarray


class Explorer:
    """A learner's translation policy, trained in parallel with it.

    It does nothing before the learner knows which latents a world uses: an untrained encoder cannot
    be asked for anything. It never tests frames as a shift, and draws from no random state but its
    own.

    Args:
        vase: the learner.
        config: how to explore.
        seed: of the policy's weights and of wishes; None draws one.

    Raises:
        TypeError: `vase` is not a learner.
        ValueError: its pictures are smaller than 16 pixels.

    Example:
        >>> from vase_rl import VASE, VASEConfig
        >>> from vase_rl.agents import Explorer
        >>> from vase_rl.envs import make_source
        >>> explorer = Explorer(VASE(VASEConfig.preset("compact"), seed=0), seed=0)
        >>> report = explorer.update(make_source("moving-garments", size=32).sample(64).frames)
    """

    def __init__(
        self, vase: VASE, config: ExplorerConfig | None = None, *, seed: int | None = None
    ) -> None:
        if not isinstance(vase, VASE):
            raise TypeError(f"vase must be a VASE, got {vase!r}")
        size = vase.config.image_size
        if size < SMALLEST_SIZE:
            raise ValueError(
                f"the learner's image_size must be at least {SMALLEST_SIZE} for the policy's "
                f"convolutions, got {size}"
            )
        self.vase = vase
        self.config = config or ExplorerConfig()
        seed = torch.Generator().seed() % 2**31 if seed is None else seed
        self.generator = torch.Generator().manual_seed(seed)
        latents = vase.config.latents
        with seeded(seed):
            self.policy = TranslationPolicy(
                size, vase.config.channels, latents, self.config.hidden, self.config.reach
            ).to(vase.device)
        self.average = copy.deepcopy(self.policy).requires_grad_(False)
        """What acts: its weights are the mean of the policy's last ones."""
        self.optimizer = torch.optim.Adam(
            self.policy.parameters(), lr=self.config.learning_rate, fused=True
        )
        self.control = Control(latents, self.config.reach, self.generator, vase.device)
        self.updates = 0
        self.explored: list[Explored] = []
        """What the learner was trained on by the last `update`, beside the frames it was given."""
        self._owed = 0.0

    @property
    def ready(self) -> bool:
        """Whether there is anything to wish for."""
        return bool(imaginable(self.vase))

    @property
    def exploring(self) -> bool:
        """Whether the present environment is one to explore: there is another to imagine."""
        return self._explores(imaginable(self.vase))

    # ---------------------------------------------------------------- learning

    def update(self, frames: np.ndarray) -> UpdateReport:
        """`VASE.update`, with the policy trained beside it, and the learner on what it does.

        Explored frames are those of the batch, moved; the set share of training is theirs, and
        `explored` keeps them until the next time.

        Args:
            frames: uint8 (B, H, W, C), as of `VASE.update`.

        Raises:
            TypeError, ValueError, FloatingPointError: as `VASE.update`.
        """
        report = self.vase.update(frames)
        self.explored = []
        # Asked once: every answer waits for the device.
        worlds = imaginable(self.vase) if report.trained else []
        if worlds:
            x = to_tensor(frames, self.vase.config, self.vase.device)
            wish = self._imagine(len(x), worlds)
            if self._explores(worlds):
                wish = self._learn_from_moved(x, wish)
            self._follow(x, wish)
        return report

    def _learn_from_moved(self, x: Tensor, wish: Wish) -> Wish:
        """Move a batch as often as the share asks for; returns wishes for what comes next."""
        self._owed += self.config.share / (1 - self.config.share)
        while self._owed >= 1:
            self._owed -= 1
            self.explored.append(self._move(x, wish))
            self.learn_from(self.explored[-1].frames)
            wish = wish.passed_on()
        return wish

    def _follow(self, x: Tensor, wish: Wish) -> None:
        """Let the policy follow the encoder, on frames as they came and as they were moved."""
        half = len(x) // 2
        if self.explored:
            moved = to_tensor(self.explored[-1].frames[half:], self.vase.config, x.device)
            x = torch.cat([x[:half], moved])
        for _ in range(self.config.policy_steps):
            self._step(x, wish)
            wish = wish.passed_on()

    def learn_from(self, frames: np.ndarray) -> None:
        """Train the learner on explored frames of its present environment.

        Latents that were atypical on entry, when nothing moved, and that explored frames make
        typical are unmasked (A.2), but not with `inference="algorithm1"`: it compares masks with
        those of raw batches, and would open an environment.

        Args:
            frames: uint8 (B, H, W, C).

        Raises:
            RuntimeError, TypeError, ValueError, FloatingPointError: as `VASE.practise`.
        """
        if self.vase.config.masking and self.vase.config.inference != "algorithm1":
            self._admit(frames)
        self.vase.practise(frames)

    def train(self, frames: np.ndarray) -> Tensor | None:
        """One step of the policy on frames: E‖z* − z‖² over attended latents, the encoder fixed.

        Returns:
            The loss, (); None, and nothing happens, before there is anything to wish for.

        Raises:
            TypeError, ValueError: as `frames.to_tensor`.
        """
        x, worlds = to_tensor(frames, self.vase.config, self.vase.device), imaginable(self.vase)
        return self._step(x, self._imagine(len(x), worlds)) if worlds else None

    @torch.inference_mode(False)
    def _step(self, x: Tensor, wish: Wish) -> Tensor:
        if self.updates % CONTROL_EVERY == 0:
            self.control.measure(self.vase.networks.encoder, x)
        mean, std = self.vase.networks.encoder(translated(x, self.policy(wish.latents, x)))
        # The expectation over z ~ q(z|g·x) in closed form.
        metric, off = self._metric(wish.attended), wish.latents - mean
        loss: Tensor = (off @ metric * off).sum(1).mean()
        loss = loss + (std.square() @ metric.diagonal()).mean()
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward(inputs=list(self.policy.parameters()))  # type: ignore[no-untyped-call]
        self.optimizer.step()
        self.updates += 1
        weight = 1 / min(1 + self.updates // 4, AVERAGED)
        pairs = zip(self.average.parameters(), self.policy.parameters(), strict=True)
        for steady, latest in pairs:
            steady.lerp_(latest.detach(), weight)
        return loss.detach()

    # ---------------------------------------------------------------- acting

    def imagine(self, count: int) -> Wish:
        """Configurations z* (B, N) of one of the worlds that can be imagined here.

        Raises:
            RuntimeError: there is none yet.
        """
        worlds = imaginable(self.vase)
        if not worlds:
            raise RuntimeError("imagine needs a learner that knows which latents a world uses")
        return self._imagine(count, worlds)

    @torch.no_grad()
    def act(self, frames: np.ndarray, wish: Wish) -> np.ndarray:
        """Translations that the policy chooses, float32 (B, 2), to the right and downwards in
        parts of the picture.

        Raises:
            TypeError, ValueError: as `frames.to_tensor`.
        """
        x = to_tensor(frames, self.vase.config, self.vase.device)
        shift: np.ndarray = self.average(wish.latents, x).cpu().numpy()
        return shift

    @torch.no_grad()
    def explore(self, frames: np.ndarray) -> Explored:
        """Move frames to realise a wish for each.

        Raises:
            RuntimeError: as `imagine`.
            TypeError, ValueError: as `frames.to_tensor`.
        """
        x, wish = to_tensor(frames, self.vase.config, self.vase.device), self.imagine(len(frames))
        return self._move(x, wish)

    # ---------------------------------------------------------------- helpers

    def _explores(self, worlds: list[int]) -> bool:
        return self.updates > 0 and any(index != self.vase.environment for index in worlds)

    def _imagine(self, count: int, worlds: list[int]) -> Wish:
        place = int(torch.randint(len(worlds), (1,), generator=self.generator))
        return imagine(self.vase, worlds[place], count, self.generator, self.config.wishes)

    @torch.no_grad()
    def _move(self, x: Tensor, wish: Wish) -> Explored:
        moved, shift = carried_out(x, self.average(wish.latents, x))
        return Explored(to_frames(moved), wish, shift.cpu().numpy())

    def _metric(self, attended: Tensor) -> Tensor:
        """M, (N, N), of the loss (z* − z)ᵀM(z* − z)."""
        if self.config.weigh_latents:
            return self.control.metric(attended)
        return attended.float().diag()

    @torch.no_grad()
    def _admit(self, frames: np.ndarray) -> None:
        """Unmask latents of the present environment that are typical of explored frames."""
        vase = self.vase
        if not vase.environments:
            return
        world = vase.environments[vase.environment]
        mean, std = vase.networks.encoder(to_tensor(frames, vase.config, vase.device))
        noise = torch.randn(mean.shape, generator=self.generator).to(mean.device)
        typical = hysteresis_mask(world.latent_mask, atypicality(mean + std * noise), vase.config)
        world.latent_mask = world.latent_mask | typical
