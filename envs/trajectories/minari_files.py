"""What a Minari data set's files hold, as arrays that are read in slices.

Minari's own functions load whole episodes, pixels included.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from .extras import open_hdf5, require

HDF5_FILE = "main_data.hdf5"


class Column(Protocol):
    """An array in a file, read in slices along its first axis."""

    def __len__(self) -> int: ...

    def __getitem__(self, rows: slice, /) -> npt.NDArray[Any]: ...


class EpisodeFiles(Protocol):
    """Where a data set's episodes lie. Its methods raise what the format's library raises."""

    def path(self, number: int) -> Path:
        """The file or folder that holds an episode."""
        ...

    def length(self, number: int, name: str) -> int:
        """How many rows the array of observations of that name has."""
        ...

    def columns(self, number: int, part: str) -> Mapping[str, Column]:
        """Arrays of `observations`, `actions`, `infos` ..., by their names inside it.

        A part that is one array has the name `""`; names of nested arrays are joined by `/`.
        """
        ...

    def close(self) -> None:
        """Close what is open; it is opened again when it is needed."""
        ...


class HDF5Files:
    """One file with a group per episode."""

    def __init__(self, folder: Path) -> None:
        self._file_path = folder / HDF5_FILE
        self._file: Any = None

    def path(self, number: int) -> Path:
        """The one file."""
        return self._file_path

    def length(self, number: int, name: str) -> int:
        """See `EpisodeFiles.length`."""
        return len(self.columns(number, "observations")[name])

    def columns(self, number: int, part: str) -> Mapping[str, Column]:
        """See `EpisodeFiles.columns`."""
        h5py = require("h5py")
        if self._file is None:
            self._file = open_hdf5(self._file_path)
        episode = self._file[f"episode_{number}"]
        if part not in episode:
            return {}
        item = episode[part]
        if isinstance(item, h5py.Dataset):
            return {"": item}
        found: dict[str, Column] = {}
        item.visititems(lambda n, o: found.update({n: o}) if isinstance(o, h5py.Dataset) else None)
        return found

    def close(self) -> None:
        """Closes the file."""
        if self._file is not None:
            self._file.close()
            self._file = None


class ArrowFiles:
    """A folder of Arrow or Parquet files per episode; Arrow's are mapped, Parquet's loaded."""

    def __init__(self, folder: Path, format: str) -> None:
        self._folder, self._format = folder, format
        self._loaded: tuple[int, str, Any] | None = None

    def path(self, number: int) -> Path:
        """The episode's folder."""
        return self._folder / str(number)

    def length(self, number: int, name: str) -> int:
        """As the files say; none of their content is read."""
        return int(self._files(number).count_rows())

    def columns(self, number: int, part: str) -> Mapping[str, Column]:
        """See `EpisodeFiles.columns`."""
        if self._loaded is None or self._loaded[:2] != (number, part):
            self._loaded = number, part, self._load(number, part)
        table = self._loaded[2]
        return {name.partition("/")[2]: ArrowColumn(table[name]) for name in table.column_names}

    def close(self) -> None:
        """Forgets the last episode."""
        self._loaded = None

    def _load(self, number: int, part: str) -> Any:
        """The part's arrays as a table with joined names."""
        is_struct = require("pyarrow").types.is_struct
        files = self._files(number)
        table = files.to_table(columns=[part] if part in files.schema.names else [])
        while any(is_struct(column.type) for column in table.columns):
            table = _flatten(table)
        return table

    def _files(self, number: int) -> Any:
        """The episode's files as a `pyarrow.dataset.Dataset`."""
        return require("pyarrow.dataset").dataset(
            str(self.path(number)),
            format=self._format,
            filesystem=require("pyarrow.fs").LocalFileSystem(use_mmap=True),
            ignore_prefixes=["_", ".", "metadata.json"],
        )


class ArrowColumn:
    """A column of a table, copied out as NumPy knows it: lists of fixed length become rows."""

    def __init__(self, values: Any) -> None:
        self._values = values

    def __len__(self) -> int:
        return len(self._values)

    def __getitem__(self, rows: slice, /) -> npt.NDArray[Any]:
        start, stop, _ = rows.indices(len(self))
        values = self._values.slice(start, stop - start).combine_chunks()
        if hasattr(values.type, "list_size"):
            flat = values.flatten().to_numpy(zero_copy_only=False)
            return np.array(flat).reshape(stop - start, values.type.list_size)
        return np.array(values.to_numpy(zero_copy_only=False))


def _flatten(table: Any) -> Any:
    """One level of structs taken apart; pyarrow's own `flatten` joins names by dots."""
    pyarrow = require("pyarrow")
    columns: dict[str, Any] = {}
    for name, column in zip(table.column_names, table.columns, strict=True):
        if pyarrow.types.is_struct(column.type):
            parts = column.flatten()
            names = [f"{name}/{column.type.field(i).name}" for i in range(len(parts))]
            columns.update(zip(names, parts, strict=True))
        else:
            columns[name] = column
    return pyarrow.table(columns)
