"""Arrays in an NPZ file, read piece by piece instead of whole."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt
from numpy.lib import format as npy

from .damage import DAMAGE
from .reader import TrajectoryError

LOCAL_HEADER = struct.Struct("<26xHH")
"""Ends with the lengths of a zip member's name and extra field, behind which its content lies."""
SKIP_BYTES = 1 << 20


class Member:
    """One array of an NPZ file, sliced along its first axis without being loaded.

    An uncompressed one is read where the slice lies, so its checksum is not looked at. A
    compressed one is read forwards; a slice before the last one starts again at the beginning.

    Attributes:
        shape, dtype: as NumPy's.
    """

    def __init__(self, path: Path, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> None:
        self.path, self._archive, self._info = path, archive, info
        self._stored = info.compress_type == zipfile.ZIP_STORED
        self._stream: IO[bytes] | None = None
        self._origin: int | None = None
        with archive.open(info) as file:
            first = npy.read_magic(file) == (1, 0)
            read = npy.read_array_header_1_0 if first else npy.read_array_header_2_0
            self.shape, self._fortran, self.dtype = read(file)
            self._start = file.tell()
        self._row = int(np.prod(self.shape[1:], dtype=np.int64)) * self.dtype.itemsize

    def __getitem__(self, rows: slice, /) -> npt.NDArray[Any]:
        if self.dtype.hasobject or not self.shape or (self._fortran and len(self.shape) > 1):
            order = " in Fortran order" if self._fortran else ""
            raise self._damaged(f"must be an array of numbers in C order with a first axis, got "
                                f"{self.dtype} {self.shape}{order}")  # fmt: skip
        start, stop, _ = rows.indices(self.shape[0])
        offset, size = self._start + start * self._row, (stop - start) * self._row
        content = np.empty(size, np.uint8)
        try:
            read = self._read(offset, content)
        except DAMAGE as error:
            self.close()
            raise self._damaged(f"is truncated or damaged ({error})", offset) from error
        if read < size:
            reason = f"must go on to byte {offset + size:,}, got its end (truncated?)"
            raise self._damaged(reason, offset + read)
        return content.view(self.dtype).reshape(stop - start, *self.shape[1:])

    def close(self) -> None:
        """Closes the stream; the next slice opens it again."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    def _read(self, offset: int, content: npt.NDArray[np.uint8]) -> int:
        """Fills `content` with the member's decompressed bytes from `offset`; says how many."""
        if self._stored:
            file = self._archive.fp
            assert file is not None
            file.seek(self._find_content(file) + offset)
            content = content[: max(0, self._info.file_size - offset)]
        else:
            file = self._decompressed(offset)
        assert isinstance(file, io.BufferedIOBase)
        return file.readinto(content.data)

    def _find_content(self, file: IO[bytes]) -> int:
        """Where an uncompressed member's content lies in the file."""
        if self._origin is None:
            file.seek(self._info.header_offset)
            name, extra = LOCAL_HEADER.unpack(file.read(LOCAL_HEADER.size))
            self._origin = int(self._info.header_offset + LOCAL_HEADER.size + name + extra)
        return self._origin

    def _decompressed(self, offset: int) -> IO[bytes]:
        """The stream of a compressed member at `offset`, or at its end if that comes before."""
        if self._stream is None or self._stream.tell() > offset:
            self.close()
            self._stream = self._archive.open(self._info)
        while (left := offset - self._stream.tell()) > 0:
            if not self._stream.read(min(SKIP_BYTES, left)):
                break
        return self._stream

    def _damaged(self, reason: str, offset: int | None = None) -> TrajectoryError:
        return TrajectoryError(self.path, f"{self._info.filename} {reason}", offset=offset)


class NPZ(Mapping[str, Member]):
    """The arrays of an NPZ file by name.

    Raises:
        TrajectoryError: it is no zip file, or is cut off.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._archive = zipfile.ZipFile(path)
        except DAMAGE as error:
            raise TrajectoryError(path, f"is no whole NPZ file ({error})") from error
        self.path = path
        self._members: dict[str, Member] = {}
        infos = [info for info in self._archive.infolist() if info.filename.endswith(".npy")]
        self._infos = {info.filename.removesuffix(".npy"): info for info in infos}

    def __getitem__(self, name: str) -> Member:
        if name not in self._members:
            self._members[name] = Member(self.path, self._archive, self._infos[name])
        return self._members[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._infos)

    def __len__(self) -> int:
        return len(self._infos)

    def close(self) -> None:
        """Closes the file."""
        for member in self._members.values():
            member.close()
        self._archive.close()
