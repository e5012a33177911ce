"""What a command leaves on disk: a directory, its `metrics.json`, and files written whole."""

from __future__ import annotations

import json
import math
import platform
import shlex
import sys
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .. import __version__
from ..files import write_whole


class RunDirectory:
    """The directory of one run, and the numbers that go into its `metrics.json`.

    `finished` in `metrics.json` is false until the run is over; an interrupted run leaves it so.

    Args:
        path: created, with its parents, where missing.
        command: name of the command, as in `vase-rl NAME`.
        arguments: what followed the name on the command line, or its equivalent.
        stale: names of files that an earlier run may have left there; they are removed.

    Raises:
        ValueError: `path` is a file, holds results of another command, or its directory cannot be
            written.
    """

    def __init__(
        self,
        path: str | Path,
        command: str,
        arguments: list[str] | None = None,
        stale: tuple[str, ...] = (),
    ) -> None:
        self.path = Path(path)
        earlier = _command_of(self.path / "metrics.json")
        if earlier not in (None, command):
            raise ValueError(
                f"--out must be a directory without results of another command, got {str(path)!r}, "
                f"which holds those of vase-rl {earlier}"
            )
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            for name in ("metrics.json", *stale):
                (self.path / name).unlink(missing_ok=True)
        except OSError as error:
            raise ValueError(
                f"--out must be a directory that can be written, got {str(path)!r}: "
                f"{error.strerror}"
            ) from error
        self.started = time.perf_counter()
        self.metrics: dict[str, Any] = {
            "command": shlex.join(["vase-rl", command, *(arguments or [])]),
            "finished": False,
        }

    @property
    def seconds(self) -> float:
        """Wall-clock time since the run began."""
        return time.perf_counter() - self.started

    def record(self, **values: Any) -> None:
        """Add numbers and write `metrics.json`."""
        self.metrics.update(values)
        self.metrics.update(
            seconds=round(self.seconds, 1), peak_memory_mib=peak_memory_mib(), versions=versions()
        )
        write_json(self.path / "metrics.json", self.metrics)

    def finish(self) -> None:
        """Write `metrics.json` for the last time."""
        self.record(finished=True)


def _command_of(metrics: Path) -> str | None:
    """The command whose results lie there; None where there are none."""
    try:
        program, command, *_ = shlex.split(json.loads(metrics.read_text())["command"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return command if program == "vase-rl" else None


@dataclass(frozen=True)
class Stored:
    """The result of one run of many, in a file, so that it is not run again.

    Attributes:
        path: of the file.
        settings: plain values that the result depends on; one made with others counts as none.
    """

    path: Path
    settings: dict[str, Any]

    def load(self) -> dict[str, Any] | None:
        """The result on disk; None where there is none of these settings."""
        try:
            stored = json.loads(self.path.read_text())
            result: dict[str, Any] = stored["result"]
            made_with = stored["settings"]
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return result if made_with == self.settings else None

    @property
    def is_of_others(self) -> bool:
        """Whether the file holds a result that was made with other settings."""
        try:
            made_with = json.loads(self.path.read_text())["settings"]
        except (OSError, ValueError, KeyError, TypeError):
            return False
        return bool(made_with != self.settings)

    def save(self, result: dict[str, Any]) -> None:
        """Write it whole or not at all."""
        write_json(self.path, {"settings": self.settings, "result": result})


def settings_of(job: Any, but: Iterable[str] = ()) -> dict[str, Any]:
    """What the result of a job, a dataclass, depends on, for `Stored`.

    Args:
        job: its fields, as JSON has them, and the releases that compute.
        but: names of fields that change nothing, as where data lie.
    """
    plain_fields = json.loads(json.dumps(asdict(job)))
    return {**{k: v for k, v in plain_fields.items() if k not in but}, "releases": releases()}


def releases() -> dict[str, str]:
    """Those that results depend on."""
    import torch

    return {"vase_rl": __version__, "torch": torch.__version__}


def write_json(path: Path, values: dict[str, Any]) -> None:
    """Write an object whole or not at all; numbers that JSON lacks become null."""
    text = json.dumps(plain(values), indent=2, allow_nan=False)
    write_whole(path, (text + "\n").encode())


def plain(value: Any) -> Any:
    """Values as JSON has them: no arrays, no numpy scalars, no NaN or infinity."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def peak_memory_mib() -> int | None:
    """The most memory that the process has held, in MiB; None where the system does not say."""
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / 2**20 if sys.platform == "darwin" else peak / 2**10)


def versions() -> dict[str, str]:
    """Releases of what the numbers depend on, as far as it is loaded."""
    found = {"python": platform.python_version()}
    for name in ("vase_rl", "torch", "numpy", "gymnasium", "stable_baselines3"):
        module = sys.modules.get(name)
        if module is not None:
            found[name] = str(getattr(module, "__version__", "unknown"))
    return found
