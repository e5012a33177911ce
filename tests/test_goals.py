"""Imagined goals, in a world of blobs that a hand-made learner sees exactly."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from blobs import Push, blobs, knowing_learner, place_of, still
from gymnasium import spaces
from gymnasium.utils.env_checker import check_env

from vase_rl import VASE
from vase_rl.agents import ImaginedGoals, goal_agent
from vase_rl.wrappers import VASEObservationWrapper


def adapter(env: gym.Env[Any, Any], vase: VASE | None = None) -> VASEObservationWrapper:
    vase = vase or knowing_learner()
    seen = VASEObservationWrapper(env, vase.config, training=False, seed=0, device="cpu")
    seen.stream.use(vase)
    return seen


class Rewarded(Push):
    """It pays for standing still and ends every third step."""

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        seen, _, _, truncated, info = super().step(action)
        return seen, 1000.0, self.steps % 3 == 0, truncated, info


class Steps(Push):
    """The same with five actions."""

    def __init__(self) -> None:
        super().__init__()
        self.action_space = spaces.Discrete(5)

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        return super().step([(0, 0), (1, 0), (-1, 0), (0, 1), (0, -1)][int(action)])


def test_the_reward_is_the_distance_to_the_goal_and_nothing_else() -> None:
    env = ImaginedGoals(adapter(Rewarded()), horizon=5, seed=0)
    seen, _ = env.reset(seed=1)
    assert env.observation_space.contains(seen)
    assert seen["desired_goal"].shape == (3,)  # of five latents, three are used
    ends = []
    for _ in range(3):
        seen, reward, terminated, truncated, _ = env.step(np.array([0.3, 0.1], np.float32))
        distance = np.linalg.norm(seen["achieved_goal"] - seen["desired_goal"])
        assert reward == pytest.approx(-distance)
        np.testing.assert_array_equal(seen["achieved_goal"], seen["observation"][:3])
        ends.append((terminated, truncated))
    assert ends == [(False, False), (False, False), (False, True)]


def test_an_episode_lasts_for_the_horizon() -> None:
    env = ImaginedGoals(adapter(Push()), horizon=4, seed=0)
    env.reset(seed=0)
    ends = [env.step(np.zeros(2, np.float32))[3] for _ in range(4)]
    assert ends == [False, False, False, True]


def test_a_picture_is_a_goal() -> None:
    env = ImaginedGoals(adapter(Push()), seed=0)
    picture = blobs(np.array([[0.2, 0.7]]))[0]
    seen, _ = env.reset(options={"goal": picture})
    shown = np.zeros((1, 5), np.float32)
    shown[0, :3] = seen["desired_goal"]
    np.testing.assert_allclose(place_of(env.adapter.vase.decode(shown)), [[0.2, 0.7]], atol=0.07)
    again, _ = env.reset()
    assert not np.array_equal(again["desired_goal"], seen["desired_goal"])


@pytest.mark.filterwarnings("ignore:.*is different from the unwrapped version")
@pytest.mark.filterwarnings("ignore:.*Box observation space (min|max)imum value is")
def test_gymnasium_accepts_it() -> None:
    check_env(ImaginedGoals(adapter(Push())), skip_render_check=True)


def success(agent: Any, env: ImaginedGoals, episodes: int = 20) -> float:
    rng = np.random.default_rng(1)
    reached = []
    for _ in range(episodes):
        place = rng.random(2)
        seen, _ = env.reset(options={"goal": blobs(place[None], 150)[0]})
        done = False
        while not done:
            seen, _, _, done, _ = env.step(agent.predict(seen, deterministic=True)[0])
        reached.append(np.linalg.norm(env.unwrapped.place - place) < 0.2)  # type: ignore[attr-defined]
    return float(np.mean(reached))


@pytest.mark.parametrize(("algorithm", "world"), [("sac", Push), ("dqn", Steps)])
def test_practice_on_what_is_imagined_reaches_what_is_shown(algorithm: Any, world: Any) -> None:
    env = ImaginedGoals(adapter(world()), horizon=10, seed=0)
    agent = goal_agent(env, algorithm, learning_starts=100)
    before = success(agent, env)
    agent.learn(1200)
    assert before < 0.4
    assert success(agent, env) > 0.8


def blind() -> VASE:
    vase = knowing_learner()
    vase.environments[0].used_latents[:] = False
    return vase


def merged() -> VASE:
    """Environment 0 has become part of environment 1."""
    vase, rng = knowing_learner(), np.random.default_rng(6)
    for _ in range(4):
        vase.update(still(rng))
    vase.merge(0, 1)
    return vase


def forbidden() -> VASE:
    vase = knowing_learner()
    vase.forbid(0)
    return vase


def training() -> VASEObservationWrapper:
    env = adapter(Push())
    env.training = True
    return env


@pytest.mark.parametrize(
    ("make", "exception", "message"),
    [
        (lambda: ImaginedGoals(Push()), TypeError, "VASEObservationWrapper, got"),  # type: ignore[arg-type]
        (lambda: ImaginedGoals(training()), ValueError, "must not train"),
        (lambda: ImaginedGoals(adapter(Push()), horizon=0), ValueError, "horizon.*got 0"),
        (lambda: ImaginedGoals(adapter(Push()), environment=3), ValueError, "1 that .* got 3"),
        (
            lambda: ImaginedGoals(adapter(Push(), merged()), environment=0),
            ValueError,
            "1 that .* got 0",
        ),
        (
            lambda: ImaginedGoals(adapter(Push(), forbidden())),
            ValueError,
            "0 that .* got 0; none that is forbidden",
        ),
        (lambda: ImaginedGoals(adapter(Push(), blind())), ValueError, "uses no latents in env"),
        (
            lambda: ImaginedGoals(adapter(Push(), VASE(knowing_learner().config, device="cpu"))),
            ValueError,
            "one of the 0 that the learner knows, got 0",
        ),
        (lambda: goal_agent(ImaginedGoals(adapter(Steps()))), ValueError, "such actions suit"),
        (
            lambda: goal_agent(ImaginedGoals(adapter(Push())), "ppo"),  # type: ignore[arg-type]
            ValueError,
            "one of sac, dqn, got 'ppo'",
        ),
        (
            lambda: ImaginedGoals(adapter(Push())).reset(options={"goal": np.zeros((4, 4, 1))}),
            ValueError,
            "the observed image must be uint8",
        ),
    ],
)
def test_bad_input_is_named(make: Any, exception: type[Exception], message: str) -> None:
    with pytest.raises(exception, match=message):
        make()
