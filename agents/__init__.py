"""Agents that act on the latents: Stable-Baselines3 models bundled with their encoder."""

from .algorithms import ALGORITHMS, Algorithm, check_action_space, make_config
from .attended import AttendedLatents, AttendToUsedLatents, used_in
from .bundle import Bundle
from .callbacks import LogLearner, RefreshView
from .card import AgentCard, BundleError
from .config import A2CConfig, DQNConfig, PPOConfig, SACConfig
from .evaluate import Evaluation, evaluate_agent
from .features import VASEFeatures
from .progress import CurvePoint, CurveRecorder, Reporter
from .replay import FrameReplayBuffer
from .train import TrainResult, train_agent, train_ppo

__all__ = [
    "ALGORITHMS",
    "A2CConfig",
    "AgentCard",
    "Algorithm",
    "AttendToUsedLatents",
    "AttendedLatents",
    "Bundle",
    "BundleError",
    "CurvePoint",
    "CurveRecorder",
    "DQNConfig",
    "Evaluation",
    "FrameReplayBuffer",
    "LogLearner",
    "PPOConfig",
    "RefreshView",
    "Reporter",
    "SACConfig",
    "TrainResult",
    "VASEFeatures",
    "check_action_space",
    "evaluate_agent",
    "make_config",
    "train_agent",
    "train_ppo",
    "used_in",
]
