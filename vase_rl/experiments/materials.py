"""What a reproduction learns from: data sets, recordings, or built-in sprites in their place."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass

from ..envs import make_source

STAND_INS = {"mnist": "glyphs", "fashion": "garments", "celeba": "faces"}
"""What is drawn by the program in place of a data set."""
WORLDS = {"natlab": "moving-garments", "ede": "moving-inverted-glyphs"}
"""The two levels of DM Lab, and what stands in for recordings of them."""


@dataclass(frozen=True)
class Materials:
    """Where the paper's sources are read from.

    Attributes:
        data_dir: folder of the data sets; None: built-in sprites stand in for all of them.
        stand_ins: data sets for which built-in sprites stand in although there is a folder.
        trajectories: recordings in place of NatLab and EDE; None: built-in sprites.

    Raises:
        ValueError: `stand_ins` names something that is no data set, or there are not two
            recordings.
    """

    data_dir: str | None = None
    stand_ins: tuple[str, ...] = ()
    trajectories: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        unknown = [name for name in self.stand_ins if name not in STAND_INS]
        if unknown:
            raise ValueError(
                f"--stand-in must name data sets ({', '.join(STAND_INS)}), got {unknown[0]!r}"
            )
        if self.trajectories is not None and len(self.trajectories) != len(WORLDS):
            raise ValueError(
                f"--trajectories must be two recordings, got {len(self.trajectories)} of them"
            )

    def source(self, name: str) -> str:
        """The source that is read for one of the paper's, by the names that `envs` knows."""
        if name in WORLDS:
            if self.trajectories is None:
                return WORLDS[name]
            return f"trajectory:{self.trajectories[list(WORLDS).index(name)]}"
        family = name.rsplit("-", 1)[-1]
        if self.data_dir is None or family in self.stand_ins:
            return name.removesuffix(family) + STAND_INS[family]
        return name

    def replaced(self, sequence: Sequence[str]) -> dict[str, str]:
        """Of a sequence, the sources that something else stands in for, and what."""
        pairs = {name: self.source(name) for name in sequence}
        return {name: source for name, source in pairs.items() if source != name}

    def check(self, target: str, sequence: Sequence[str], size: int) -> None:
        """Open every source once: what is missing is told now, not in an hour.

        Raises:
            ValueError: something is missing or damaged; the message says what, and what could
                stand in.
        """
        for name in dict.fromkeys(sequence):
            try:
                with closing(make_source(self.source(name), size=size, data_dir=self.data_dir)):
                    pass
            except ValueError as error:
                raise ValueError(f"{target} needs {name}: {error}{_way_out(name)}") from error


def _way_out(name: str) -> str:
    family = name.rsplit("-", 1)[-1]
    if family not in STAND_INS:
        return ""
    return f"; --stand-in {family} lets {STAND_INS[family]} take its place"
