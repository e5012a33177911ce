"""Episodes in the RLDS layout, as TensorFlow Datasets (TFDS) stores them in TFRecord files."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .reader import TrajectoryError
from .records import ExampleReader, Layout, shards_of

OBSERVATION = "steps/observation"
SWAPPED_BEFORE = (1, 2, 0)
"""Version of TFDS's RL Unplugged DMLab data sets that mended their colours."""


class RLDSReader(ExampleReader):
    """TFDS's TFRecord shards of one episode per record, with `steps/…` features.

    Actions and rewards are `steps/action` and `steps/reward`; of a last step (`is_last`) they mean
    nothing in most data sets. `steps/is_terminal` of the last step says whether the episode
    terminated. `Steps.extra` has all other numbers, without `steps/`: `observation/last_action`,
    `discount`, `is_first`, ...

    **Colours.** TFDS encodes RGB as RGB. Only its `rlu_dmlab_…` data sets before version 1.2.0 took
    over RL Unplugged's images, whose red and blue are exchanged; name and version in
    `dataset_info.json` tell, and without that file the images are taken for RGB.

    Args:
        path: a shard, or the folder of shards that also holds `features.json` and
            `dataset_info.json` (TFDS's version folder, such as `rlu_dmlab_…/training_0/1.2.0`).
        pixels_key: name of the images in the observation; needed when it has several.

    Raises:
        TrajectoryError: there are no such files, they are not TFRecords, or the images are not
            where they are said to be.
    """

    def __init__(self, path: Path, pixels_key: str | None = None) -> None:
        folder = path if path.is_dir() else path.parent
        info = _read_json(folder / "dataset_info.json")
        kind = info.get("fileFormat", "tfrecord")
        if kind != "tfrecord":
            raise TrajectoryError(folder, f"its files must be in the format tfrecord, got {kind!r}")
        layout = Layout(
            pixels=_pixels(folder, pixels_key),
            swapped=_has_swapped_colours(info),
            actions="steps/action",
            rewards="steps/reward",
            terminal="steps/is_terminal",
            prefix="steps/",
        )
        super().__init__(shards_of(path), layout)


def _pixels(folder: Path, pixels_key: str | None) -> str:
    """The feature that holds the images, by `features.json` where it is there."""
    wanted = OBSERVATION if pixels_key is None else f"{OBSERVATION}/{pixels_key}"
    path = folder / "features.json"
    if not path.exists():
        return wanted if pixels_key is not None else f"{OBSERVATION}/pixels"
    images = [
        name for name in _images(_read_json(path)) if (name + "/").startswith(OBSERVATION + "/")
    ]
    if wanted in images:
        return wanted
    if pixels_key is None and len(images) == 1:
        return images[0]
    keys = ", ".join(name.removeprefix(OBSERVATION + "/") for name in images) or "(none)"
    raise TrajectoryError(
        path, f"pixels_key must name one of the observation's images {keys}, got {pixels_key!r}"
    )


def _images(node: dict[str, Any], name: str = "") -> Iterator[str]:
    """Names of all images below a node of `features.json`."""
    if "image" in node:
        yield name
    if "sequence" in node:
        yield from _images(node["sequence"].get("feature", {}), name)
    for key, child in node.get("featuresDict", {}).get("features", {}).items():
        yield from _images(child, f"{name}/{key}" if name else key)


def _has_swapped_colours(info: dict[str, Any]) -> bool:
    numbers = str(info.get("version", "")).split(".")
    if not str(info.get("name", "")).startswith("rlu_dmlab_") or not all(map(str.isdigit, numbers)):
        return False
    return tuple(map(int, numbers)) < SWAPPED_BEFORE


def _read_json(path: Path) -> dict[str, Any]:
    """The object in the file; an empty one where there is no file."""
    try:
        content = json.loads(path.read_text("utf-8")) if path.exists() else {}
    except (OSError, ValueError) as error:
        raise TrajectoryError(path, f"cannot be read ({error})") from error
    if not isinstance(content, dict):
        raise TrajectoryError(path, f"must hold a JSON object, got {type(content).__name__}")
    return content
