"""What Stable-Baselines3's algorithms get: no stale latents, no encoder that moves under them."""

from __future__ import annotations

import io
import pickle
from typing import Any

import numpy as np
import pytest
import torch
from counting import TINY, Counter, makers, venv
from gymnasium import spaces
from stable_baselines3 import DQN, PPO, SAC
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import KVWriter, Logger
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

from vase_rl import VASE
from vase_rl.agents import FrameReplayBuffer, LogLearner, RefreshView, VASEFeatures
from vase_rl.wrappers import PixelReader, VASEVecEnvWrapper


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
    env.vase.registry.open(env.vase.environments[0].latent_mask.clone(), _moments(env), 64)
    env.vase.environments[1].latent_mask[:3] = False
    buffer.environments[: buffer.pos, :, :] = [0, 1]
    samples = buffer._get_samples(np.arange(10))
    assert (samples.observations[:, :3] != 0).all()
    assert (samples.next_observations[:, :3] == 0).all()
    assert (samples.next_observations[:, 3:] != 0).all()
    # An environment that was given up counts as the present one.
    buffer.environments[: buffer.pos] = 3
    assert (buffer._get_samples(np.arange(10)).observations != 0).all()


def _moments(env: VASEVecEnvWrapper) -> Any:
    return env.vase.environments[0].moments


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
    with pytest.raises(ValueError, match="venv must see frames"):
        buffer_of(lost).attach(other)


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


class Memory(KVWriter):
    def __init__(self) -> None:
        self.written: list[dict[str, Any]] = []

    def write(self, key_values: dict[str, Any], key_excluded: Any, step: int = 0) -> None:
        self.written.append(dict(key_values))

    def close(self) -> None:
        pass


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
    features = VASEFeatures(space, vase)
    with torch.no_grad():
        images = torch.from_numpy(image).permute(2, 0, 1)[None] / 255
        np.testing.assert_allclose(features._prepared(images)[0, 0] * 255, frame[0, ..., 0], atol=1)
        seen = features(images)
    np.testing.assert_allclose(seen, expected, atol=0.02)
    assert seen[0, 2] == 0


def test_cnn_policy_takes_them_and_leaves_the_encoder_alone() -> None:
    vase = taught()
    agent = PPO(
        "CnnPolicy", DummyVecEnv(makers(2)), n_steps=16, batch_size=16, seed=0, device="cpu",
        policy_kwargs={
            "features_extractor_class": VASEFeatures,
            "features_extractor_kwargs": {"learner": vase},
            "net_arch": [8],
        },
    )  # fmt: skip
    agent.learn(64)
    extractor = agent.policy.features_extractor
    assert isinstance(extractor, VASEFeatures)
    trained = dict(extractor.encoder.named_parameters())
    for name, weight in vase.networks.encoder.named_parameters():
        assert torch.equal(trained[name], weight)


# ---------------------------------------------------------------- bad input


def test_bad_input() -> None:
    env, vase = venv(1), taught()
    plain = DummyVecEnv(makers(1))
    space, action = env.observation_space, env.action_space
    image = spaces.Box(0, 255, (1, 16, 16), np.uint8)
    table: list[tuple[Any, str]] = [
        (lambda: FrameReplayBuffer(9, space, action, venv=plain), "must be a VASEVecEnvWrapper"),
        (lambda: FrameReplayBuffer(9, space, action, venv=env, n_envs=2), "2 environments that"),
        (
            lambda: FrameReplayBuffer(9, space, action, venv=env, optimize_memory_usage=True),
            "optimize_memory_usage must be False",
        ),
        (lambda: RefreshView(env), "venv must have view='held', got 'live'"),
        (lambda: VASEFeatures(space, vase), "images with channels first"),
        (lambda: VASEFeatures(image, vase, environment=1), "environment must be among the 1"),
        (lambda: VASEFeatures(image, VASE(TINY, seed=0, device="cpu")), "learner must have seen"),
        (
            lambda: VASEFeatures(spaces.Box(0, 255, (2, 16, 16), np.uint8), vase),
            "1 or 3 channels, got 2",
        ),
    ]  # fmt: skip
    for call, message in table:
        with pytest.raises(ValueError, match=message):
            call()
