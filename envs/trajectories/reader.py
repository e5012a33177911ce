"""What a format must be able to do: say which episodes there are, and give the frames of one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from ..idx import DataError

Images = npt.NDArray[np.uint8]


class TrajectoryError(DataError):
    """A recording that is not what it claims to be; says which file, episode and byte.

    Args:
        path: the damaged file.
        reason: what is wrong with it, as the end of a sentence.
        episode: 0-based number of the episode in the file, where one is to blame.
        offset: byte at which the trouble starts; in a compressed file, of its decompressed content.
    """

    def __init__(
        self,
        path: str | Path,
        reason: str,
        *,
        episode: int | None = None,
        offset: int | None = None,
    ) -> None:
        self.path, self.reason, self.episode, self.offset = Path(path), reason, episode, offset
        place = [] if episode is None else [f"episode {episode}"]
        place += [] if offset is None else [f"byte {offset:,}"]
        super().__init__(f"{path}: {', '.join(place)}{': ' if place else ''}{reason}")


@dataclass(frozen=True)
class Entry:
    """One episode in an index.

    Attributes:
        path: the file or folder that holds it.
        number: 0-based place in that file.
        frames: how many frames it has, at least 1.
        offset: byte where it starts, where the format has such a place.
        key: whatever else the reader needs to find it again.
    """

    path: Path
    number: int
    frames: int
    offset: int | None = None
    key: Any = None


@dataclass(frozen=True)
class Steps:
    """What was recorded beside the T frames of an episode; None where nothing was.

    Attributes:
        actions: (T − 1, ...) or (T, ...): action t was taken on seeing frame t. A recording that
            ends with the last observation has one fewer than frames.
        rewards: float32 (T − 1,) or (T,): reward t followed action t.
        terminated: whether the episode ended by itself (True), was cut off (False), or unknown.
        extra: other arrays by the recording's own names.
    """

    actions: npt.NDArray[Any] | None = None
    rewards: npt.NDArray[np.float32] | None = None
    terminated: bool | None = None
    extra: dict[str, npt.NDArray[Any]] = field(default_factory=dict)


class Reader(Protocol):
    """One recording in one format. Holds no more than one episode in memory, less where it can."""

    def entries(self, bad: Callable[[TrajectoryError], None]) -> Iterator[Entry]:
        """The episodes in their order, found as the iteration proceeds.

        Args:
            bad: called with each damaged episode or file; where it returns, the iteration goes on
                with the next one that can be read.
        """
        ...

    def frames(self, entry: Entry, start: int, stop: int) -> Images:
        """Frames `start` to `stop` of an episode, uint8 (stop − start, H, W, C), C 1 or 3 (RGB).

        Raises:
            TrajectoryError: they cannot be decoded.
        """
        ...

    def steps(self, entry: Entry) -> Steps:
        """What was recorded beside the frames.

        Raises:
            TrajectoryError: it cannot be decoded.
        """
        ...

    def close(self) -> None:
        """Close what is open; the reader can be used again."""
        ...
