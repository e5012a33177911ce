"""Real worlds by their Gymnasium names: what must be imported before Gymnasium knows them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import gymnasium

LIBRARIES = {
    "Vizdoom": "vizdoom.gymnasium_wrapper",
    "ALE/": "ale_py",
    "MiniWorld-": "miniworld",
    "MiniGrid-": "minigrid",
    "BabyAI-": "minigrid",
}
"""Beginning of an environment's name to the module that registers it."""


class WorldError(ValueError):
    """A world cannot be made: its library is missing, or Gymnasium does not know it."""


def make_world(env_id: str, **kwargs: Any) -> gymnasium.Env[Any, Any]:
    """`gymnasium.make`, after importing the library that registers the environment.

    MiniGrid's worlds are observed as the picture of what the agent sees, MiniWorld draws without
    a display.

    Args:
        env_id: name of an environment, `module:NAME` too.
        **kwargs: of `gymnasium.make`.

    Raises:
        WorldError: the library is not installed, and the message says what installs it; or
            MiniWorld cannot draw on this machine.
        gymnasium.error.Error: no environment of that name.
    """
    register_world(env_id)
    with _drawing(env_id):
        env: gymnasium.Env[Any, Any] = gymnasium.make(env_id, **kwargs)
    return _draw_minigrid(env) if _library(env_id) == "minigrid" else env


def register_world(env_id: str) -> None:
    """Imports the library that registers an environment, where its name tells which.

    Raises:
        WorldError: it is not installed, or cannot draw on this machine.
    """
    library = _library(env_id)
    if library is None or env_id in gymnasium.registry:
        return
    try:
        if library == "miniworld":
            # Read when its windows are imported, which MiniWorld does at once.
            import_module("pyglet").options["headless"] = True
        with _drawing(env_id):
            module = import_module(library)
    except ImportError as error:
        raise WorldError(
            f'{env_id} needs {library}: pip install "vase_rl[worlds]" ({error})'
        ) from error
    if library == "ale_py":
        gymnasium.register_envs(module)


@contextmanager
def _drawing(env_id: str) -> Iterator[None]:
    """Whatever MiniWorld's way to OpenGL breaks with, as a `WorldError`."""
    try:
        yield
    except (ModuleNotFoundError, TypeError, gymnasium.error.Error):
        raise
    except Exception as error:
        if _library(env_id) != "miniworld":
            raise
        raise WorldError(
            f"{env_id} cannot be drawn here: MiniWorld needs OpenGL through EGL ({error})"
        ) from error


def _library(env_id: str) -> str | None:
    return next((module for name, module in LIBRARIES.items() if env_id.startswith(name)), None)


def _draw_minigrid(env: gymnasium.Env[Any, Any]) -> gymnasium.Env[Any, Any]:
    wrappers = import_module("minigrid.wrappers")
    picture: gymnasium.Env[Any, Any] = wrappers.ImgObsWrapper(wrappers.RGBImgPartialObsWrapper(env))
    return picture
