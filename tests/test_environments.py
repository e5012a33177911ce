"""SpriteStream and SpriteReach: conventions, schedule, dynamics and bad input."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.error import ResetNeeded
from gymnasium.utils.env_checker import check_env
from stable_baselines3.common.env_checker import check_env as check_env_sb3

import vase_rl.envs
from vase_rl.envs import SpriteReach, SpriteStream, make_source, register_environments
from vase_rl.envs.families import load_bank

STREAM, REACH = "vase_rl/SpriteStream-v0", "vase_rl/SpriteReach-v0"
CASES: list[tuple[str, dict[str, Any]]] = [
    (REACH, {}),
    (REACH, {"family": "glyphs", "size": 84, "target": (0.1, 0.9)}),
    (STREAM, {"sequence": "moving-garments:50,glyphs:90,moving-garments:70"}),
    (STREAM, {"sequence": "moving-inverted-glyphs:130", "motion": "smooth", "size": 40}),
]


@pytest.mark.parametrize(("name", "arguments"), CASES)
@pytest.mark.parametrize("check", [check_env, check_env_sb3])
def test_both_checkers_pass(name, arguments, check):
    check(gym.make(name, render_mode="rgb_array", **arguments).unwrapped)


@pytest.mark.parametrize(("name", "arguments"), CASES)
def test_specs_make_the_same_environment_again(name, arguments):
    env = gym.make(name, **arguments)
    first, info = env.reset(seed=4)
    again, info_again = gym.make(env.spec).reset(seed=4)
    assert np.array_equal(first, again)
    np.testing.assert_equal(info, info_again)


def test_registering_again_is_silent_and_light():
    register_environments()
    vase_rl.envs.register_environments()
    code = (
        "import sys, warnings; warnings.simplefilter('error')\n"
        "import gymnasium, vase_rl.envs\n"
        "assert {'vase_rl/SpriteStream-v0', 'vase_rl/SpriteReach-v0'} <= set(gymnasium.registry)\n"
        "loaded = [n for n in sys.modules if n.startswith('vase_rl.envs.')]\n"
        "assert loaded == ['vase_rl.envs.registration'], loaded\n"
    )
    assert subprocess.run([sys.executable, "-c", code], check=True).returncode == 0


def test_every_public_name_is_there():
    for name in vase_rl.envs.__all__:
        assert getattr(vase_rl.envs, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = vase_rl.envs.nothing


# --- stream ------------------------------------------------------------------------------------


def _watch(env: gym.Env, seed: int | None = None) -> tuple[np.ndarray, list[dict[str, Any]]]:
    frame, info = env.reset(seed=seed)
    frames, infos, ended = [frame], [info], False
    while not ended:
        frame, reward, terminated, ended, info = env.step(0)
        assert (reward, terminated) == (0.0, False)
        frames.append(frame)
        infos.append(info)
    return np.stack(frames), infos


def test_stream_follows_its_schedule():
    env = gym.make(STREAM, sequence="moving-garments:100,glyphs,moving-garments:30", frames=65)
    frames, infos = _watch(env, seed=0)
    assert [info["source"] for info in infos] == (
        ["moving-garments"] * 100 + ["glyphs"] * 65 + ["moving-garments"] * 30
    )
    assert [info["segment"] for info in infos] == [0] * 100 + [1] * 65 + [2] * 30
    assert [info["source_index"] for info in infos] == [0] * 100 + [1] * 65 + [0] * 30
    banks = {family: load_bank(family, 28) for family in ("garments", "glyphs")}
    for frame, info in zip(frames, infos, strict=True):
        x, y = np.rint(info["position"] * 36).astype(int)
        sprite = frame[y : y + 28, x : x + 28, 0]
        bank = banks[info["source"].removeprefix("moving-")]
        matches = np.flatnonzero((bank.images == sprite).all(axis=(1, 2)))
        assert info["class"] in bank.factors["class"][matches]


@pytest.mark.parametrize("motion", ["independent", "smooth"])
def test_stream_depends_on_the_seed_of_reset(motion):
    env = gym.make(STREAM, sequence="moving-glyphs:80,garments:80", motion=motion)
    first, _ = _watch(env, seed=1)
    other, _ = _watch(env)
    again, _ = _watch(env, seed=1)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_stream_frames_are_fresh_and_rendered():
    env = SpriteStream("moving-glyphs:5", render_mode="rgb_array")
    assert env.render() is None
    frame, _ = env.reset(seed=0)
    picture = env.render()
    assert picture is not None
    assert picture.shape == (256, 256, 3)
    assert np.array_equal(picture[::4, ::4, 0], frame[..., 0])
    frame[:] = 1
    assert np.array_equal(env.render(), picture)
    assert SpriteStream("glyphs:5").render() is None


def test_stream_ends_once():
    env = SpriteStream("glyphs:2")
    with pytest.raises(ResetNeeded):
        env.step(np.int64(0))
    env.reset(seed=0)
    assert env.step(np.int64(0))[3] is True
    with pytest.raises(ResetNeeded, match="has shown its last frame"):
        env.step(np.int64(0))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"sequence": "socks"}, "source must be one of .* got 'socks'"),
        ({"sequence": "glyphs:1"}, "sequence must have at least 2 frames in all, got 'glyphs:1'"),
        ({"frames": 0}, "positive number of frames"),
        ({"size": 4}, "size must be an integer of at least 16 pixels, got 4"),
        ({"motion": "wild"}, "motion must be one of"),
        ({"render_mode": "human"}, "render_mode must be None or 'rgb_array', got 'human'"),
        ({"sequence": "mnist:5"}, "mnist needs its data files"),
    ],
)
def test_bad_arguments_of_the_stream(arguments, message):
    with pytest.raises(ValueError, match=message):
        SpriteStream(**arguments)


def test_stream_has_no_reset_options():
    with pytest.raises(ValueError, match="options of reset must be empty for SpriteStream"):
        SpriteStream("glyphs:5").reset(options={"family": "glyphs"})


# --- reach -------------------------------------------------------------------------------------


def _greedy(info: dict[str, Any]) -> np.ndarray:
    return np.clip((info["target"] - info["position"]) / 0.1, -1, 1).astype(np.float32)


def _successes(env: gym.Env, policy: Any, episodes: int) -> float:
    won = 0
    for episode in range(episodes):
        _, info = env.reset(seed=episode)
        ended = False
        while not ended:
            _, _, terminated, truncated, info = env.step(policy(info))
            ended = terminated or truncated
        won += info["success"]
    return won / episodes


def test_going_straight_always_succeeds_and_chance_seldom_does():
    env = gym.make(REACH)
    rng = np.random.default_rng(0)
    assert _successes(env, _greedy, 50) == 1
    assert _successes(env, lambda _: rng.uniform(-1, 1, 2).astype(np.float32), 300) < 0.3


def test_moves_and_rewards():
    env = SpriteReach(target=(0.0, 1.0))
    _, before = env.reset(seed=3)
    action = np.array([0.5, -1.0], np.float32)
    frame, reward, terminated, truncated, info = env.step(action)
    moved = np.clip(before["position"] + 0.1 * action, 0, 1)
    assert np.allclose(info["position"], moved, atol=1e-6)
    distances = [np.hypot(place[0], place[1] - 1) for place in (before["position"], moved)]
    assert reward == pytest.approx(5 * (distances[0] - distances[1]), abs=1e-5)
    assert (terminated, truncated, info["success"]) == (False, False, False)
    assert info["distance"] == pytest.approx(distances[1], abs=1e-6)
    assert frame.shape == (64, 64, 1)


def test_success_ends_the_episode_with_a_bonus():
    env = SpriteReach()
    _, info = env.reset(seed=0)
    total, terminated, start = 0.0, False, info["distance"]
    while not terminated:
        assert not info["success"]
        _, reward, terminated, _, info = env.step(_greedy(info))
        total += reward
    assert info["success"]
    assert info["distance"] <= 0.1
    assert total == pytest.approx(5 * (start - info["distance"]) + 1)


def test_sprites_stop_at_the_sides_and_actions_are_clipped():
    env = SpriteReach(target=(1.0, 1.0))
    _, info = env.reset(seed=1)
    _, _, _, _, after = env.step(np.array([-50.0, 0.0], np.float32))
    assert info["position"][0] - after["position"][0] <= 0.1 + 1e-6
    for _ in range(12):
        frame, _, _, _, info = env.step(np.array([-1.0, -1.0], np.float32))
    assert info["position"].tolist() == [0, 0]
    assert not frame[28:].any()
    assert not frame[:, 28:].any()


def test_starts_are_outside_the_target_and_spread():
    env = SpriteReach(success_radius=0.5, target=(0.5, 0.5))
    infos = [env.reset(seed=seed)[1] for seed in range(100)]
    assert min(info["distance"] for info in infos) > 0.5
    places = np.stack([info["position"] for info in infos])
    assert np.all(places.std(axis=0) > 0.3)
    assert len({info["class"] for info in infos}) == 10


def test_frames_show_only_the_sprite_wherever_the_target_is():
    here, there = SpriteReach(target=(0.9, 0.9)), SpriteReach(target=(0.9, 0.8))
    frame, info = here.reset(seed=5)
    other, _ = there.reset(seed=5)
    assert np.array_equal(frame, other)
    x, y = np.rint(info["position"] * 36).astype(int)
    sprite = frame[y : y + 28, x : x + 28, 0].copy()
    assert (load_bank("garments", 28).images == sprite).all(axis=(1, 2)).any()
    frame[y : y + 28, x : x + 28] = 0
    assert not frame.any()


def test_reach_frames_come_from_the_sprites_of_the_source():
    frames = make_source("moving-garments").sample(2000).frames
    env = SpriteReach()
    reach = np.stack([env.reset(seed=seed)[0] for seed in range(400)])
    assert reach.mean() == pytest.approx(frames.mean(), rel=0.05)


def test_family_and_target_are_options_of_reset_and_stay():
    env = gym.make(REACH)
    assert env.reset(seed=0)[1]["family"] == "garments"
    frame, info = env.reset(seed=0, options={"family": "glyphs", "target": [0.1, 0.2]})
    assert info["family"] == "glyphs"
    assert info["target"].tolist() == pytest.approx([0.1, 0.2])
    x, y = np.rint(info["position"] * 36).astype(int)
    sprite = frame[y : y + 28, x : x + 28, 0]
    assert (load_bank("glyphs", 28).images == sprite).all(axis=(1, 2)).any()
    assert env.reset()[1]["family"] == "glyphs"


def test_reach_renders_the_target():
    env = SpriteReach(render_mode="rgb_array")
    assert env.render() is None
    _, info = env.reset(seed=0)
    picture = env.render()
    assert picture is not None
    assert (picture.shape, picture.dtype) == ((256, 256, 3), np.uint8)
    env.reset(seed=0, options={"target": (0.1, 0.9)})
    moved = env.render()
    assert moved is not None
    assert np.any(moved != picture)
    assert SpriteReach().render() is None
    assert info["target"].tolist() == [0.75, 0.25]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"family": "socks"}, "family must be one of garments, glyphs, mnist, fashion, got 'sock"),
        ({"family": "mnist"}, "mnist needs its data files"),
        ({"target": (0.5, 1.5)}, r"target must be two numbers x, y in \[0, 1\], got \(0.5, 1.5\)"),
        ({"target": (0.5,)}, "target must be two numbers"),
        ({"target": (np.nan, 0.5)}, "target must be two numbers"),
        ({"target": "middle"}, "target must be two numbers x, y in .* got 'middle'"),
        ({"step_size": 0}, "step_size must be a number above 0 and at most 1.0, got 0"),
        ({"success_radius": 0.6}, "success_radius must be a number above 0 and at most 0.5"),
        ({"size": 8}, "size must be an integer of at least 16"),
        ({"render_mode": "human"}, "render_mode must be None or 'rgb_array'"),
        ({"seed": -1}, "seed must be an integer of at least 0"),
    ],
)
def test_bad_arguments_of_reach(arguments, message):
    with pytest.raises(ValueError, match=message):
        SpriteReach(**arguments)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"goal": (0, 0)}, r"options of reset must be among family, target, got \['goal'\]"),
        ({"family": "socks"}, "family must be one of"),
        ({"family": "mnist", "target": (0, 0)}, "mnist needs its data files"),
        ({"family": "glyphs", "target": (2, 0)}, "target must be two numbers"),
    ],
)
def test_bad_options_change_nothing(options, message):
    env = SpriteReach()
    with pytest.raises(ValueError, match=message):
        env.reset(seed=0, options=options)
    _, info = env.reset(seed=0)
    assert info["family"] == "garments"
    assert info["target"].tolist() == [0.75, 0.25]


@pytest.mark.parametrize("action", [np.zeros(3), np.array([np.nan, 0]), np.zeros((1, 2))])
def test_bad_actions(action):
    env = SpriteReach()
    with pytest.raises(ResetNeeded):
        env.step(np.zeros(2, np.float32))
    env.reset(seed=0)
    with pytest.raises(ValueError, match="action must be 2 finite numbers, got"):
        env.step(action)
