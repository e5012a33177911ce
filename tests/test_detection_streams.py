"""The streams of `vase-rl detect`: visits, worlds of real libraries, and the players of worlds."""

from __future__ import annotations

import random
from contextlib import closing
from itertools import combinations, pairwise
from typing import Any, cast

import numpy as np
import pytest
import torch
from ending import ENDING
from gymnasium import spaces
from lamps import LAMP

from vase_rl.envs import Source, WorldError, make_world
from vase_rl.envs.batch import Batch
from vase_rl.experiments import learning_player
from vase_rl.experiments.detection_streams import KINDS, DetectionStream, Kind, blend, plan
from vase_rl.experiments.detection_worlds import GROUPS, Group, Making, ReachPlayer
from vase_rl.experiments.learning_player import Filmed, LearningPlayer, LearningSource

# ---------------------------------------------------------------- visits


@pytest.mark.parametrize("kind", [Kind(), Kind(500, 1000), Kind(None)])
def test_visits_fill_the_stream_and_never_repeat(kind: Kind) -> None:
    visits = plan(("a", "b", "c"), kind, 50_000, np.random.default_rng(0))
    assert [visit.start for visit in visits] == [0, *(visit.end for visit in visits[:-1])]
    assert visits[-1].end == 50_000
    lengths = [visit.end - visit.start for visit in visits]
    if kind.shortest is None:
        assert lengths == [50_000]
        return
    assert min(lengths) >= kind.shortest
    assert max(lengths[:-1]) <= kind.longest
    assert all(a.source != b.source for a, b in pairwise(visits))
    assert {visit.source for visit in visits} == {"a", "b", "c"}


def test_two_worlds_recur_in_turn() -> None:
    frames = 21 * (KINDS["recurring"].longest + 3000) // 2
    visits = plan(("a", "b", "c"), KINDS["recurring"], frames, np.random.default_rng(0))
    first, second, *others = [visit.source for visit in visits]
    assert first != second
    assert others == [first, second] * (len(others) // 2) + [first] * (len(others) % 2)
    assert 17 <= len(visits) - 1 <= 23


class Plain:
    """A source whose frames tell which world they are of, and which frame of it."""

    moving, channels, size = False, 1, 32

    def __init__(self, level: int) -> None:
        self.level, self.count, self.closed = level, 0, False

    def sample(self, n: int) -> Batch:
        frames = np.full((n, 32, 32, 1), self.level, np.uint8)
        frames[:, 0, 0, 0] = (self.count + np.arange(n)) % 256
        self.count += n
        return Batch(frames, {})

    def close(self) -> None:
        self.closed = True


def test_every_frame_is_of_the_world_that_its_visit_says(monkeypatch: pytest.MonkeyPatch) -> None:
    worlds = {"dim": Plain(10), "grey": Plain(100), "bright": Plain(200)}
    group = Group(tuple(worlds), lambda name, making: cast(Source, worlds[name]))
    monkeypatch.setitem(GROUPS, "sprites", group)
    stream = DetectionStream("sprites-short", 5000, seed=0)
    frames = np.concatenate(list(stream.chunks()))
    for visit in stream.visits:
        assert (frames[visit.start : visit.end, 5, 5, 0] == worlds[visit.source].level).all()
    for world in worlds.values():
        seen = frames[frames[:, 5, 5, 0] == world.level, 0, 0, 0]
        # Nothing is lost while others take their turns.
        assert (seen == np.arange(len(seen)) % 256).all()
    assert not any(world.closed for world in worlds.values())
    stream.close()
    assert all(world.closed for world in worlds.values())


# ---------------------------------------------------------------- worlds


def frames_of(name: str, frames: int, seed: int = 0, data_dir: str | None = None) -> np.ndarray:
    stream = DetectionStream(name, frames, seed=seed, data_dir=data_dir)
    chunks = list(stream.chunks())
    stream.close()
    assert {chunk.shape[1:] for chunk in chunks} == {(32, 32, stream.channels)}
    assert all(len(chunk) == 64 for chunk in chunks[:-1])
    return np.concatenate(chunks)


@pytest.mark.parametrize("name", ["sprites-short", "reach-random-short", "reach-ppo-short"])
def test_streams_repeat_themselves_by_seed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(learning_player, "ROLLOUT", 128)
    monkeypatch.setitem(KINDS, "short", Kind(300, 400))
    first = frames_of(name, 1000)
    assert first.shape == (1000, 32, 32, 1)
    np.testing.assert_array_equal(first, frames_of(name, 1000))
    assert (first != frames_of(name, 1000, seed=1)).any()


def test_a_still_world_shows_no_dead_frames() -> None:
    """The trained player ends episodes soon, and its sprites stop at no side."""
    frames = frames_of("reach-trained-still", 1000)
    assert frames.reshape(1000, -1).any(1).all()


def test_skill_brings_the_sprite_to_its_target() -> None:
    import gymnasium as gym

    lengths = {}
    for skill in (0.0, 1.0):
        env = gym.make("vase_rl/SpriteReach-v0")
        env.action_space.seed(0)
        player = ReachPlayer(np.random.default_rng(0), skill)
        lengths[skill] = 0
        for seed in range(10):
            _, info = env.reset(seed=seed)
            ended = False
            while not ended:
                _, _, terminated, truncated, info = env.step(player(env, info))
                ended = terminated or truncated
                lengths[skill] += 1
            assert skill == 0.0 or info["success"]
    assert lengths[1.0] < 100 < lengths[0.0]


def test_a_fade_is_a_mixture() -> None:
    old, new = np.full((3, 2, 2, 1), 200, np.uint8), np.zeros((3, 2, 2, 1), np.uint8)
    mixed = blend(old, new, np.array([0.25, 0.5, 7.0]))
    assert mixed[:, 0, 0, 0].tolist() == [150, 100, 0]


def test_a_gradual_stream_fades_after_its_boundary(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(KINDS, "gradual", Kind(200, 300, fade=100))
    monkeypatch.setitem(KINDS, "abrupt", Kind(200, 300))
    stream = DetectionStream("sprites-gradual", 600, seed=0)
    (first, second) = stream.visits[:2]
    assert (first.start, second.start) == (0, first.end)
    gradual, abrupt = frames_of("sprites-gradual", 600), frames_of("sprites", 600)
    same = (gradual == abrupt).reshape(600, -1).all(1)
    assert same[: second.start].all()
    assert not same[second.start : second.start + 99].any()


def test_worlds_of_data_sets_take_part_where_there_is_a_folder() -> None:
    with pytest.raises(ValueError, match="gone"):
        DetectionStream("sprites-short", 40_000, seed=0, data_dir="gone")


@pytest.mark.parametrize("group", ["vizdoom", "vizdoom-ppo", "atari", "miniworld"])
def test_real_worlds_are_played_in_colour(group: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(learning_player, "ROLLOUT", 128)
    name = f"{group}-still"
    skip_without_drawing(name)
    frames = frames_of(name, 192)
    assert frames.shape == (192, 32, 32, 3)
    np.testing.assert_array_equal(frames, frames_of(name, 192))
    # Crazy Climber begins with a tune, during which nothing moves.
    moved = np.diff(frames[96:].astype(int), axis=0).any((1, 2, 3))
    assert moved.mean() > 0.1


@pytest.mark.parametrize("group", ["atari", "miniworld"])
def test_worlds_of_one_game_look_different(group: str) -> None:
    skip_without_drawing(group)
    seen = {}
    for name in GROUPS[group].worlds:
        making = Making(0, None, np.random.default_rng(0), LearningPlayer(0))
        with closing(GROUPS[group].make(name, making)) as source:
            seen[name] = source.sample(50).frames[1:].astype(int)
    # The same play in each: what differs is how the world looks.
    for first, second in combinations(seen, 2):
        apart = np.abs(seen[first] - seen[second]).mean((1, 2, 3))
        assert apart.min() > 5, (first, second)


def skip_without_drawing(name: str) -> None:
    if name.startswith("miniworld"):
        try:
            DetectionStream(name, 1000, seed=0).close()
        except WorldError as error:
            pytest.skip(str(error))


def test_one_learner_plays_all_scenarios(monkeypatch: pytest.MonkeyPatch) -> None:
    """They have different buttons and variables."""
    pytest.importorskip("vizdoom")
    monkeypatch.setattr(learning_player, "ROLLOUT", 128)
    monkeypatch.setitem(KINDS, "short", Kind(64, 64))
    frames = frames_of("vizdoom-ppo-short", 640)
    assert frames.shape == (640, 32, 32, 3)
    assert frames.reshape(640, -1).any(1).all()


# ---------------------------------------------------------------- the player that learns


def brightness(frame: np.ndarray, observation: Any, info: dict[str, Any]) -> np.ndarray:
    return np.array([frame.mean() / 255], np.float32)


def filmed(env_id: str, **kwargs: Any) -> Filmed:
    space = spaces.Box(0, 1, (1,), np.float32)
    return Filmed(make_world(env_id, **kwargs), 16, brightness, space)


@pytest.fixture(name="player")
def _player(monkeypatch: pytest.MonkeyPatch) -> LearningPlayer:
    monkeypatch.setattr(learning_player, "ROLLOUT", 128)
    return LearningPlayer(0)


def weights(player: LearningPlayer) -> torch.Tensor:
    assert player.model is not None
    return torch.nn.utils.parameters_to_vector(player.model.policy.parameters()).detach().clone()


def test_the_player_learns(monkeypatch: pytest.MonkeyPatch, player: LearningPlayer) -> None:
    monkeypatch.setitem(learning_player.HYPERPARAMETERS, "learning_rate", 3e-3)
    source = LearningSource("lamp", filmed(LAMP), player)
    rewards = []
    for _ in range(8):
        source.sample(2 * learning_player.ROLLOUT)
        assert player.model is not None
        rewards.append(float(player.model.rollout_buffer.rewards.mean()))
    assert rewards[0] < 0.7
    assert rewards[-1] > 0.95


def test_one_player_goes_on_learning_from_world_to_world(player: LearningPlayer) -> None:
    lamp, other = filmed(LAMP), filmed(ENDING)
    player.practise(lamp)
    model, before = player.model, weights(player)
    player.practise(other)
    between = weights(player)
    player.practise(lamp)
    assert player.model is model
    assert not torch.equal(before, between)
    assert not torch.equal(between, weights(player))
    assert player.model.num_timesteps == 3 * learning_player.ROLLOUT


def test_frames_of_a_player_are_those_of_its_worlds(player: LearningPlayer) -> None:
    """As a `WorldSource`: in order, without dead ends. What is left waits for the next visit."""
    dark = LearningSource("dark", filmed(ENDING), player)
    light = LearningSource("light", filmed(ENDING, first=100), player)
    batches = [dark.sample(10), light.sample(3), dark.sample(6)]
    levels = [batch.frames[:, 0, 0, 0].tolist() for batch in batches]
    assert levels == [[2, 0, 0, 3, 4, 0, 0, 5, 6, 0], [101, 0, 0], [0, 7, 8, 0, 0, 9]]
    assert batches[2].factors["episode"].tolist() == [2, 2, 3, 3, 3, 3]
    assert batches[2].factors["step"].tolist() == [2, 3, 0, 1, 2, 3]


def test_what_is_random_elsewhere_stays_as_it_was(player: LearningPlayer) -> None:
    def draw() -> tuple[float, float, float]:
        return torch.rand(()).item(), np.random.rand(), random.random()  # noqa: NPY002

    torch.manual_seed(1)
    np.random.seed(1)  # noqa: NPY002
    random.seed(1)
    expected = [draw(), draw()]
    torch.manual_seed(1)
    np.random.seed(1)  # noqa: NPY002
    random.seed(1)
    threads = torch.get_num_threads()
    found = []
    world = filmed(LAMP)
    for _ in expected:
        player.practise(world)
        found.append(draw())
    assert found == expected
    assert torch.get_num_threads() == threads
