"""What libraries raise on damaged files, turned into one kind of error."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .extras import MissingLibraryError
from .reader import TrajectoryError

DAMAGE = (OSError, EOFError, RuntimeError, KeyError, ValueError, zlib.error, zipfile.BadZipFile)
"""What h5py, pyarrow, zipfile, zlib and NumPy raise on damaged content."""


@contextmanager
def damage(path: Path, episode: int | None = None) -> Iterator[None]:
    """Raises what is raised inside as a `TrajectoryError` that names this file and episode."""
    try:
        yield
    except MissingLibraryError:
        raise
    except TrajectoryError as error:
        raise TrajectoryError(path, error.reason, episode=episode, offset=error.offset) from error
    except DAMAGE as error:
        reason = f"cannot be read (truncated or damaged?): {error}"
        raise TrajectoryError(path, reason, episode=episode) from error
