"""PPO on latents, bundles of agent and encoder, evaluation."""

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
from stable_baselines3 import A2C, PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.vec_env import DummyVecEnv

from vase_rl import VASE, VASEConfig
from vase_rl.agents import (
    AttendedLatents,
    Bundle,
    BundleError,
    PPOConfig,
    evaluate_agent,
    train_ppo,
    used_in,
)
from vase_rl.agents.card import AgentCard, describe_space, parse_space
from vase_rl.wrappers import VASEObservationWrapper

LAMP, CORRIDOR = "agents_test/Lamp-v0", "agents_test/Corridor-v0"
TINY = VASEConfig.preset(
    "compact", image_size=16, space_to_depth=1, filters=(8,), hidden=16, latents=6, batch_size=16
)
QUICK = PPOConfig(n_steps=64, batch_size=64, learning_rate=3e-3)


class Lamp(gym.Env):
    """The lamp is on or off: say which. One step per episode."""

    observation_space = spaces.Box(0, 255, (16, 16, 1), np.uint8)
    action_space = spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.lit = int(self.np_random.integers(2))
        return np.full((16, 16, 1), 255 * self.lit, np.uint8), {}

    def step(self, action):
        right = int(action) == self.lit
        frame = np.full((16, 16, 1), 255 * self.lit, np.uint8)
        return frame, float(right), True, False, {"success": right}


class Corridor(gym.Env):
    """Ends after as many steps as its length, each worth `reward`; reports no success."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 10}  # noqa: RUF012
    observation_space = spaces.Box(0, 255, (16, 16, 1), np.uint8)
    action_space = spaces.Box(-1, 1, (2,), np.float32)

    def __init__(self, lengths=(3,), reward=2.0, render_mode=None):
        self.lengths, self.reward, self.render_mode = lengths, reward, render_mode
        self.episode = -1

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.episode += 1
        self.steps = 0
        return self._frame(), {}

    def step(self, action):
        self.steps += 1
        done = self.steps == self.lengths[self.episode % len(self.lengths)]
        return self._frame(), self.reward, done, False, {}

    def render(self):
        return np.full((4, 5, 3), self.steps, np.uint8)

    def _frame(self):
        return np.full((16, 16, 1), 20 * self.steps, np.uint8)


@pytest.fixture(autouse=True, scope="module")
def _registered():
    gym.register(LAMP, Lamp)
    gym.register(CORRIDOR, Corridor)
    yield
    for name in (LAMP, CORRIDOR):
        del gym.registry[name]


@pytest.fixture(scope="module")
def encoder(tmp_path_factory) -> Path:
    """A checkpoint with one environment, whose latents 1 and 4 are used and 0 is masked."""
    vase = VASE(TINY, seed=0, device="cpu")
    rng = np.random.default_rng(0)
    vase.update(rng.choice([0, 255], (16, 1, 1, 1)).repeat(16, 1).repeat(16, 2).astype(np.uint8))
    # Untrained encodings of the two frames hardly differ: spread them.
    with torch.no_grad():
        vase.networks.encoder.posterior.weight[:6] *= 20
    world = vase.environments[0]
    world.used_latents = torch.tensor([True, True, False, False, True, False])
    world.latent_mask = torch.tensor([False, True, True, True, True, True])
    path = tmp_path_factory.mktemp("encoder") / "vase.pt"
    vase.save(path)
    return path


@pytest.fixture(scope="module")
def lamp_result(encoder):
    return train_ppo(LAMP, encoder=encoder, frames=3000, ppo=QUICK, device="cpu")


@pytest.fixture(scope="module")
def bundle(lamp_result) -> Bundle:
    return lamp_result.bundle


@pytest.fixture
def saved(bundle, tmp_path) -> Path:
    path = tmp_path / "agent.zip"
    bundle.save(path)
    return path


def weights(vase: VASE) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in vase.networks.state_dict().items()}


def equal(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[n], second[n]) for n in first)


# -------------------------------------------------------------------- training and evaluation


def test_ppo_learns_a_trivial_task(lamp_result):
    assert not lamp_result.interrupted
    assert lamp_result.frames == 3008
    assert lamp_result.curve[0].success_rate < 0.8
    assert lamp_result.curve[-1].success_rate > 0.9
    assert lamp_result.return_mean > 0.9
    evaluation = evaluate_agent(lamp_result.bundle, LAMP, episodes=40, device="cpu")
    assert evaluation.success == evaluation.return_mean == 1.0


def test_ppo_learns_to_reach_from_positions():
    """The default hyperparameters on what perfect latents of SpriteReach would be."""

    class Positions(gym.ObservationWrapper):
        def __init__(self, env):
            super().__init__(env)
            self.observation_space = spaces.Box(-np.inf, np.inf, (6,), np.float32)

        def observation(self, observation):
            place = 3.4 * (self.env.unwrapped.position - 0.5)
            return np.concatenate([place, np.zeros(4)]).astype(np.float32)

    env = DummyVecEnv([lambda: Positions(gym.make("vase_rl/SpriteReach-v0"))] * 8)
    settings = replace(PPOConfig(), n_steps=64)
    model = PPO("MlpPolicy", env, seed=0, device="cpu", **settings.ppo_kwargs(None))
    model.learn(8 * 1024)
    successes: list[bool] = []
    env.seed(1)
    observations = env.reset()
    while len(successes) < 40:
        actions, _ = model.predict(observations, deterministic=True)
        observations, _, dones, infos = env.step(actions)
        successes += [infos[i]["success"] for i in np.flatnonzero(dones)]
    assert np.mean(successes) >= 0.9


def test_curve_points_count_every_episode_once(lamp_result):
    assert sum(point.episodes for point in lamp_result.curve) == lamp_result.frames
    assert [point.frames for point in lamp_result.curve] == list(range(64, 3009, 64))


def test_progress_is_told_of_every_frame_asked_for(encoder):
    class Listener:
        def __init__(self):
            self.frames, self.notes = 0, []

        def advance(self, count):
            self.frames += count

        def show(self, note):
            self.notes.append(note)

    listener = Listener()
    train_ppo(LAMP, encoder=encoder, frames=100, ppo=QUICK, device="cpu", progress=listener)
    assert listener.frames == 100
    assert len(listener.notes) == 2
    assert "success" in listener.notes[-1]


def test_equal_seeds_give_equal_agents(encoder):
    first, second, other = (
        train_ppo(LAMP, encoder=encoder, frames=128, ppo=QUICK, device="cpu", seed=seed)
        for seed in (5, 5, 6)
    )
    assert first.curve == second.curve
    states = [result.bundle.policy().state_dict() for result in (first, second, other)]
    assert equal(states[0], states[1])
    assert not equal(states[0], states[2])


def test_frozen_encoder_stays(encoder, bundle):
    assert equal(weights(bundle.encoder("cpu")), weights(VASE.load(encoder, device="cpu")))


def test_environments_side_by_side_share_one_encoder(encoder):
    result = train_ppo(LAMP, encoder=encoder, n_envs=4, frames=256, ppo=QUICK, device="cpu")
    assert result.frames == 256
    assert sum(point.episodes for point in result.curve) == 256
    assert equal(weights(result.bundle.encoder("cpu")), weights(VASE.load(encoder, device="cpu")))


def test_new_encoder_learns_along():
    result = train_ppo(LAMP, config=TINY, frames=600, ppo=QUICK, device="cpu")
    learner = result.bundle.encoder("cpu")
    assert learner.config == TINY
    assert learner.updates > 0
    assert result.bundle.card.attended_latents == used_in(learner, 0)


def test_loaded_encoder_goes_on_learning_on_request(encoder):
    result = train_ppo(LAMP, encoder=encoder, online=True, frames=600, ppo=QUICK, device="cpu")
    before, after = VASE.load(encoder, device="cpu"), result.bundle.encoder("cpu")
    assert after.updates > before.updates
    assert not equal(weights(after), weights(before))


def test_interruption_gives_what_was_learnt(encoder, tmp_path):
    class Interrupt(BaseCallback):
        def _on_step(self):
            if self.num_timesteps == 200:
                raise KeyboardInterrupt
            return True

    result = train_ppo(
        LAMP, encoder=encoder, frames=10_000, ppo=QUICK, device="cpu", callback=Interrupt()
    )
    assert result.interrupted
    assert result.frames == result.bundle.card.frames == 200
    assert [point.frames for point in result.curve] == [64, 128, 192]
    result.bundle.save(tmp_path / "partial.zip")
    assert Bundle.load(tmp_path / "partial.zip") == result.bundle


def test_evaluation_averages_whole_episodes():
    evaluation = evaluate_agent(
        None, CORRIDOR, env_kwargs={"lengths": (1, 3)}, episodes=4, record_episodes=2
    )
    assert evaluation.episodes == 4
    assert evaluation.return_mean == 4.0  # episodes of return 2, 6, 2, 6
    assert evaluation.return_std == 2.0
    assert evaluation.length_mean == 2.0
    assert evaluation.success is None
    assert [f.shape for f in evaluation.frames] == [(2, 4, 5, 3), (4, 4, 5, 3)]
    assert [int(picture.max()) for picture in evaluation.frames[1]] == [0, 1, 2, 3]


def test_random_policy_is_chance_and_repeats():
    first = evaluate_agent(None, LAMP, episodes=200, seed=3)
    assert 0.35 < first.success < 0.65
    assert first == evaluate_agent(None, LAMP, episodes=200, seed=3)


def test_evaluation_trains_nothing(bundle, monkeypatch):
    wrapped = []
    wrap = Bundle.wrap

    def spy(self, env, **kwargs):
        wrapped.append(wrap(self, env, **kwargs))
        wrapped.append(weights(wrapped[-1].vase))
        return wrapped[0]

    monkeypatch.setattr(Bundle, "wrap", spy)
    evaluate_agent(bundle, LAMP, episodes=150, device="cpu")
    env, before = wrapped
    assert equal(weights(env.vase), before)
    assert env.vase.updates == bundle.encoder("cpu").updates
    assert len(env.vase.environments) == 1


def test_a_bundle_runs_in_another_version_of_its_world(encoder):
    result = train_ppo(CORRIDOR, encoder=encoder, frames=64, ppo=QUICK, device="cpu")
    evaluation = evaluate_agent(
        result.bundle, CORRIDOR, env_kwargs={"reward": -1.0}, episodes=2, device="cpu"
    )
    assert evaluation.return_mean == -3.0
    assert result.curve[-1].success_rate is None


# -------------------------------------------------------------------- attended latents


def test_policy_sees_only_latents_that_its_world_uses(bundle):
    assert bundle.card.attended_latents == (False, True, False, False, True, False)
    policy = bundle.policy()
    latents = np.random.default_rng(0).normal(size=(20, 6)).astype(np.float32)
    other = latents.copy()
    other[:, [0, 2, 3, 5]] = 100.0
    tensors = torch.from_numpy(latents), torch.from_numpy(other)
    logits = [policy.get_distribution(t).distribution.logits for t in tensors]
    values = [policy.predict_values(t) for t in tensors]
    assert torch.equal(*logits)
    assert torch.equal(*values)
    other[:, 1] = 100.0
    seen = policy.get_distribution(torch.from_numpy(other)).distribution.logits
    assert not torch.equal(seen, logits[0])


def test_attention_can_be_switched_off(encoder):
    result = train_ppo(LAMP, encoder=encoder, frames=64, ppo=QUICK, device="cpu", attend_used=False)
    assert result.bundle.card.attended_latents is None
    policy = result.bundle.policy()
    latents = torch.zeros(2, 6)
    latents[1, 5] = 100.0
    first, second = policy.get_distribution(latents).distribution.logits
    assert not torch.equal(first, second)


def test_one_hot_environment_always_passes():
    extractor = AttendedLatents(spaces.Box(-9, 9, (5,)), [True, False, False])
    assert extractor(torch.arange(1.0, 6.0)).tolist() == [1, 0, 0, 4, 5]
    assert extractor.attended == (True, False, False)


def test_everything_is_attended_while_nothing_is_known_to_be_used(encoder):
    vase = VASE(TINY, seed=0, device="cpu")
    assert used_in(vase, 0) == (True,) * 6
    vase = VASE.load(encoder, device="cpu")
    assert used_in(vase, 0) == (False, True, False, False, True, False)
    vase.environments[0].used_latents[:] = False
    assert used_in(vase, 0) == (True,) * 6


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
    (lambda p: rewrite_card(p, algorithm="SAC"), "algorithm must be 'PPO', got 'SAC'"),
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
        (lambda env: A2C("MlpPolicy", env, device="cpu"), "stable_baselines3.PPO with MlpPolicy"),
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


@pytest.mark.parametrize(
    ("field", "value", "rule"),
    [
        ("n_steps", 0, "a positive integer"),
        ("batch_size", 2.5, "a positive integer"),
        ("n_epochs", True, "a positive integer"),
        ("learning_rate", 0, "a finite number above 0"),
        ("clip_range", float("nan"), "a finite number above 0"),
        ("gamma", 1.1, "a number in [0, 1]"),
        ("ent_coef", -1, "a finite number, 0 or above"),
        ("target_kl", 0, "None or above 0"),
        ("normalize_advantage", 1, "True or False"),
        ("activation", "elu", "one of ('tanh', 'relu')"),
        ("log_std_init", "small", "a finite number"),
        ("net_arch", (32, 0), "a sequence of positive integers"),
    ],
)
def test_bad_hyperparameters_are_refused(field, value, rule):
    with pytest.raises(ValueError, match=field) as caught:
        PPOConfig(**{field: value})
    assert str(caught.value) == f"PPOConfig.{field} must be {rule}, got {value!r}"


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: train_ppo(LAMP, frames=0), ValueError, "frames must be a positive integer, got 0"),
        (lambda: train_ppo(LAMP, n_envs=0), ValueError, "n_envs must be a positive integer, got 0"),
        (lambda: train_ppo(LAMP, encoder="absent.pt"), FileNotFoundError, "absent.pt"),
        (lambda: train_ppo("CartPole-v1"), ValueError, "observation space must be"),
        (lambda: train_ppo("absent/Env-v0"), gym.error.Error, "absent"),
        (lambda: evaluate_agent(None, LAMP, episodes=0), ValueError, "episodes must be .* got 0"),
        (
            lambda: evaluate_agent(None, LAMP, record_episodes=-1),
            ValueError,
            "record_episodes must be an integer, at least 0, got -1",
        ),
    ],
)
def test_bad_arguments_are_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()
