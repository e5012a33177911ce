"""TFRecord files of episodes in the official layouts, written by independent implementations.

The framing is TensorBoard's, the messages are protobuf's own, the pictures OpenCV's.
"""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from tensorboard.summary.writer.record_writer import RecordWriter

Field = descriptor_pb2.FieldDescriptorProto


@cache
def example_class(packed: bool = True) -> Any:
    """The class of `tf.train.Example` messages, their numbers packed or one by one."""
    file = descriptor_pb2.FileDescriptorProto(name="example.proto", package="t", syntax="proto3")
    feature = descriptor_pb2.DescriptorProto(name="Feature")
    feature.oneof_decl.add(name="kind")
    kinds = [("bytes", Field.TYPE_BYTES), ("float", Field.TYPE_FLOAT), ("int64", Field.TYPE_INT64)]
    for number, (name, kind) in enumerate(kinds, 1):
        numbers = file.message_type.add(name=f"{name}_list".title().replace("_", ""))
        value = numbers.field.add(name="value", number=1, type=kind, label=Field.LABEL_REPEATED)
        if name != "bytes":
            value.options.packed = packed
        feature.field.add(
            name=f"{name}_list", number=number, type=Field.TYPE_MESSAGE, oneof_index=0,
            label=Field.LABEL_OPTIONAL, type_name=f".t.{numbers.name}",
        )  # fmt: skip
    file.message_type.append(feature)
    features = file.message_type.add(name="Features")
    entry = features.nested_type.add(name="FeatureEntry")
    entry.options.map_entry = True
    _add(entry, "key", 1, Field.TYPE_STRING)
    _add(entry, "value", 2, Field.TYPE_MESSAGE, ".t.Feature")
    _add(features, "feature", 1, Field.TYPE_MESSAGE, ".t.Features.FeatureEntry", repeated=True)
    _add(file.message_type.add(name="Example"), "features", 1, Field.TYPE_MESSAGE, ".t.Features")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("t.Example"))


def _add(
    message: descriptor_pb2.DescriptorProto,
    name: str,
    number: int,
    kind: Any,
    type_name: str | None = None,
    repeated: bool = False,
) -> None:
    label = Field.LABEL_REPEATED if repeated else Field.LABEL_OPTIONAL
    message.field.add(name=name, number=number, type=kind, label=label, type_name=type_name)


def encode_example(features: Mapping[str, Any], packed: bool = True) -> bytes:
    """A message of lists of bytes, and of arrays of integers or floats."""
    example = example_class(packed)()
    for name, values in features.items():
        feature = example.features.feature[name]
        if len(values) and isinstance(values[0], bytes):
            feature.bytes_list.value.extend(values)
        elif np.asarray(values).dtype.kind in "ib":
            feature.int64_list.value.extend(np.ravel(values).astype(int).tolist())
        else:
            feature.float_list.value.extend(np.ravel(values).tolist())
    content: bytes = example.SerializeToString()
    return content


def frame_records(payloads: Sequence[bytes]) -> bytes:
    """The content of a TFRecord file."""
    content = io.BytesIO()
    writer = RecordWriter(content)
    for payload in payloads:
        writer.write(payload)
    return content.getvalue()


def dmlab_episode(frames: np.ndarray, number: int = 0) -> dict[str, Any]:
    """The features of one episode of RL Unplugged's DMLab, by their official names."""
    steps = np.arange(len(frames))
    return {
        "observations_pixels": [bytes(cv2.imencode(".png", frame)[1]) for frame in frames],
        "observations_reward": np.float32(steps - 1),
        "observations_action": np.eye(15, dtype=np.float32)[(steps - 1) % 15],
        "actions": steps % 15,
        "rewards": np.float32(steps),
        "discounted_rewards": np.float32(steps) / 2,
        "discounts": np.ones(len(frames), np.float32),
        "episode_id": [100 + number],
        "start_idx": [0],
        "episode_return": [float(steps.sum())],
    }


def write_dmlab(path: Path, episodes: Sequence[np.ndarray]) -> None:
    """Shards of two episodes each, as RL Unplugged's; frames uint8 (T, H, W, 3) are RGB."""
    path.mkdir(exist_ok=True)
    shards = [episodes[i : i + 2] for i in range(0, len(episodes), 2)]
    for i, shard in enumerate(shards):
        payloads = [encode_example(dmlab_episode(frames, j)) for j, frames in enumerate(shard)]
        name = f"tfrecord-{i:05d}-of-{len(shards):05d}"
        (path / name).write_bytes(gzip.compress(frame_records(payloads), mtime=0))


def rlds_episode(frames: np.ndarray, number: int = 0, *, terminal: bool = False) -> dict[str, Any]:
    """The features of one episode as TFDS stores those of `rlu_dmlab_…`."""
    steps, last = np.arange(len(frames)), np.arange(len(frames)) == len(frames) - 1
    pictures = [cv2.cvtColor(frame, cv2.COLOR_RGB2BGR) for frame in frames]
    return {
        "episode_id": [100 + number],
        "episode_return": [float(steps.sum())],
        "steps/action": steps % 15,
        "steps/discount": np.ones(len(frames), np.float32),
        "steps/is_first": steps == 0,
        "steps/is_last": last,
        "steps/is_terminal": last & terminal,
        "steps/observation/last_action": (steps - 1) % 15,
        "steps/observation/last_reward": np.float32(steps - 1),
        "steps/observation/pixels": [bytes(cv2.imencode(".png", bgr)[1]) for bgr in pictures],
        "steps/reward": np.float32(steps),
    }


def rlds_features(images: Sequence[str] = ("pixels",)) -> dict[str, Any]:
    """What TFDS writes to `features.json`, shortened to what matters."""
    core = "tensorflow_datasets.core.features"

    def leaf(kind: str, name: str, **more: Any) -> dict[str, Any]:
        return {"pythonClassName": f"{core}.{kind}", name: more}

    def nested(children: dict[str, Any]) -> dict[str, Any]:
        return leaf("features_dict.FeaturesDict", "featuresDict", features=children)

    scalar = leaf("scalar.Scalar", "tensor", shape={}, dtype="int64", encoding="none")
    shape = {"dimensions": ["72", "96", "3"]}
    image = leaf("image_feature.Image", "image", shape=shape, dtype="uint8", encodingFormat="png")
    observation = nested({"last_action": scalar, **dict.fromkeys(images, image)})
    steps = nested({"action": scalar, "observation": observation, "reward": scalar})
    return nested({"steps": leaf("dataset_feature.Dataset", "sequence", feature=steps)})


def write_rlds(
    path: Path,
    episodes: Sequence[np.ndarray],
    *,
    name: str = "rlu_dmlab_seekavoid_arena01",
    version: str = "1.2.0",
) -> None:
    """One plain shard and its metadata, as TFDS writes them; frames uint8 (T, H, W, 3) are RGB."""
    path.mkdir(exist_ok=True)
    payloads = [encode_example(rlds_episode(frames, i)) for i, frames in enumerate(episodes)]
    (path / f"{name}-train.tfrecord-00000-of-00001").write_bytes(frame_records(payloads))
    write_rlds_metadata(path, name, version)


def write_rlds_metadata(path: Path, name: str, version: str) -> None:
    """What lies beside the shards."""
    (path / "features.json").write_text(json.dumps(rlds_features()), "utf-8")
    info = {"fileFormat": "tfrecord", "name": name, "splits": [], "version": version}
    (path / "dataset_info.json").write_text(json.dumps(info), "utf-8")
