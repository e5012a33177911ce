"""`vase-rl record`: what an environment gave is what is read back, however often it was stopped."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import gymnasium as gym
import h5py
import minari
import numpy as np
import pytest
from gymnasium import spaces
from lamps import LAMP

from vase_rl.envs import RecordedTrajectories, make_source
from vase_rl.envs.trajectories.minari_writer import MinariWriter, Take
from vase_rl.experiments.cli import main

NOISY = "record/Noisy-v0"
GIVEN: list[tuple[np.ndarray, Any, float | None]] = []
"""Frames that `Noisy` gave, each with the action and the reward that led to it."""
STOP_AT: list[int] = []


class Noisy(gym.Env[Any, Any]):
    """Coloured noise beside a number; episodes of 3 to 8 steps; Ctrl-C after so many frames."""

    observation_space = spaces.Dict({
        "camera": spaces.Box(0, 255, (40, 36, 3), np.uint8),
        "speed": spaces.Box(-1, 1, (1,), np.float32),
    })  # fmt: skip
    action_space = spaces.Dict({"fire": spaces.Discrete(3), "turn": spaces.Box(-1, 1, (2,))})

    def _observe(self, action: Any = None, reward: float | None = None) -> Any:
        if STOP_AT and len(GIVEN) >= STOP_AT[0]:
            raise KeyboardInterrupt
        frame = self.np_random.integers(0, 256, (40, 36, 3), dtype=np.uint8)
        GIVEN.append((frame.copy(), action, reward))
        return {"camera": frame, "speed": np.zeros(1, np.float32)}

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.left = int(self.np_random.integers(3, 9))
        return self._observe(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.left -= 1
        reward = float(self.np_random.normal())
        return self._observe(action, reward), reward, not self.left, False, {}


gym.register(NOISY, Noisy)


@pytest.fixture(autouse=True)
def _forgotten() -> None:
    GIVEN.clear()
    STOP_AT.clear()


def record(out: Path, frames: int, *arguments: str, env: str = NOISY) -> int:
    return main(["record", env, "--frames", str(frames), "--out", str(out), *arguments])


def frames_of(out: Path) -> list[np.ndarray]:
    with RecordedTrajectories(out) as recording:
        return [episode.read() for episode in recording]


def actions_of(out: Path) -> list[np.ndarray]:
    with RecordedTrajectories(out) as recording:
        return [episode.steps().extra["actions/turn"] for episode in recording]


def test_what_the_environment_gave_is_read_back(tmp_path: Path) -> None:
    assert record(tmp_path, 40) == 0
    frames = frames_of(tmp_path)
    assert np.array_equal(np.concatenate(frames), np.stack([frame for frame, _, _ in GIVEN]))
    assert sum(map(len, frames)) == 40
    data_set = minari.MinariDataset(tmp_path / "data")
    steps = iter([given for given in GIVEN if given[1] is not None])
    for episode, recorded in zip(data_set.iterate_episodes(), frames, strict=True):
        assert np.array_equal(episode.observations, recorded)
        for row, reward in enumerate(episode.rewards):
            _, action, given = next(steps)
            assert reward == given
            assert episode.actions["fire"][row] == action["fire"]
            assert np.array_equal(episode.actions["turn"][row], action["turn"])
        whole = len(recorded) > 1 and episode.terminations[-1]
        assert whole or episode.truncations[-1]
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert metrics["finished"]
    assert (metrics["frames"], metrics["episodes"]) == (40, len(frames))
    assert (metrics["path"], metrics["seed"]) == (str(tmp_path), 0)


def test_a_recording_is_continued(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Interrupted after an episode and a half; then with the same command, then with more."""
    assert record(tmp_path / "whole", 60) == 0
    whole, given = frames_of(tmp_path / "whole"), len(GIVEN)
    STOP_AT.append(given + len(whole[0]) + 2)
    assert record(tmp_path / "parts", 60) == 130
    assert len(frames_of(tmp_path / "parts")) == 1
    metrics = json.loads((tmp_path / "parts" / "metrics.json").read_text())
    assert (metrics["finished"], metrics["episodes"]) == (False, 1)
    STOP_AT.clear()
    assert record(tmp_path / "parts", 60) == 0
    assert "going on after" in capsys.readouterr().out
    for first, second in zip(whole, frames_of(tmp_path / "parts"), strict=True):
        assert np.array_equal(first, second)
    for first, second in zip(
        actions_of(tmp_path / "whole"), actions_of(tmp_path / "parts"), strict=True
    ):
        assert np.array_equal(first, second)
    given = len(GIVEN)
    assert record(tmp_path / "parts", 60) == 0
    assert len(GIVEN) == given
    assert record(tmp_path / "parts", 61) == 0
    assert sum(map(len, frames_of(tmp_path / "parts"))) == 62


def test_a_folder_named_from_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert record(Path("runs/a"), 20) == 0
    assert record(Path("runs/a"), 40) == 0
    assert sum(map(len, frames_of(Path("runs/a")))) == 40
    assert len(frames_of(tmp_path / "runs" / "a")) == len(frames_of(Path("runs/a")))


def test_an_episode_is_written_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    space = spaces.Box(0, 255, (2, 2, 1), np.uint8)
    made = {"env": "X-v0"}
    writer = MinariWriter(tmp_path, space, spaces.Discrete(2), made)
    take = Take(np.ones((3, 2, 2, 1), np.uint8), np.zeros(2, int), np.zeros(2), True, 5)
    update = writer._storage.update_episodes

    def interrupted(episodes: Any) -> None:
        signal.raise_signal(signal.SIGINT)
        update(episodes)

    monkeypatch.setattr(writer._storage, "update_episodes", interrupted)
    with pytest.raises(KeyboardInterrupt):
        writer.write(take)
    assert (writer.episodes, writer.frames) == (1, 3)
    with h5py.File(tmp_path / "main_data.hdf5", "a") as file:
        file.create_group("episode_1")["rewards"] = np.zeros(2)  # killed half-way
    again = MinariWriter(tmp_path, space, spaces.Discrete(2), made)
    assert again.episodes == 1
    again.write(take)
    assert [frames.shape for frames in frames_of(tmp_path)] == [(3, 2, 2, 1)] * 2


def test_vizdoom_at_the_size_of_the_paper(tmp_path: Path) -> None:
    arguments = ["--size", "111x84", "--env-arg", "episode_timeout=30"]
    assert record(tmp_path, 100, *arguments, env="VizdoomBasic-v1") == 0
    episodes = frames_of(tmp_path)
    assert sum(map(len, episodes)) == 100
    assert {frames.shape[1:] for frames in episodes} == {(84, 111, 3)}
    assert not any(frames[-1].any() for frames in episodes[:-1])
    shown = make_source(f"trajectory:{tmp_path}", size=64).sample(80).frames
    assert shown.shape == (80, 64, 64, 3)
    assert shown.any(axis=(1, 2, 3)).all()


def test_a_saved_policy_plays(tmp_path: Path, bundle: Any) -> None:
    bundle.save(tmp_path / "agent.zip")
    assert record(tmp_path / "a", 60, "--policy", str(tmp_path / "agent.zip"), env=LAMP) == 0
    data_set = minari.MinariDataset(tmp_path / "a" / "data")
    rewards = [episode.rewards[0] for episode in data_set.iterate_episodes()]
    assert len(rewards) == 30
    assert np.mean(rewards) == 1
    assert record(tmp_path / "b", 60, env=LAMP) == 0
    data_set = minari.MinariDataset(tmp_path / "b" / "data")
    assert np.mean([episode.rewards[0] for episode in data_set.iterate_episodes()]) < 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([NOISY, "--size", "111"], "must be WIDTHxHEIGHT in pixels, got '111'"),
        ([NOISY, "--size", "0x84"], "must be WIDTHxHEIGHT in pixels, got '0x84'"),
        ([NOISY, "--frames", "1"], "must be a whole number of at least 2"),
        ([NOISY, "--policy", "nothing.zip"], "nothing.zip"),
        ([NOISY, "--seed", "4"], "holds a recording made with seed 3, to which none with 4"),
        ([NOISY, "--seed", "3", "--size", "8x8"], "made with size None, to which none with"),
        ([LAMP, "--seed", "3"], "holds a recording made with env 'record/Noisy-v0'"),
    ],
)
def test_a_recording_is_not_mixed_with_another(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert record(tmp_path, 9, "--seed", "3") == 0
    before = frames_of(tmp_path)
    assert main(["record", *arguments, "--out", str(tmp_path)]) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert message in error
    assert np.array_equal(np.concatenate(frames_of(tmp_path)), np.concatenate(before))


@pytest.mark.parametrize(
    ("env", "message"),
    [
        ("CartPole-v1", "the observation space must be a uint8 Box"),
        ("Nothing-v0", "environment Nothing-v0: Environment `Nothing` doesn't exist"),
    ],
)
def test_what_cannot_be_recorded(
    env: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert record(tmp_path / "out", 9, env=env) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_another_data_set_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "data").mkdir()
    for content in ("{}", "{", "[]", '{"vase_rl_recording": 3}'):
        (tmp_path / "data" / "metadata.json").write_text(content)
        assert record(tmp_path, 9) == 2
        assert "metadata.json" in capsys.readouterr().err
        assert (tmp_path / "data" / "metadata.json").read_text() == content
