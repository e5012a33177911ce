"""Use the installed package away from its source: import every module, make an environment."""

from __future__ import annotations

import importlib.util
import pkgutil
import sys
from pathlib import Path

import gymnasium as gym

import vase_rl


def import_everything() -> int:
    """Import every module of the package except `__main__`; return how many."""
    names = [
        module.name
        for module in pkgutil.walk_packages(vase_rl.__path__, "vase_rl.")
        if not module.name.endswith(".__main__")
    ]
    for name in names:
        importlib.import_module(name)
    return len(names)


def main() -> int:
    location = Path(vase_rl.__file__).resolve()
    if not location.is_relative_to(Path(sys.prefix).resolve()):
        print(f"vase_rl was imported from {location}, not from this environment", file=sys.stderr)
        return 1
    gym.register_envs(vase_rl)
    env = gym.make("vase_rl/SpriteReach-v0")
    observation, _ = env.reset(seed=0)
    if observation not in env.observation_space:
        print("SpriteReach: the first observation is outside its space", file=sys.stderr)
        return 1
    env.close()
    count = import_everything()
    for name in ("envs", "agents", "wrappers"):
        if name in sys.modules or importlib.util.find_spec(name) is not None:
            print(f"a top-level package `{name}` can be imported", file=sys.stderr)
            return 1
    print(f"installed package: {count} modules imported, SpriteReach made and reset")
    return 0


if __name__ == "__main__":
    sys.exit(main())
