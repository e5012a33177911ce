"""Agents that act on the latents: Stable-Baselines3 models bundled with their encoder."""

from .algorithms import ALGORITHMS, Algorithm, check_action_space, make_config
from .attended import AttendedLatents, AttendToUsedLatents, used_in
from .bundle import Bundle
from .callbacks import LogLearner, RefreshView
from .card import AgentCard, BundleError
from .checkpoints import SaveCheckpoints
from .config import A2CConfig, DQNConfig, PPOConfig, SACConfig
from .configured import VASECallback
from .evaluate import Evaluation, evaluate_agent
from .exploration import ExplorationWrapper
from .explorer import Explored, Explorer, ExplorerConfig
from .features import EncoderCopy, VASEFeatures
from .figures import LogFigures
from .goals import ImaginedGoals, goal_agent
from .her import FrameHerReplayBuffer
from .hub import HubError, pull_from_hub, push_to_hub
from .imagination import Wish
from .learning import LearningFeatures
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
    "EncoderCopy",
    "Evaluation",
    "ExplorationWrapper",
    "Explored",
    "Explorer",
    "ExplorerConfig",
    "FrameHerReplayBuffer",
    "FrameReplayBuffer",
    "HubError",
    "ImaginedGoals",
    "LearningFeatures",
    "LogFigures",
    "LogLearner",
    "PPOConfig",
    "RefreshView",
    "Reporter",
    "SACConfig",
    "SaveCheckpoints",
    "TrainResult",
    "VASECallback",
    "VASEFeatures",
    "Wish",
    "check_action_space",
    "evaluate_agent",
    "goal_agent",
    "make_config",
    "pull_from_hub",
    "push_to_hub",
    "train_agent",
    "train_ppo",
    "used_in",
]
