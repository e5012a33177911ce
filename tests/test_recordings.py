"""Recordings as a whole: what is read when, what is refused, what damage looks like."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vase_rl.envs import RecordedTrajectories, TrajectoryError
from vase_rl.envs.trajectories import episode as episode_module
from vase_rl.envs.trajectories import formats
from vase_rl.envs.trajectories.batches import without_dead_end
from vase_rl.envs.trajectories.extras import MissingLibraryError
from vase_rl.envs.trajectories.reader import Entry, Steps

GREY = np.arange(5 * 40 * 40, dtype=np.uint8).reshape(5, 40, 40)


class CountingReader:
    """Episodes of known lengths, made up when they are read; some frames cannot be."""

    def __init__(self, lengths: list[int], broken: tuple[int, ...] = ()) -> None:
        self.lengths, self.broken = lengths, broken
        self.indexed, self.most_frames, self.closed = 0, 0, 0

    def entries(self, bad: Callable[[TrajectoryError], None]) -> Iterator[Entry]:
        for number, frames in enumerate(self.lengths):
            self.indexed += 1
            if frames:
                yield Entry(Path("made/up"), number, frames, key=sum(self.lengths[:number]))
            else:
                bad(TrajectoryError("made/up", "is empty", episode=number, offset=10 * number))

    def frames(self, entry: Entry, start: int, stop: int) -> np.ndarray:
        self.most_frames = max(self.most_frames, stop - start)
        numbers = np.arange(entry.key + start, entry.key + stop)
        if set(numbers.tolist()) & set(self.broken):
            raise TrajectoryError(entry.path, "is broken", episode=entry.number)
        return numbers.astype(np.uint8).repeat(64).reshape(-1, 8, 8, 1)

    def steps(self, entry: Entry) -> Steps:
        return Steps()

    def close(self) -> None:
        self.closed += 1


@pytest.fixture
def counting(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Opens a recording of a `CountingReader`, and gives both."""

    def make(lengths: list[int], broken: tuple[int, ...] = (), **options: Any) -> Any:
        reader = CountingReader(lengths, broken)
        monkeypatch.setitem(formats.FORMATS, "made-up", f"{__name__}:reader_in_use")
        monkeypatch.setitem(globals(), "reader_in_use", lambda path: reader)
        return RecordedTrajectories(Path(__file__), format="made-up", **options), reader

    return make


def test_episodes_are_found_as_they_are_needed(counting: Any) -> None:
    recording, reader = counting([3] * 100)
    assert reader.indexed == 0
    assert len(recording[4]) == 3
    assert reader.indexed == 5
    assert recording.frame(17).max() == 17
    assert reader.indexed == 6
    for _, _ in zip(recording, range(8), strict=False):
        pass
    assert reader.indexed <= 9
    assert len(recording) == 100
    assert len(list(recording)) == 100
    assert reader.indexed == 100


def test_no_more_frames_are_read_at_once_than_fit_the_limit(
    counting: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(episode_module, "CHUNK_BYTES", 64 * 6)
    recording, reader = counting([50, 40])
    assert [frame.max() for episode in recording for frame in episode] == list(range(90))
    assert reader.most_frames == 6
    for _ in recording.batches(16, pool_frames=32, epochs=1):
        pass
    assert reader.most_frames == 6


def test_shuffling_needs_no_more_than_the_pool(counting: Any) -> None:
    """While a batch is out, the frames read and not yet given are at most the pool's and one
    piece's."""
    recording, _ = counting([30] * 8)
    read = 0

    def prepare(frames: np.ndarray) -> np.ndarray:
        nonlocal read
        read += len(frames)
        return frames

    given = 0
    for batch in recording.batches(10, pool_frames=40, prepare=prepare, epochs=1):
        given += len(batch)
        assert read - given <= 40 + 30
    assert given == read == 240


def test_a_pool_mixes_episodes(counting: Any) -> None:
    recording, _ = counting([20] * 10)
    batches = list(recording.batches(20, pool_frames=100, epochs=1, seed=3))
    mixed = [len(set(batch[:, 0, 0, 0] // 20)) for batch in batches]
    assert min(mixed[:-1]) >= 2


def test_one_seed_gives_one_order(counting: Any) -> None:
    def order(seed: int) -> list[int]:
        batches = counting([20, 30])[0].batches(8, seed=seed, epochs=1)
        return [int(frame.max()) for batch in batches for frame in batch]

    assert order(1) == order(1)
    assert order(1) != order(2)


@pytest.mark.parametrize("size", [1, 2, 3, 9])
@pytest.mark.parametrize(
    ("values", "kept"),
    [
        ([1, 2, 3], [1, 2, 3]),
        ([1, 2, 0], [1, 2]),
        ([1, 2, 2], [1, 2]),
        ([0, 2, 2, 3], [0, 2, 2, 3]),
        ([0], []),
        ([7], [7]),
    ],
)
def test_dead_last_frames_are_left_out(size: int, values: list[int], kept: list[int]) -> None:
    frames = np.array(values, np.uint8).repeat(4).reshape(-1, 2, 2, 1)
    pieces = [frames[start : start + size] for start in range(0, len(frames), size)]
    living = [piece for piece in without_dead_end(pieces, len(frames)) if len(piece)]
    assert [int(frame[0, 0, 0]) for piece in living for frame in piece] == kept


def test_batches_leave_out_dead_last_frames(tmp_path: Path) -> None:
    np.savez(tmp_path / "episode.npz", frames=np.concatenate([GREY[:4] | 1, 0 * GREY[:1]]))
    recording = RecordedTrajectories(tmp_path)
    assert recording.frames == 5
    assert sum(len(batch) for batch in recording.batches(2, epochs=1)) == 4


def test_batches_go_on_without_end(counting: Any) -> None:
    recording, _ = counting([3])
    batches = recording.batches(2)
    assert [len(next(batches)) for _ in range(6)] == [2, 1, 2, 1, 2, 1]


def test_damage_is_skipped_and_counted(counting: Any) -> None:
    recording, _ = counting([3, 0, 4, 0, 5], broken=(4,), skip_bad=True)
    assert len(recording) == 3
    assert [(e.episode, e.offset) for e in recording.bad] == [(1, 10), (3, 30)]
    read = [[int(f.max()) for chunk in e.chunks(1) for f in chunk] for e in recording]
    assert read == [[0, 1, 2], [3], [7, 8, 9, 10, 11]]
    for _ in recording.batches(4, epochs=3):
        pass
    assert [(e.episode, e.offset) for e in recording.bad] == [(1, 10), (3, 30), (2, None)]
    with pytest.raises(TrajectoryError, match="made/up: episode 2: is broken"):
        recording.frame(4)


def test_damage_stops_those_who_do_not_skip_it(counting: Any) -> None:
    recording, _ = counting([3, 0, 4])
    for _ in range(2):
        with pytest.raises(TrajectoryError, match=r"^made/up: episode 1, byte 10: is empty$"):
            len(recording)
    assert recording.frame(2).max() == 2
    recording, _ = counting([3], broken=(1,))
    with pytest.raises(TrajectoryError, match="episode 0: is broken"):
        list(recording.batches(1, epochs=1))


@pytest.mark.parametrize("lengths", [[], [0], [1]])
def test_a_recording_without_any_frame(counting: Any, lengths: list[int]) -> None:
    recording, _ = counting(lengths, broken=(0,), skip_bad=True)
    assert recording.frames == sum(lengths)
    with pytest.raises(TrajectoryError, match="holds no frame that can be read"):
        _ = recording.shape
    with pytest.raises(TrajectoryError, match="holds no frame that can be read"):
        next(recording.batches(4))


def test_leaving_the_context_closes_the_reader(counting: Any) -> None:
    recording, reader = counting([1])
    with recording:
        pass
    assert reader.closed == 1


@pytest.mark.parametrize(
    ("call", "exception", "message"),
    [
        (lambda r: r[2], IndexError, "holds 2 episodes, got number 2"),
        (lambda r: r[-3], IndexError, "holds 2 episodes, got number -3"),
        (lambda r: r["a"], TypeError, "integer"),
        (lambda r: r.frame(7), IndexError, "holds 7 frames, got number 7"),
        (lambda r: r.frame(-8), IndexError, "holds 7 frames, got number -8"),
        (lambda r: r[0].read(2, 4), ValueError, "0 <= start < stop <= 3, got 2 and 4"),
        (lambda r: r[0].read(2, 2), ValueError, "0 <= start < stop <= 3, got 2 and 2"),
        (lambda r: r[0].read(-1), ValueError, "0 <= start < stop <= 3, got -1 and 3"),
        (lambda r: list(r[0].chunks(0)), ValueError, "frames must be an integer of at least 1"),
        (lambda r: r.batches(0), ValueError, "batch_size must be an integer of at least 1, got 0"),
        (lambda r: r.batches(2.5), ValueError, "batch_size must be an integer"),
        (lambda r: r.batches(2, epochs=0), ValueError, "epochs must be an integer of at least 1"),
        (lambda r: r.batches(9, pool_frames=8), ValueError, "at least batch_size = 9, got 8"),
    ],
)
def test_bad_arguments(
    counting: Any, call: Callable[[Any], Any], exception: type[Exception], message: str
) -> None:
    with pytest.raises(exception, match=message):
        call(counting([3, 4])[0])


def test_frames_of_a_batch_have_one_shape(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", frames=GREY)
    np.savez(tmp_path / "b.npz", frames=GREY[:, :20])
    recording = RecordedTrajectories(tmp_path)
    with pytest.raises(ValueError, match=r"one shape, got \(20, 40, 1\) in episode 0 of .*b\.npz"):
        list(recording.batches(3, shuffle=False, epochs=1))
    batches = recording.batches(3, prepare=lambda frames: frames[:, :20], epochs=1)
    assert sum(map(len, batches)) == 10


def touch(*names: str) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        for name in names:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(b"")

    return make


@pytest.mark.parametrize(
    ("names", "opened", "format"),
    [
        (["x.NPZ"], "x.NPZ", "npz"),
        (["x.h5"], "x.h5", "hdf5"),
        (["x.mp4"], "x.mp4", "video"),
        (["a.avi", "b.mp4", "notes.txt"], "", "video"),
        (["a.png", "b.jpeg"], "", "images"),
        (["run2/a.png", "run10/a.png"], "", "images"),
        (["tfrecord-00000-of-00500"], "", "rl-unplugged"),
        (["tfrecord-00000-of-00500"], "tfrecord-00000-of-00500", "rl-unplugged"),
        (["dmlab-train.tfrecord-00000-of-00001"], "", "rl-unplugged"),
        (
            ["features.json", "dataset_info.json", "dmlab-train.tfrecord-00000-of-00001"],
            "",
            "rlds",
        ),
    ],
)
def test_format_of_a_path(tmp_path: Path, names: list[str], opened: str, format: str) -> None:
    touch(*names)(tmp_path)
    assert formats.guess_format(tmp_path / opened) == format


@pytest.mark.parametrize(
    ("names", "opened", "options", "message"),
    [
        ([], "nowhere", {}, r"nowhere: no such file or folder, nor a local Minari data set"),
        ([], "", {}, "holds no recording of the formats minari, .*images"),
        (["a.txt"], "a.txt", {}, r"a\.txt: its name ends like none of the formats': \.npz, .*"),
        (
            ["a.npz", "b.png"],
            "",
            {},
            "holds files of npz, images: name one of them, or give format",
        ),
        (["a.npz"], "", {"format": "gif"}, "format must be one of minari, .*, got 'gif'"),
        (["a.png"], "", {"pixels_key": "x"}, "pixels_key must be None for the format images"),
        (["a.png"], "", {"format": "minari"}, "holds no Minari data set"),
        ([".git/a.png", ".b.png"], "", {}, "holds no recording of the formats"),
    ],
)
def test_paths_that_are_no_recordings(
    tmp_path: Path, names: list[str], opened: str, options: dict[str, Any], message: str
) -> None:
    touch(*names)(tmp_path)
    with pytest.raises(ValueError, match=message):
        RecordedTrajectories(tmp_path / opened, **options)


def test_a_format_without_its_library_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    touch("a.h5")(tmp_path)
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(MissingLibraryError, match=r'needs h5py: pip install "vase_rl\[rec'):
        RecordedTrajectories(tmp_path)
