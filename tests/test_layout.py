"""The repository's layout: what is installed under which name, and who may import whom."""

from __future__ import annotations

import ast
import importlib.metadata
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import vase_rl

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parent.parent
# Folders at the top of the repository that are installed inside the package.
MAPPED = ("agents", "envs", "wrappers")
STANDARD_LIBRARY = frozenset(sys.stdlib_module_names)
# Distributions whose import name is another.
IMPORT_NAMES = {
    "ale-py": "ale_py",
    "opencv-python": "cv2",
    "pillow": "PIL",
    "pyyaml": "yaml",
    "scikit-learn": "sklearn",
    "stable-baselines3": "stable_baselines3",
    "typing-extensions": "typing_extensions",
}

# Layer -> layers of vase_rl and other packages that it may import. `learner` is everything
# directly in vase_rl/.
INSIDE = {
    "learner": {"learner"},
    "wrappers": {"learner", "wrappers"},
    "envs": {"learner", "envs"},
    "agents": {"learner", "wrappers", "envs", "agents"},
    "experiments": {"learner", "wrappers", "envs", "agents", "experiments"},
}
OUTSIDE = {
    "learner": {"torch", "numpy"},
    "wrappers": {
        "torch", "numpy", "gymnasium", "stable_baselines3", "cv2", "typing_extensions",
    },
    "envs": {
        "torch", "numpy", "gymnasium", "cv2", "h5py", "minari", "pooch", "requests", "tqdm",
        "pyarrow", "vizdoom", "ale_py", "miniworld", "minigrid",
    },
    "agents": {
        "torch", "numpy", "gymnasium", "stable_baselines3", "cv2", "kornia", "matplotlib",
        "huggingface_hub", "typing_extensions",
    },
}  # fmt: skip
# `import vase_rl` registers the environments, which is done by name and loads none of them.
EXEMPT = {("vase_rl", "vase_rl.envs.registration")}


def project() -> dict[str, Any]:
    with (ROOT / "pyproject.toml").open("rb") as file:
        return tomllib.load(file)


def declared_packages() -> set[str]:
    """Import names of the dependencies that an installation brings, with its extras for users."""
    optional = project()["project"]["optional-dependencies"]
    extras = [text for name, texts in optional.items() if name != "dev" for text in texts]
    distributions = {
        re.split(r"[^\w.-]", text, maxsplit=1)[0].lower()
        for text in (*project()["project"]["dependencies"], *extras)
    }
    return {IMPORT_NAMES.get(name, name) for name in distributions}


def sources() -> Iterator[tuple[str, Path]]:
    """(installed module name, path) of every module of the package, links not followed."""
    for folder, prefix in [("vase_rl", ()), *((name, ("vase_rl",)) for name in MAPPED)]:
        for directory, names, files in os.walk(ROOT / folder):
            names[:] = [n for n in names if not (Path(directory) / n).is_symlink()]
            for file in sorted(files):
                if file.endswith(".py"):
                    path = Path(directory) / file
                    parts = (*prefix, *path.relative_to(ROOT).with_suffix("").parts)
                    yield ".".join(p for p in parts if p != "__init__"), path


SOURCES = dict(sources())


def layer_of(module: str) -> str:
    """Layer of an installed module of vase_rl; `vase_rl.__main__` belongs to the command line."""
    second = [*module.split("."), ""][1]
    if second == "__main__":
        return "experiments"
    return second if second in INSIDE else "learner"


def imported_modules(module: str, is_package: bool, source: str) -> Iterator[str]:
    """Absolute names of all modules that `source` imports, those of nested blocks too."""
    package = module.split(".") if is_package else module.split(".")[:-1]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            base = base + (node.module.split(".") if node.module else [])
            for alias in node.names:
                whole = ".".join([*base, alias.name])
                yield whole if whole in SOURCES else ".".join(base)


def violations(module: str, is_package: bool, source: str) -> list[str]:
    """What `source`, installed as `module`, imports against the rule."""
    layer = layer_of(module)
    outside = OUTSIDE.get(layer, declared_packages()) | STANDARD_LIBRARY
    found = []
    for name in imported_modules(module, is_package, source):
        if (module, name) in EXEMPT:
            continue
        top = name.partition(".")[0]
        if top == "vase_rl":
            if layer_of(name) not in INSIDE[layer]:
                found.append(f"{module} ({layer}) imports {name} ({layer_of(name)})")
        elif top not in outside:
            found.append(f"{module} ({layer}) imports {name}")
    return found


@pytest.mark.parametrize("module", sorted(SOURCES))
def test_module_imports_nothing_to_its_right(module: str) -> None:
    path = SOURCES[module]
    assert violations(module, path.name == "__init__.py", path.read_text("utf-8")) == []


@pytest.mark.parametrize(
    ("module", "source", "found"),
    [
        (
            "vase_rl.x",
            "import os, torch\nfrom . import config\nfrom .config import VASEConfig",
            None,
        ),
        ("vase_rl.x", "import gymnasium", "vase_rl.x (learner) imports gymnasium"),
        (
            "vase_rl.x",
            "def f():\n    from .envs.registration import y",
            "vase_rl.x (learner) imports vase_rl.envs.registration (envs)",
        ),
        (
            "vase_rl.x",
            "from vase_rl import envs",
            "vase_rl.x (learner) imports vase_rl.envs (envs)",
        ),
        ("vase_rl.envs.x", "from ..config import VASEConfig\nimport cv2", None),
        (
            "vase_rl.envs.x",
            "from ..wrappers import VASEObservationWrapper",
            "vase_rl.envs.x (envs) imports vase_rl.wrappers (wrappers)",
        ),
        ("vase_rl.wrappers.x", "from .. import envs", "imports vase_rl.envs (envs)"),
        ("vase_rl.wrappers.x", "import envs", "vase_rl.wrappers.x (wrappers) imports envs"),
        ("vase_rl.agents.x", "from ..envs import SpriteReach\nimport kornia", None),
        ("vase_rl.agents.x", "from ..experiments import cli", "(experiments)"),
        (
            "vase_rl.experiments.x",
            "import cv2, PIL.Image, matplotlib\nfrom ..agents import y",
            None,
        ),
        (
            "vase_rl.experiments.x",
            "import scipy",
            "vase_rl.experiments.x (experiments) imports scipy",
        ),
    ],
)
def test_rule_finds_what_breaks_it(module: str, source: str, found: str | None) -> None:
    problems = violations(module, False, source)
    assert len(problems) == (0 if found is None else 1)
    assert found is None or found in problems[0]


@pytest.mark.parametrize(
    "path",
    [p for d in ("tests", "benchmarks", "docs") for p in sorted((ROOT / d).rglob("*.py"))],
    ids=lambda path: path.relative_to(ROOT).as_posix(),
)
def test_bare_names_are_imported_nowhere(path: Path) -> None:
    tops = {m.partition(".")[0] for m in imported_modules("x", False, path.read_text("utf-8"))}
    assert tops.isdisjoint(MAPPED)


def test_every_package_is_listed_for_installation() -> None:
    listed = project()["tool"]["setuptools"]["packages"]
    found = {
        name if path.name == "__init__.py" else name.rpartition(".")[0]
        for name, path in SOURCES.items()
    }
    assert sorted(listed) == sorted(found)
    assert all((SOURCES[name]).name == "__init__.py" for name in listed)


@pytest.mark.parametrize("name", MAPPED)
def test_links_are_relative_and_mapped(name: str) -> None:
    assert os.readlink(ROOT / "vase_rl" / name) == f"../{name}"
    assert project()["tool"]["setuptools"]["package-dir"][f"vase_rl.{name}"] == name


def test_every_data_file_is_installed() -> None:
    """Whatever lies in the package beside its modules must be named as package data."""
    data = project()["tool"]["setuptools"]["package-data"]
    for package in project()["tool"]["setuptools"]["packages"]:
        folder = SOURCES[package].parent
        listed = {path for pattern in data.get(package, []) for path in folder.glob(pattern)}
        present = {p for p in folder.iterdir() if p.is_file() and p.suffix not in {".py", ".pyc"}}
        assert present == listed, package


def test_versions_agree() -> None:
    version = project()["project"]["version"]
    assert vase_rl.__version__ == version
    assert importlib.metadata.version("vase_rl") == version
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text("utf-8")


def run_python(code: str) -> str:
    """Standard output of `code` in a fresh interpreter that treats warnings as errors."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_learner_works_with_torch_and_numpy_alone() -> None:
    learner = sorted(name for name in SOURCES if layer_of(name) == "learner")
    # torch itself brings typing_extensions.
    forbidden = sorted(declared_packages() - OUTSIDE["learner"] - {"typing_extensions"})
    code = (
        "import importlib, sys\n"
        f"sys.modules.update(dict.fromkeys({forbidden!r}))\n"
        f"for name in {learner!r}: importlib.import_module(name)\n"
        "print(sys.modules['vase_rl'].VASE.__name__)"
    )
    assert run_python(code) == "VASE"


def test_importing_the_package_loads_nothing_heavy_but_registers_the_environments() -> None:
    """Also when Gymnasium is imported later; the usual order is what all other tests use."""
    code = (
        "import sys, vase_rl\n"
        "heavy = ('torch', 'stable_baselines3', 'kornia', 'cv2', 'matplotlib', 'PIL',"
        " 'vase_rl.wrappers', 'vase_rl.agents', 'vase_rl.experiments')\n"
        "print([name for name in heavy if name in sys.modules])\n"
        "import gymnasium\n"
        "gymnasium.register_envs(vase_rl)\n"
        "print(*sorted(i for i in gymnasium.registry if i.startswith('vase_rl/')))"
    )
    loaded, registered = run_python(code).splitlines()
    assert loaded == "[]"
    assert {"vase_rl/SpriteReach-v0", "vase_rl/SpriteStream-v0"} <= set(registered.split())
