"""Training, evaluation, and which latents a policy sees."""

from __future__ import annotations

from dataclasses import replace

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces
from lamps import CORRIDOR, LAMP, QUICK, TINY, equal, weights
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.vec_env import DummyVecEnv

from vase_rl import VASE
from vase_rl.agents import (
    AttendedLatents,
    Bundle,
    PPOConfig,
    evaluate_agent,
    train_ppo,
    used_in,
)
from vase_rl.agents.arguments import model_kwargs

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
    model = PPO("MlpPolicy", env, seed=0, device="cpu", **model_kwargs(settings, None))
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
    assert [point.frames for point in result.curve] == [64, 128, 192, 200]
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
