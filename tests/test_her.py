"""Hindsight experience replay on latents, against that of Stable-Baselines3 on the same story."""

from __future__ import annotations

import pickle
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from counting import TINY
from gymnasium import spaces
from stable_baselines3 import PPO, SAC, HerReplayBuffer
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

from vase_rl.agents import FrameHerReplayBuffer, FrameReplayBuffer, RefreshView
from vase_rl.wrappers import VASEVecEnvWrapper

EPISODE = 6
BATCH = 64


class Dot(gym.Env[Any, Any]):
    """A bright dot that the agent pushes along a line, to the goal of the episode."""

    def __init__(self) -> None:
        goal = spaces.Box(0.0, 1.0, (1,), np.float32)
        self.observation_space = spaces.Dict(
            observation=spaces.Box(0, 255, (16, 16, 1), np.uint8),
            achieved_goal=goal,
            desired_goal=goal,
        )
        self.action_space = spaces.Box(-1.0, 1.0, (1,), np.float32)

    def _observe(self) -> dict[str, np.ndarray]:
        image = self.np_random.integers(0, 60, (16, 16, 1), dtype=np.uint8)
        column = round(13 * float(self.place[0]))
        image[6:10, column : column + 3] = 255
        return {"observation": image, "achieved_goal": self.place, "desired_goal": self.goal}

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        super().reset(seed=seed)
        self.place, self.goal = self.np_random.random((2, 1), dtype=np.float32)
        self.steps = 0
        return self._observe(), {}

    def step(self, action: Any) -> tuple[dict[str, np.ndarray], float, bool, bool, dict[str, Any]]:
        self.place = np.clip(self.place + 0.3 * np.asarray(action, np.float32), 0, 1)
        self.steps += 1
        reward = float(self.compute_reward(self.place, self.goal, {}))
        return self._observe(), reward, False, self.steps == EPISODE, {}

    def compute_reward(self, achieved: np.ndarray, desired: np.ndarray, info: Any) -> Any:
        return -(np.abs(achieved - desired).max(-1) > 0.1).astype(np.float32)


def goal_venv(count: int = 2, **options: Any) -> VASEVecEnvWrapper:
    plain = DummyVecEnv([Dot] * count)
    kwargs: dict[str, Any] = dict(warmup_frames=32, seed=0, device="cpu", keep_goals=True)
    return VASEVecEnvWrapper(plain, TINY, **{**kwargs, **options})


def sac(env: Any, buffer: Any = FrameHerReplayBuffer, **options: Any) -> SAC:
    return SAC(
        "MultiInputPolicy", env, replay_buffer_class=buffer, seed=0, device="cpu",
        buffer_size=200, learning_starts=30, batch_size=32, **options,
    )  # fmt: skip


def buffer_of(agent: Any) -> Any:
    return agent.replay_buffer


def sample(buffer: Any, env: VecNormalize | None = None) -> Any:
    np.random.seed(3)  # noqa: NPY002
    return buffer.sample(BATCH, env)


class Both(BaseCallback):
    """Hands every transition to a second buffer too."""

    def __init__(self, second: HerReplayBuffer) -> None:
        super().__init__()
        self.second = second

    def _on_step(self) -> bool:
        new, infos, dones = (self.locals[name] for name in ("new_obs", "infos", "dones"))
        following = {key: value.copy() for key, value in new.items()}
        for i in np.flatnonzero(dones):
            for key, value in infos[i]["terminal_observation"].items():
                following[key][i] = value
        before: Any = self.model._last_obs
        actions = self.locals["buffer_actions"]
        self.second.add(before, following, actions, self.locals["rewards"], dones, infos)
        return True


def test_goals_stay_beside_the_latents() -> None:
    env = goal_venv()
    space = env.observation_space
    assert isinstance(space, spaces.Dict)
    assert {key: part.shape for key, part in space.items()} == {
        "observation": (6,), "achieved_goal": (1,), "desired_goal": (1,),
    }  # fmt: skip
    env.reset()
    for step in range(1, 2 * EPISODE + 1):
        seen, _, dones, infos = env.step(np.full((2, 1), 0.1))
        assert isinstance(seen, dict)
        assert all(seen[key].shape == (2, *part.shape) for key, part in space.items())
        np.testing.assert_array_equal(seen["achieved_goal"], env.get_attr("place"))
        assert dones.all() == (step % EPISODE == 0)
    latents = env.observer.latents(env.next_frames)
    for i, info in enumerate(infos):
        last = info["terminal_observation"]
        np.testing.assert_allclose(last["observation"], latents[i], rtol=1e-5, atol=1e-6)
        assert last["desired_goal"] != seen["desired_goal"][i]
    assert env.evaluation(DummyVecEnv([Dot])).observation_space == space


@pytest.mark.parametrize("strategy", ["future", "final", "episode"])
def test_goals_and_rewards_are_those_of_stable_baselines3(strategy: str) -> None:
    env = goal_venv(training=False)
    kwargs = {"goal_selection_strategy": strategy}
    agent = sac(env, gradient_steps=0, replay_buffer_kwargs=kwargs)
    theirs = HerReplayBuffer(
        200, env.observation_space, env.action_space, env, "cpu", n_envs=2,
        goal_selection_strategy=strategy,
    )  # fmt: skip
    agent.learn(300, callback=Both(theirs))
    assert theirs.full
    expected, found = sample(theirs), sample(buffer_of(agent))
    for name in ("actions", "rewards", "dones"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))
    for name in ("observations", "next_observations"):
        ours, stored = getattr(found, name), getattr(expected, name)
        assert ours.keys() == stored.keys()
        for key in ours:
            # The encoder stands still here: even the latents are as they were.
            np.testing.assert_allclose(ours[key], stored[key], rtol=1e-5, atol=1e-5)


def test_equal_frames_give_equal_latents_after_the_encoder_has_moved() -> None:
    env = goal_venv()
    agent = sac(env)
    agent.learn(80)
    buffer = buffer_of(agent)
    assert buffer.observations["observation"].dtype == np.uint8
    assert buffer.observations["observation"].nbytes == 200 * 16 * 16
    frames = buffer.observations["observation"][:5, 0].copy()
    before, updates = env.observer.latents(frames), env.vase.updates
    env.reset()
    while env.vase.updates < updates + 10:
        env.step(np.zeros((2, 1)))
    now = env.observer.latents(frames)
    assert not np.allclose(now, before)
    sampled = sample(buffer).observations["observation"].numpy()
    stored = buffer.observations["observation"][: buffer.pos].reshape(-1, 16, 16, 1)
    every = env.observer.latents(stored)
    gaps = np.abs(sampled[:, None] - every[None]).max(-1).min(1)
    assert gaps.max() < 1e-5


def test_sampled_latents_and_rewards_are_normalised() -> None:
    env = goal_venv(training=False)
    outer = VecNormalize(env)
    agent = sac(outer, gradient_steps=0)
    agent.learn(100)
    plain, normal = sample(buffer_of(agent)), sample(buffer_of(agent), outer)
    raw = {key: value.numpy() for key, value in plain.observations.items()}
    expected: Any = outer.normalize_obs(raw)
    for key, value in normal.observations.items():
        np.testing.assert_allclose(value, expected[key], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(
        normal.rewards, outer.normalize_reward(plain.rewards.numpy()), rtol=1e-5
    )


def test_an_agent_reaches_goals_in_hindsight() -> None:
    """On latents that are learnt beside it."""
    env = goal_venv()
    agent = SAC(
        "MultiInputPolicy", env, replay_buffer_class=FrameHerReplayBuffer, seed=0, device="cpu",
        buffer_size=2000, learning_starts=60, batch_size=64, gradient_steps=2, gamma=0.3,
        learning_rate=5e-3, ent_coef=0.02, policy_kwargs={"net_arch": [32]},
    )  # fmt: skip
    chance = np.mean(returns(env, lambda _: np.stack([env.action_space.sample() for _ in "ab"])))
    agent.learn(600)
    learnt = np.mean(returns(env, lambda seen: agent.predict(seen, deterministic=True)[0]))
    assert chance < -4.0
    assert learnt > -2.0


def returns(env: VASEVecEnvWrapper, act: Any) -> list[float]:
    """Of twenty episodes in each environment."""
    env.action_space.seed(0)
    seen, sums = env.reset(), []
    total = np.zeros(2)
    for step in range(1, 20 * EPISODE + 1):
        seen, rewards, _, _ = env.step(act(seen))
        total += rewards
        if step % EPISODE == 0:
            sums += total.tolist()
            total[:] = 0
    return sums


def test_a_buffer_is_kept_without_its_environments(tmp_path: Any) -> None:
    env = goal_venv()
    agent = sac(env)
    agent.learn(84)
    expected = sample(buffer_of(agent))
    lost = pickle.loads(pickle.dumps(buffer_of(agent)))
    with pytest.raises(RuntimeError, match="the buffer has no adapter"):
        sample(lost)
    agent.save(tmp_path / "agent.zip")
    agent.save_replay_buffer(tmp_path / "buffer.pkl")
    again = SAC.load(tmp_path / "agent.zip", env=goal_venv(learner=env.vase), device="cpu")
    again.load_replay_buffer(tmp_path / "buffer.pkl")
    found = sample(buffer_of(again))
    for key, value in expected.observations.items():
        np.testing.assert_allclose(found.observations[key], value, rtol=1e-5, atol=1e-6)
    again.learn(12, reset_num_timesteps=False)


def test_a_buffer_notices_that_another_adapter_is_stepped() -> None:
    agent = sac(goal_venv())
    agent.learn(30)
    other = goal_venv()
    agent.set_env(other)
    with pytest.raises(RuntimeError, match="after set_env, call"):
        agent.learn(10, reset_num_timesteps=False)
    buffer_of(agent).attach(other)
    agent.learn(10, reset_num_timesteps=False)
    assert buffer_of(agent).env is other


def test_a_refresh_keeps_the_goals() -> None:
    env = goal_venv(view="held", frames_per_update=4)
    agent = PPO("MultiInputPolicy", env, n_steps=16, batch_size=32, seed=0, device="cpu")
    agent.learn(96, callback=RefreshView(env))
    observations, drift = env.refresh()
    assert isinstance(observations, dict)
    np.testing.assert_array_equal(observations["desired_goal"], env.goals["desired_goal"])
    assert drift > 0


def test_bad_input() -> None:
    env, blind = goal_venv(), goal_venv(keep_goals=False)
    space, action = env.observation_space, env.action_space
    plain = DummyVecEnv([Dot])
    images = DummyVecEnv([lambda: gym.make("vase_rl/SpriteReach-v0")])
    table: list[tuple[Any, str]] = [
        (lambda: VASEVecEnvWrapper(images, TINY, keep_goals=True), "keep_goals needs a Dict"),
        (
            lambda: FrameHerReplayBuffer(9, blind.observation_space, action, blind),
            "the adapter needs keep_goals=True",
        ),
        (lambda: FrameHerReplayBuffer(9, space, action, plain), "must be a VASEVecEnvWrapper"),
        (lambda: FrameHerReplayBuffer(9, space, action, blind, n_envs=2), "2 environments that"),
        (
            lambda: FrameHerReplayBuffer(9, space, action, env, optimize_memory_usage=True),
            "optimize_memory_usage must be False",
        ),
        (
            lambda: FrameReplayBuffer(9, space, action, venv=env, n_envs=2),
            "observations must be latents alone",
        ),
    ]
    for call, message in table:
        with pytest.raises(ValueError, match=message):
            call()
