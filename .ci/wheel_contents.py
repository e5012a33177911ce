"""Check that a wheel holds every module of the source tree, inside `vase_rl`, and nothing else.

usage: wheel_contents.py WHEEL SOURCE_TREE
"""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

# Folders at the top of the repository that are installed inside the package.
MAPPED = ("envs", "agents", "wrappers")


def expected_modules(source: Path) -> set[str]:
    """Installed paths of all modules: `envs/x.py` of the source is `vase_rl/envs/x.py`."""
    found = set()
    for path in (source / "vase_rl").rglob("*.py"):
        relative = path.relative_to(source / "vase_rl")
        if relative.parts[0] not in MAPPED:
            found.add(f"vase_rl/{relative.as_posix()}")
    for folder in MAPPED:
        for path in (source / folder).rglob("*.py"):
            found.add(f"vase_rl/{path.relative_to(source).as_posix()}")
    return found


def main(wheel: str, source: str) -> int:
    with zipfile.ZipFile(wheel) as archive:
        held = archive.namelist()
    counted = {name for name in held if ".dist-info/" not in name}
    problems = [f"twice in the wheel: {name}" for name in sorted(set(held)) if held.count(name) > 1]
    problems += [
        f"outside vase_rl/: {name}" for name in sorted(counted) if not name.startswith("vase_rl/")
    ]
    expected = expected_modules(Path(source))
    modules = {name for name in counted if name.endswith(".py")}
    problems += [f"missing: {name}" for name in sorted(expected - modules)]
    problems += [f"not in the source tree: {name}" for name in sorted(modules - expected)]
    if "vase_rl/py.typed" not in counted:
        problems.append("missing: vase_rl/py.typed")
    if not any(name.endswith(".dist-info/licenses/LICENSE") for name in held):
        problems.append("missing: the licence")
    for problem in problems:
        print(f"wheel contents: {problem}", file=sys.stderr)
    print(f"wheel contents: {len(modules)} modules, {len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
