"""One file for an agent and its encoder: kept, read without running code, refused."""

from __future__ import annotations

import io
import json
import os
import pickle
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces
from lamps import CORRIDOR, LAMP, TINY
from stable_baselines3 import PPO, TD3
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

from vase_rl import VASE
from vase_rl.agents import (
    Bundle,
    BundleError,
    PPOConfig,
    evaluate_agent,
)
from vase_rl.agents.card import AgentCard, describe_space, parse_space
from vase_rl.wrappers import VASEObservationWrapper, VASEVecEnvWrapper


@pytest.fixture
def saved(bundle, tmp_path) -> Path:
    path = tmp_path / "agent.zip"
    bundle.save(path)
    return path


# -------------------------------------------------------------------- bundles


def test_round_trip(bundle, saved):
    loaded = Bundle.load(saved)
    assert loaded == bundle
    assert [p.name for p in saved.parent.iterdir()] == [saved.name]
    latents = np.random.default_rng(0).normal(size=(50, 6)).astype(np.float32)
    actions = [b.policy().predict(latents, deterministic=True)[0] for b in (bundle, loaded)]
    assert np.array_equal(*actions)
    frames = np.random.default_rng(0).integers(0, 256, (5, 16, 16, 1), np.uint8)
    codes = [b.encoder("cpu").encode(frames) for b in (bundle, loaded)]
    assert np.array_equal(*codes)


def test_actions_do_not_depend_on_who_built_the_policy(encoder):
    """A model in memory, its bundle's policy, and its bundle's model act alike."""
    env = VASEObservationWrapper(
        gym.make(CORRIDOR), load_path=encoder, training=False, append_environment=True
    )
    kwargs = {"net_arch": [8], "activation_fn": torch.nn.ReLU}
    model = PPO("MlpPolicy", env, n_steps=64, seed=0, device="cpu", policy_kwargs=kwargs)
    model.learn(128)
    bundle = Bundle.of(model, env, env_id=CORRIDOR)
    assert bundle.card.hyperparameters == PPOConfig(
        learning_rate=3e-4, n_steps=64, batch_size=64, gamma=0.99, gae_lambda=0.95,
        net_arch=(8,), activation="relu", log_std_init=0.0,
    )  # fmt: skip
    again = bundle.model(bundle.wrap(gym.make(CORRIDOR), device="cpu"))
    latents = np.random.default_rng(0).normal(size=(20, 13)).astype(np.float32)
    actions = [m.predict(latents, deterministic=True)[0] for m in (model, bundle.policy(), again)]
    assert np.array_equal(actions[0], actions[1])
    assert np.array_equal(actions[0], actions[2])
    state = again.policy.optimizer.state_dict()["state"]
    kept = model.policy.optimizer.state_dict()["state"]
    assert all(torch.equal(state[i]["exp_avg_sq"], kept[i]["exp_avg_sq"]) for i in kept)
    again.learn(64)
    assert not np.array_equal(again.predict(latents, deterministic=True)[0], actions[0])


def test_building_a_policy_leaves_random_numbers_alone(bundle):
    before = torch.get_rng_state()
    bundle.policy()
    assert torch.equal(torch.get_rng_state(), before)


def repack(path: Path, **changes: bytes | None) -> None:
    """Rewrites members of a bundle (`agent_json=...`); None leaves one out."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    for key, content in changes.items():
        name = key.replace("_", ".")
        if content is None:
            del members[name]
        else:
            members[name] = content
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def rewrite_card(path: Path, **changes: Any) -> None:
    with zipfile.ZipFile(path) as archive:
        card = json.loads(archive.read("agent.json"))
    repack(path, agent_json=json.dumps({**card, **changes}).encode())


def flip_a_byte(path: Path) -> None:
    """In the middle of the encoder's tensors: the zip's own table stays readable."""
    content = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        place = archive.getinfo("encoder.pt").header_offset + 5000
    content[place] ^= 1
    path.write_bytes(content)


def foreign_encoder(path: Path) -> None:
    vase = VASE(TINY, seed=1, device="cpu")
    vase.save(path.parent / "other.pt")
    repack(path, encoder_pt=(path.parent / "other.pt").read_bytes())


def other_latents(path: Path) -> None:
    """Digests in order, but the encoder has another number of latents."""
    vase = VASE(replace(TINY, latents=8), seed=1, device="cpu")
    vase.save(path.parent / "other.pt")
    bundle = Bundle.load(path)
    replace(bundle, encoder_bytes=(path.parent / "other.pt").read_bytes()).save(path)


def other_network(path: Path) -> None:
    bundle = Bundle.load(path)
    card = replace(bundle.card, hyperparameters=replace(bundle.card.hyperparameters, net_arch=(5,)))
    replace(bundle, card=card).save(path)


DAMAGE = [
    (lambda p: p.unlink(), "there is no such file"),
    (lambda p: p.write_bytes(b""), "damaged or not a bundle"),
    (lambda p: p.write_bytes(b"hello" * 1000), "damaged or not a bundle: File is not a zip"),
    (lambda p: p.write_bytes(p.read_bytes()[:-1]), "damaged or not a bundle"),
    (lambda p: p.write_bytes(p.read_bytes()[: p.stat().st_size // 2]), "damaged or not a bundle"),
    (flip_a_byte, "damaged or not a bundle: Bad CRC-32"),
    (lambda p: repack(p, policy_pt=None), r"it holds \['agent.json', 'encoder.pt'\]"),
    (lambda p: repack(p, extra_txt=b"?"), "it holds .*'extra.txt'"),
    (lambda p: repack(p, agent_json=b"{"), "agent.json is not JSON"),
    (lambda p: repack(p, agent_json=b"[]"), "not a vase_rl agent"),
    (lambda p: rewrite_card(p, format="zip"), "not a vase_rl agent"),
    (lambda p: rewrite_card(p, version=2), "version 2, this program reads 1"),
    (lambda p: rewrite_card(p, algorithm="TD3"), "must be one of PPO, A2C, DQN, SAC, got 'TD3'"),
    (lambda p: rewrite_card(p, algorithm="SAC"), "unknown hyperparameter 'n_steps'; SACConfig"),
    (lambda p: rewrite_card(p, algorithm=None), "must be one of PPO, A2C, DQN, SAC, got None"),
    (lambda p: rewrite_card(p, frames="many"), "frames must be int, got 'many'"),
    (lambda p: rewrite_card(p, hyperparameters={"n_steps": 0}), "n_steps must be a positive"),
    (lambda p: rewrite_card(p, hyperparameters={"depth": 3}), "unknown hyperparameter 'depth'"),
    (lambda p: rewrite_card(p, action_space={"type": "Text"}), "unknown type of space 'Text'"),
    (lambda p: rewrite_card(p, action_space={}), "'type' is missing"),
    (lambda p: rewrite_card(p, action_space={"type": "Discrete", "n": 3, "start": 0}), "policy.pt"),
    (lambda p: rewrite_card(p, attended_latents=[True]), "attended_latents must have 6 flags"),
    (lambda p: rewrite_card(p, attended_latents="all"), "must be a list of flags or null"),
    (lambda p: rewrite_card(p, attended_latents=[True] * 6), "attended_latents differs"),
    (lambda p: rewrite_card(p, append_environment=True), "encoder gives \\(13,\\)"),
    (lambda p: rewrite_card(p, digests=None), "do not belong together: encoder.pt"),
    (foreign_encoder, "policy and encoder do not belong together: encoder.pt"),
    (lambda p: repack(p, policy_pt=b"?"), "do not belong together: policy.pt"),
    (other_latents, r"do not belong together: .* \(6,\), the encoder gives \(8,\)"),
    (other_network, "policy.pt is damaged or does not fit the description"),
]


@pytest.mark.parametrize(("damage", "message"), DAMAGE)
def test_bad_bundles_are_refused(saved, damage, message):
    damage(saved)
    with pytest.raises(BundleError, match=message) as caught:
        Bundle.load(saved)
    assert str(saved) in str(caught.value)


class Malicious:
    """Unpickling it creates a folder."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self):
        return os.mkdir, (str(self.trace),)


def as_torch_file(content: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


@pytest.mark.parametrize("half", ["encoder_bytes", "policy_bytes"])
@pytest.mark.parametrize("pack", [as_torch_file, pickle.dumps])
def test_loading_runs_no_code_from_the_file(bundle, tmp_path, half, pack):
    trace, path = tmp_path / "trace", tmp_path / "agent.zip"
    content = pack({"policy": Malicious(trace), "format": "vase_rl checkpoint"})
    replace(bundle, **{half: content}).save(path)
    with pytest.raises(BundleError, match="is damaged"):
        Bundle.load(path)
    assert not trace.exists()
    torch.load(io.BytesIO(as_torch_file(Malicious(trace))), weights_only=False)
    assert trace.exists(), "the payload would have worked"


def test_failed_save_leaves_the_old_bundle(bundle, saved, monkeypatch):
    before = saved.read_bytes()

    def full_disk(handle):
        raise OSError("no space left")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(OSError, match="no space left"):
        replace(bundle, policy_bytes=b"").save(saved)
    assert saved.read_bytes() == before
    assert [p.name for p in saved.parent.iterdir()] == [saved.name]


def test_environments_that_do_not_fit_are_refused(bundle):
    with pytest.raises(BundleError, match=r"env must have the action space Discrete\(2\)"):
        bundle.wrap(gym.make(CORRIDOR))
    with pytest.raises(BundleError, match=r"env must have the action space Discrete\(2\)"):
        evaluate_agent(bundle, CORRIDOR)
    latents = VASEObservationWrapper(gym.make(LAMP), replace(TINY, latents=8))
    with pytest.raises(BundleError, match=r"observations of shape \(6,\).* got \(8,\)"):
        bundle.model(latents)
    with pytest.raises(BundleError, match=r"observations of shape \(6,\).* got \(16, 16, 1\)"):
        bundle.model(gym.make(LAMP))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda env: TD3("MlpPolicy", gym.make("Pendulum-v1"), device="cpu"),
            "model must be one of PPO, A2C, DQN, SAC of stable_baselines3, got TD3",
        ),
        (
            lambda env: PPO("MlpPolicy", env, device="cpu", learning_rate=lambda left: 1e-3 * left),
            "learning_rate must be a finite number",
        ),
        (
            lambda env: PPO("MlpPolicy", env, device="cpu", clip_range=lambda left: 0.2 * left),
            "clip_range must be constant",
        ),
        (lambda env: PPO("MlpPolicy", env, device="cpu", clip_range_vf=0.2), "clip_range_vf"),
        (
            lambda env: PPO("MlpPolicy", env, device="cpu", policy_kwargs={"ortho_init": False}),
            r"policy_kwargs must be among .*, got \['ortho_init'\]",
        ),
        (
            lambda env: PPO(
                "MlpPolicy", env, device="cpu", policy_kwargs={"net_arch": {"pi": [4], "vf": [4]}}
            ),
            "net_arch must be a sequence of positive integers",
        ),
        (
            lambda env: PPO(
                "MlpPolicy", env, device="cpu", policy_kwargs={"activation_fn": torch.nn.ELU}
            ),
            "activation_fn must be nn.Tanh or nn.ReLU, got ELU",
        ),
        (
            lambda env: PPO("MlpPolicy", gym.make("CartPole-v1"), device="cpu"),
            r"model must have observations of shape \(6,\)",
        ),
    ],
)
def test_models_that_cannot_be_bundled_are_refused(encoder, make, message):
    env = VASEObservationWrapper(gym.make(LAMP), load_path=encoder, training=False)
    with pytest.raises(BundleError, match=message):
        Bundle.of(make(env), env)


def test_a_model_must_have_seen_the_latents_of_this_learner_as_they_are(encoder):
    def adapter() -> VASEVecEnvWrapper:
        venv = DummyVecEnv([lambda: gym.make(LAMP)])
        return VASEVecEnvWrapper(venv, load_path=encoder, training=False)

    env = adapter()
    normalised = PPO("MlpPolicy", VecNormalize(env), device="cpu")
    with pytest.raises(BundleError, match="behind a VecNormalize with norm_obs=True"):
        Bundle.of(normalised, env)
    with pytest.raises(BundleError, match="latents of another learner"):
        Bundle.of(PPO("MlpPolicy", env, device="cpu"), adapter())
    Bundle.of(PPO("MlpPolicy", VecNormalize(env, norm_obs=False), device="cpu"), env)


# -------------------------------------------------------------------- plain values


@pytest.mark.parametrize(
    "space",
    [
        spaces.Box(-1, 1, (2,), np.float32),
        spaces.Box(np.array([-np.inf, 0.1]), np.array([np.inf, 7.3]), dtype=np.float64),
        spaces.Box(0, 255, (2, 3), np.uint8),
        spaces.Discrete(4, start=-1),
        spaces.MultiDiscrete([3, 2]),
        spaces.MultiBinary(3),
    ],
    ids=repr,
)
def test_spaces_survive_json(space):
    text = json.dumps(describe_space(space), allow_nan=False)
    assert parse_space(json.loads(text)) == space


def test_card_survives_json(bundle):
    text = json.dumps(bundle.card.to_json(), allow_nan=False)
    assert AgentCard.from_json(json.loads(text)) == bundle.card


def test_spaces_without_a_description_are_refused():
    with pytest.raises(BundleError, match="got Text"):
        describe_space(spaces.Text(3))
