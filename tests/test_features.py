"""An encoder inside a policy on pixels: frozen, or learning by its own objective."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from counting import TINY, Counter, Memory, makers, venv
from gymnasium import spaces
from stable_baselines3 import DQN, PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.vec_env import DummyVecEnv

from vase_rl import VASE
from vase_rl.agents import EncoderCopy, LearningFeatures, VASEFeatures
from vase_rl.wrappers import PixelReader, StreamConfig

# ---------------------------------------------------------------- a policy on pixels


def taught() -> VASE:
    vase, env = VASE(TINY, seed=0, device="cpu"), Counter()
    env.reset(seed=0)
    for _ in range(3):
        vase.update(np.stack([env.step(0)[0] for _ in range(16)]))
    vase.environments[0].latent_mask[2] = False
    return vase


@pytest.mark.parametrize(
    "shape",
    [(16, 16, 1), (32, 32, 1), (48, 64, 3), (16, 16, 3), (84, 84, 1), (20, 30, 1), (9, 9, 1)],
)
def test_features_are_the_wrappers_latents(shape: tuple[int, ...]) -> None:
    """On noise, but for rounding to bytes; and for the order of grey and area, in colour."""
    vase = taught()
    image = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    reader = PixelReader(spaces.Box(0, 255, shape, np.uint8))
    frame = reader.read(image, 16, 1)[None]
    expected = vase.encode(frame)[0] * vase.environments[0].latent_mask.numpy()
    space = spaces.Box(0, 255, (shape[2], *shape[:2]), np.uint8)
    features = VASEFeatures(space, EncoderCopy.of(vase))
    with torch.no_grad():
        images = torch.from_numpy(image).permute(2, 0, 1)[None] / 255
        np.testing.assert_allclose(features._prepared(images)[0, 0] * 255, frame[0, ..., 0], atol=1)
        seen = features(images)
    np.testing.assert_allclose(seen, expected, atol=0.02)
    assert seen[0, 2] == 0


def on_latents_of(vase: VASE) -> dict[str, Any]:
    return {
        "features_extractor_class": VASEFeatures,
        "features_extractor_kwargs": {"encoder": EncoderCopy.of(vase)},
        "net_arch": [8],
    }


def test_cnn_policy_takes_them_and_leaves_the_encoder_alone() -> None:
    vase = taught()
    agent = PPO(
        "CnnPolicy", DummyVecEnv(makers(2)), n_steps=16, batch_size=16, seed=0, device="cpu",
        policy_kwargs=on_latents_of(vase),
    )  # fmt: skip
    agent.learn(64)
    extractor = agent.policy.features_extractor
    assert isinstance(extractor, VASEFeatures)
    trained = dict(extractor.encoder.named_parameters())
    for name, weight in vase.networks.encoder.named_parameters():
        assert torch.equal(trained[name], weight)


def test_an_agent_with_an_encoder_needs_no_other_file_and_keeps_no_learner(tmp_path: Path) -> None:
    vase = taught()
    agent = PPO(
        "CnnPolicy", DummyVecEnv(makers(1)), n_steps=16, batch_size=16, seed=0, device="cpu",
        policy_kwargs=on_latents_of(vase),
    )  # fmt: skip
    agent.learn(16)
    agent.save(tmp_path / "agent.zip")
    vase.save(tmp_path / "vase.pt")
    images = np.random.default_rng(0).integers(0, 256, (5, 1, 16, 16), dtype=np.uint8)
    loaded = PPO.load(tmp_path / "agent.zip", device="cpu")
    with torch.no_grad():
        expected, found = (
            each.policy.get_distribution(torch.from_numpy(images)).distribution.logits
            for each in (agent, loaded)
        )
    assert torch.equal(expected, found)
    assert b"Moments" not in pickle.dumps(agent.policy_kwargs)
    assert len(pickle.dumps(agent.policy_kwargs)) < (tmp_path / "vase.pt").stat().st_size / 4


def test_a_policy_takes_a_saved_learner_by_its_path(tmp_path: Path) -> None:
    vase = taught()
    vase.save(tmp_path / "vase.pt")
    space = spaces.Box(0, 255, (1, 16, 16), np.uint8)
    images = torch.rand(3, 1, 16, 16)
    with torch.no_grad():
        expected = VASEFeatures(space, EncoderCopy.of(vase))(images)
        assert torch.equal(VASEFeatures(space, str(tmp_path / "vase.pt"))(images), expected)


# ---------------------------------------------------------------- ... that goes on learning


class Fidelity(BaseCallback):
    """How the policy's features differ from the learner's latents when a rollout starts."""

    def __init__(self, learning: LearningFeatures) -> None:
        super().__init__()
        self.learning = learning
        self.gaps: list[float] = []

    def _on_rollout_start(self) -> None:
        images = np.random.default_rng(0).integers(0, 256, (8, 1, 16, 16), dtype=np.uint8)
        extractor = next(m for m in self.model.policy.modules() if isinstance(m, VASEFeatures))
        assert self.learning.observer is not None
        expected = self.learning.observer.stream.latents(np.moveaxis(images, 1, -1))
        with torch.no_grad():
            found = extractor(torch.from_numpy(images) / 255)
        np.testing.assert_allclose(
            expected, self.learning.learner.encode(np.moveaxis(images, 1, -1))[0] * mask_of(self)
        )
        self.gaps.append(float(np.abs(found.numpy() - expected).max()))

    def _on_step(self) -> bool:
        return True


def mask_of(fidelity: Fidelity) -> Any:
    known = fidelity.learning.learner.environments
    return known[0].latent_mask.numpy() if known else 1.0


def learning_agent(kind: Any, **options: Any) -> tuple[Any, LearningFeatures]:
    vase = VASE(TINY, seed=0, device="cpu")
    agent = kind(
        "CnnPolicy", DummyVecEnv(makers(2)), seed=0, device="cpu",
        policy_kwargs=on_latents_of(vase), **options,
    )  # fmt: skip
    schedule = StreamConfig(warmup_frames=32, frames_per_update=4)
    return agent, LearningFeatures(vase, schedule, seed=0)


def test_an_encoder_inside_a_policy_learns_by_its_own_objective() -> None:
    agent, learning = learning_agent(PPO, n_steps=32, batch_size=64, n_epochs=1)
    memory = Memory()
    agent.set_logger(Logger(None, [memory]))
    fidelity = Fidelity(learning)
    agent.learn(256, callback=[learning, fidelity])
    assert learning.learner.updates > 10
    assert max(fidelity.gaps) < 1e-5
    # One epoch of one minibatch: nothing has moved since the rollout, so the ratios are all 1.
    assert [abs(w["train/approx_kl"]) < 1e-6 for w in memory.written[1:]] == [True] * 3
    assert memory.written[-1]["vase/drift"] > 0
    assert memory.written[-1]["vase/updates"] == learning.learner.updates


def test_the_policys_optimizer_leaves_the_encoder_alone() -> None:
    agent, learning = learning_agent(PPO, n_steps=32, batch_size=64, learning_rate=0.1)
    agent.learn(128, callback=learning)
    encoder = agent.policy.features_extractor.encoder
    assert learning.observer is not None
    held = dict(learning.observer.stream.view.encoder.named_parameters())
    for name, weight in encoder.named_parameters():
        assert weight.grad is None
        assert torch.equal(weight, held[name])


def test_every_network_of_an_off_policy_agent_sees_through_the_same_encoder() -> None:
    agent, learning = learning_agent(DQN, buffer_size=200, learning_starts=16, batch_size=16)
    agent.learn(120, callback=learning)
    extractors = [m for m in agent.policy.modules() if isinstance(m, VASEFeatures)]
    assert len(extractors) == 2
    images = torch.rand(3, 1, 16, 16)
    with torch.no_grad():
        assert torch.equal(extractors[0](images), extractors[1](images))
    assert learning.learner.updates > 5


def test_a_policy_without_the_learners_encoder_is_refused() -> None:
    agent, learning = learning_agent(PPO, n_steps=32, batch_size=64)
    other = LearningFeatures(VASE(replace(TINY, latents=8), seed=0, device="cpu"))
    with pytest.raises(ValueError, match="learner must have the configuration of the policy's"):
        agent.learn(32, callback=other)
    plain = PPO("MlpPolicy", venv(1), n_steps=32, batch_size=32, device="cpu")
    with pytest.raises(ValueError, match="the policy must have VASEFeatures"):
        plain.learn(32, callback=learning)


# ---------------------------------------------------------------- bad input


def test_bad_input() -> None:
    vase, image = taught(), spaces.Box(0, 255, (1, 16, 16), np.uint8)
    copied, vector = EncoderCopy.of(vase), spaces.Box(-1, 1, (6,), np.float32)
    table: list[tuple[Any, type[Exception], str]] = [
        (lambda: VASEFeatures(vector, copied), ValueError, "images with channels first"),
        (lambda: EncoderCopy.of(vase, 1), ValueError, "environment must be among the 1"),
        (
            lambda: EncoderCopy.of(VASE(TINY, seed=0, device="cpu"), 0),
            ValueError,
            "environment must be among the 0",
        ),
        (
            lambda: VASEFeatures(spaces.Box(0, 255, (2, 16, 16), np.uint8), copied),
            ValueError,
            "1 or 3 channels, got 2",
        ),
        (lambda: VASEFeatures(image, "none.pt"), FileNotFoundError, "no checkpoint at none.pt"),
        (
            lambda: VASEFeatures(image, vase),  # type: ignore[arg-type]
            TypeError,
            r"encoder must be EncoderCopy.of\(learner\) or a path",
        ),
    ]
    for call, error, message in table:
        with pytest.raises(error, match=message):
            call()
