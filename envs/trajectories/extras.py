"""Libraries that only some formats need."""

from __future__ import annotations

from importlib import import_module
from typing import Any


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
