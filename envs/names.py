"""Names of sources as users write them, alone and in sequences."""

from __future__ import annotations

from dataclasses import dataclass

from .canvas import large_side, sprite_side
from .families import FAMILIES, PICTURES

PREFIXES = ("", "moving-", "inverted-", "moving-inverted-", "large-", "large-inverted-")
PICTURE_PREFIXES = ("", "inverted-")
SOURCE_NAMES = (
    *(prefix + family for family in FAMILIES for prefix in PREFIXES),
    *(prefix + family for family in PICTURES for prefix in PICTURE_PREFIXES),
)
ORDERED = ("env:", "trajectory:")
"""Sources whose frames come in their own order; what follows says which environment or file."""


@dataclass(frozen=True)
class SourceName:
    """A source's name taken apart: `moving-inverted-mnist` is all three.

    `place` is what follows `env:` or `trajectory:`, which then is the family.
    """

    family: str
    moving: bool
    inverted: bool
    large: bool = False
    place: str = ""

    def side(self, size: int) -> int:
        """The side of its sprites on a canvas of `size` pixels."""
        if self.family in PICTURES:
            return size
        return large_side(size) if self.large else sprite_side(size)


@dataclass(frozen=True)
class Segment:
    """A source's name and the number of frames that it gives before the next one's turn."""

    source: str
    frames: int


def parse_source(name: str) -> SourceName:
    """Takes a source's name apart.

    Raises:
        ValueError: there is no such source; the message lists those that there are.
    """
    if isinstance(name, str) and name.startswith(ORDERED):
        return _parse_ordered(name)
    if not isinstance(name, str) or name not in SOURCE_NAMES:
        known = ", ".join((*SOURCE_NAMES, "env:GYM_ID", "trajectory:PATH"))
        raise ValueError(f"source must be one of {known}, got {name!r}")
    family = name.rsplit("-", 1)[-1]
    moving, large = name.startswith("moving-"), name.startswith("large-")
    return SourceName(family, moving, "inverted-" in name, large)


def _parse_ordered(name: str) -> SourceName:
    kind, _, place = name.partition(":")
    if not place:
        what = "an environment's name" if kind == "env" else "a path"
        raise ValueError(f"source {kind}: must name {what} after the colon, got {name!r}")
    return SourceName(kind, moving=False, inverted=False, place=place)


def parse_sequence(sequence: str, default_frames: int | None = None) -> list[Segment]:
    """Reads a sequence such as `"moving-garments:20000,glyphs,moving-garments:500"`.

    A source without `:N` gets `default_frames`. Digits after the last colon of `env:ID` and
    `trajectory:PATH` are such a number; paths hold no comma.

    Raises:
        ValueError: a source is unknown, a number of frames is not a positive integer, or there
            is none and no default.
    """
    segments = []
    for item in sequence.split(","):
        name, colon, number = _split(item.strip())
        parse_source(name)
        if not colon:
            frames = default_frames
        else:
            frames = int(number) if number.isascii() and number.isdigit() else 0
        if frames is None or frames < 1:
            raise ValueError(
                f"sequence must give each source a positive number of frames, as in {name}:2000, "
                f"got {item.strip()!r}"
            )
        segments.append(Segment(name, frames))
    return segments


def _split(item: str) -> tuple[str, str, str]:
    """Name, colon and number of frames, the last two empty where no number follows."""
    if not item.startswith(ORDERED):
        return item.partition(":")
    kind, _, place = item.partition(":")
    name, colon, number = place.rpartition(":")
    if name and number.isascii() and number.isdigit():
        return f"{kind}:{name}", colon, number
    return item, "", ""
