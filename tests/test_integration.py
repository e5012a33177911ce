"""What Stable-Baselines3's algorithms get: no stale latents, no encoder that moves under them."""

from __future__ import annotations

import io
import pickle
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from counting import LENGTH, TINY, Counter, Memory, actions, makers, open_environment, venv
from gymnasium import spaces
from stable_baselines3 import DQN, PPO, SAC
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.vec_env import DummyVecEnv, VecFrameStack, VecNormalize

from vase_rl.agents import FrameReplayBuffer, LogLearner, RefreshView
from vase_rl.wrappers import VASEVecEnvWrapper


class Pushed(Counter):
    """The same with a continuous action."""

    def __init__(self) -> None:
        super().__init__()
        self.action_space = spaces.Box(-1.0, 1.0, (2,), np.float32)  # type: ignore[assignment]


def dqn(env: VASEVecEnvWrapper, **options: Any) -> DQN:
    return DQN(
        "MlpPolicy", env, replay_buffer_class=FrameReplayBuffer, seed=0, device="cpu",
        replay_buffer_kwargs={"venv": env}, buffer_size=500, learning_starts=20, batch_size=16,
        **options,
    )  # fmt: skip


def seed(number: int) -> None:
    """Stable-Baselines3's buffers draw from numpy's global generator."""
    np.random.seed(number)  # noqa: NPY002


def buffer_of(agent: Any) -> FrameReplayBuffer:
    assert isinstance(agent.replay_buffer, FrameReplayBuffer)
    return agent.replay_buffer


# ---------------------------------------------------------------- off-policy


def test_equal_frames_give_equal_latents_after_the_encoder_has_moved() -> None:
    env = venv(2)
    agent = dqn(env)
    agent.learn(60)
    buffer = buffer_of(agent)
    first = buffer.observations[:5].copy()
    before = env.observer.latents(first[:, 0])
    updates = env.vase.updates
    agent.learn(80, reset_num_timesteps=False)
    assert env.vase.updates > updates
    np.testing.assert_array_equal(buffer.observations[:5], first)
    now = env.observer.latents(first[:, 0])
    assert not np.allclose(now, before)
    seed(0)
    samples = buffer._get_samples(np.arange(5))
    seed(0)
    rows = np.random.randint(0, high=2, size=5)  # noqa: NPY002
    expected = env.observer.latents(first[np.arange(5), rows])
    np.testing.assert_allclose(samples.observations, expected, rtol=1e-5, atol=1e-6)


def test_transitions_link_a_frame_to_its_successor() -> None:
    """Frames are numbered: the next one of an observation is always one more, to the very end."""
    agent = dqn(venv(1))
    agent.learn(40)
    buffer = buffer_of(agent)
    here = buffer.observations[: buffer.pos, 0, 0, 0, 0].astype(int)
    there = buffer.next_observations[: buffer.pos, 0, 0, 0, 0].astype(int)
    np.testing.assert_array_equal(there, here + 1)
    ended = buffer.dones[: buffer.pos, 0].astype(bool)
    assert ended.sum() == 8
    # A truncated episode is not an end to its value.
    samples = buffer._get_samples(np.arange(buffer.pos))
    assert float(samples.dones.sum()) == 0.0


def test_frames_take_a_byte_per_pixel() -> None:
    buffer = buffer_of(dqn(venv(1)))
    assert buffer.observations.dtype == np.uint8
    assert buffer.observations.nbytes == 500 * 16 * 16


def test_masks_are_those_of_the_environment_that_a_frame_came_from() -> None:
    env = venv(1)
    agent = dqn(env)
    agent.learn(60)
    buffer = buffer_of(agent)
    open_environment(env.vase, env.vase.environments[0].latent_mask.clone())
    env.vase.environments[1].latent_mask[:3] = False
    buffer.worlds[: buffer.pos, :, :] = [0, 1]
    samples = buffer._get_samples(np.arange(10))
    assert (samples.observations[:, :3] != 0).all()
    assert (samples.next_observations[:, :3] == 0).all()
    assert (samples.next_observations[:, 3:] != 0).all()
    # World 1 is given up for world 0, and another one takes its index.
    env.vase.merge(1, 0)
    open_environment(env.vase, torch.zeros(6, dtype=torch.bool))
    assert (buffer._get_samples(np.arange(10)).next_observations != 0).all()
    # One that this learner never had counts as the present one.
    buffer.worlds[: buffer.pos] = 7
    assert (buffer._get_samples(np.arange(10)).observations == 0).all()


def test_sac_learns_from_frames() -> None:
    env = VASEVecEnvWrapper(DummyVecEnv([Pushed]), TINY, warmup_frames=32, seed=0, device="cpu")
    agent = SAC(
        "MlpPolicy", env, replay_buffer_class=FrameReplayBuffer, seed=0, device="cpu",
        replay_buffer_kwargs={"venv": env}, buffer_size=200, learning_starts=20, batch_size=16,
    )  # fmt: skip
    agent.learn(60)
    assert env.vase.updates > 1
    assert np.isfinite(agent.predict(env.reset())[0]).all()


def test_a_buffer_is_kept_without_its_environments() -> None:
    env = venv(1)
    agent = dqn(env)
    agent.learn(40)
    file = io.BytesIO(pickle.dumps(buffer_of(agent)))
    again = pickle.load(file)
    with pytest.raises(RuntimeError, match="the buffer has no adapter"):
        again.sample(8)
    again.attach(env)
    for buffer in (again, buffer_of(agent)):
        seed(3)
        np.testing.assert_allclose(
            buffer.sample(8).observations,
            env.observer.latents(_drawn(buffer, 3)), rtol=1e-5, atol=1e-6,
        )  # fmt: skip


def _drawn(buffer: FrameReplayBuffer, number: int) -> np.ndarray:
    seed(number)
    steps = np.random.randint(0, buffer.pos, size=8)  # noqa: NPY002
    drawn: np.ndarray = buffer.observations[steps, 0]
    return drawn


def test_an_agent_is_saved_without_its_environments_and_loaded_with_new_ones(tmp_path: Any) -> None:
    env = venv(1)
    agent = dqn(env)
    agent.learn(40)
    agent.save(tmp_path / "agent.zip")
    latents = env.observer.latents(env.frames)
    reader = DQN.load(tmp_path / "agent.zip", device="cpu")
    np.testing.assert_array_equal(reader.predict(latents, True)[0], agent.predict(latents, True)[0])
    other = venv(1, learner=env.vase)
    kwargs = {"venv": other}
    again = DQN.load(tmp_path / "agent.zip", env=other, replay_buffer_kwargs=kwargs, device="cpu")
    again.learn(40, reset_num_timesteps=False)
    assert buffer_of(again).pos == 40
    lost = DQN.load(tmp_path / "agent.zip", env=other, device="cpu")
    with pytest.raises(RuntimeError, match="the buffer has no adapter"):
        lost.learn(10)
    buffer_of(lost).attach(other)
    lost.learn(10)
    assert buffer_of(lost).size() > 0
    small = VASEVecEnvWrapper(DummyVecEnv(makers(1)), replace(TINY, image_size=8), device="cpu")
    with pytest.raises(ValueError, match=r"venv must see frames \(16, 16, 1\) as the buffer's"):
        buffer_of(lost).attach(small)


def test_a_buffer_notices_that_another_adapter_is_stepped() -> None:
    env, other = venv(1), venv(1, seed=1)
    agent = dqn(env)
    agent.learn(30)
    agent.set_env(other)
    with pytest.raises(RuntimeError, match="after set_env, call"):
        agent.learn(10, reset_num_timesteps=False)
    buffer_of(agent).attach(other)
    agent.learn(10, reset_num_timesteps=False)


def test_sampled_latents_are_normalised_as_the_observations_are() -> None:
    env = venv(1, training=False)
    outer = VecNormalize(env, norm_reward=False)
    agent = DQN(
        "MlpPolicy", outer, replay_buffer_class=FrameReplayBuffer, seed=0, device="cpu",
        replay_buffer_kwargs={"venv": env}, buffer_size=500, learning_starts=1000,
    )  # fmt: skip
    agent.learn(40)
    seed(3)
    sampled = buffer_of(agent).sample(8, env=outer).observations
    expected = outer.normalize_obs(env.observer.latents(_drawn(buffer_of(agent), 3)))
    np.testing.assert_allclose(sampled, expected, rtol=1e-4, atol=1e-5)


# ---------------------------------------------------------------- on-policy


class Spy(BaseCallback):
    """The encoder's fingerprint at every step, by rollout."""

    def __init__(self, env: VASEVecEnvWrapper) -> None:
        super().__init__()
        self.env = env
        self.rollouts: list[list[float]] = []
        self.learner: list[int] = []

    def _on_rollout_start(self) -> None:
        self.rollouts.append([])

    def _on_step(self) -> bool:
        encoder = self.env.observer.stream.view.encoder
        self.rollouts[-1].append(sum(p.abs().sum().item() for p in encoder.parameters()))
        self.learner.append(self.env.vase.updates)
        return True


def test_all_observations_of_a_rollout_come_from_one_encoder() -> None:
    env = venv(2, view="held", frames_per_update=4)
    agent = PPO("MlpPolicy", env, n_steps=32, batch_size=32, seed=0, device="cpu")
    spy = Spy(env)
    agent.learn(256, callback=[RefreshView(env), spy])
    assert len(spy.rollouts) == 4
    assert all(len(set(rollout)) == 1 for rollout in spy.rollouts)
    assert len({rollout[0] for rollout in spy.rollouts[1:]}) == 3
    assert spy.learner[-1] > spy.learner[-32] > 0


def test_the_first_observation_of_a_rollout_is_encoded_anew() -> None:
    env = venv(2, view="held", frames_per_update=4)
    agent = PPO("MlpPolicy", env, n_steps=32, batch_size=32, seed=0, device="cpu")

    class Keep(BaseCallback):
        frames: np.ndarray

        def _on_rollout_start(self) -> None:
            self.frames = env.frames.copy()

        def _on_step(self) -> bool:
            return True

    keep = Keep()
    agent.learn(256, callback=[RefreshView(env), keep])
    # Flattened by now, environment by environment.
    first = agent.rollout_buffer.observations[[0, 32]]
    np.testing.assert_allclose(first, env.observer.latents(keep.frames), rtol=1e-5, atol=1e-6)


def test_a_refresh_under_another_wrapper_is_refused() -> None:
    env = venv(1, view="held")
    agent = PPO("MlpPolicy", VecNormalize(env), n_steps=32, batch_size=32, device="cpu")
    with pytest.raises(ValueError, match="which is a VecNormalize"):
        agent.learn(32, callback=RefreshView(env))


def test_drift_and_the_learner_are_logged() -> None:
    env = venv(2, view="held", frames_per_update=4)
    agent = PPO("MlpPolicy", env, n_steps=32, batch_size=32, seed=0, device="cpu")
    memory = Memory()
    agent.set_logger(Logger(None, [memory]))
    agent.learn(256, callback=[RefreshView(env), LogLearner(env)])
    last = memory.written[-1]
    assert last["vase/drift"] > 0
    assert last["vase/environments"] == len(env.vase.environments) == 1
    assert 0 < last["vase/updates"] <= env.vase.updates
    assert last["vase/latents_unmasked"] == 6
    assert last["vase/shifts"] == 0
    assert last["vase/reconstruction_loss"] > 0


# ---------------------------------------------------------------- stacked latents


def test_latents_are_stacked_as_frames_are() -> None:
    env = venv(2, training=False)
    stacked = VecFrameStack(env, 3)
    seen = [stacked.reset().copy()]
    single = [env.observer.latents(env.frames)]
    for step in range(1, LENGTH + 1):
        observation, _, dones, infos = stacked.step(actions(2))
        single.append(env.observer.latents(env.next_frames))
        seen.append(observation.copy())
        if step < LENGTH:
            recent = [np.zeros_like(single[0])] * 2 + single
            expected = np.concatenate(recent[-3:], axis=1)
            np.testing.assert_allclose(observation, expected, rtol=1e-5, atol=1e-6)
    assert dones.all()
    for i, info in enumerate(infos):
        last = np.concatenate([latents[i] for latents in single[-3:]])
        np.testing.assert_allclose(info["terminal_observation"], last, rtol=1e-5, atol=1e-6)
    fresh = np.concatenate([np.zeros((2, 12)), env.observer.latents(env.frames)], axis=1)
    np.testing.assert_allclose(seen[-1], fresh, rtol=1e-5, atol=1e-6)


def test_an_agent_on_stacked_latents_learns_and_logs_but_is_not_refreshed() -> None:
    env = venv(2)
    agent = PPO("MlpPolicy", VecFrameStack(env, 3), n_steps=32, batch_size=32, device="cpu")
    assert agent.observation_space.shape == (18,)
    agent.learn(64, callback=LogLearner(env))
    held = venv(2, view="held")
    agent = PPO("MlpPolicy", VecFrameStack(held, 3), n_steps=32, batch_size=32, device="cpu")
    with pytest.raises(ValueError, match="which is a VecFrameStack"):
        agent.learn(64, callback=RefreshView(held))
    with pytest.raises(ValueError, match="venv must be what the algorithm trains on"):
        FrameReplayBuffer(9, agent.observation_space, agent.action_space, venv=held, n_envs=2)


# ---------------------------------------------------------------- bad input


def test_bad_input() -> None:
    env, plain = venv(1), DummyVecEnv(makers(1))
    space, action = env.observation_space, env.action_space
    table: list[tuple[Any, str]] = [
        (lambda: FrameReplayBuffer(9, space, action, venv=plain), "must be a VASEVecEnvWrapper"),
        (lambda: FrameReplayBuffer(9, space, action, venv=env, n_envs=2), "2 environments that"),
        (
            lambda: FrameReplayBuffer(9, space, action, venv=env, optimize_memory_usage=True),
            "optimize_memory_usage must be False",
        ),
        (lambda: RefreshView(env), "venv must have view='held', got 'live'"),
    ]  # fmt: skip
    for call, message in table:
        with pytest.raises(ValueError, match=message):
            call()
