"""Agents that act on the latents: Stable-Baselines3 models bundled with their encoder."""

from .attended import AttendedLatents, AttendToUsedLatents, used_in
from .bundle import Bundle
from .callbacks import LogLearner, RefreshView
from .card import AgentCard, BundleError
from .checkpoints import SaveCheckpoints
from .config import PPOConfig
from .evaluate import Evaluation, evaluate_agent
from .features import VASEFeatures
from .figures import LogFigures
from .hub import HubError, pull_from_hub, push_to_hub
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
    "HubError",
    "LogFigures",
    "LogLearner",
    "PPOConfig",
    "RefreshView",
    "Reporter",
    "SaveCheckpoints",
    "TrainResult",
    "VASEFeatures",
    "check_action_space",
    "evaluate_agent",
    "pull_from_hub",
    "push_to_hub",
    "train_ppo",
    "used_in",
]
