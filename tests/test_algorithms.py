"""PPO, A2C, DQN and SAC by name: trained, kept, gone on with, and refused."""

from __future__ import annotations

import io
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from lamps import CORRIDOR, DIAL, LAMP, TINY
from stable_baselines3 import A2C, DQN, SAC
from stable_baselines3.common.buffers import ReplayBuffer
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.noise import NormalActionNoise
from stable_baselines3.common.vec_env import VecCheckNan, VecEnv

from vase_rl.agents import (
    ALGORITHMS,
    AttendedLatents,
    Bundle,
    BundleError,
    DQNConfig,
    FrameReplayBuffer,
    PPOConfig,
    SACConfig,
    TrainResult,
    evaluate_agent,
    make_config,
    train_agent,
    train_ppo,
)
from vase_rl.agents import train as training
from vase_rl.wrappers import VASEVecEnvWrapper

REACH = "vase_rl/SpriteReach-v0"
EARLY = {"learning_starts": 32, "batch_size": 16, "target_update_interval": 8}
QUICK: dict[str, dict[str, Any]] = {
    "ppo": {"n_steps": 64, "batch_size": 64},
    "a2c": {},
    "dqn": EARLY,
    "sac": EARLY,
}
WORLDS = {"ppo": REACH, "a2c": REACH, "dqn": LAMP, "sac": REACH}
LATENTS = np.random.default_rng(0).normal(size=(50, 6)).astype(np.float32)


def train(name: str, frames: int = 128, env_id: str | None = None, **options: Any) -> TrainResult:
    settings = make_config(name, options.get("n_envs", 1), **QUICK[name])
    options = {"hyperparameters": settings, "device": "cpu", **options}
    return train_agent(env_id or WORLDS[name], name, frames=frames, **options)


def side_by_side(env_id: str, count: int = 1) -> VecEnv:
    return make_vec_env(partial(gym.make, env_id), count, 0)


def latents_of(bundle: Bundle, env_id: str, n_envs: int = 1, **options: Any) -> VASEVecEnvWrapper:
    return VASEVecEnvWrapper(side_by_side(env_id, n_envs), learner=bundle.encoder("cpu"), **options)


def actions(actor: Any) -> np.ndarray:
    chosen: np.ndarray = actor.predict(LATENTS, deterministic=True)[0]
    return chosen


# ---------------------------------------------------------------- trained and kept


@pytest.mark.parametrize("name", ALGORITHMS)
def test_trained_kept_and_gone_on_with(name: str, encoder: Path, tmp_path: Path) -> None:
    result = train(name, 64, encoder=encoder)
    assert result.frames == result.bundle.card.frames == 64
    assert result.bundle.card.algorithm == ALGORITHMS[name].name == name.upper()
    result.bundle.save(tmp_path / "agent.zip")
    loaded = Bundle.load(tmp_path / "agent.zip")
    assert loaded == result.bundle
    again = loaded.model(latents_of(loaded, WORLDS[name], training=False), seed=0)
    assert type(again) is ALGORITHMS[name].model
    np.testing.assert_array_equal(actions(loaded.policy()), actions(result.bundle.policy()))
    np.testing.assert_array_equal(actions(again), actions(loaded.policy()))
    assert evaluate_agent(loaded, WORLDS[name], episodes=2, device="cpu").episodes == 2
    before = {key: value.clone() for key, value in again.policy.state_dict().items()}
    again.learn(64)
    after = again.policy.state_dict()
    assert any(not torch.equal(before[key], after[key]) for key in before)


@pytest.mark.parametrize("name", ALGORITHMS)
def test_a_model_in_memory_acts_as_its_bundle(name: str, encoder: Path) -> None:
    """One that a user made, with the defaults of Stable-Baselines3."""
    env = VASEVecEnvWrapper(side_by_side(WORLDS[name]), load_path=encoder, training=False)
    kwargs = {"buffer_size": 500} if name in ("dqn", "sac") else {"n_steps": 64}
    model: Any = ALGORITHMS[name].model("MlpPolicy", env, seed=0, device="cpu", **kwargs)
    model.learn(110)
    bundle = Bundle.of(model, env)
    again: Any = bundle.model(env)
    np.testing.assert_array_equal(actions(bundle.policy()), actions(model))
    np.testing.assert_array_equal(actions(again), actions(model))
    for key, value in kwargs.items():
        assert getattr(bundle.card.hyperparameters, key) == value
    names, variables = model._get_torch_save_params()
    for part in names:
        kept, found = model.get_parameters()[part], again.get_parameters()[part]
        assert str(kept) == str(found), part
    for variable in variables:
        assert torch.equal(getattr(model, variable), getattr(again, variable))


def test_the_file_of_an_actor_critic_agent_is_what_it_was() -> None:
    """Files of version 1 with PPO go on being read."""
    bundle = train("ppo", 64, LAMP, config=TINY).bundle
    state = torch.load(io.BytesIO(bundle.policy_bytes), weights_only=True)
    assert set(state) == {"policy", "optimizer"}
    card = bundle.card.to_json()
    assert (card["version"], card["algorithm"]) == (1, "PPO")


def test_train_ppo_is_train_agent(encoder: Path) -> None:
    settings = PPOConfig(**QUICK["ppo"])
    first = train_ppo(LAMP, encoder=encoder, frames=64, ppo=settings, device="cpu", seed=4)
    second = train("ppo", 64, LAMP, encoder=encoder, seed=4)
    assert first.curve == second.curve
    assert first.bundle == second.bundle


@pytest.mark.parametrize(("name", "world"), [("a2c", LAMP), ("dqn", LAMP), ("sac", DIAL)])
def test_a_trivial_task_is_learnt(name: str, world: str, encoder: Path) -> None:
    more = {"gamma": 0.0} if name == "sac" else {}
    settings = make_config(name, 1, **{**QUICK[name], "learning_rate": 5e-3, **more})
    frames = {"a2c": 960, "dqn": 320, "sac": 200}[name]
    result = train(name, frames, world, encoder=encoder, hyperparameters=settings)
    found = evaluate_agent(result.bundle, world, episodes=40, device="cpu")
    assert found.success is not None
    assert found.success > 0.9


def test_equal_seeds_give_equal_agents(encoder: Path) -> None:
    first, second, other = (train("sac", 48, encoder=encoder, seed=seed) for seed in (5, 5, 6))
    np.testing.assert_array_equal(actions(first.bundle.policy()), actions(second.bundle.policy()))
    assert not np.array_equal(actions(first.bundle.policy()), actions(other.bundle.policy()))


# ---------------------------------------------------------------- no stale latents


class Look(BaseCallback):
    """What the model trained on."""

    def _on_training_end(self) -> None:
        self.kept = getattr(self.model, "replay_buffer", None)
        env: Any = self.training_env
        self.view = env.observer.stream.view.kind
        self.found = [part for part in self.model.policy.modules()
                      if isinstance(part, AttendedLatents)]  # fmt: skip

    def _on_step(self) -> bool:
        return True


@pytest.mark.parametrize("name", ALGORITHMS)
def test_what_an_agent_sees_through_and_keeps(name: str, encoder: Path) -> None:
    look = Look()
    train(name, 64, config=TINY, callback=look)
    off_policy = name in ("dqn", "sac")
    assert look.view == ("live" if off_policy else "held")
    assert isinstance(look.kept, FrameReplayBuffer) == off_policy
    # Latents of a frozen encoder do not go stale, and cost nothing to sample.
    train(name, 64, encoder=encoder, callback=look)
    assert look.view == "live"
    assert (type(look.kept) is ReplayBuffer) == off_policy


def test_a_loaded_model_keeps_frames_where_its_encoder_learns(encoder: Path) -> None:
    bundle = train("dqn", encoder=encoder).bundle
    # Also where another wrapper stands around the one with the latents.
    outer = VecCheckNan(latents_of(bundle, LAMP, 2))
    model: Any = bundle.model(outer, seed=0)
    assert isinstance(model.replay_buffer, FrameReplayBuffer)
    model.learn(200)
    assert model.replay_buffer.tap.venv.vase.updates > bundle.encoder("cpu").updates


@pytest.mark.parametrize(("name", "networks"), [("ppo", 1), ("a2c", 1), ("dqn", 2), ("sac", 3)])
def test_all_networks_attend_to_what_the_world_uses(
    name: str, networks: int, encoder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "INTERVAL", 32)
    look = Look()
    result = train(name, encoder=encoder, callback=look)
    used = (False, True, False, False, True, False)
    assert [part.attended for part in look.found] == [used] * networks
    assert result.bundle.card.attended_latents == used
    unused = LATENTS.copy()
    unused[:, [0, 2, 3, 5]] += 100.0
    policy: Any = result.bundle.policy()
    np.testing.assert_array_equal(policy.predict(unused, deterministic=True)[0], actions(policy))
    if name == "dqn":
        values = [policy.q_net_target(torch.from_numpy(seen)) for seen in (LATENTS, unused)]
        assert torch.equal(*values)
    if name == "sac":
        chosen = torch.from_numpy(policy.scale_action(actions(policy)))
        pairs = [policy.critic_target(torch.from_numpy(seen), chosen) for seen in (LATENTS, unused)]
        assert all(torch.equal(first, second) for first, second in zip(*pairs, strict=True))


# ---------------------------------------------------------------- progress


def test_short_rollouts_share_a_point_of_the_curve(encoder: Path) -> None:
    class Listener:
        frames = notes = 0

        def advance(self, count: int, /) -> None:
            self.frames += count

        def show(self, note: str, /) -> None:
            self.notes += 1

    listener = Listener()
    idle = replace(DQNConfig(), learning_starts=10_000)
    result = train("dqn", 1100, encoder=encoder, hyperparameters=idle, progress=listener)
    assert [point.frames for point in result.curve] == [512, 1024, 1100]
    assert sum(point.episodes for point in result.curve) == 1100
    assert (listener.frames, listener.notes) == (1100, 3)


def test_environments_side_by_side(encoder: Path) -> None:
    result = train("sac", 130, encoder=encoder, n_envs=4)
    assert result.frames == 144  # rounds of four steps each in four environments


# ---------------------------------------------------------------- refused


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: train("dqn", env_id=CORRIDOR),
            r"for DQN the action space must be a Discrete that starts at 0, got Box\(.*; such "
            "actions suit ppo, a2c, sac",
        ),
        (
            lambda: train("sac", env_id=LAMP),
            r"for SAC the action space must be a Box with finite bounds, got Discrete\(2\); such "
            "actions suit ppo, a2c, dqn",
        ),
        (
            lambda: train_agent(LAMP, "td3"),
            "algorithm must be one of ppo, a2c, dqn, sac, got 'td3'",
        ),
        (
            lambda: train("sac", hyperparameters=PPOConfig()),
            "hyperparameters must be a SACConfig for SAC, got a PPOConfig",
        ),
        (
            lambda: train("ppo", hyperparameters=PPOConfig(n_steps=1)),
            "n_steps times the number of environments must be above 1",
        ),
        (
            lambda: train("dqn", config=TINY, hyperparameters=DQNConfig(buffer_size=10**15)),
            "buffer_size must fit into memory",
        ),
        (
            lambda: make_config("dqn", 1, lr=1),
            "unknown hyperparameter 'lr'; DQNConfig has learning",
        ),
    ],
)
def test_bad_arguments_are_refused(call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


REACHING = dict(device="cpu", buffer_size=100)


@pytest.mark.parametrize(
    ("make", "world", "message"),
    [
        (lambda e: SAC("MlpPolicy", e, use_sde=True, **REACHING), REACH, "use_sde must be False"),
        (
            lambda e: SAC(
                "MlpPolicy", e, action_noise=NormalActionNoise(np.zeros(2), np.ones(2)), **REACHING
            ),
            REACH,
            "action_noise must be None",
        ),
        (
            lambda e: SAC("MlpPolicy", e, policy_kwargs={"n_critics": 3}, **REACHING),
            REACH,
            r"policy_kwargs must be among .*, got \['n_critics'\]",
        ),
        (
            lambda e: DQN("MlpPolicy", e, train_freq=(1, "episode"), **REACHING),
            LAMP,
            "train_freq must be in steps, got episodes",
        ),
        (lambda e: DQN("MlpPolicy", e, n_steps=3, **REACHING), LAMP, "n_steps must be 1, got 3"),
        (
            lambda e: A2C(
                "MlpPolicy", e, device="cpu", policy_kwargs={"optimizer_class": torch.optim.SGD}
            ),
            LAMP,
            "the optimizer must be A2C's RMSprop or Adam",
        ),
    ],
)
def test_models_that_cannot_be_kept_are_refused(
    make: Any, world: str, message: str, encoder: Path
) -> None:
    env = VASEVecEnvWrapper(side_by_side(world), load_path=encoder, training=False)
    with pytest.raises(BundleError, match=message):
        Bundle.of(make(env), env)


def rewritten(bundle: Bundle, change: Any) -> Bundle:
    """With other weights, and digests that fit them."""
    state = torch.load(io.BytesIO(bundle.policy_bytes), weights_only=True)
    change(state)
    buffer = io.BytesIO()
    torch.save(state, buffer)
    return replace(bundle, policy_bytes=buffer.getvalue())


DAMAGE = [
    (lambda s: s.pop("temperature"), "policy.pt is damaged or does not fit .*: 'temperature'"),
    (lambda s: s.pop("critic_optimizer"), "policy.pt is damaged or does not fit"),
    (lambda s: s["temperature"].update(log=torch.zeros(3)), "policy.pt is damaged or does not fit"),
    (
        lambda s: s["policy"]["critic_target.features_extractor.passes"].fill_(0),
        "attended_latents must be the same in all networks",
    ),
]


@pytest.fixture(scope="module")
def sac(encoder: Path) -> Bundle:
    return train("sac", 64, encoder=encoder).bundle


@pytest.mark.parametrize(("damage", "message"), DAMAGE)
def test_damaged_halves_are_refused(sac: Bundle, damage: Any, message: str, tmp_path: Path) -> None:
    rewritten(sac, damage).save(tmp_path / "agent.zip")
    with pytest.raises(BundleError, match=message):
        Bundle.load(tmp_path / "agent.zip")


def test_a_fixed_entropy_weight_needs_no_temperature(encoder: Path, tmp_path: Path) -> None:
    settings = SACConfig(ent_coef=0.05, buffer_size=100)
    result = train("sac", 64, encoder=encoder, hyperparameters=settings)
    result.bundle.save(tmp_path / "agent.zip")
    env = gym.make(REACH)
    model: Any = Bundle.load(tmp_path / "agent.zip").model(result.bundle.wrap(env, device="cpu"))
    assert model.ent_coef == 0.05
    assert model.log_ent_coef is None
