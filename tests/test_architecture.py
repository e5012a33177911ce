"""ARCHITECTURE.md is true: every path, command and code name in it exists; so do links."""

from __future__ import annotations

import dataclasses
import importlib
import importlib.util
import inspect
import re
from pathlib import Path
from types import ModuleType

import gymnasium
import pytest

import vase_rl

ROOT = Path(__file__).resolve().parent.parent
TEXT = (ROOT / "ARCHITECTURE.md").read_text("utf-8")
NAMES = sorted(set(re.findall(r"`([^`\n]+)`", TEXT)))
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])

ENVIRONMENT_ID = re.compile(r"[\w-]+/[\w-]+-v\d+")
MAKE_TARGET = re.compile(r"make ([a-z-]+)")
PACKAGES = {
    "vase_rl", "torch", "numpy", "gymnasium", "stable_baselines3", "kornia", "cv2", "matplotlib",
    "huggingface_hub",
}  # fmt: skip
DOTTED_NAME = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")


def is_member(owner: object, name: str) -> bool:
    """Whether `owner` has the member, be it a field or an attribute that a method assigns."""
    if hasattr(owner, name):
        return True
    if not isinstance(owner, type):
        return False
    if dataclasses.is_dataclass(owner) and name in {f.name for f in dataclasses.fields(owner)}:
        return True
    assigned = re.compile(rf"\bself\.{re.escape(name)}\b\s*(:[^=\n]+)?=[^=]")
    local = [base for base in owner.__mro__ if base.__module__.startswith("vase_rl")]
    return any(assigned.search(inspect.getsource(base)) for base in local)


def is_code_name(name: str) -> bool:
    """Whether `a.b.c` is a module, class, function or member, seen from inside vase_rl."""
    parts = name.removeprefix("vase_rl.").split(".")
    owner: object = vase_rl
    for i, part in enumerate(parts):
        last = i == len(parts) - 1
        if isinstance(owner, ModuleType):
            qualified = f"{owner.__name__}.{part}"
            if hasattr(owner, "__path__") and importlib.util.find_spec(qualified) is not None:
                owner = importlib.import_module(qualified)
                continue
        if not is_member(owner, part):
            return False
        if not last:
            if not hasattr(owner, part):
                return False
            owner = getattr(owner, part)
    return True


def exists(name: str) -> bool:
    """Whether a name of the document stands for something."""
    if ENVIRONMENT_ID.fullmatch(name):
        return name in gymnasium.registry
    if target := MAKE_TARGET.fullmatch(name):
        return f"\n{target[1]}:" in (ROOT / "Makefile").read_text("utf-8")
    if (ROOT / name).exists():
        return True
    if not DOTTED_NAME.fullmatch(name):
        return False
    if name in PACKAGES:
        return True
    return is_code_name(name)


@pytest.mark.parametrize("name", NAMES)
def test_name_exists(name: str) -> None:
    assert exists(name), f"ARCHITECTURE.md names `{name}`, which is no path, command or code name"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(document: Path) -> None:
    targets = re.findall(r"\]\(([^)#\s]+)[^)]*\)", document.read_text("utf-8"))
    local = [target for target in targets if "://" not in target]
    assert [target for target in local if not (document.parent / target).exists()] == []


def test_every_module_of_the_learner_is_described() -> None:
    modules = {path.name for path in (ROOT / "vase_rl").glob("[a-z]*.py")}
    missing = {m for m in modules if f"`vase_rl/{m}`" not in TEXT and f"`{m[:-3]}." not in TEXT}
    assert missing == set()


@pytest.mark.parametrize(
    "name",
    [
        "vase_rl/no_such_file.py",
        "vase_rl/NoSuchEnvironment-v0",
        "make no-such-target",
        "learner.no_such_function",
        "VASEConfig.no_such_field",
        "VASE.no_such_attribute",
        "VASE.update.no_such_attribute",
        "no_such_module.x",
        "a sentence in backticks",
    ],
)
def test_check_finds_what_does_not_exist(name: str) -> None:
    assert not exists(name)


@pytest.mark.parametrize(
    "name",
    [
        "envs/registration.py",
        "vase_rl/SpriteReach-v0",
        "make demo",
        "latents.atypicality",
        "VASEConfig.latents",
        "VASE.environments",
        "networks.Encoder.features",
        "envs.registration.register_environments",
    ],
)
def test_check_accepts_what_exists(name: str) -> None:
    assert exists(name)
