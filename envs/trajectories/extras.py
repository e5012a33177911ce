"""Libraries that only some formats need, and how they are used."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

CHUNK_CACHE_BYTES, CHUNK_CACHE_SLOTS = 32 << 20, 20_011
"""For chunks that reach over several slices: HDF5's own cache of 1 MB would decompress them anew
for each. HDF5 asks for many more slots than chunks, a prime number of them."""


class MissingLibraryError(ValueError):
    """A library of an extra is not installed; says what installs it."""


def require(library: str, extra: str = "recordings") -> Any:
    """The library's module.

    Raises:
        MissingLibraryError: it cannot be imported.
    """
    try:
        return import_module(library)
    except ImportError as error:
        raise MissingLibraryError(
            f'this recording needs {library}: pip install "vase_rl[{extra}]" ({error})'
        ) from error


def open_hdf5(path: Path) -> Any:
    """The file as `h5py.File`, to read.

    Raises:
        MissingLibraryError: h5py is not installed.
        OSError: the file is missing, truncated or damaged.
    """
    h5py = require("h5py")
    return h5py.File(path, "r", rdcc_nbytes=CHUNK_CACHE_BYTES, rdcc_nslots=CHUNK_CACHE_SLOTS)
