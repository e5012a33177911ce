"""Life-long disentangled representation learning (VASE) for reinforcement learning.

The learner (`VASE`, `VASEConfig`) needs torch and numpy only. `vase_rl.wrappers`, `vase_rl.envs`
and `vase_rl.agents` put it before Gymnasium environments and Stable-Baselines3 agents.

The learner is loaded on first use, so that reading recordings or registering environments does
not cost the import of torch.
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .checkpoint import CheckpointError
    from .config import VASEConfig
    from .learner import VASE
    from .replicas import Replicas
    from .reports import Inference, UpdateReport

__version__ = "0.1.0"
__all__ = ["VASE", "CheckpointError", "Inference", "Replicas", "UpdateReport", "VASEConfig"]

_HOMES = {
    "checkpoint": ("CheckpointError",),
    "config": ("VASEConfig",),
    "learner": ("VASE",),
    "replicas": ("Replicas",),
    "reports": ("Inference", "UpdateReport"),
}

# `import vase_rl` is what makes `gymnasium.make("vase_rl/...")` work (Gymnasium reads no entry
# points); a machine without Gymnasium still has the learner.
if find_spec("gymnasium") is not None:
    from .envs.registration import register_environments

    register_environments()


def __getattr__(name: str) -> Any:
    for module, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f".{module}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
