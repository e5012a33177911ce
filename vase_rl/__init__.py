"""Life-long disentangled representation learning (VASE) for reinforcement learning.

The learner (`VASE`, `VASEConfig`) needs torch and numpy only. `vase_rl.wrappers`, `vase_rl.envs`
and `vase_rl.agents` put it before Gymnasium environments and Stable-Baselines3 agents.
"""

from importlib.util import find_spec

from .checkpoint import CheckpointError
from .config import VASEConfig
from .learner import VASE
from .reports import Inference, UpdateReport

__version__ = "0.1.0"
__all__ = ["VASE", "CheckpointError", "Inference", "UpdateReport", "VASEConfig"]

# `import vase_rl` is what makes `gymnasium.make("vase_rl/...")` work (Gymnasium reads no entry
# points); a machine without Gymnasium still has the learner.
if find_spec("gymnasium") is not None:
    from .envs.registration import register_environments

    register_environments()
