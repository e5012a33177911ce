"""Frames to learn from: sprites, sources, and the Gymnasium environments made of them.

Importing this package registers the environments. The rest is loaded on first use, so that
registering does not cost the import of OpenCV.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .registration import register_environments

if TYPE_CHECKING:
    from .batch import Batch, Source
    from .families import FAMILIES, check_family
    from .idx import DataError, load_images, read_idx
    from .names import SOURCE_NAMES, Segment, parse_sequence, parse_source
    from .piecewise import PiecewiseStationary
    from .reach import SpriteReach
    from .recorded import RecordedTrajectory
    from .sources import make_source
    from .stream import SpriteStream
    from .trajectories.episode import Episode
    from .trajectories.preparation import prepare
    from .trajectories.reader import TrajectoryError
    from .trajectories.recording import RecordedTrajectories
    from .worlds import WorldError, make_world

__all__ = [
    "FAMILIES",
    "SOURCE_NAMES",
    "Batch",
    "DataError",
    "Episode",
    "PiecewiseStationary",
    "RecordedTrajectories",
    "RecordedTrajectory",
    "Segment",
    "Source",
    "SpriteReach",
    "SpriteStream",
    "TrajectoryError",
    "WorldError",
    "check_family",
    "load_images",
    "make_source",
    "make_world",
    "parse_sequence",
    "parse_source",
    "prepare",
    "read_idx",
    "register_environments",
]

_HOMES = {
    "batch": ("Batch", "Source"),
    "families": ("FAMILIES", "check_family"),
    "idx": ("DataError", "load_images", "read_idx"),
    "names": ("SOURCE_NAMES", "Segment", "parse_sequence", "parse_source"),
    "piecewise": ("PiecewiseStationary",),
    "reach": ("SpriteReach",),
    "recorded": ("RecordedTrajectory",),
    "sources": ("make_source",),
    "stream": ("SpriteStream",),
    "worlds": ("WorldError", "make_world"),
    "trajectories.episode": ("Episode",),
    "trajectories.preparation": ("prepare",),
    "trajectories.reader": ("TrajectoryError",),
    "trajectories.recording": ("RecordedTrajectories",),
}

register_environments()


def __getattr__(name: str) -> Any:
    for module, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f".{module}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
