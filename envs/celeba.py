"""Reads CelebA's aligned images, from a folder or out of their zip, as grey patches of the face."""

from __future__ import annotations

import os
import zipfile
import zlib
from functools import lru_cache
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np

from .canvas import Images, Integers, SpriteBank
from .idx import DataError, find_folder

ARCHIVE = "img_align_celeba"
PARTITION = "list_eval_partition.txt"
PLACES = ("", "Img", "Eval")
"""Where files may lie below the data set's folder: side by side, or as the authors sort them."""
SHAPE = (218, 178)
"""Height and width of an aligned image."""
FACE = (slice(57, 185), slice(25, 153))
"""Rows and columns of the 128 pixels around the middle of an aligned face."""
SPLIT_NUMBERS = {"train": 0, "valid": 1, "test": 2}
TEST_EVERY = 10
"""Without a partition file, every tenth image (by name) is for tests."""
KEPT_BYTES = 2**28
"""Decoded patches that are kept: 256 MiB hold all of CelebA at 32x32, some 65,000 at 64x64."""


class ImageStore(Protocol):
    """Files by name, wherever they are."""

    path: Path
    names: tuple[str, ...]

    def read(self, name: str) -> bytes:
        """The file's content; raises DataError, which names the store and the file."""
        ...


class FolderStore:
    """JPEGs in a folder."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.names = tuple(sorted(p.name for p in path.iterdir() if p.suffix == ".jpg"))

    def read(self, name: str) -> bytes:
        try:
            return (self.path / name).read_bytes()
        except OSError as error:
            raise DataError(f"{self.path / name}: cannot be read ({error.strerror})") from error


class ZipStore:
    """JPEGs in a zip, read where they are: nothing is unpacked."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._open()
        members = {m.rpartition("/")[2]: m for m in self._zip.namelist() if m.endswith(".jpg")}
        self._members = dict(sorted(members.items()))
        self.names = tuple(self._members)

    def read(self, name: str) -> bytes:
        if os.getpid() != self._process:
            # A forked process shares the place in the file with its parent, so it opens its own.
            self._open()
        try:
            return self._zip.read(self._members[name])
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError) as error:
            member = self._members[name]
            raise DataError(f"{self.path}: {member}: the zip is damaged there ({error})") from error

    def _open(self) -> None:
        try:
            self._zip, self._process = zipfile.ZipFile(self.path), os.getpid()
        except (zipfile.BadZipFile, OSError) as error:
            raise DataError(f"{self.path}: not a whole zip file ({error})") from error


class Patches:
    """Patches of faces, uint8 (side, side), decoded when they are first asked for.

    Args:
        store, names: where the images are, and which of them these are.
        side: of a patch in pixels.
        skip_bad: let the next good image stand in for one that cannot be read.

    Attributes:
        skipped: those that another stands in for, one line each, as far as they were asked for.
    """

    def __init__(
        self, store: ImageStore, names: tuple[str, ...], side: int, skip_bad: bool = False
    ) -> None:
        self._store, self._names, self._side, self._skip_bad = store, names, side, skip_bad
        self._kept: dict[int, Images] = {}
        self.skipped: list[str] = []

    def __len__(self) -> int:
        return len(self._names)

    def __getitem__(self, indices: Integers, /) -> Images:
        """The patches, uint8 (n, side, side).

        Raises:
            DataError: an image is damaged (without `skip_bad`), or none is good (with it).
        """
        return np.stack([self._patch(int(index)) for index in indices])

    def _patch(self, index: int) -> Images:
        if index in self._kept:
            return self._kept[index]
        patch = self._read_good(index) if self._skip_bad else self._read(index)
        if len(self._kept) * self._side**2 < KEPT_BYTES:
            self._kept[index] = patch
        return patch

    def _read(self, index: int) -> Images:
        return read_patch(self._store, self._names[index], self._side)

    def _read_good(self, index: int) -> Images:
        for step in range(len(self)):
            try:
                return self._read((index + step) % len(self))
            except DataError as error:
                if str(error) not in self.skipped:
                    self.skipped.append(str(error))
        raise DataError(f"{self._store.path}: none of its {len(self)} images can be read, "
                        f"the first because of {self.skipped[0]}")  # fmt: skip


def load_faces(
    data_dir: str | Path | None, split: str, side: int, *, skip_bad: bool = False
) -> SpriteBank:
    """CelebA's patches of a split, `side` pixels square; read as they are asked for.

    The paper converts the images to grey and cuts a patch of 32x32 centred on the face (A.5 in
    the supplement): here the middle 128x128 of the aligned face, scaled to `side` by area (32
    gives the paper's; linearly above 128). The splits are the official ones where
    `list_eval_partition.txt` lies beside the images (its 1, validation, is in neither); else every
    tenth image by name is for tests. Images that only the partition knows are left out. The only
    factor is `class`, 0 throughout.

    Raises:
        DataError: no data directory was given, or it holds no images; reading a damaged one later
            raises it too unless `skip_bad`.
    """
    folder = find_folder("celeba", data_dir)
    store = open_images(folder)
    names = choose_split(store, find(folder, PARTITION), split)
    patches = Patches(store, names, side, skip_bad)
    return SpriteBank(patches, {"class": np.zeros(len(names), np.int64)}, patches.skipped)


@lru_cache(maxsize=2)
def open_images(folder: Path) -> ImageStore:
    """The images below CelebA's folder: `img_align_celeba.zip`, else `img_align_celeba/`.

    Raises:
        DataError: there is neither, or it holds no JPEG, or the zip is damaged.
    """
    path = find(folder, f"{ARCHIVE}.zip") or find(folder, ARCHIVE)
    if path is None:
        raise DataError(f"{folder}: must hold {ARCHIVE}.zip or {ARCHIVE}/, got neither")
    store: ImageStore = FolderStore(path) if path.is_dir() else ZipStore(path)
    if not store.names:
        raise DataError(f"{path}: must hold images such as 000001.jpg, got none")
    return store


def find(folder: Path, name: str) -> Path | None:
    """A file or folder of CelebA's, in one of `PLACES`; None where there is none."""
    return next((p for place in PLACES if (p := folder / place / name).exists()), None)


def choose_split(store: ImageStore, partition: Path | None, split: str) -> tuple[str, ...]:
    """The names of a split's images.

    Raises:
        DataError: the partition is damaged, or leaves nothing.
    """
    if partition is None:
        chosen = [
            name
            for number, name in enumerate(store.names, start=1)
            if (number % TEST_EVERY == 0) == (split == "test")
        ]
    else:
        numbers = read_partition(partition)
        chosen = [name for name in store.names if numbers.get(name) == SPLIT_NUMBERS[split]]
    if not chosen:
        raise DataError(f"{partition or store.path}: must leave an image for {split!r}, got none "
                        f"of the {len(store.names)} in {store.path.name}")  # fmt: skip
    return tuple(chosen)


def read_partition(path: Path) -> dict[str, int]:
    """Image name to 0 (train), 1 (validation) or 2 (test), from lines such as `000001.jpg 0`.

    Raises:
        DataError: a line is not of that form; the message has its number.
    """
    numbers: dict[str, int] = {}
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read ({error})") from error
    for count, line in enumerate(lines, start=1):
        name, _, number = line.strip().partition(" ")
        if number.strip() not in ("0", "1", "2"):
            raise DataError(f"{path}: line {count} must be an image's name and 0, 1 or 2, "
                            f"got {line!r}")  # fmt: skip
        numbers[name] = int(number)
    return numbers


def read_patch(store: ImageStore, name: str, side: int) -> Images:
    """The grey patch around the face of one aligned image, uint8 (side, side).

    Raises:
        DataError: the image cannot be read; the message names the store and the image.
    """
    try:
        image = decode(store.read(name))
    except ValueError as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{store.path}: {name}: {error}") from error
    face = image[FACE]
    way = cv2.INTER_AREA if side < len(face) else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(face, (side, side), interpolation=way), np.uint8)


def decode(content: bytes) -> Images:
    """The grey values, uint8 (218, 178), of a JPEG.

    JPEG has no checksum: damage in its middle shows in the picture alone. A zip has one per image.

    Raises:
        ValueError: it is not a JPEG, is cut short, or has another size.
    """
    if content[:2] != b"\xff\xd8":
        raise ValueError(f"a JPEG starts with FFD8, got {content[:2].hex().upper() or 'nothing'}")
    # OpenCV fills what is missing with grey and says nothing, hence the look for the end's mark.
    if b"\xff\xd9" not in content[-64:]:
        raise ValueError(f"the JPEG is cut short: no FFD9 at the end of its {len(content)} bytes")
    image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_GRAYSCALE)
    if image is None:
        raise ValueError("the JPEG cannot be decoded")
    if image.shape != SHAPE:
        raise ValueError(f"an aligned image is 178x218 pixels, got {image.shape[1]}x{len(image)}")
    return np.asarray(image, np.uint8)
