"""Environments as sources of frames: made-up ones, and real worlds without a display."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from counting import OPTIONS, TINY
from ending import ENDING
from gymnasium import spaces
from gymnasium.utils.env_checker import check_env

import vase_rl.envs.worlds
from vase_rl.envs import (
    RecordedTrajectory,
    Segment,
    SpriteStream,
    TrajectoryError,
    WorldError,
    make_source,
    make_world,
    parse_sequence,
    parse_source,
)
from vase_rl.envs.screens import find_key
from vase_rl.envs.trajectories.preparation import prepare
from vase_rl.experiments.cli import main
from vase_rl.wrappers import VASEObservationWrapper

DOOM = "VizdoomBasic-v1"
WORLDS = [DOOM, "ALE/Breakout-v5", "MiniWorld-Hallway-v0", "MiniGrid-Empty-8x8-v0"]


def levels(frames: np.ndarray) -> list[int]:
    return [int(frame[0, 0, 0]) for frame in frames]


def test_episodes_follow_each_other_without_their_dead_ends() -> None:
    batch = make_source(f"env:{ENDING}", size=16).sample(10)
    assert batch.frames.shape == (10, 16, 16, 1)
    assert levels(batch.frames) == [2, 0, 0, 3, 4, 0, 0, 5, 6, 0]
    assert batch.factors["episode"].tolist() == [0, 0, 0, 0, 1, 1, 1, 1, 2, 2]
    assert batch.factors["step"].tolist() == [0, 1, 2, 3, 0, 1, 2, 3, 0, 1]


def test_a_world_that_returns_goes_on_where_it_stopped() -> None:
    env = SpriteStream(f"env:{ENDING}:3,moving-glyphs:2,env:{ENDING}:4", size=16)
    seen = [env.reset(seed=0), *(env.step(np.int64(0))[::4] for _ in range(8))]
    assert [int(f[0, 0, 0]) for f, i in seen if "source_episode" in i] == [2, 0, 0, 3, 4, 0, 0]
    assert [i.get("source_episode") for _, i in seen] == [0, 0, 0, None, None, 0, 1, 1, 1]
    assert [i["source_index"] for _, i in seen] == [0, 0, 0, 1, 1, 0, 0, 0, 0]
    assert {"class", "position"} <= seen[3][1].keys()
    assert not {"class", "position"} & seen[0][1].keys()
    env.close()


@pytest.mark.parametrize("world", WORLDS)
def test_real_worlds_are_seen_without_a_display(world: str) -> None:
    try:
        source = make_source(f"env:{world}", size=32, seed=1)
    except Exception as error:
        if world.startswith("MiniWorld"):
            pytest.skip(f"no off-screen OpenGL here: {error}")
        raise
    frames = source.sample(12).frames
    assert frames.shape == (12, 32, 32, 3)
    assert frames.any(axis=(1, 2, 3)).all()
    source.reset(np.random.default_rng(2))
    first = source.sample(12).frames
    source.reset(np.random.default_rng(2))
    assert np.array_equal(source.sample(12).frames, first)
    source.reset(np.random.default_rng(3))
    assert not np.array_equal(source.sample(12).frames, first)
    source.close()


def test_the_end_of_a_vizdoom_episode_is_not_learnt_from() -> None:
    """With a fake world the same is shown for all adapters: here it is seen where it matters."""
    env = VASEObservationWrapper(
        make_world(DOOM, episode_timeout=20), TINY, **{**OPTIONS, "warmup_frames": 10**6}
    )
    black = 0
    for _ in range(3):
        env.reset()
        ended = False
        while not ended:
            _, _, terminated, truncated, _ = env.step(0)
            ended = terminated or truncated
        assert env.stream._last is not None
        black += not env.stream._last.any()
    waiting = env.stream._fresh[0]
    env.close()
    assert black == 3
    assert len(waiting) > 30
    assert all(frame.any() for frame in waiting)


def test_one_coloured_source_makes_the_stream_coloured() -> None:
    sequence = f"moving-glyphs:2,env:{DOOM}:3"
    env = SpriteStream(sequence, size=32)
    assert env.observation_space.shape == (32, 32, 3)
    frame, _ = env.reset(seed=0)
    assert frame.any()
    assert np.array_equal(frame, np.repeat(frame[:, :, :1], 3, axis=2))
    coloured = env.step(np.int64(0)) and env.step(np.int64(0))[0]
    assert (coloured[..., 0] != coloured[..., 2]).any()
    env.close()
    grey = SpriteStream(sequence, size=32, channels=1)
    grey.reset(seed=0)
    frame = grey.step(np.int64(0)) and grey.step(np.int64(0))[0]
    np.testing.assert_allclose(frame[..., 0], coloured @ np.array([0.299, 0.587, 0.114]), atol=0.51)
    grey.close()


def test_the_checker_passes_on_a_stream_with_a_world() -> None:
    name = "vase_rl/SpriteStream-v0"
    env = gym.make(name, sequence=f"env:{ENDING}:9,glyphs:5", size=16, render_mode="rgb_array")
    check_env(env.unwrapped)


def test_agents_find_worlds_by_their_name(tmp_path: Any) -> None:
    arguments = ["train", "--env", DOOM, "--algorithm", "a2c", "--frames", "10"]
    assert main([*arguments, "--out", str(tmp_path), "--device", "cpu"]) == 0
    assert main(["evaluate", str(tmp_path / "agent.zip"), "--env", DOOM, "--episodes", "1",
                 "--env-arg", "episode_timeout=20", "--out", str(tmp_path / "e")]) == 0  # fmt: skip


def test_names_of_ordered_sources_in_sequences() -> None:
    parsed = parse_source("env:ALE/Breakout-v5")
    assert (parsed.family, parsed.place, parsed.moving) == ("env", "ALE/Breakout-v5", False)
    sequence = "env:ale_py:ALE/Pong-v5:30, trajectory:C:/runs/one ,trajectory:a:5,env:X-v0:0700"
    assert parse_sequence(sequence, 9) == [
        Segment("env:ale_py:ALE/Pong-v5", 30),
        Segment("trajectory:C:/runs/one", 9),
        Segment("trajectory:a", 5),
        Segment("env:X-v0", 700),
    ]


@pytest.mark.parametrize(
    ("sequence", "message"),
    [
        ("env:", "source env: must name an environment's name after the colon, got 'env:'"),
        ("trajectory:", "source trajectory: must name a path after the colon"),
        ("env:X-v0:0", "positive number of frames, as in env:X-v0:2000, got 'env:X-v0:0'"),
        ("env:X-v0", "positive number of frames, as in env:X-v0:2000, got 'env:X-v0'"),
        ("world:X", r"source must be one of .*, env:GYM_ID, trajectory:PATH, got 'world'"),
    ],
)
def test_bad_sequences(sequence: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_sequence(sequence)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Nothing-v0", "source env:Nothing-v0: Environment `Nothing` doesn't exist"),
        ("VizdoomNothing-v1", "source env:VizdoomNothing-v1: Environment"),
        ("nowhere_at_all:X-v0", "source env:nowhere_at_all:X-v0: .*nowhere_at_all"),
        ("CartPole-v1", "source env:CartPole-v1: the observation space must be a uint8 Box"),
    ],
)
def test_worlds_that_cannot_be_made(name: str, message: str) -> None:
    with pytest.raises(WorldError, match=message):
        make_source(f"env:{name}")


def test_a_missing_library_is_named_with_its_extra(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(vase_rl.envs.worlds.LIBRARIES, "Vizdoom", "vizdoom_that_is_not_there")
    name = "VizdoomElsewhere-v1"
    with pytest.raises(WorldError, match=r'needs vizdoom_that.*pip install "vase_rl\[worlds\]"'):
        make_world(name)
    out = str(tmp_path / "run")
    for command in (["train", "--env", name], ["stream", "--sequence", f"env:{name}:10"]):
        assert main([*command, "--out", out]) == 2
        assert "vase_rl[worlds]" in capsys.readouterr().err


@pytest.mark.parametrize("broken", ["library", "window"])
def test_without_egl_miniworld_says_so(broken: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its windows fail when they are imported, or when the first one opens."""
    name = "MiniWorld-OneRoom-v0"

    def load(module: str) -> Any:
        if module == "miniworld" and broken == "library":
            raise ImportError('Library "EGL" not found.')
        return SimpleNamespace(options={})

    def make(env_id: str) -> Any:
        raise AttributeError("No standard config is available.")

    monkeypatch.setattr(vase_rl.envs.worlds, "import_module", load)
    monkeypatch.delitem(gym.registry, name, raising=False)
    monkeypatch.setattr(gym, "make", make)
    cause = 'Library "EGL" not found' if broken == "library" else "No standard config"
    with pytest.raises(WorldError, match=rf"{name} cannot be drawn here: .*EGL \({cause}"):
        make_world(name)


# ---------------------------------------------------------------- recordings


def recording(folder: Path, *episodes: list[int], shape: tuple[int, int] = (16, 16)) -> str:
    """Grey episodes of plain frames, one NPZ file each."""
    folder.mkdir()
    for number, episode in enumerate(episodes):
        frames = np.stack([np.full((*shape, 1), level, np.uint8) for level in episode])
        np.savez(folder / f"{number}.npz", frames=frames)
    return f"trajectory:{folder}"


def test_a_recording_is_replayed_without_its_dead_ends(tmp_path: Path) -> None:
    name = recording(tmp_path / "a", [1, 0, 0, 2, 0], [3, 4, 4], [0])
    source = make_source(name, size=16)
    batch = source.sample(9)
    assert levels(batch.frames) == [1, 0, 0, 2, 3, 4, 0, 1, 0]
    assert batch.factors["episode"].tolist() == [0, 0, 0, 0, 1, 1, 2, 0, 0]
    assert batch.factors["step"].tolist() == [0, 1, 2, 3, 0, 1, 0, 0, 1]
    source.reset(np.random.default_rng(0))
    assert levels(source.sample(2).frames) == [1, 0]
    source.close()


def test_what_is_learnt_from_a_recording_as_source_and_as_environment(tmp_path: Path) -> None:
    name = recording(tmp_path / "a", [1, 0, 0, 2, 0], [3, 4, 4], [0], [5, 6])
    shown = levels(make_source(name, size=16).sample(9).frames)
    replay = RecordedTrajectory(tmp_path / "a")
    env = VASEObservationWrapper(replay, TINY, **{**OPTIONS, "warmup_frames": 10**6})
    for length in (5, 3, 2, 2):
        env.reset()
        over = [env.step(0)[2:4] for _ in range(length - 1)][-1]
        assert any(over)
    assert levels(np.asarray(env.stream._fresh[0])) == shown == [1, 0, 0, 2, 3, 4, 0, 5, 6]


class Wide(gym.Env[Any, int]):
    """Frames of the paper's recordings, all different."""

    observation_space = spaces.Box(0, 255, (84, 111, 3), np.uint8)
    action_space = spaces.Discrete(2)
    pictures = np.random.default_rng(0).integers(0, 256, (5, 84, 111, 3), np.uint8)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.shown = 0
        return self.pictures[0], {}

    def step(self, action: int) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.shown += 1
        return self.pictures[self.shown], 0.0, self.shown == 4, False, {}


gym.register("worlds/Wide-v0", Wide)


def test_a_world_looks_like_its_recording(tmp_path: Path) -> None:
    np.savez(tmp_path / "wide.npz", frames=Wide.pictures)
    played = make_source("env:worlds/Wide-v0").sample(8)
    replayed = make_source(f"trajectory:{tmp_path / 'wide.npz'}").sample(8)
    assert np.array_equal(played.frames, replayed.frames)
    assert np.array_equal(played.frames[:5], prepare(Wide.pictures, 64, crop="left"))
    assert played.factors["step"].tolist() == replayed.factors["step"].tolist()


def test_a_recording_is_not_counted_before_it_is_shown(tmp_path: Path) -> None:
    name = recording(tmp_path / "a", [1, 2], [3, 4])
    (tmp_path / "a" / "1.npz").write_bytes(b"PK no archive")
    assert levels(make_source(name, size=16).sample(2).frames) == [1, 2]


PICTURE, FLAT = spaces.Box(0, 255, (8, 8, 3), np.uint8), spaces.Box(-1, 1, (2,))


@pytest.mark.parametrize(
    ("space", "pixels_key", "key"),
    [
        (PICTURE, None, None),
        (spaces.Dict(a=PICTURE, b=FLAT), None, "a"),
        (spaces.Dict(depth=PICTURE, screen=PICTURE), None, "screen"),
        (spaces.Dict(depth=PICTURE, screen=PICTURE), "depth", "depth"),
        (spaces.Dict(a=PICTURE, b=PICTURE), None, r"hold one image.*\['a', 'b'\] are images"),
        (spaces.Dict(a=PICTURE, b=FLAT), "b", r"pixels_key must name .*\['a'\], got 'b'"),
        (PICTURE, "a", "must be .* and pixels_key 'a'"),
        (FLAT, None, "must be a uint8 Box"),
    ],
)
def test_which_part_of_an_observation_is_the_picture(
    space: Any, pixels_key: str | None, key: str | None
) -> None:
    if key is None or key.isalpha():
        assert find_key(space, pixels_key) == key
    else:
        with pytest.raises(ValueError, match=key):
            find_key(space, pixels_key)


def test_a_recording_in_a_stream(tmp_path: Path) -> None:
    name = recording(tmp_path / "a", [1, 2, 3], [4, 5], shape=(84, 111))
    env = SpriteStream(f"{name}:2,glyphs:1,{name}:2", size=16)
    seen = [env.reset(seed=0), *(env.step(np.int64(0))[::4] for _ in range(4))]
    assert [int(frame[0, 0, 0]) for frame, _ in seen] == [1, 2, 0, 3, 4]
    assert [info.get("source_episode") for _, info in seen] == [0, 0, None, 0, 1]
    env.close()


def test_what_is_damaged_is_left_out_on_request(tmp_path: Path) -> None:
    name = recording(tmp_path / "a", [1, 2], [3, 4], [5, 6])
    (tmp_path / "a" / "1.npz").write_bytes(b"PK no archive")
    with pytest.raises(TrajectoryError, match=r"1\.npz"):
        make_source(name, size=16).sample(5)
    env = SpriteStream(f"{name}:5", size=16, skip_bad=True)
    seen = [env.reset(seed=0), *(env.step(np.int64(0))[::4] for _ in range(4))]
    assert [int(frame[0, 0, 0]) for frame, _ in seen] == [1, 2, 5, 6, 1]
    assert len(env.skipped) == 1
    assert "1.npz" in env.skipped[0]
    env.close()


def test_a_recording_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(TrajectoryError, match="nowhere"):
        make_source(f"trajectory:{tmp_path / 'nowhere'}")
