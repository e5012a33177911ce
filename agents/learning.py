"""An encoder inside a policy on pixels that goes on learning, by its own objective alone."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3.common.callbacks import BaseCallback

from ..learner import VASE
from ..wrappers import Observer, StreamConfig
from .callbacks import record_learner
from .features import VASEFeatures


class LearningFeatures(BaseCallback):
    """Trains the encoder of a policy's `VASEFeatures` on the frames that the policy sees.

    The learner gets every frame as it comes; the policy gets the learner's weights, and the mask of
    the environment that it is in, before every rollout and only then, so that the log-probabilities
    of a rollout stay true while it is learnt from. No gradient of the policy reaches the encoder.

    Logged: `vase/drift` (how far that moved the latents of the last frames; root mean square, in
    units of the prior's standard deviation), and what `LogLearner` logs but for shifts.

    Args:
        learner: that of `EncoderCopy.of` in the policy's arguments; no adapter may train it.
        schedule: when it is trained.
        seed: of the order of training frames.

    Raises:
        ValueError: when training starts, the policy has no `VASEFeatures`, or one of another
            configuration.

    Example:
        >>> from stable_baselines3 import PPO
        >>> from vase_rl import VASE, VASEConfig
        >>> from vase_rl.agents import EncoderCopy, LearningFeatures, VASEFeatures
        >>> vase = VASE(VASEConfig.preset("compact"))
        >>> kwargs = {  # doctest: +SKIP
        ...     "features_extractor_class": VASEFeatures,
        ...     "features_extractor_kwargs": {"encoder": EncoderCopy.of(vase)},
        ... }
        >>> agent = PPO("CnnPolicy", env, policy_kwargs=kwargs)  # doctest: +SKIP
        >>> agent.learn(20_000, callback=LearningFeatures(vase))  # doctest: +SKIP
    """

    def __init__(
        self, learner: VASE, schedule: StreamConfig | None = None, *, seed: int | None = None
    ) -> None:
        super().__init__()
        self.learner = learner
        self.schedule = schedule or StreamConfig()
        self.seed = seed
        self.observer: Observer | None = None
        self._count = 0

    def _init_callback(self) -> None:
        extractors = self._extractors()
        if not extractors:
            raise ValueError("the policy must have VASEFeatures as its features extractor")
        if any(extractor.config != self.learner.config for extractor in extractors):
            raise ValueError("learner must have the configuration of the policy's VASEFeatures")
        if self.observer is None or self._count != self.training_env.num_envs:
            self._count = self.training_env.num_envs
            channels, height, width = self.training_env.observation_space.shape or ()
            self.observer = Observer(
                spaces.Box(0, 255, (height, width, channels), np.uint8),
                learner=self.learner,
                view="held",
                seed=self.seed,
                **asdict(self.schedule),
            )

    def _extractors(self) -> list[VASEFeatures]:
        return [part for part in self.model.policy.modules() if isinstance(part, VASEFeatures)]

    def _on_rollout_start(self) -> None:
        assert self.observer is not None
        stream = self.observer.stream
        self.logger.record("vase/drift", self.observer.refresh())
        weights = stream.view.encoder.state_dict()
        mask = torch.from_numpy(stream.view.masks()[stream.environment])
        for extractor in self._extractors():
            extractor.take(weights, mask)

    def _on_step(self) -> bool:
        assert self.observer is not None
        # Stable-Baselines3 puts the channels first.
        images = np.moveaxis(self.locals["new_obs"], 1, -1)
        self.observer.stream.observe(self.observer.frames(images, len(images)))
        return True

    def _on_rollout_end(self) -> None:
        assert self.observer is not None
        record_learner(self.logger, self.observer.stream)
