"""Agents that act on the latents: Stable-Baselines3 models bundled with their encoder."""

from .attended import AttendedLatents, AttendToUsedLatents, used_in
from .bundle import Bundle
from .callbacks import LogLearner, RefreshView
from .card import AgentCard, BundleError
from .config import PPOConfig
from .evaluate import Evaluation, evaluate_agent
from .features import VASEFeatures
from .ppo import TrainResult, check_action_space, train_ppo
from .progress import CurvePoint, CurveRecorder, Reporter
from .replay import FrameReplayBuffer

__all__ = [
    "AgentCard",
    "AttendToUsedLatents",
    "AttendedLatents",
    "Bundle",
    "BundleError",
    "CurvePoint",
    "CurveRecorder",
    "Evaluation",
    "FrameReplayBuffer",
    "LogLearner",
    "PPOConfig",
    "RefreshView",
    "Reporter",
    "TrainResult",
    "VASEFeatures",
    "check_action_space",
    "evaluate_agent",
    "train_ppo",
    "used_in",
]
