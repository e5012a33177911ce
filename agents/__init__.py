"""Agents that act on the latents: Stable-Baselines3 models bundled with their encoder."""

from .attended import AttendedLatents, AttendToUsedLatents, used_in
from .bundle import Bundle
from .callbacks import LogLearner, RefreshView
from .card import AgentCard, BundleError
from .config import PPOConfig
from .configured import VASECallback
from .evaluate import Evaluation, evaluate_agent
from .features import EncoderCopy, VASEFeatures
from .her import FrameHerReplayBuffer
from .learning import LearningFeatures
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
    "EncoderCopy",
    "Evaluation",
    "FrameHerReplayBuffer",
    "FrameReplayBuffer",
    "LearningFeatures",
    "LogLearner",
    "PPOConfig",
    "RefreshView",
    "Reporter",
    "TrainResult",
    "VASECallback",
    "VASEFeatures",
    "check_action_space",
    "evaluate_agent",
    "train_ppo",
    "used_in",
]
