"""The adapters of several environments: one learner, one pass, no frame lost or seen twice."""

from __future__ import annotations

import copy
import multiprocessing
import pickle
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from counting import LENGTH, OPTIONS, TINY, Counter, actions, makers, open_environment, venv
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from stable_baselines3 import A2C
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv, VecEnv

from vase_rl import VASE, CheckpointError
from vase_rl.reports import UpdateReport
from vase_rl.wrappers import (
    StreamConfig,
    VASEObservationWrapper,
    VASEVecEnvWrapper,
    VASEVectorObservationWrapper,
    sync_encoder,
)


def vector(
    count: int, mode: AutoresetMode = AutoresetMode.NEXT_STEP, **options: Any
) -> VASEVectorObservationWrapper:
    envs = SyncVectorEnv(makers(count), autoreset_mode=mode)
    return VASEVectorObservationWrapper(envs, TINY, **{**OPTIONS, **options})


def gathered(adapter: Any) -> list[int]:
    """Numbers of the frames that wait for the learner."""
    return sorted(int(frame[0, 0, 0]) for row in adapter.observer.stream._fresh for frame in row)


# ---------------------------------------------------------------- Gymnasium's vectors


def test_latents_are_those_of_each_environment_by_itself() -> None:
    envs = vector(3, training=False)
    latents, info = envs.reset(seed=7)
    assert envs.observation_space.contains(latents)
    assert latents.dtype == np.float32
    for row, offset in enumerate((0, 60, 120)):
        single = VASEObservationWrapper(Counter(offset), TINY, training=False, **OPTIONS)
        alone, single_info = single.reset(seed=7 + row)
        np.testing.assert_allclose(latents[row], alone, rtol=1e-5, atol=1e-6)
        assert set(info["vase"]) == set(single_info["vase"])


@pytest.mark.parametrize("mode", [AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP])
def test_every_observed_frame_reaches_the_learner_once(mode: AutoresetMode) -> None:
    envs = vector(2, mode, warmup_frames=10**6)
    envs.reset(seed=0)
    for _ in range(12):
        envs.step(actions(2))
    numbers = gathered(envs)
    assert len(numbers) == len(set(numbers)) == 26
    if mode is AutoresetMode.NEXT_STEP:
        assert numbers == [*range(13), *range(60, 73)]


def test_a_reset_of_some_does_not_show_the_others_twice() -> None:
    envs = vector(3, AutoresetMode.DISABLED, warmup_frames=10**6)
    envs.reset(seed=0)
    for _ in range(LENGTH):
        _, _, _, truncated, _ = envs.step(actions(3))
    assert truncated.all()
    before = gathered(envs)
    latents, _ = envs.reset(options={"reset_mask": np.array([True, False, True])})
    assert latents.shape == (3, 6)
    assert len(gathered(envs)) == len(before) + 2
    assert len(set(gathered(envs))) == len(gathered(envs))


def test_the_last_frame_of_an_episode_is_encoded() -> None:
    envs = vector(2, AutoresetMode.SAME_STEP, training=False)
    plain = SyncVectorEnv(makers(2), autoreset_mode=AutoresetMode.SAME_STEP)
    envs.reset(seed=3)
    plain.reset(seed=3)
    for _ in range(LENGTH):
        latents, _, _, truncated, info = envs.step(actions(2))
        _, _, _, _, raw = plain.step(actions(2))
    assert truncated.all()
    for row in range(2):
        expected = envs.observer.latents(raw["final_obs"][row][None])[0]
        np.testing.assert_allclose(info["final_obs"][row], expected, rtol=1e-5, atol=1e-6)
        assert not np.allclose(info["final_obs"][row], latents[row])


def test_a_seeded_reset_of_all_forgets_what_was_seen() -> None:
    envs = vector(2, training=False)
    envs.reset(seed=0)
    envs.observer.stream._environment = 3
    envs.reset(seed=1)
    assert envs.observer.stream.environment == 0


def test_vectors_learn_and_are_saved(tmp_path: Any) -> None:
    envs = vector(4)
    envs.reset(seed=0)
    for _ in range(40):
        latents, _, _, _, info = envs.step(actions(4))
        assert np.isfinite(latents).all()
    assert info["vase"]["updates"] == envs.vase.updates > 5
    envs.training = False
    updates = envs.vase.updates
    for _ in range(20):
        envs.step(actions(4))
    assert envs.vase.updates == updates
    assert not envs.training
    envs.save(tmp_path / "learner.pt")
    again = vector(4, load_path=tmp_path / "learner.pt")
    assert again.vase.updates == updates


# ---------------------------------------------------------------- Stable-Baselines3's VecEnv


def test_terminal_observations_are_latents_of_the_last_frame() -> None:
    env, plain = venv(2, training=False), DummyVecEnv(makers(2))
    for each in (env, plain):
        each.seed(5)
        each.reset()
    for _ in range(LENGTH):
        latents, _, dones, infos = env.step(actions(2))
        _, _, _, raw = plain.step(actions(2))
    assert dones.all()
    for row in range(2):
        last = raw[row]["terminal_observation"][None]
        expected = env.observer.latents(last)[0]
        np.testing.assert_allclose(
            infos[row]["terminal_observation"], expected, rtol=1e-5, atol=1e-6
        )
        assert infos[row]["TimeLimit.truncated"]
        np.testing.assert_array_equal(env.next_frames[row], last[0])
        assert not np.array_equal(env.frames[row], last[0])
        assert not np.allclose(latents[row], expected)


def test_a_truncated_episode_is_bootstrapped_from_its_own_end() -> None:
    """A2C adds γV(s_T) of the last frame, not of the next episode's first."""
    env = venv(1, training=False)
    agent = A2C("MlpPolicy", env, n_steps=LENGTH, gamma=0.5, seed=0, device="cpu")
    seen: list[tuple[np.ndarray, float]] = []
    predict_values = agent.policy.predict_values

    def spy(observation: Any) -> Any:
        value = predict_values(observation)
        seen.append((observation.numpy().copy(), value.item()))
        return value

    agent.policy.predict_values = spy  # type: ignore[method-assign]
    agent.learn(LENGTH)
    last = env.observer.latents(env.next_frames)[0]
    # The terminal observation is valued first, then the one after the rollout.
    (at_the_end, value), (after_it, _) = seen
    np.testing.assert_allclose(at_the_end[0], last, rtol=1e-5, atol=1e-6)
    assert not np.allclose(after_it, last)
    rewards = agent.rollout_buffer.rewards[:, 0]
    np.testing.assert_allclose(rewards, [1, 1, 1, 1, 1 + 0.5 * value], rtol=1e-4)


def test_four_processes_share_one_network() -> None:
    inner: VecEnv = SubprocVecEnv(makers(4), start_method="spawn")
    try:
        env = VASEVecEnvWrapper(inner, TINY, **OPTIONS)
        assert len(multiprocessing.active_children()) == 4
        env.reset()
        for _ in range(30):
            latents, _, _, infos = env.step(actions(4))
        assert latents.shape == (4, 6)
        assert len({id(info["vase"]) for info in infos}) == 4
        assert {info["vase"]["updates"] for info in infos} == {env.vase.updates}
        assert env.vase.updates > 5
    finally:
        inner.close()


def test_agents_learn_on_it() -> None:
    env = venv(3, frames_per_update=8)
    A2C("MlpPolicy", env, seed=0, device="cpu").learn(60)
    assert env.vase.updates > 3


def test_it_is_saved_and_loaded_as_vec_normalize_is(tmp_path: Any) -> None:
    env = venv(2)
    env.reset()
    for _ in range(30):
        env.step(actions(2))
    env.save(tmp_path / "learner.pt")
    again = VASEVecEnvWrapper.load(
        tmp_path / "learner.pt", DummyVecEnv(makers(2)), training=False, device="cpu"
    )
    assert not again.training
    frames = env.frames
    np.testing.assert_array_equal(again.vase.encode(frames)[0], env.vase.encode(frames)[0])
    with pytest.raises((CheckpointError, FileNotFoundError)):
        VASEVecEnvWrapper.load(tmp_path / "none.pt", DummyVecEnv(makers(2)))


def test_evaluation_sees_with_the_same_learner_and_does_not_teach_it() -> None:
    env = venv(2)
    env.reset()
    twin = env.evaluation(DummyVecEnv(makers(3)))
    assert twin.vase is env.vase
    twin.reset()
    for _ in range(40):
        twin.step(actions(3))
    assert env.vase.updates == 0
    for _ in range(40):
        env.step(actions(2))
    frames = env.frames
    np.testing.assert_array_equal(twin.observer.latents(frames), env.observer.latents(frames))


def test_sync_copies_and_does_not_share() -> None:
    env, other = venv(2), venv(2, training=False, seed=1)
    env.reset()
    for _ in range(40):
        env.step(actions(2))
    sync_encoder(env, other)
    frames = env.frames
    before = other.observer.latents(frames)
    np.testing.assert_array_equal(before, env.observer.latents(frames))
    for _ in range(20):
        env.step(actions(2))
    np.testing.assert_array_equal(other.observer.latents(frames), before)
    assert not np.allclose(env.observer.latents(frames), before)


class Reusing(Counter):
    """Hands out one and the same info, as some environments do."""

    def __init__(self) -> None:
        super().__init__()
        self.info: dict[str, Any] = {}

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        return (*super().step(action)[:4], self.info)


def test_an_info_that_is_used_again_does_not_end_episodes() -> None:
    env = VASEVecEnvWrapper(DummyVecEnv([Reusing]), TINY, **OPTIONS)
    env.reset()
    for _ in range(LENGTH + 2):
        _, _, dones, _ = env.step(actions(1))
    assert not dones[0]
    np.testing.assert_array_equal(env.next_frames, env.frames)


def test_a_seeded_reset_forgets_what_was_seen() -> None:
    env = venv(1)
    env.reset()
    for _ in range(40):
        env.step(actions(1))
    twin = env.evaluation(DummyVecEnv(makers(1)))
    for _ in range(2):
        twin.reset()
        assert [len(row) for row in twin.observer.stream._watch._recent] == [1]
        twin.step(actions(1))


def test_an_environment_that_the_learner_gave_up_is_left() -> None:
    env = venv(1)
    env.reset()
    for _ in range(40):
        env.step(actions(1))
    twin = env.evaluation(DummyVecEnv(makers(1)))
    twin.reset()
    twin.observer.stream._environment = 1
    latents, _, _, infos = twin.step(actions(1))
    assert infos[0]["vase"]["environment"] == 0
    assert np.isfinite(latents).all()


def test_an_environment_that_was_merged_is_left_for_the_one_that_stays() -> None:
    env = venv(1)
    env.reset()
    for _ in range(40):
        env.step(actions(1))
    env.vase.rename(0, "home")
    for _ in range(2):
        open_environment(env.vase, torch.ones(6, dtype=torch.bool))
    twin = env.evaluation(
        DummyVecEnv(makers(1)),
    )
    twin.reset()
    twin.observer.stream._environment = 1
    env.vase.merge(1, 0)
    assert (twin.observer.stream.environment, twin.observer.stream.name) == (0, "home")
    assert env.observer.stream.environment == 2


def test_all_environments_of_a_vector_share_status_and_name() -> None:
    env = venv(2)
    env.reset()
    for _ in range(20):
        env.step(actions(2))
    env.vase.rename(0, "home")
    infos = env.step(actions(2))[3]
    assert [(i["vase"]["status"], i["vase"]["name"]) for i in infos] == [("confirmed", "home")] * 2
    open_environment(env.vase, torch.ones(6, dtype=torch.bool))
    env.vase.merge(1, 0)
    infos = env.step(actions(2))[3]
    assert [i["vase"]["status"] for i in infos] == ["recognised"] * 2


class Listener:
    """Hears of changes, and holds what cannot be copied."""

    def __init__(self, env: VASEVecEnvWrapper) -> None:
        self.env = env
        self.heard: list[int] = []

    def note(self, vase: VASE, report: UpdateReport) -> None:
        self.heard.append(report.environment)


def test_a_copy_of_a_learner_reports_to_nobody() -> None:
    env, other = venv(1), venv(1, seed=1)
    listener = Listener(env)
    env.vase.on_change = listener.note
    env.reset()
    for _ in range(40):
        env.step(actions(1))
    assert listener.heard == [0]
    sync_encoder(env, other)
    assert other.vase.on_change is None
    assert env.vase.on_change == listener.note


def test_environments_are_neither_copied_nor_written() -> None:
    env = venv(1)
    assert pickle.loads(pickle.dumps({"venv": env})) == {"venv": None}
    with pytest.raises(TypeError, match="environments cannot be copied"):
        copy.deepcopy(env)
    learner = VASE(TINY, seed=0, device="cpu")
    envs = vector(1, learner=learner)
    assert envs._saved_kwargs["learner"] is learner


# ---------------------------------------------------------------- the policy's view


def moving(view: Any) -> tuple[VASEVecEnvWrapper, np.ndarray]:
    env = venv(2, view=view)
    env.reset()
    return env, env.frames


def test_a_held_view_moves_only_when_it_is_refreshed() -> None:
    env, frames = moving("held")
    before = env.observer.latents(frames)
    for _ in range(40):
        env.step(actions(2))
    assert env.vase.updates > 5
    np.testing.assert_array_equal(env.observer.latents(frames), before)
    last = env.observer.latents(env.frames)
    latents, drift = env.refresh()
    np.testing.assert_allclose(latents, env.vase.encode(env.frames)[0], rtol=1e-5, atol=1e-6)
    assert drift == pytest.approx(float(np.sqrt(np.mean((latents - last) ** 2))), rel=1e-4)
    assert drift > 0
    assert env.refresh()[1] == 0.0


def test_a_held_view_holds_the_masks_too() -> None:
    env, _ = moving("held")
    for _ in range(40):
        env.step(actions(2))
    env.refresh()
    env.vase.environments[0].latent_mask[1] = False
    assert (env.observer.latents(env.frames)[:, 1] != 0).all()
    env.refresh()
    assert (env.observer.latents(env.frames)[:, 1] == 0).all()


def test_a_held_mask_is_not_that_of_another_world_with_its_index() -> None:
    env, _ = moving("held")
    for _ in range(40):
        env.step(actions(2))
    registry = env.vase.registry
    ones = torch.ones(6, dtype=torch.bool)
    first, second = ones.clone(), ones.clone()
    first[0], second[1] = False, False
    open_environment(env.vase, first)
    env.refresh()
    view = env.observer.stream.view
    assert view.masks()[1].tolist() == first.tolist()
    env.vase.merge(1, 0)
    assert registry.opened == [0, 0]
    open_environment(env.vase, second)
    assert env.vase.environment == 1
    assert view.masks()[1].tolist() == second.tolist()


def test_a_held_mask_is_not_that_of_a_world_that_was_merged() -> None:
    env, _ = moving("held")
    for _ in range(40):
        env.step(actions(2))
    second = torch.ones(6, dtype=torch.bool)
    second[1] = False
    open_environment(env.vase, second)
    env.refresh()
    env.vase.merge(0, 1)
    second[2] = False
    masks = env.observer.stream.view.masks()
    assert masks[1].tolist() == [True, False, True, True, True, True]


def test_frames_that_wait_are_not_mixed_with_those_of_a_later_time() -> None:
    env, _ = moving("live")
    stream = env.observer.stream
    stream.config = StreamConfig(window_frames=64)
    while not stream._fresh or not stream._fresh[0]:
        env.step(actions(2))
    env.training = True
    assert stream._fresh, "nothing has changed"
    env.training = False
    assert not stream._fresh
    assert not stream._held


def test_an_adapter_does_not_follow_itself_and_is_not_copied() -> None:
    env = venv(1)
    with pytest.raises(ValueError, match="other must step other environments"):
        env.follow(env)
    with pytest.raises(TypeError, match="environments cannot be copied"):
        copy.copy(env)


def test_a_refresh_needs_a_reset() -> None:
    with pytest.raises(RuntimeError, match="call reset first"):
        venv(1, view="held").refresh()


def test_an_average_view_lags_behind() -> None:
    env, frames = moving("average")
    start = env.observer.latents(frames)
    for _ in range(60):
        env.step(actions(2))
    live = env.vase.encode(frames)[0]
    lagging = env.observer.latents(frames)
    assert not np.allclose(lagging, start)
    assert np.linalg.norm(lagging - start) < np.linalg.norm(live - start)


def test_an_average_closes_in_on_weights_that_stand_still() -> None:
    env, _ = moving("average")
    view = env.observer.stream.view
    for parameter in env.vase.networks.encoder.parameters():
        parameter.data.fill_(1.0)
    start = [p.clone() for p in view.encoder.parameters()]
    view.follow(3)
    for mine, before in zip(view.encoder.parameters(), start, strict=True):
        expected = 1 + (before - 1) * 0.99**3
        np.testing.assert_allclose(mine, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("view", ["live", "held", "average"])
def test_bfloat16_is_close_and_follows_the_view(view: Any) -> None:
    env = venv(2, view=view, precision="bfloat16")
    before = env.reset()
    for _ in range(40):
        env.step(actions(2))
    env.refresh()
    got = env.observer.latents(env.frames)
    env.observer.stream.view.precision = "float32"
    wanted = env.observer.latents(env.frames)
    assert env.vase.updates > 3
    drift = np.abs(wanted - before).max()
    assert 0 < np.abs(got - wanted).max() < drift / 4, "it has followed the learner, rounded"


@pytest.mark.parametrize(("environments", "frames"), [(1, 8), (2, 8), (4, 16), (8, 32)])
def test_many_environments_do_not_make_learning_the_bottleneck(
    environments: int, frames: int
) -> None:
    assert StreamConfig().pace(environments) == frames
    assert StreamConfig(frames_per_update=5).pace(environments) == 5


# ---------------------------------------------------------------- bad input

BAD = [
    (dict(precision="float16"), ValueError, r"precision must be one of \('float32', 'bfloat16'\)"),
    (dict(view="frozen"), ValueError, r"view must be one of \('live', 'held', 'average'\)"),
    (dict(frames_per_update=0), ValueError, "frames_per_update must be a positive integer"),
    (dict(pixels_key="camera"), ValueError, "pixels_key must be None unless"),
    (dict(load_path="none.pt"), FileNotFoundError, "none.pt"),
    (
        dict(load_path="x.pt", learner=VASE(TINY, seed=0, device="cpu")),
        ValueError,
        "load_path must be None where a learner is given",
    ),
]


@pytest.mark.parametrize(("options", "error", "message"), BAD)
@pytest.mark.parametrize("adapter", [vector, venv])
def test_bad_options(adapter: Any, options: Any, error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        adapter(1, **options)


def test_a_venv_without_images_is_refused() -> None:
    with pytest.raises(ValueError, match="the observation space must be a uint8 Box"):
        VASEVecEnvWrapper(DummyVecEnv([lambda: gym.make("CartPole-v1")]), TINY)


def test_learners_of_other_shapes_are_not_synchronised() -> None:
    with pytest.raises(ValueError, match="source and target must observe alike"):
        sync_encoder(venv(1), venv(1, append_environment=True))
