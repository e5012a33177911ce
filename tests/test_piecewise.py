"""PiecewiseStationary: whole environments take turns, exactly as long as the schedule says."""

from __future__ import annotations

from functools import partial
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from ending import BLACK, ENDING, LENGTH, SEEN, Ending
from gymnasium.error import ResetNeeded
from gymnasium.utils.env_checker import check_env
from lamps import CORRIDOR, LAMP
from stable_baselines3.common.env_checker import check_env as check_env_sb3

from vase_rl.envs import PiecewiseStationary
from vase_rl.envs.piecewise import Stretch, parse_schedule

NAME = "vase_rl/PiecewiseStationary-v0"
PAIR = [partial(Ending, SEEN, 10), partial(Ending, SEEN, 100)]


def walk(env: gym.Env[Any, Any], steps: int) -> list[tuple[int, int, bool, bool]]:
    """World, brightness and ends of each frame; resets come with both ends False."""
    frame, info = env.reset(seed=0)
    seen = [(info["world"], int(frame[0, 0, 0]), False, False)]
    for _ in range(steps):
        frame, _, terminated, truncated, info = env.step(0)
        seen.append((info["world"], int(frame[0, 0, 0]), terminated, truncated))
        if terminated or truncated:
            frame, info = env.reset()
            seen.append((info["world"], int(frame[0, 0, 0]), False, False))
    return seen


def test_worlds_take_turns_and_go_on_where_they_stopped() -> None:
    env = PiecewiseStationary(PAIR, [(0, 6), (1, 2), (0, 3)], size=16)
    assert walk(env, 12) == [
        (0, 11, False, False), (0, 0, False, False), (0, 0, False, False), (0, 12, False, False),
        (0, 13, True, False),
        (0, 14, False, False), (0, 0, False, False), (0, 0, False, True),
        (1, 101, False, False), (1, 0, False, False), (1, 0, False, True),
        (0, 15, False, False), (0, 0, False, False), (0, 0, False, False), (0, 16, False, True),
        (0, 17, False, False), (0, 0, False, False),
    ]  # fmt: skip


def test_an_episode_that_ends_with_its_stretch_is_not_cut_off() -> None:
    seen = walk(PiecewiseStationary(PAIR, LENGTH, size=16), LENGTH + 1)
    assert seen[LENGTH][2:] == (True, False)
    assert [world for world, *_ in seen] == [0] * (LENGTH + 1) + [1, 1]


def test_between_episodes_a_reset_is_needed() -> None:
    env = PiecewiseStationary(PAIR, 1, size=16)
    with pytest.raises(ResetNeeded, match="between two episodes"):
        env.step(0)
    env.reset()
    assert env.step(0)[3]
    with pytest.raises(ResetNeeded, match="between two episodes"):
        env.step(0)


def test_equal_seeds_give_equal_worlds() -> None:
    worlds = ["MiniGrid-MultiRoom-N2-S4-v0", "MiniGrid-FourRooms-v0"]
    runs = []
    for seed in (1, 1, 2):
        env = PiecewiseStationary(worlds, 2, size=16)
        frames = [env.reset(seed=seed)[0]]
        for _ in range(6):
            frame, _, terminated, truncated, _ = env.step(1)
            frames += [frame] + ([env.reset()[0]] if terminated or truncated else [])
        runs.append(np.stack(frames))
        env.close()
    assert runs[0].shape[1:] == (16, 16, 3)
    assert np.array_equal(runs[0], runs[1])
    assert not np.array_equal(runs[0], runs[2])


def test_two_scenarios_of_vizdoom_are_one_environment() -> None:
    scenarios = ["VizdoomBasic-v1", "VizdoomDefendCenter-v1"]
    env = PiecewiseStationary(scenarios, 5, size=64)
    assert env.observation_space.shape == (64, 64, 3)
    frames = {}
    env.reset(seed=0)
    for _ in range(10):
        frame, _, _, truncated, info = env.step(0)
        frames[info["world"]] = frame
        if truncated:
            env.reset()
    assert frames.keys() == {0, 1}
    assert not np.array_equal(frames[0], frames[1])
    env.close()


@pytest.mark.parametrize("check", [check_env, check_env_sb3])
@pytest.mark.parametrize("worlds", [[ENDING, ENDING], [partial(Ending, BLACK), ENDING]])
def test_checkers_pass_and_the_spec_makes_it_again(check: Any, worlds: list[Any]) -> None:
    env = gym.make(NAME, worlds=worlds, schedule=50, size=64, render_mode="rgb_array")
    check(env.unwrapped)
    first, info = env.reset(seed=4)
    again, info_again = gym.make(env.spec).reset(seed=4)
    assert np.array_equal(first, again)
    assert info == info_again == {"world": 0}
    assert env.render().shape == (256, 256, 3)


def test_schedules() -> None:
    three = (Stretch(0, 7), Stretch(1, 7), Stretch(2, 7))
    assert parse_schedule(7, 3) == parse_schedule([7, 7, 7], 3) == three
    assert parse_schedule([(2, 1), [0, np.int64(4)]], 3) == (Stretch(2, 1), Stretch(0, 4))


@pytest.mark.parametrize(
    "schedule",
    [0, -1, True, 1.5, "5", None, [], [5], [5, 0], [5, "a"], [(2, 5)], [(-1, 5)], [(0, 0)],
     [(0, 5, 1)], [(0, 5), 5], [(0, 1.0)]],
)  # fmt: skip
def test_bad_schedules(schedule: Any) -> None:
    with pytest.raises(ValueError, match="schedule must be a positive number of steps"):
        parse_schedule(schedule, 2)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"worlds": ENDING}, TypeError, "worlds must be a sequence of names and functions, got"),
        ({"worlds": [ENDING, 5]}, TypeError, "worlds must be names or functions that make one"),
        ({"worlds": []}, ValueError, "worlds must name at least one environment"),
        (
            {"worlds": [LAMP, CORRIDOR]}, ValueError,
            r"worlds must have equal action spaces, got Discrete\(2\) in lamps/Lamp-v0 and Box\(.*",
        ),
        ({"worlds": ["CartPole-v1"]}, ValueError, "world CartPole-v1: the observation space must"),
        ({"size": 8}, ValueError, "size must be an integer of at least 16 pixels, got 8"),
        ({"render_mode": "human"}, ValueError, "render_mode must be None or 'rgb_array'"),
    ],
)  # fmt: skip
def test_bad_arguments(arguments: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        PiecewiseStationary(**{"worlds": [ENDING], **arguments})
