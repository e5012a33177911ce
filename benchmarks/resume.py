"""One file per run, so that an interrupted benchmark goes on where it was."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from vase_rl.files import write_whole

Result = dict[str, Any]
IRRELEVANT = "data_dir"
"""Where the data lie changes nothing."""


class Runs:
    """The results of some methods over seeds, with one set of settings.

    Args:
        folder: where they are kept, one JSON file per method and seed.
        settings: plain values; a result made with others counts as missing.
        methods: a function per method, of the seed.
    """

    def __init__(
        self,
        folder: Path,
        settings: Mapping[str, Any],
        methods: Mapping[str, Callable[[int], Result]],
    ) -> None:
        self.folder = folder
        self.settings: dict[str, Any] = json.loads(json.dumps(settings))
        self.methods = methods

    def complete(self, seeds: Sequence[int], only: str | None = None) -> None:
        """Run what is missing, of one method or all."""
        todo = [(m, s) for s in seeds for m in self.methods if only in (None, m)]
        for method, seed in tqdm(todo, desc=self.folder.name, unit="run"):
            if self.load(method, seed) is None:
                tqdm.write(f"{method}, seed {seed}", file=sys.stderr)
                self._run(method, seed)

    def load(self, method: str, seed: int) -> Result | None:
        """A result that was made with these settings, if there is one."""
        path = self._path(method, seed)
        if not path.exists():
            return None
        result: Result = json.loads(path.read_text())
        wanted = {k: v for k, v in self.settings.items() if k != IRRELEVANT}
        return result if wanted.items() <= result["settings"].items() else None

    def by_method(self, seeds: Sequence[int]) -> dict[str, list[Result]]:
        """Those that there are by now."""
        found = {m: [self.load(m, seed) for seed in seeds] for m in self.methods}
        return {m: [r for r in results if r is not None] for m, results in found.items()}

    def _run(self, method: str, seed: int) -> None:
        path = self._path(method, seed)
        if path.exists():
            raise SystemExit(f"{path} was made with other settings: name another folder (--out)")
        started = time.perf_counter()
        result = {
            "settings": self.settings,
            "seed": seed,
            **self.methods[method](seed),
            "seconds": round(time.perf_counter() - started, 1),
            "torch": torch.__version__,
            "threads": torch.get_num_threads(),
        }
        write_whole(path, (json.dumps(result, indent=1) + "\n").encode())

    def _path(self, method: str, seed: int) -> Path:
        name = method.lower().replace(",", "").replace(" ", "-")
        return self.folder / f"{name}-{seed}.json"
