"""RecordedTrajectory: recordings shown again as an environment."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.error import ResetNeeded
from gymnasium.utils.env_checker import check_env
from lamps import TINY
from stable_baselines3.common.env_checker import check_env as check_env_sb3
from trajectory_formats import HEIGHT, KINDS, LENGTHS, WIDTH, make_episodes, number_of

from vase_rl.envs import RecordedTrajectory, TrajectoryError
from vase_rl.envs.trajectories.preparation import prepare
from vase_rl.experiments.cli import main
from vase_rl.wrappers import VASEObservationWrapper, VASEVectorObservationWrapper

NAME = "vase_rl/RecordedTrajectory-v0"
EPISODES = make_episodes()
FIRSTS = np.cumsum([0, *LENGTHS])
TOTAL = sum(LENGTHS)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three episodes with actions, rewards and ends."""
    return KINDS["npz"].write(tmp_path_factory.mktemp("recording"), EPISODES)


def shard(folder: Path, frames: np.ndarray, **more: Any) -> None:
    np.savez(folder / f"{len(list(folder.iterdir()))}.npz", frames=frames, **more)


def watch(env: gym.Env[Any, Any], **reset: Any) -> tuple[list[Any], list[dict[str, Any]]]:
    """Steps (observation, reward, terminated, truncated) of an episode, and their infos."""
    observation, info = env.reset(**reset)
    steps, infos = [(observation, None, False, False)], [info]
    while not (steps[-1][2] or steps[-1][3]):
        observation, reward, terminated, truncated, info = env.step(0)
        steps.append((observation, reward, terminated, truncated))
        infos.append(info)
    return steps, infos


def shown(env: gym.Env[Any, Any], episodes: int, **reset: Any) -> list[int]:
    """Numbers of the episodes that `reset` shows."""
    numbers = [env.reset(**reset)[1]["recorded_episode"]]
    return numbers + [env.reset()[1]["recorded_episode"] for _ in range(episodes - 1)]


@pytest.mark.parametrize("check", [check_env, check_env_sb3])
@pytest.mark.parametrize(
    ("kind", "arguments"),
    [
        ("npz", {}),
        ("npz", {"size": 40, "crop": "left", "channels": 1, "shuffle": True}),
        ("rl-unplugged", {}),
        ("png", {"size": 64}),
    ],
)
def test_both_checkers_pass(tmp_path, check, kind, arguments):
    written = KINDS[kind].write(tmp_path, EPISODES)
    check(gym.make(NAME, path=written, render_mode="rgb_array", **arguments).unwrapped)


@pytest.mark.parametrize("kind", ["npz", "rl-unplugged", "rlds", "minari-hdf5", "png"])
def test_an_episode_is_shown_as_it_was_recorded(tmp_path, kind):
    env = gym.make(NAME, path=KINDS[kind].write(tmp_path, EPISODES))
    assert env.observation_space == gym.spaces.Box(0, 255, (HEIGHT, WIDTH, 3), np.uint8)
    for number, episode in enumerate(EPISODES):
        steps, infos = watch(env)
        assert np.array_equal([step[0] for step in steps], episode.frames)
        assert [info["recorded_episode"] for info in infos] == [number] * len(steps)
        assert [info["recorded_frame"] for info in infos] == list(range(len(steps)))
        assert "recorded_action" not in infos[0]
        if KINDS[kind].steps:
            assert [step[1] for step in steps[1:]] == episode.rewards.tolist()
            actions = [info["recorded_action"] for info in infos[1:]]
            assert actions == episode.actions.tolist()
            assert {type(action) for action in actions} == {int}
        else:
            assert {step[1] for step in steps[1:]} == {0.0}
            assert all("recorded_action" not in info for info in infos)
        known = KINDS[kind].steps and kind != "rl-unplugged"
        ends = (True, False) if known and episode.terminated else (False, True)
        assert steps[-1][2:] == ends
    env.close()


def test_frames_are_prepared(path):
    env = gym.make(NAME, path=path, size=32, crop="right", channels=1)
    steps, _ = watch(env)
    expected = prepare(EPISODES[0].frames, 32, crop="right", channels=1)
    assert np.array_equal([step[0] for step in steps], expected)
    assert env.observation_space.shape == (32, 32, 1)


def test_the_recorded_order_starts_again_after_the_last_and_with_a_seed(path):
    env = RecordedTrajectory(path)
    assert shown(env, 5) == [0, 1, 2, 0, 1]
    assert shown(env, 2, seed=3) == [0, 1]
    assert shown(env, 3, options={"episode": 1}) == [1, 2, 0]


def test_a_shuffled_order_has_each_episode_once_and_depends_on_the_seed(tmp_path):
    for i in range(12):
        shard(tmp_path, np.full((2, 16, 16, 3), i, np.uint8))
    env = RecordedTrajectory(tmp_path, shuffle=True)
    first = shown(env, 24, seed=1)
    assert sorted(first[:12]) == sorted(first[12:]) == list(range(12))
    assert first[:12] != first[12:]
    assert shown(env, 24, seed=1) == first
    assert shown(env, 12, seed=2) != first[:12]
    behind = first.index(7) + 1
    assert shown(env, 12 - behind + 1, seed=1, options={"episode": 7}) == [7, *first[behind:12]]


@pytest.mark.parametrize("shuffle", [False, True])
def test_without_a_loop_it_ends(path, shuffle):
    env = RecordedTrajectory(path, loop=False, shuffle=shuffle)
    assert sorted(shown(env, 3, seed=0)) == [0, 1, 2]
    with pytest.raises(EOFError, match=r"all episodes of .* have been shown"):
        env.reset()
    assert env.reset(seed=0)[1]["recorded_frame"] == 0


def test_the_recorded_order_needs_no_count(path, monkeypatch):
    monkeypatch.setattr("vase_rl.envs.trajectories.recording.RecordedTrajectories.__len__", None)
    assert shown(RecordedTrajectory(path), 2) == [0, 1]


def test_an_episode_of_one_frame_shows_it_twice(tmp_path):
    shard(tmp_path, np.full((1, 16, 16, 1), 9, np.uint8), rewards=[2.0], terminated=[True])
    steps, infos = watch(RecordedTrajectory(tmp_path))
    assert [step[1:] for step in steps] == [(None, False, False), (2.0, True, False)]
    assert np.array_equal(steps[0][0], steps[1][0])
    assert [info["recorded_frame"] for info in infos] == [0, 0]


def test_actions_of_any_shape_are_fresh_arrays(tmp_path):
    actions = np.arange(6, dtype=np.float32).reshape(3, 2)
    shard(tmp_path, np.zeros((4, 16, 16, 3), np.uint8), actions=actions)
    env = RecordedTrajectory(tmp_path)
    _, infos = watch(env)
    assert np.array_equal([info["recorded_action"] for info in infos[1:]], actions)
    assert all(info["recorded_action"].flags.owndata for info in infos[1:])


def test_the_specs_make_the_same_environment_again(path):
    env = gym.make(NAME, path=path, size=32, shuffle=True)
    again = gym.make(env.spec)
    for got, expected in zip(watch(again, seed=4)[0], watch(env, seed=4)[0], strict=True):
        np.testing.assert_equal(got, expected)


def test_it_is_rendered(path):
    env = RecordedTrajectory(path, render_mode="rgb_array")
    assert env.render() is None
    frame, _ = env.reset()
    picture = env.render()
    assert picture is not None
    assert picture.shape == (4 * HEIGHT, 4 * WIDTH, 3)
    assert np.array_equal(picture[::4, ::4], frame)
    frame[:] = 1
    assert np.array_equal(env.render(), picture)
    assert RecordedTrajectory(path).render() is None


def test_steps_need_an_episode(path):
    env = RecordedTrajectory(path)
    with pytest.raises(ResetNeeded):
        env.step(np.int64(0))
    watch(env)
    with pytest.raises(ResetNeeded, match="has shown its last frame"):
        env.step(np.int64(0))


def test_a_learner_learns_from_a_recording(path):
    env = VASEObservationWrapper(
        gym.make(NAME, path=path, size=16), config=TINY, seed=0, warmup_frames=8, device="cpu"
    )
    observations = [observation for _ in range(6) for observation, *_ in watch(env)[0]]
    assert observations[0].shape == (TINY.latents,)
    assert env.vase.updates > 0
    assert any(np.any(observation) for observation in observations)


def test_vectors(path):
    envs = gym.make_vec(NAME, 2, vectorization_mode="sync", path=path, size=16, shuffle=True)
    wrapped = VASEVectorObservationWrapper(envs, config=TINY, seed=0, device="cpu")
    observations, infos = wrapped.reset(seed=0)
    assert observations.shape == (2, TINY.latents)
    numbers = set(infos["recorded_episode"].tolist())
    for _ in range(3 * TOTAL):
        _, rewards, _, _, infos = wrapped.step(wrapped.action_space.sample())
        numbers |= set(infos["recorded_episode"].tolist())
    assert numbers == {0, 1, 2}
    assert rewards.shape == (2,)
    wrapped.close()


def test_gymnasium_counts_its_returns(path):
    """It calls its own count of an episode `episode`."""
    env = gym.wrappers.RecordEpisodeStatistics(gym.make(NAME, path=path))
    for episode in EPISODES:
        _, infos = watch(env)
        assert infos[-1]["episode"]["l"] == len(episode.frames) - 1
        assert infos[-1]["episode"]["r"] == pytest.approx(episode.rewards.sum())


@pytest.mark.parametrize("kind", ["recording", "source"])
def test_an_agent_trains_on_it(path, tmp_path, kind):
    replay = ["--env", NAME, "--env-arg", f"path={path}"]
    stream = ["--env", "vase_rl/SpriteStream-v0", "--env-arg", f"sequence=trajectory:{path}:9"]
    arguments = replay if kind == "recording" else stream
    out = ["--out", str(tmp_path / "out"), "--device", "cpu"]
    assert main(["train", *arguments, "--algorithm", "a2c", "--frames", "20", *out]) == 0
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert np.isfinite(metrics["return_mean"])


def test_an_agent_learns_that_a_recording_is_over(path, tmp_path, capsys):
    arguments = ["--env", NAME, "--env-arg", f"path={path}", "--env-arg", "loop=false"]
    assert main(["train", *arguments, "--frames", "999", "--out", str(tmp_path / "out")]) == 2
    assert f"all episodes of {path} have been shown" in capsys.readouterr().err


# --- damage ------------------------------------------------------------------------------------


@pytest.fixture
def damaged(tmp_path: Path) -> Path:
    """Of the second episode only three frames can be read, of the third none."""
    written = KINDS["png"].write(tmp_path, EPISODES)
    (written / "episode1" / "11.png").write_bytes(b"no picture")
    (written / "episode2" / "8.png").write_bytes(b"no picture")
    return written


def test_damage_is_raised_or_passed_over(damaged):
    env = RecordedTrajectory(damaged)
    watch(env)
    with pytest.raises(TrajectoryError, match=r"episode1.11\.png: episode 1: "):
        watch(env)
    env = RecordedTrajectory(damaged, skip_bad=True)
    lengths = [len(watch(env)[0]) for _ in range(4)]
    assert lengths[::2] == [4, 4]
    assert set(lengths[1::2]) <= {2, 3}
    assert shown(env, 4) == [0, 1, 0, 1]
    assert len(env.recording.bad) == 2
    with pytest.raises(TrajectoryError, match="episode 2: has no frame that can be read"):
        env.reset(options={"episode": 2})


def test_an_episode_that_damage_cuts_short_is_truncated(tmp_path):
    written = KINDS["rlds"].write(tmp_path, EPISODES)
    env = RecordedTrajectory(written, skip_bad=True)
    decode = env.recording._reader._decode

    def fail(pixels: Any, number: int, entry: Any) -> Any:
        if number == 2:
            raise TrajectoryError(entry.path, "torn")
        return decode(pixels, number, entry)

    env.recording._reader._decode = fail
    steps, _ = watch(env)
    assert EPISODES[0].terminated
    assert steps[-1][2:] == (False, True)
    assert number_of(steps[-1][0]) < len(EPISODES[0].frames) - 1


def test_it_says_when_nothing_is_left(tmp_path):
    written = KINDS["png"].write(tmp_path, EPISODES)
    env = RecordedTrajectory(written, skip_bad=True)
    for file in written.rglob("*.png"):
        file.write_bytes(b"no picture")
    with pytest.raises(TrajectoryError, match="has no frame that can be read"):
        env.reset()


# --- bad input ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"path": "nowhere"}, TrajectoryError, "nowhere: no such file or folder"),
        ({"format": "gif"}, ValueError, "format must be one of .* got 'gif'"),
        ({"size": 0}, ValueError, "size must be an integer of at least 1, got 0"),
        ({"size": 32, "crop": "middle"}, ValueError, "crop must be one of .* got 'middle'"),
        ({"size": 32, "channels": 2}, ValueError, "channels must be 1, 3 or None, got 2"),
        ({"crop": "left"}, ValueError, "crop and channels must come with size, got crop='left'"),
        ({"channels": 1}, ValueError, "crop and channels must come with size"),
        ({"render_mode": "human"}, ValueError, "render_mode must be None or 'rgb_array'"),
    ],
)
def test_bad_arguments(path, arguments, error, message):
    with pytest.raises(error, match=message):
        RecordedTrajectory(**{"path": path, **arguments})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"number": 1}, r"options of reset must be among episode, got \['number'\]"),
        ({"episode": 3}, r"episode must be an integer in \[0, 3\), got 3"),
        ({"episode": -1}, r"episode must be an integer in \[0, 3\), got -1"),
        ({"episode": 1.0}, r"episode must be an integer in \[0, 3\), got 1.0"),
    ],
)
def test_bad_options_change_nothing(path, options, message):
    env = RecordedTrajectory(path)
    assert shown(env, 1) == [0]
    with pytest.raises(ValueError, match=message):
        env.reset(options=options)
    assert env.step(np.int64(0))[4]["recorded_frame"] == 1
    assert shown(env, 1) == [1]


def test_frames_of_different_shapes_need_a_size(tmp_path):
    shard(tmp_path, np.zeros((2, 16, 16, 3), np.uint8))
    shard(tmp_path, np.zeros((2, 20, 16, 3), np.uint8))
    env = RecordedTrajectory(tmp_path)
    env.reset()
    with pytest.raises(ValueError, match=r"shape \(16, 16, 3\) of .* got \(20, 16, 3\) in episode"):
        env.reset()
    assert shown(RecordedTrajectory(tmp_path, size=16), 2) == [0, 1]
