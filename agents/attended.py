"""Which latents a policy looks at: those that its training world used.

A latent that the training world leaves unused stays near 0 there, so the policy's weights on it
are as random as at their initialisation. Another world may use it for a factor of its own, and
would then drive the policy through those weights. A policy that attends to the used latents only
sees the others as 0 in every world.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import torch
from gymnasium import spaces
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from torch import Tensor, nn

from ..learner import VASE


class AttendedLatents(BaseFeaturesExtractor):
    """Passes attended latents on and sets the others to 0.

    It is part of the policy: whatever adapter or wrapper brings the latents, and however the
    policy is saved, they are treated alike.

    Args:
        observation_space: latents (N,), or latents with a one-hot environment behind them, which
            always passes.
        attended: N flags.

    Raises:
        ValueError: the observation is no vector, or shorter than the flags.
    """

    def __init__(self, observation_space: spaces.Box, attended: Sequence[bool]) -> None:
        shape = observation_space.shape
        if len(shape) != 1 or shape[0] < len(attended):
            raise ValueError(
                f"observations must be vectors of at least {len(attended)} latents, got {shape}"
            )
        super().__init__(observation_space, shape[0])
        self.latents = len(attended)
        self.passes: Tensor
        self.register_buffer("passes", torch.ones(shape[0]))
        self.attend(attended)

    @property
    def attended(self) -> tuple[bool, ...]:
        """A flag per latent."""
        return tuple(bool(flag) for flag in self.passes[: self.latents] > 0)

    def attend(self, attended: Sequence[bool]) -> None:
        """Changes the flags. Never within a rollout: its log-probabilities would be wrong."""
        flags = torch.tensor(attended, dtype=self.passes.dtype, device=self.passes.device)
        self.passes[: self.latents] = flags

    def forward(self, observations: Tensor) -> Tensor:
        return observations * self.passes


def attended_latents(policy: nn.Module) -> tuple[bool, ...] | None:
    """What all networks of a policy attend to; None where they see everything.

    Raises:
        ValueError: they attend to different latents.
    """
    found = {part.attended for part in policy.modules() if isinstance(part, AttendedLatents)}
    if len(found) > 1:
        raise ValueError("attended_latents must be the same in all networks of the policy")
    return found.pop() if found else None


def attend(policy: nn.Module, attended: Sequence[bool]) -> None:
    """Changes the flags in all networks of a policy, targets among them.

    DQN and SAC have an extractor per network. A target network that saw other latents than the
    network that it is compared with would value another task; averaging weights does not reach it.
    """
    for part in policy.modules():
        if isinstance(part, AttendedLatents):
            part.attend(attended)


def used_in(vase: VASE, environment: int) -> tuple[bool, ...]:
    """Latents that are active and used in an environment; all where none is known to be used.

    Used latents are estimated every `used_interval` training steps: a young environment has none.

    Returns:
        N flags.
    """
    everything = (True,) * vase.config.latents
    if not 0 <= environment < len(vase.environments):
        return everything
    record = vase.environments[environment]
    used = (record.used_latents & record.latent_mask).tolist()
    return tuple(used) if any(used) else everything


class AttendToUsedLatents(BaseCallback):
    """Before a rollout, attends to what the training world uses.

    The training world is the environment that `info["vase"]` reported most often since the last
    time; until the first time everything is attended to.

    Args:
        vase: the learner behind the observations.
        interval: frames that are looked at before each time, or a whole rollout where that is
            more. The rollouts of DQN and SAC are a few frames long, which say little.
    """

    def __init__(self, vase: VASE, interval: int = 0) -> None:
        super().__init__()
        self.vase = vase
        self.interval = interval
        self._seen: Counter[int] = Counter()

    def _on_rollout_start(self) -> None:
        if self._seen and self._seen.total() >= self.interval:
            environment = self._seen.most_common(1)[0][0]
            attend(self.model.policy, used_in(self.vase, environment))
            self._seen.clear()

    def _on_step(self) -> bool:
        infos: list[dict[str, Any]] = self.locals["infos"]
        self._seen.update(info["vase"]["environment"] for info in infos)
        return True
