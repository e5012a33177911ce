"""TFRecord files, plain or GZIP: one record at a time, found again without starting over.

A record is its length (8 bytes, little-endian), the length's masked CRC-32C, the payload, and the
payload's masked CRC-32C. Offsets are those of the decompressed content.
"""

from __future__ import annotations

import struct
import zlib
from bisect import bisect_right
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from .crc32c import masked_crc32c
from .reader import TrajectoryError

HEADER = struct.Struct("<QI")
CHECKSUM = struct.Struct("<I")
GZIP_MAGIC = b"\x1f\x8b\x08"
GZIP = 16 + zlib.MAX_WBITS
CHUNK = 1 << 14
MARK_EVERY = 32 << 20
"""Decompressed bytes between two marks of about 40 KB each: a jump inflates no more than this."""


class FramingError(TrajectoryError):
    """Damage after which no further record of the file can be found."""


class Content(Protocol):
    """The content of a file, decompressed."""

    def seek(self, offset: int, /) -> object: ...
    def tell(self) -> int: ...
    def read(self, size: int, /) -> bytes: ...
    def close(self) -> None: ...


@dataclass(frozen=True)
class Mark:
    """A place in a GZIP file from which reading can start.

    Attributes:
        offset: byte of the decompressed content.
        place: byte of the file that the inflater wants next.
        inflater: its state there; copied before it is used.
    """

    offset: int
    place: int
    inflater: Any


class Inflated:
    """The decompressed content of a GZIP file, of one member or several.

    Args:
        file: the open file.
        marks: places to jump to; more are added as reading proceeds. They outlive this object:
            another one of the same file may go on with them.
    """

    def __init__(self, file: BinaryIO, marks: list[Mark]) -> None:
        if not marks:
            marks.append(Mark(0, 0, zlib.decompressobj(GZIP)))
        self._file, self._marks = file, marks
        self._return_to(marks[0])

    def tell(self) -> int:
        return self._offset

    def seek(self, offset: int) -> None:
        """Moves to a byte of the content, or to its end where it has fewer."""
        nearest = self._marks[bisect_right(self._marks, offset, key=lambda m: m.offset) - 1]
        if not nearest.offset <= self._offset <= offset:
            self._return_to(nearest)
        while self._offset < offset and self._inflate(min(CHUNK, offset - self._offset)):
            pass

    def read(self, size: int) -> bytes:
        """The next `size` bytes, fewer at the end.

        Raises:
            EOFError: the file ends before its GZIP data do.
            zlib.error: the GZIP data are damaged.
        """
        if self._offset - self._marks[-1].offset >= MARK_EVERY:
            place = self._file.tell() - len(self._waiting)
            self._marks.append(Mark(self._offset, place, self._inflater.copy()))
        pieces, left = [], size
        while left and (piece := self._inflate(left)):
            pieces.append(piece)
            left -= len(piece)
        return b"".join(pieces)

    def close(self) -> None:
        self._file.close()

    def _return_to(self, mark: Mark) -> None:
        self._file.seek(mark.place)
        self._inflater, self._waiting, self._offset = mark.inflater.copy(), b"", mark.offset

    def _inflate(self, most: int) -> bytes:
        """Up to `most` further bytes of content; none at its end."""
        while True:
            if self._inflater.eof:
                following = self._inflater.unused_data or self._file.read(CHUNK)
                if not following:
                    return b""
                self._inflater, self._waiting = zlib.decompressobj(GZIP), following
            # Even without input there may be output that did not fit last time.
            piece: bytes = self._inflater.decompress(self._waiting, most)
            self._waiting = self._inflater.unconsumed_tail
            if piece:
                self._offset += len(piece)
                return piece
            if not (self._inflater.eof or self._waiting):
                self._waiting = self._file.read(CHUNK)
                if not self._waiting:
                    raise EOFError("the GZIP data end too early")


def open_content(path: Path, marks: list[Mark]) -> Content:
    """Opens a TFRecord file, with or without GZIP; `marks` as in `Inflated`.

    Raises:
        FramingError: the file cannot be opened.
    """
    try:
        file = path.open("rb")
    except OSError as error:
        raise FramingError(path, f"cannot be read ({error.strerror})") from error
    start = file.read(HEADER.size)
    file.seek(0)
    # A record's length may start with GZIP's magic number; its checksum tells.
    if start.startswith(GZIP_MAGIC) and not _is_header(start):
        return Inflated(file, marks)
    return file


def read_record(content: Content, path: Path, episode: int, offset: int) -> memoryview | None:
    """The payload of one record, checked; None where the content ends.

    Args:
        content: of the file `path`; left where the next record starts.
        episode: the record's 0-based number in its file, for messages.
        offset: byte of the content where the record starts.

    Raises:
        FramingError: the file is truncated, or damaged so that nothing after it can be found.
        TrajectoryError: the payload is damaged; the next record can be read.
    """

    def broken(reason: str) -> FramingError:
        return FramingError(path, reason, episode=episode, offset=offset)

    try:
        content.seek(offset)
        header = content.read(HEADER.size)
        if not header:
            return None
        if not _is_header(_whole(header, HEADER.size)):
            raise broken("the record's length does not match its checksum (no TFRecord file?)")
        length: int = HEADER.unpack(header)[0]
        data = _whole(content.read(length + CHECKSUM.size), length + CHECKSUM.size)
    except EOFError as error:
        raise broken(f"the file is truncated: {error}") from error
    except (zlib.error, OSError, OverflowError, MemoryError) as error:
        raise broken(f"the record cannot be read ({error})") from error
    payload = memoryview(data)[:length]
    if CHECKSUM.unpack(data[length:])[0] != masked_crc32c(payload):
        reason = f"the record's {length:,} bytes do not match their checksum"
        raise TrajectoryError(path, reason, episode=episode, offset=offset)
    return payload


def _is_header(data: bytes) -> bool:
    return len(data) == HEADER.size and HEADER.unpack(data)[1] == masked_crc32c(data[:8])


def _whole(data: bytes, size: int) -> bytes:
    if len(data) < size:
        raise EOFError(f"{size:,} bytes must follow, got {len(data):,}")
    return data
