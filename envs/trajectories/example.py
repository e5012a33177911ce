"""`tf.train.Example`, TensorFlow's dictionary of lists, read from protobuf's wire format.

    Example { Features features = 1; }
    Features { map<string, Feature> feature = 1; }      # entries { key = 1; value = 2; }
    Feature { oneof { BytesList = 1; FloatList = 2; Int64List = 3; } }
    ...List { repeated value = 1; }                     # numbers packed or one by one

Fields that are none of these are passed over, as protobuf asks.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

VARINT, FIXED64, BLOCK, FIXED32 = 0, 1, 2, 5
"""Wire types: how long a field is. Groups (3 and 4) do not occur."""
BYTES_LIST, FLOAT_LIST, INT64_LIST = 1, 2, 3
LONGEST_VARINT = 10


class ExampleError(ValueError):
    """Bytes that are no `tf.train.Example`."""


@dataclass(frozen=True)
class Blobs:
    """A bytes list, left where it lies: nothing is copied before it is asked for.

    Attributes:
        content: the whole message.
        spans: where each item starts and ends in it.
    """

    content: memoryview
    spans: list[tuple[int, int]]

    def __len__(self) -> int:
        return len(self.spans)

    def __getitem__(self, index: int) -> memoryview:
        start, stop = self.spans[index]
        return self.content[start:stop]


Numbers: TypeAlias = npt.NDArray[np.float32] | npt.NDArray[np.int64]
Feature: TypeAlias = Blobs | Numbers


def parse_example(content: bytes | memoryview) -> dict[str, Feature]:
    """The features by name; one without a value is an empty float32 array.

    Raises:
        ExampleError: the bytes are no such message.
    """
    content = memoryview(content)
    features: dict[str, Feature] = {}
    for span in _blocks(content, (0, len(content)), 1):
        for entry in _blocks(content, span, 1):
            name, feature = _entry(content, entry)
            features[name] = feature
    return features


Span: TypeAlias = tuple[int, int]


def _entry(content: memoryview, entry: Span) -> tuple[str, Feature]:
    name, feature = "", (0, 0)
    for number, _, span in _fields(content, entry):
        if number == 1:
            name = _text(content[slice(*span)])
        elif number == 2:
            feature = span
    return name, _feature(content, feature)


def _feature(content: memoryview, span: Span) -> Feature:
    """Of several kinds of list the last counts; several of one kind are one list."""
    kind, lists = FLOAT_LIST, list[Span]()
    for number, _, part in _fields(content, span):
        if number in (BYTES_LIST, FLOAT_LIST, INT64_LIST):
            lists = [*lists, part] if number == kind else [part]
            kind = number
    if kind == BYTES_LIST:
        return Blobs(content, [item for part in lists for item in _blocks(content, part, 1)])
    # Numbers one by one, put together, are a packed list.
    alone = FIXED32 if kind == FLOAT_LIST else VARINT
    packed = b"".join(
        content[slice(*item)]
        for part in lists
        for number, wire_type, item in _fields(content, part)
        if number == 1 and wire_type in (BLOCK, alone)
    )
    return _floats(packed) if kind == FLOAT_LIST else _integers(packed)


def _floats(packed: bytes) -> npt.NDArray[np.float32]:
    if len(packed) % 4:
        raise ExampleError(f"a list of floats takes 4 bytes each, got {len(packed)} bytes")
    return np.frombuffer(packed, "<f4").astype(np.float32)


def _integers(packed: bytes) -> npt.NDArray[np.int64]:
    """Varints, all at once: seven bits per byte, the last byte of each below 128."""
    data = np.frombuffer(packed, np.uint8)
    ends = np.flatnonzero(data < 128) + 1
    if (ends[-1] if len(ends) else 0) != len(data):
        raise ExampleError("a list of integers ends within a number")
    if not len(data):
        return np.zeros(0, np.int64)
    starts = np.concatenate([[0], ends[:-1]])
    lengths = ends - starts
    if lengths.max() > LONGEST_VARINT:
        raise ExampleError(f"an integer takes at most {LONGEST_VARINT} bytes, got {lengths.max()}")
    places = np.arange(len(data)) - np.repeat(starts, lengths)
    bits = (data & 127).astype(np.uint64) << (7 * places).astype(np.uint64)
    return np.bitwise_or.reduceat(bits, starts).view(np.int64)


def _blocks(content: memoryview, span: Span, number: int) -> Iterator[Span]:
    """Where the values of the field `number` lie, which must have a length."""
    for found, wire_type, part in _fields(content, span):
        if found == number and wire_type == BLOCK:
            yield part


def _fields(content: memoryview, span: Span) -> Iterator[tuple[int, int, Span]]:
    """(number, wire type, where the value lies) of each field of the message in `span`."""
    place, end = span
    while place < end:
        tag, place = _varint(content, place, end)
        number, wire_type = tag >> 3, tag & 7
        if wire_type == BLOCK:
            length, place = _varint(content, place, end)
        elif wire_type == VARINT:
            length = _varint(content, place, end)[1] - place
        elif wire_type in (FIXED32, FIXED64):
            length = 4 if wire_type == FIXED32 else 8
        else:
            raise ExampleError(f"a field's wire type must be 0, 1, 2 or 5, got {wire_type}")
        if not number or place + length > end:
            raise ExampleError(f"a field of {length} bytes does not fit into its message")
        yield number, wire_type, (place, place + length)
        place += length


def _varint(content: memoryview, place: int, end: int) -> tuple[int, int]:
    value = 0
    for shift, byte in enumerate(content[place : min(place + LONGEST_VARINT, end)]):
        value |= (byte & 127) << 7 * shift
        if byte < 128:
            return value, place + shift + 1
    raise ExampleError("a number does not end where its message does")


def _text(data: memoryview) -> str:
    try:
        return str(data, "utf-8")
    except UnicodeDecodeError as error:
        raise ExampleError(f"a feature's name is no UTF-8 ({error})") from None
