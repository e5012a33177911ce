"""TFRecords without TensorFlow, against TensorBoard's writer, protobuf and OpenCV."""

from __future__ import annotations

import gzip
import json
import struct
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from tensorboard.compat.tensorflow_stub import pywrap_tensorflow
from tfrecords import (
    dmlab_episode,
    encode_example,
    example_class,
    frame_records,
    rlds_episode,
    rlds_features,
    write_dmlab,
    write_rlds,
)

from vase_rl.envs import RecordedTrajectories
from vase_rl.envs.trajectories import tfrecord
from vase_rl.envs.trajectories.crc32c import SHORT, crc32c, masked_crc32c
from vase_rl.envs.trajectories.dmlab import DMLabReader
from vase_rl.envs.trajectories.example import Blobs, ExampleError, parse_example
from vase_rl.envs.trajectories.reader import Entry, TrajectoryError
from vase_rl.envs.trajectories.rlds import RLDSReader

ROW = 4 << 13


def random_episodes(*lengths: int, shape: tuple[int, ...] = (6, 8, 3)) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (length, *shape), np.uint8) for length in lengths]


@pytest.fixture
def opened() -> Iterator[Callable[[Any], Any]]:
    """Closes the readers that pass through it when the test is over."""
    with ExitStack() as stack:
        yield lambda reader: stack.enter_context(closing(reader))


def fail(error: TrajectoryError) -> None:
    raise error


def read(reader: Any) -> tuple[list[Entry], list[TrajectoryError]]:
    errors: list[TrajectoryError] = []
    return list(reader.entries(errors.append)), errors


# Checksum


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", 0),
        (bytes(32), 0x8A9136AA),
        (b"\xff" * 32, 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
        (bytes(range(31, -1, -1)), 0x113FDB5C),
        (b"123456789", 0xE3069283),
    ],
)
def test_crc32c_of_the_standard_vectors(data, expected):
    """Those of RFC 3720, B.4, and the customary check value."""
    assert crc32c(data) == expected


@pytest.mark.parametrize(
    "size", [1, 3, SHORT, SHORT + 1, SHORT + 2, SHORT + 3, ROW - 1, ROW, ROW + 1, 3 * ROW + 5]
)
def test_crc32c_agrees_with_tensorboard_at_every_alignment(size):
    data = np.random.default_rng(size).bytes(size)
    assert crc32c(data) == pywrap_tensorflow.crc32c(data)
    assert masked_crc32c(memoryview(data)) == pywrap_tensorflow.masked_crc32c(data)


def test_crc32c_sees_each_bit():
    data = bytearray(np.random.default_rng(0).bytes(2 * ROW + 7))
    right = crc32c(bytes(data))
    for place in (0, 6, 7, ROW, len(data) - 1):
        data[place] ^= 0x10
        assert crc32c(bytes(data)) != right
        data[place] ^= 0x10
    assert crc32c(bytes(data)) == right


# Messages


@pytest.mark.parametrize("packed", [True, False])
def test_example_agrees_with_protobuf(packed):
    rng = np.random.default_rng(0)
    integers = [0, 1, -1, 127, 128, 300, 2**63 - 1, -(2**63), *range(1000)]
    floats = rng.normal(size=(100, 15)).astype(np.float32)
    texts = [b"", b"a", rng.bytes(300), rng.bytes(20_000)]
    given = {"i": integers, "x": floats, "ä/b": texts, "none": []}
    features = parse_example(encode_example(given, packed))
    assert features.keys() == given.keys()
    assert features["i"].dtype == np.int64
    assert features["i"].tolist() == integers
    assert features["x"].dtype == np.float32
    assert np.array_equal(features["x"], floats.ravel())
    found = features["ä/b"]
    assert isinstance(found, Blobs)
    assert [bytes(found[i]) for i in range(len(found))] == texts
    assert len(features["none"]) == 0


def test_example_passes_over_unknown_fields_and_joins_what_came_in_parts():
    first, second = encode_example({"a": [1], "b": [2.5]}), encode_example({"a": [3], "c": [4]})
    unknown = b"\x10\x96\x01" + b"\x19" + bytes(8) + b"\x25" + bytes(4) + b"\x2a\x02ab"
    features = parse_example(unknown + first + second)
    assert {name: feature.tolist() for name, feature in features.items()} == {
        "a": [3], "b": [2.5], "c": [4],
    }  # fmt: skip
    assert parse_example(b"") == {}


@pytest.mark.parametrize(
    ("lists", "expected"),
    [
        (b"\x1a\x03\x0a\x01\x05" + b"\x1a\x04\x0a\x02\x06\x07", [5, 6, 7]),
        (b"\x12\x06\x0a\x04" + bytes(4) + b"\x1a\x03\x0a\x01\x05", [5]),
        (b"\x1a\x03\x0a\x01\x05" + b"\x12\x06\x0a\x04" + bytes(4), [0.0]),
    ],
)
def test_lists_of_one_kind_are_joined_and_of_several_kinds_the_last_counts(lists, expected):
    def block(field: int, content: bytes) -> bytes:
        return bytes([field << 3 | 2, len(content)]) + content

    content = block(1, block(1, block(1, b"x") + block(2, lists)))
    assert parse_example(content)["x"].tolist() == expected
    message = example_class()()
    message.ParseFromString(content)
    feature = message.features.feature["x"]
    assert list(getattr(feature, feature.WhichOneof("kind")).value) == expected


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\x0a", "does not end where its message does"),
        (b"\x0a\x05ab", "a field of 5 bytes does not fit"),
        (b"\xff" * 12, "does not end where its message does"),
        (b"\x0b\x00", "wire type must be 0, 1, 2 or 5, got 3"),
        (b"\x02\x00", "does not fit into its message"),
        (encode_example({"x": [1.0, 2.0]})[:-1], "does not fit"),
        (b"\x0a\x0e\x0a\x0c\x0a\x01x\x12\x07\x12\x05\x0a\x03abc", "takes 4 bytes each, got 3"),
        (b"\x0a\x0d\x0a\x0b\x0a\x01x\x12\x06\x1a\x04\x0a\x02\xff\xff", "ends within a number"),
        (b"\x0a\x0d\x0a\x0b\x0a\x01\xff\x12\x06\x1a\x04\x0a\x02\x01\x02", "no UTF-8"),
        (
            b"\x0a\x16\x0a\x14\x0a\x01x\x12\x0f\x1a\x0d\x0a\x0b" + b"\xff" * 10 + b"\x01",
            "at most 10 bytes, got 11",
        ),
    ],
)
def test_bytes_that_are_no_example(content, message):
    with pytest.raises(ExampleError, match=message):
        parse_example(content)


# Readers


def test_rl_unplugged_comes_back_as_it_was(tmp_path, opened):
    episodes = random_episodes(5, 3, 4, shape=(72, 96, 3))
    write_dmlab(tmp_path / "run", episodes)
    reader = opened(DMLabReader(tmp_path / "run"))
    entries = list(reader.entries(fail))
    assert [(e.path.name, e.number, e.frames) for e in entries] == [
        ("tfrecord-00000-of-00002", 0, 5),
        ("tfrecord-00000-of-00002", 1, 3),
        ("tfrecord-00001-of-00002", 0, 4),
    ]
    for entry, frames in reversed(list(zip(entries, episodes, strict=True))):
        assert np.array_equal(reader.frames(entry, 0, entry.frames), frames)
        assert np.array_equal(reader.frames(entry, 1, 3), frames[1:3])
        steps = reader.steps(entry)
        assert steps.actions is not None
        assert steps.actions.tolist() == list(range(entry.frames))
        assert steps.rewards is not None
        assert steps.rewards.dtype == np.float32
        assert steps.rewards.tolist() == list(range(entry.frames))
        assert steps.terminated is None
        assert steps.extra["observations_action"].shape == (entry.frames, 15)
        assert steps.extra["episode_id"].tolist() == [100 + entry.number]
        assert "observations_pixels" not in steps.extra
    reader.close()
    assert np.array_equal(reader.frames(entries[0], 0, 5), episodes[0])


def test_red_stays_red(tmp_path, opened):
    red = np.zeros((2, 4, 4, 3), np.uint8)
    red[..., 0] = 200
    write_dmlab(tmp_path / "unplugged", [red])
    write_rlds(tmp_path / "rlds", [red])
    readers = [DMLabReader(tmp_path / "unplugged"), RLDSReader(tmp_path / "rlds")]
    for reader in map(opened, readers):
        (entry,) = reader.entries(fail)
        assert np.array_equal(reader.frames(entry, 0, 2), red)


@pytest.mark.parametrize(
    ("name", "version", "swapped"),
    [
        ("rlu_dmlab_rooms_watermaze", "1.2.0", False),
        ("rlu_dmlab_rooms_watermaze", "1.10.0", False),
        ("rlu_dmlab_rooms_watermaze", "1.1.0", True),
        ("rlu_dmlab_rooms_watermaze", "1.0.1", True),
        ("rlu_dmlab_rooms_watermaze", "nightly", False),
        ("my_robot", "1.0.0", False),
    ],
)
def test_colours_of_rlds(tmp_path, name, version, swapped, opened):
    (frames,) = random_episodes(2)
    write_rlds(tmp_path, [frames], name=name, version=version)
    reader = opened(RLDSReader(tmp_path))
    (entry,) = reader.entries(fail)
    expected = frames[..., ::-1] if swapped else frames
    assert np.array_equal(reader.frames(entry, 0, 2), expected)


@pytest.mark.parametrize("terminal", [True, False, None])
def test_rlds_comes_back_as_it_was(tmp_path, terminal, opened):
    (frames,) = random_episodes(4)
    features = rlds_episode(frames, 7, terminal=bool(terminal))
    features["steps/action"] = np.arange(8.0).reshape(4, 2)
    features["steps/instruction"] = [b"go"] * 4
    if terminal is None:
        del features["steps/is_terminal"], features["steps/reward"]
    path = tmp_path / "robot.tfrecord"
    path.write_bytes(frame_records([encode_example(features)]))
    reader = opened(RLDSReader(path))
    (entry,) = reader.entries(fail)
    assert np.array_equal(reader.frames(entry, 0, 4), frames)
    steps = reader.steps(entry)
    assert steps.actions is not None
    assert steps.actions.tolist() == [[0, 1], [2, 3], [4, 5], [6, 7]]
    assert (steps.rewards is None) == (terminal is None)
    assert steps.terminated is terminal
    assert steps.extra["is_first"].tolist() == [1, 0, 0, 0]
    assert steps.extra["observation/last_action"].tolist() == [14, 0, 1, 2]
    assert steps.extra["episode_id"].tolist() == [107]
    assert "instruction" not in steps.extra


def test_images_of_rlds_are_found_by_the_features_or_chosen(tmp_path, opened):
    left, right = random_episodes(3, 3)
    features = rlds_episode(left)
    features["steps/observation/left"] = features.pop("steps/observation/pixels")
    features["steps/observation/right"] = rlds_episode(right)["steps/observation/pixels"]
    path = tmp_path / "robot-train.tfrecord-00000-of-00001"
    path.write_bytes(frame_records([encode_example(features)]))
    for images, key, expected in [
        (["left"], None, left),
        (["left", "right"], "right", right),
        (None, "left", left),
    ]:
        (tmp_path / "features.json").unlink(missing_ok=True)
        if images is not None:
            (tmp_path / "features.json").write_text(json.dumps(rlds_features(images)))
        reader = opened(RLDSReader(tmp_path, key))
        (entry,) = reader.entries(fail)
        assert np.array_equal(reader.frames(entry, 0, 3), expected)
    (tmp_path / "features.json").write_text(json.dumps(rlds_features(["left", "right"])))
    with pytest.raises(TrajectoryError, match=r"one of .* images left, right, got None"):
        RLDSReader(tmp_path)
    with pytest.raises(TrajectoryError, match=r"one of .* images left, right, got 'depth'"):
        RLDSReader(tmp_path, "depth")


def test_one_shard_of_rlds_is_known_by_what_lies_beside_it(tmp_path):
    (frames,) = random_episodes(3)
    write_rlds(tmp_path, [frames])
    (path,) = tmp_path.glob("*.tfrecord-*")
    for key in (None, "pixels"):
        recording = RecordedTrajectories(path, pixels_key=key)
        assert recording.format == "rlds"
        assert np.array_equal(recording[0].read(), frames)


def test_grey_images_and_jpeg(tmp_path, opened):
    grey = np.random.default_rng(0).integers(0, 256, (2, 6, 8), np.uint8)
    smooth = np.zeros((2, 16, 16, 3), np.uint8) + np.uint8([200, 100, 50])
    payloads = []
    for end, images in ((".png", grey), (".jpg", smooth[..., ::-1])):
        pictures = [bytes(cv2.imencode(end, image)[1]) for image in images]
        payloads.append(encode_example({"steps/observation/pixels": pictures}))
    path = tmp_path / "x.tfrecord"
    path.write_bytes(frame_records(payloads))
    reader = opened(RLDSReader(path))
    first, second = reader.entries(fail)
    assert np.array_equal(reader.frames(first, 0, 2), grey[..., None])
    assert np.abs(reader.frames(second, 0, 2).astype(int) - smooth).max() < 4


# Random access and memory


@pytest.mark.parametrize("members", [1, 3])
def test_any_episode_of_a_gzip_file_is_reached_from_a_mark(tmp_path, monkeypatch, members, opened):
    monkeypatch.setattr(tfrecord, "MARK_EVERY", 20_000)
    monkeypatch.setattr(tfrecord, "CHUNK", 700)
    episodes = random_episodes(*range(1, 41), shape=(12, 16, 3))
    payloads = [encode_example(dmlab_episode(frames)) for frames in episodes]
    content = frame_records(payloads)
    cuts = np.linspace(0, len(content), members + 1).astype(int)
    path = tmp_path / "tfrecord-00000-of-00001"
    path.write_bytes(b"".join(gzip.compress(content[a:b]) for a, b in pairwise(cuts)))
    reader = opened(DMLabReader(path))
    entries = list(reader.entries(fail))
    marks = reader._marks[path]
    assert 10 < len(marks) <= 1 + len(content) // 20_000

    inflated = 0
    inflate = tfrecord.Inflated._inflate

    def count(self: tfrecord.Inflated, most: int) -> bytes:
        nonlocal inflated
        piece = inflate(self, most)
        inflated += len(piece)
        return piece

    monkeypatch.setattr(tfrecord.Inflated, "_inflate", count)
    largest = max(map(len, payloads))
    for number in np.random.default_rng(1).permutation(40):
        inflated = 0
        frames = reader.frames(entries[number], 0, entries[number].frames)
        assert np.array_equal(frames, episodes[number])
        assert inflated <= 20_000 + 2 * (largest + 16)

    inflated = 0
    for entry in entries:
        reader.frames(entry, 0, 1)
    assert inflated <= 1.1 * len(content), "in order, nothing is inflated twice"


def test_a_record_is_inflated_once_where_frames_follow_the_index(tmp_path, monkeypatch, opened):
    episodes = random_episodes(4, 4)
    write_dmlab(tmp_path, episodes)
    reader = opened(DMLabReader(tmp_path))
    found = []
    for entry in reader.entries(fail):
        monkeypatch.setattr(reader, "_open", None)
        found.append(reader.frames(entry, 0, 4))
        found.append(reader.frames(entry, 2, 3))
    assert np.array_equal(found[2], episodes[1])


def test_a_plain_file_may_start_like_gzip(tmp_path):
    size = int.from_bytes(b"\x1f\x8b\x08", "little")
    features = dmlab_episode(random_episodes(2)[0])
    room = size - len(encode_example({**features, "filling": [bytes(size // 2)]})) + size // 2
    payload = encode_example({**features, "filling": [bytes(room)]})
    path = tmp_path / "x.tfrecord"
    path.write_bytes(frame_records([payload]))
    assert path.read_bytes().startswith(b"\x1f\x8b\x08")
    assert [entry.frames for entry in DMLabReader(path).entries(fail)] == [2]


# Damage


@pytest.fixture
def shards(tmp_path: Path) -> tuple[Path, list[int], list[np.ndarray]]:
    """A folder of two shards, the first of 3 plain records; their offsets; all 4 episodes."""
    episodes = random_episodes(3, 4, 5, 2)
    payloads = [encode_example(dmlab_episode(frames)) for frames in episodes]
    first = tmp_path / "tfrecord-00000-of-00002"
    first.write_bytes(frame_records(payloads[:3]))
    (tmp_path / "tfrecord-00001-of-00002").write_bytes(frame_records(payloads[3:]))
    offsets = np.cumsum([0] + [len(payload) + 16 for payload in payloads[:3]])
    return first, offsets.tolist(), episodes


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize(
    ("place", "left", "message"),
    [
        ("payload", [3, 5, 2], "bytes do not match their checksum"),
        ("checksum", [3, 5, 2], "bytes do not match their checksum"),
        ("length", [3, 2], "length does not match its checksum"),
        ("cut in payload", [3, 2], r"truncated: [\d,]+ bytes must follow, got 50"),
        ("cut in header", [3, 2], "truncated: 12 bytes must follow, got 7"),
        ("cut after header", [3, 2], r"truncated: [\d,]+ bytes must follow, got 0"),
    ],
)
def test_damage_is_named_and_what_can_be_read_is(shards, compressed, place, left, message, opened):
    path, offsets, episodes = shards
    content = bytearray(path.read_bytes())
    if place.startswith("cut"):
        cuts = {"cut in payload": 12 + 50, "cut in header": 7, "cut after header": 12}
        del content[offsets[1] + cuts[place] :]
    else:
        places = {"length": offsets[1] + 2, "payload": offsets[1] + 500, "checksum": offsets[2] - 1}
        content[places[place]] ^= 4
    path.write_bytes(gzip.compress(content) if compressed else content)
    reader = opened(DMLabReader(path.parent))
    with pytest.raises(TrajectoryError, match=message):
        list(reader.entries(fail))
    entries, errors = read(reader)
    assert [entry.frames for entry in entries] == left
    for entry in entries[:-1]:
        assert np.array_equal(reader.frames(entry, 0, entry.frames), episodes[entry.number])
    (error,) = errors
    assert (error.path, error.episode, error.offset) == (path, 1, offsets[1])
    assert str(error).startswith(f"{path}: episode 1, byte {offsets[1]:,}: ")


@pytest.mark.parametrize("rest", [1, 4, 8, 200])
def test_truncated_gzip_gives_what_is_whole(shards, rest):
    path, offsets, _ = shards
    whole = gzip.compress(path.read_bytes())
    path.write_bytes(whole[:-rest])
    entries, errors = read(DMLabReader(path))
    assert [entry.frames for entry in entries] == ([3, 4, 5] if rest <= 8 else [3, 4])
    (error,) = errors
    assert "truncated: the GZIP data end too early" in error.reason
    assert (error.episode, error.offset) == (len(entries), offsets[len(entries)])


def test_damaged_gzip_never_gives_wrong_frames(shards, opened):
    path, _, episodes = shards
    whole = gzip.compress(path.read_bytes())
    for place in range(20, len(whole), len(whole) // 50):
        damaged = bytearray(whole)
        damaged[place] ^= 16
        path.write_bytes(damaged)
        reader = opened(DMLabReader(path))
        entries, errors = read(reader)
        assert errors
        for entry in entries:
            assert np.array_equal(reader.frames(entry, 0, entry.frames), episodes[entry.number])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"observations_pixels": None}, "the feature observations_pixels must hold images, got fe"),
        ({"observations_pixels": [1, 2, 3]}, "observations_pixels must hold images"),
        ({"actions": None}, "actions must hold numbers for each of the 3 frames, got 0"),
        ({"rewards": [1.0, 2.0]}, "rewards must hold numbers for each of the 3 frames, got 2"),
        ({"actions": [b"left"] * 3}, "actions must hold numbers for each of the 3 frames, got 0"),
        (b"\x0a\xff", "a number does not end where its message does"),
    ],
)
def test_records_that_are_no_episode(tmp_path, change, message):
    (frames,) = random_episodes(3)
    good = dmlab_episode(frames)
    if isinstance(change, bytes):
        broken = change
    else:
        changed = {**good, **change}
        broken = encode_example({k: v for k, v in changed.items() if v is not None})
    path = tmp_path / "x.tfrecord"
    path.write_bytes(frame_records([encode_example(good), broken, encode_example(good)]))
    entries, errors = read(DMLabReader(path))
    assert [entry.number for entry in entries] == [0, 2]
    (error,) = errors
    assert (error.episode, error.offset) == (1, len(encode_example(good)) + 16)
    assert message in str(error)


def test_undecodable_frames_are_named_and_cost_no_others(tmp_path, opened):
    (frames,) = random_episodes(4)
    features = dmlab_episode(frames)
    marker = b"no picture at all"
    features["observations_pixels"][2] = marker
    small = cv2.imencode(".png", frames[3][:4])[1]
    features["observations_pixels"][3] = bytes(small)
    path = tmp_path / "x.tfrecord"
    path.write_bytes(frame_records([encode_example(features)]))
    reader = opened(DMLabReader(path))
    (entry,) = reader.entries(fail)
    assert np.array_equal(reader.frames(entry, 0, 2), frames[:2])
    with pytest.raises(TrajectoryError, match=r"episode 0, byte .*: frame 2: ") as caught:
        reader.frames(entry, 1, 4)
    assert caught.value.offset == path.read_bytes().index(marker)
    features["observations_pixels"][2] = features["observations_pixels"][1]
    path.write_bytes(frame_records([encode_example(features)]))
    reader.close()
    with pytest.raises(TrajectoryError, match=r"one shape, got \(4, 8, 3\) in frame 3 after"):
        reader.frames(entry, 1, 4)


def test_a_file_that_shrinks_or_goes_away(tmp_path, opened):
    write_dmlab(tmp_path, random_episodes(3, 3, 3))
    reader = opened(DMLabReader(tmp_path))
    entries = list(reader.entries(fail))
    for entry in (entries[0], entries[2]):
        reader.close()
        entry.path.write_bytes(b"")
        with pytest.raises(TrajectoryError, match="the file ends before the episode"):
            reader.frames(entry, 0, 1)
    reader.close()
    entries[0].path.unlink()
    with pytest.raises(TrajectoryError, match="cannot be read"):
        reader.steps(entries[0])
    found, errors = read(reader)
    assert found == []
    assert [error.path for error in errors] == [entries[0].path]


def test_a_length_that_no_memory_holds(tmp_path):
    header = struct.pack("<Q", 2**62)
    path = tmp_path / "x.tfrecord"
    path.write_bytes(header + struct.pack("<I", masked_crc32c(header)))
    for content in (path.read_bytes(), gzip.compress(path.read_bytes())):
        path.write_bytes(content)
        entries, (error,) = read(DMLabReader(path))
        assert entries == []
        assert (error.episode, error.offset) == (0, 0)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("features.json", "{", "features.json: cannot be read"),
        ("features.json", "[]", "must hold a JSON object, got list"),
        ("features.json", "{}", r"one of the observation's images \(none\), got None"),
        ("dataset_info.json", '{"fileFormat": "array_record"}', "in the format tfrecord, got 'arr"),
        ("dataset_info.json", "\xff", "dataset_info.json: cannot be read"),
    ],
)
def test_damaged_metadata_of_rlds(tmp_path, name, content, message):
    write_rlds(tmp_path, random_episodes(2))
    (tmp_path / name).write_text(content, "latin-1")
    with pytest.raises(TrajectoryError, match=message):
        RLDSReader(tmp_path)


def test_nothing_there(tmp_path):
    with pytest.raises(TrajectoryError, match="no such file or folder"):
        DMLabReader(tmp_path / "none")
    (tmp_path / "x.tfrecord_index.json").write_text("{}")
    (tmp_path / ".x.tfrecord").write_text("")
    with pytest.raises(TrajectoryError, match="holds no TFRecord file"):
        DMLabReader(tmp_path)
    with pytest.raises(TrajectoryError, match="holds no TFRecord file"):
        RLDSReader(tmp_path)
