"""VASE in front of environments: single ones, Gymnasium's vectors, Stable-Baselines3's VecEnvs."""

from .observation import VASEObservationWrapper
from .observer import Observer, Options
from .pixels import PixelReader
from .stream import FrameStream, StreamConfig
from .vec_env import VASEVecEnvWrapper, sync_encoder
from .vector import VASEVectorObservationWrapper
from .view import PolicyView, View

__all__ = [
    "FrameStream",
    "Observer",
    "Options",
    "PixelReader",
    "PolicyView",
    "StreamConfig",
    "VASEObservationWrapper",
    "VASEVecEnvWrapper",
    "VASEVectorObservationWrapper",
    "View",
    "sync_encoder",
]
