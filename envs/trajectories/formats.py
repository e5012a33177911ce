"""Formats of recordings by name, and which one a path is in."""

from __future__ import annotations

import os
import re
from importlib import import_module
from pathlib import Path

from .listing import SUFFIXES, files_of, folders_of
from .reader import Reader, TrajectoryError

FORMATS = {
    "minari": ".minari:MinariReader",
    "rl-unplugged": ".dmlab:DMLabReader",
    "rlds": ".rlds:RLDSReader",
    "npz": ".shards:npz_reader",
    "hdf5": ".shards:hdf5_reader",
    "video": ".video:VideoReader",
    "images": ".images:ImageReader",
}
"""Format to `module:function` that makes its reader of a path; loaded when it is needed."""

KEYED = ("minari", "rlds", "npz", "hdf5")
"""Formats that may hold several images per step, so that `pixels_key` can choose."""

TFRECORD = re.compile(r"tfrecord", re.IGNORECASE)
MINARI_ID = re.compile(r"[\w./-]+-v\d+")


def open_reader(
    path: str | Path, format: str | None = None, pixels_key: str | None = None
) -> tuple[str, Reader]:
    """The format of a recording and a reader of it.

    Raises:
        ValueError: no such format, or it takes no `pixels_key`.
        TrajectoryError: (a ValueError) nothing is there, or its format cannot be guessed.
    """
    if format is not None and format not in FORMATS:
        raise ValueError(f"format must be one of {', '.join(FORMATS)}, got {format!r}")
    place = _find(path)
    format = format or guess_format(place)
    if pixels_key is not None and format not in KEYED:
        raise ValueError(f"pixels_key must be None for the format {format}, got {pixels_key!r}")
    module, _, name = FORMATS[format].partition(":")
    make = getattr(import_module(module, __package__), name)
    reader: Reader = make(place) if pixels_key is None else make(place, pixels_key)
    return format, reader


def guess_format(path: Path) -> str:
    """The format of a file by its name, of a folder by what lies in it.

    Raises:
        TrajectoryError: it looks like none of them, or like several.
    """
    if path.is_dir():
        return _guess_folder(path)
    for format, suffixes in SUFFIXES.items():
        if path.suffix.lower() in suffixes and format != "images":
            return format
    if TFRECORD.search(path.name):
        return "rlds" if (path.parent / "features.json").is_file() else "rl-unplugged"
    raise TrajectoryError(path, f"its name ends like none of the formats': {_known()}")


def _guess_folder(path: Path) -> str:
    if minari_data(path) is not None:
        return "minari"
    if (path / "features.json").is_file():
        return "rlds"
    found = [format for format in SUFFIXES if files_of(path, format)]
    if any(TFRECORD.search(child.name) for child in path.iterdir() if child.is_file()):
        found.append("rl-unplugged")
    if not found and any(files_of(folder, "images") for folder in folders_of(path)):
        found.append("images")
    if len(found) == 1:
        return found[0]
    if found:
        raise TrajectoryError(
            path, f"holds files of {', '.join(found)}: name one of them, or give format"
        )
    raise TrajectoryError(path, f"holds no recording of the formats {', '.join(FORMATS)}")


def minari_data(path: Path) -> Path | None:
    """The folder below `path` that holds a Minari data set's `metadata.json`, if there is one."""
    for folder in (path, path / "data"):
        metadata = folder / "metadata.json"
        if metadata.is_file() and "data_format" in metadata.read_text("utf-8", errors="replace"):
            return folder
    return None


def _find(path: str | Path) -> Path:
    """The path itself, or that of a local Minari data set of this name."""
    place = Path(path).expanduser()
    if place.exists():
        return place
    root = os.environ.get("MINARI_DATASETS_PATH") or "~/.minari/datasets"
    data_set = Path(root).expanduser() / place
    if MINARI_ID.fullmatch(str(path)) and data_set.is_dir():
        return data_set
    raise TrajectoryError(place, "no such file or folder, nor a local Minari data set")


def _known() -> str:
    ends = [end for format, suffixes in SUFFIXES.items() if format != "images" for end in suffixes]
    return ", ".join([*ends, "tfrecord anywhere in it"])
