"""VASE in front of Gymnasium environments."""

from .observation import VASEObservationWrapper
from .pixels import PixelReader
from .stream import FrameStream, StreamConfig

__all__ = ["FrameStream", "PixelReader", "StreamConfig", "VASEObservationWrapper"]
