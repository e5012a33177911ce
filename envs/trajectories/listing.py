"""Which files of a folder belong to a recording, in which order."""

from __future__ import annotations

import re
from pathlib import Path

SUFFIXES = {
    "npz": (".npz",),
    "hdf5": (".hdf5", ".h5"),
    "video": (".mp4", ".m4v", ".mov", ".avi"),
    "images": (".png", ".jpg", ".jpeg"),
}
"""Format to the ends of its files' names, in lower case."""


def natural_key(path: Path) -> list[tuple[int, int, str]]:
    """Sorts numbers in names by their value: `frame_9` before `frame_10`."""
    parts = re.split(r"([0-9]+)", path.name)
    return [(0, int(part), part) if part.isdecimal() else (1, 0, part) for part in parts]


def files_of(path: Path, format: str) -> list[Path]:
    """The file itself, or the folder's files of that format in natural order; hidden ones not."""
    if not path.is_dir():
        return [path]
    found = [child for child in path.iterdir() if is_of(child, format) and child.is_file()]
    return sorted(found, key=natural_key)


def folders_of(path: Path) -> list[Path]:
    """The folders in a folder, in natural order; hidden ones not."""
    found = [child for child in path.iterdir() if child.is_dir()]
    return sorted((f for f in found if not f.name.startswith(".")), key=natural_key)


def is_of(path: Path, format: str) -> bool:
    """Whether a file's name is one of that format."""
    return path.suffix.lower() in SUFFIXES[format] and not path.name.startswith(".")
