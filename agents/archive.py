"""The file of a bundle: a zip of a description and two halves, which it holds the digests of."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
import zlib
from pathlib import Path
from typing import Any

from .card import BundleError

CARD, ENCODER, POLICY = "agent.json", "encoder.pt", "policy.pt"


def pack(card: dict[str, Any], encoder: bytes, policy: bytes) -> bytes:
    """The file's content."""
    halves = {ENCODER: encoder, POLICY: policy}
    digests = {name: _digest(content) for name, content in halves.items()}
    text = json.dumps({**card, "digests": digests}, indent=2, allow_nan=False)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, content in {CARD: text.encode(), **halves}.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def unpack(path: Path) -> tuple[Any, bytes, bytes]:
    """Description, encoder and policy; `check_digests` says whether they belong together.

    Raises:
        BundleError: no such file, damaged, or not a bundle.
    """
    members = _read_members(path)
    try:
        card = json.loads(members[CARD])
    except (ValueError, RecursionError) as error:
        raise BundleError(f"{CARD} is not JSON: {first_line(error)}") from error
    return card, members[ENCODER], members[POLICY]


def check_digests(card: dict[str, Any], encoder: bytes, policy: bytes) -> None:
    """Whether both halves are those that the description was written with.

    Raises:
        BundleError: one is not.
    """
    digests = card.get("digests")
    for name, content in ((ENCODER, encoder), (POLICY, policy)):
        expected = digests.get(name) if isinstance(digests, dict) else None
        if expected != _digest(content):
            raise BundleError(
                f"policy and encoder do not belong together: {name} is not the one that {CARD} "
                "was written with"
            )


def first_line(error: Exception) -> str:
    """What an error says, in one line."""
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__


def _read_members(path: Path) -> dict[str, bytes]:
    if not path.is_file():
        raise BundleError("there is no such file")
    try:
        with zipfile.ZipFile(path) as archive:
            names = sorted(archive.namelist())
            expected = [CARD, ENCODER, POLICY]
            if names != sorted(expected):
                more = f" and {len(names) - 4} more" if len(names) > 4 else ""
                raise BundleError(f"it holds {names[:4]}{more} and not just {expected}")
            return {name: archive.read(name) for name in names}
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError) as error:
        raise BundleError(f"it is damaged or not a bundle: {first_line(error)}") from error


def _digest(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()
