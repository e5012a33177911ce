"""Reads MNIST and Fashion-MNIST in their original IDX format, plain or gzip."""

from __future__ import annotations

import gzip
import os
import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt

DATA_VARIABLE = "VASE_RL_DATA"

# Where each data set may lie below the data directory: as in a plain download, or as torchvision
# leaves it.
FOLDERS = {
    "mnist": ("mnist", "MNIST/raw", "MNIST"),
    "fashion": ("fashion-mnist", "FashionMNIST/raw", "FashionMNIST", "fashion"),
    "celeba": ("celeba", "CelebA"),
}
STEMS = {"train": "train", "test": "t10k"}
UNSIGNED_BYTES = 0x08


class DataError(ValueError):
    """A data set that is not where it was said to be, or whose files are not what they claim."""


def read_idx(path: str | Path) -> npt.NDArray[np.uint8]:
    """Reads one IDX file of unsigned bytes; its shape comes from the header alone.

    The format: two zero bytes, the element type, the number of dimensions, one big-endian
    32-bit size per dimension, the elements.

    Raises:
        DataError: the file is missing or unreadable, has another magic number, or holds fewer or
            more bytes than its header promises.
    """
    path = Path(path)
    content = read_bytes(path)
    if len(content) < 4:
        raise DataError(f"{path}: an IDX file starts with a magic number of 4 bytes, "
                        f"got {len(content)} bytes")  # fmt: skip
    if content[:2] != b"\0\0" or content[2] != UNSIGNED_BYTES or content[3] not in (1, 2, 3, 4):
        raise DataError(f"{path}: the magic number of an IDX file of unsigned bytes must be "
                        f"0x0000080D, with 1 to 4 for D, got 0x{content[:4].hex()}")  # fmt: skip
    start = 4 + 4 * content[3]
    if len(content) < start:
        raise DataError(f"{path}: a header for {content[3]} dimensions takes {start} bytes, "
                        f"got {len(content)} bytes")  # fmt: skip
    shape = tuple(int(side) for side in np.frombuffer(content[4:start], dtype=">u4"))
    expected, held = int(np.prod(shape, dtype=object)), len(content) - start
    if held != expected:
        raise DataError(f"{path}: the header promises {' x '.join(map(str, shape))} = {expected} "
                        f"bytes of data, got {held} (truncated or damaged?)")  # fmt: skip
    return np.frombuffer(content, dtype=np.uint8, offset=start).reshape(shape)


def read_bytes(path: Path) -> bytes:
    """A file's content, unpacked where it is gzip.

    Raises:
        DataError: it is missing, unreadable or damaged.
    """
    try:
        content = path.read_bytes()
        return gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{path}: the gzip data are truncated or damaged ({error})") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error})") from error


def load_images(
    name: str, split: str, data_dir: str | Path | None = None
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """Images uint8 (N, 28, 28) and labels int64 (N,) of `"mnist"` or `"fashion"`.

    `split` is `"train"` or `"test"`. `data_dir` holds `mnist/` and `fashion-mnist/` (or
    torchvision's `MNIST/raw` and `FashionMNIST/raw`); without it, `$VASE_RL_DATA` says where.

    Raises:
        DataError: no directory was given, a file is missing or damaged, or images and labels
            differ in number.
    """
    folder = find_folder(name, data_dir)
    image_path = _find_file(folder, f"{STEMS[split]}-images-idx3-ubyte")
    label_path = _find_file(folder, f"{STEMS[split]}-labels-idx1-ubyte")
    images, labels = read_idx(image_path), read_idx(label_path)
    if images.ndim != 3 or 0 in images.shape:
        raise DataError(f"{image_path}: images must be N x height x width, none of them 0, "
                        f"got shape {images.shape}")  # fmt: skip
    if labels.shape != images.shape[:1]:
        raise DataError(f"{label_path}: there must be one label per image, got shape "
                        f"{labels.shape} for the {len(images)} of {image_path.name}")  # fmt: skip
    return images, labels.astype(np.int64)


def resolve_data_dir(data_dir: str | Path | None) -> Path | None:
    """The data directory from the argument or else from `$VASE_RL_DATA`; None without either."""
    given = data_dir if data_dir is not None else os.environ.get(DATA_VARIABLE) or None
    return None if given is None else Path(given).expanduser()


def find_folder(name: str, data_dir: str | Path | None) -> Path:
    """The first folder of `FOLDERS[name]` that exists below the data directory.

    Raises:
        DataError: no directory was given, or it holds none of them.
    """
    root = resolve_data_dir(data_dir)
    if root is None:
        raise DataError(f"{name} needs its data files: give data_dir or set "
                        f"{DATA_VARIABLE} to the directory that holds {FOLDERS[name][0]}/, "
                        f"got neither")  # fmt: skip
    if not root.is_dir():
        raise DataError(f"data_dir must be a directory that holds {FOLDERS[name][0]}/, "
                        f"got {str(root)!r}, which is not a directory")  # fmt: skip
    for folder in FOLDERS[name]:
        if (root / folder).is_dir():
            return root / folder
    raise DataError(f"data_dir must hold one of {', '.join(f + '/' for f in FOLDERS[name])} "
                    f"for {name}, got {str(root)!r}, which holds none of them")  # fmt: skip


def _find_file(folder: Path, stem: str) -> Path:
    for candidate in (folder / f"{stem}.gz", folder / stem):
        if candidate.exists():
            return candidate
    raise DataError(f"{folder}: must hold {stem}.gz or {stem}, got neither")
