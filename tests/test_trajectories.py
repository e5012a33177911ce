"""One contract for all readers of recorded trajectories, whatever the format."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from trajectory_formats import HEIGHT, KINDS, LENGTHS, WIDTH, Kind, make_episodes, number_of

from vase_rl.envs import Episode, RecordedTrajectories, TrajectoryError

EPISODES = make_episodes()
ALL = np.concatenate([episode.frames for episode in EPISODES])


@pytest.fixture(scope="module", params=KINDS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def kind(name: str) -> Kind:
    return KINDS[name]


@pytest.fixture(scope="module")
def written(name: str, kind: Kind, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The path to open, of a recording that no test changes."""
    return kind.write(tmp_path_factory.mktemp(name), EPISODES)


@pytest.fixture
def recording(written: Path) -> RecordedTrajectories:
    return RecordedTrajectories(written)


def assert_frames(kind: Kind, got: np.ndarray, expected: np.ndarray) -> None:
    assert got.dtype == np.uint8
    assert got.shape == expected.shape
    error = np.abs(got.astype(int) - expected).mean((1, 2, 3))
    assert error.max() <= kind.tolerance
    assert [number_of(frame) for frame in got] == [number_of(frame) for frame in expected]


def test_format_is_guessed(kind: Kind, recording: RecordedTrajectories) -> None:
    assert recording.format == kind.format


def test_episodes_keep_their_boundaries_and_frames(
    kind: Kind, recording: RecordedTrajectories
) -> None:
    episodes = list(recording)
    assert [len(episode) for episode in episodes] == list(LENGTHS)
    assert len(recording) == len(LENGTHS)
    assert recording.frames == sum(LENGTHS)
    assert recording.shape == (HEIGHT, WIDTH, 3)
    for episode, written in zip(episodes, EPISODES, strict=True):
        assert_frames(kind, episode.read(), written.frames)
    assert len({(episode.path, episode.number) for episode in episodes}) == len(LENGTHS)
    assert recording.bad == []


def test_slices_in_any_order_are_parts_of_the_whole(recording: RecordedTrajectories) -> None:
    episode = recording[1]
    whole = episode.read()
    for start, stop in ((5, 7), (0, 3), (2, 6), (6, 7), (0, 1)):
        np.testing.assert_array_equal(episode.read(start, stop), whole[start:stop])
    whole[:] = 0
    assert episode.read().any(), "what a reader returns must be the caller's own"


def test_random_access_equals_reading_in_order(recording: RecordedTrajectories) -> None:
    in_order = [frame for episode in recording for frame in episode]
    assert len(in_order) == sum(LENGTHS)
    for i in (9, 0, 13, 4, 3, 10, -1, -14):
        np.testing.assert_array_equal(recording.frame(i), in_order[i])
    np.testing.assert_array_equal(recording[-1].read(), in_order[-LENGTHS[-1] :])


@pytest.mark.parametrize("size", [1, 3, 100])
def test_chunks_make_up_the_episode(recording: RecordedTrajectories, size: int) -> None:
    chunks = list(recording[1].chunks(size))
    assert {len(chunk) for chunk in chunks[:-1]} <= {size}
    np.testing.assert_array_equal(np.concatenate(chunks), recording[1].read())


def test_episodes_can_be_read_in_turns(recording: RecordedTrajectories) -> None:
    """A reader that keeps its place must notice that another episode was read meanwhile."""
    first, second = (recording[i].chunks(1) for i in (0, 1))
    mixed = [next(chunks) for _ in range(3) for chunks in (first, second)]
    numbers = [number_of(chunk[0]) for chunk in mixed]
    assert numbers == [0, 4, 1, 5, 2, 6]


def test_steps_are_those_that_were_recorded(kind: Kind, recording: RecordedTrajectories) -> None:
    for episode, written in zip(recording, EPISODES, strict=True):
        steps = episode.steps()
        if not kind.steps:
            assert (steps.actions, steps.rewards, steps.terminated) == (None, None, None)
            continue
        assert steps.actions is not None
        assert steps.rewards is not None
        assert steps.rewards.dtype == np.float32
        for got, expected in ((steps.actions, written.actions), (steps.rewards, written.rewards)):
            assert len(got) in (len(episode) - 1, len(episode))
            assert len(got) < len(episode) or kind.format != "minari", "Arrow pads them"
            np.testing.assert_array_equal(got[: len(expected)], expected)
        assert steps.terminated in (written.terminated, None)


def test_each_epoch_has_every_frame_once(recording: RecordedTrajectories) -> None:
    batches = list(recording.batches(4, pool_frames=8, epochs=2))
    sizes = [len(batch) for batch in batches]
    assert sizes == [4, 4, 4, 2] * 2
    numbers = [number_of(frame) for batch in batches for frame in batch]
    first, second = numbers[: sum(LENGTHS)], numbers[sum(LENGTHS) :]
    assert sorted(first) == sorted(second) == list(range(sum(LENGTHS)))
    assert first != sorted(first)
    assert first != second


def test_unshuffled_batches_keep_the_order(recording: RecordedTrajectories) -> None:
    batches = list(recording.batches(5, shuffle=False, epochs=1))
    assert [number_of(frame) for batch in batches for frame in batch] == list(range(sum(LENGTHS)))


def test_a_closed_recording_opens_again(kind: Kind, written: Path) -> None:
    with RecordedTrajectories(written) as recording:
        recording[0].read(0, 2)
    assert_frames(kind, recording[2].read(), EPISODES[2].frames)
    recording.close()


def read_whole(recording: RecordedTrajectories) -> dict[int, np.ndarray]:
    """Episodes of which all frames can be read, by the number of their first frame."""
    whole = {}
    for episode in recording:
        pieces = list(episode.chunks(2))
        if sum(map(len, pieces)) == len(episode):
            whole[number_of(pieces[0][0])] = np.concatenate(pieces)
    return whole


def test_a_truncated_file_is_named_and_can_be_skipped(
    kind: Kind, written: Path, tmp_path: Path
) -> None:
    copy = tmp_path / written.name
    (shutil.copytree if written.is_dir() else shutil.copy)(written, copy)
    victim = copy / kind.victim
    victim.write_bytes(victim.read_bytes()[: victim.stat().st_size * 6 // 10])

    with pytest.raises(TrajectoryError) as caught:
        read_whole(RecordedTrajectories(copy))
    named = caught.value.path
    assert named == victim or named in victim.parents
    assert str(named) in str(caught.value)
    assert named != copy or kind.victim == "", "it must say which file"

    recording = RecordedTrajectories(copy, skip_bad=True)
    whole = read_whole(recording)
    firsts = np.cumsum([0, *LENGTHS])
    assert sorted(whole) == [firsts[i] for i in kind.survivors]
    for i in kind.survivors:
        assert_frames(kind, whole[int(firsts[i])], EPISODES[i].frames)
    assert len(recording.bad) >= 1
    counted = len(recording.bad)
    read_whole(recording)
    assert len(recording.bad) == counted, "the same damage counts once"


def test_episode_is_exported() -> None:
    assert Episode.__name__ == "Episode"
