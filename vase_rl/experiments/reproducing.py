"""How the targets of `vase-rl reproduce` are run: by what the other commands are made of.

Whatever was finished is on disk and is not run again; targets that need the same run share it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from ..learner import VASE
from .materials import Materials
from .results import Stored, settings_of
from .stream import WRITTEN, StreamSettings, run_stream
from .studies import Cell, Study
from .study import Job, jobs_of, learners_of, results_of, tasks_of
from .sweep import HERE, Outcome, Task, Workers, sweep
from .targets import FRAMES_PER_UPDATE, Scale, Target


@dataclass(frozen=True)
class Order:
    """A target, and all that its runs depend on.

    Attributes:
        name: of the target.
        target: what it is.
        scale: how much of it.
        seeds: one run per condition and seed.
        materials: what is learnt from.
        folder: below which all runs are kept.
        workers: who runs them.
        device: of the learners.
    """

    name: str
    target: Target
    scale: Scale
    seeds: tuple[int, ...]
    materials: Materials
    folder: Path
    workers: Workers = HERE
    device: str = "auto"

    @property
    def sequence(self) -> tuple[str, ...]:
        """The sources that are read."""
        return tuple(self.materials.source(name) for name in self.target.sequence)

    @property
    def place(self) -> Path:
        """Of runs on this sequence, with this preset and number of steps."""
        sequence = re.sub(r"[^a-z0-9]+", "-", "-".join(self.sequence).lower()).strip("-")
        how = f"{self.target.kind}-{self.scale.preset}-{self.scale.steps}"
        return self.folder / sequence[-80:] / how


class Runs(Protocol):
    """The runs behind a target."""

    def run(self) -> None:
        """Run what is not on disk."""
        ...

    def results(self) -> dict[str, list[dict[str, Any]]]:
        """What is on disk, by condition; a column's key is a key of every result."""
        ...

    def pictures(self) -> Iterator[tuple[str, bytes]]:
        """Names and contents of PNG files."""
        ...


def runs_of(order: Order) -> Runs:
    """The runs of a target, none of which has begun."""
    kinds: dict[str, type[LifelongRuns] | type[StreamRuns] | type[ExploreRuns]] = {
        "lifelong": LifelongRuns,
        "stream": StreamRuns,
        "explore": ExploreRuns,
    }
    return kinds[order.target.kind](order)


class LifelongRuns:
    """Learners that get batches, as those of `vase-rl study`."""

    def __init__(self, order: Order) -> None:
        self.order = order
        self.jobs = list(_jobs(order))

    def run(self) -> None:
        """As `Runs.run`."""
        workers = self.order.workers
        sweep(tasks_of(self.jobs, workers.replicas), workers, self.order.name)

    def results(self) -> dict[str, list[dict[str, Any]]]:
        """As `Runs.results`."""
        if self.order.target.picture == "ambiguity":
            return {cell.name: self._ambiguities(cell) for cell in self.order.target.cells}
        return {cell.name: results_of(self.jobs, cell.name) for cell in self.order.target.cells}

    def pictures(self) -> Iterator[tuple[str, bytes]]:
        """As `Runs.pictures`: of the first seed of every condition."""
        if self.order.target.picture == "none":
            return
        from .portraits import PORTRAITS

        draw = PORTRAITS[self.order.target.picture]
        for cell, path, settings, result, vase in learners_of(self.jobs):
            if settings.seed == self.order.seeds[0]:
                title = f"{cell}, seed {settings.seed}, {settings.steps:,} batches per visit"
                yield f"{path.stem}.png", draw(title, vase, settings, result)

    def _ambiguities(self, cell: Cell) -> list[dict[str, Any]]:
        from .ambiguity import look, summary

        found = []
        first, second = self.order.sequence
        for name, _, settings, result, vase in learners_of(self.jobs):
            if name == cell.name:
                ambiguity = look(vase, first, second, settings)
                found.append({**result, **({} if ambiguity is None else summary(ambiguity))})
        return found


def _jobs(order: Order) -> Iterator[Job]:
    """A learner is kept where something is drawn of it, or measured on it."""
    scale, target = order.scale, order.target
    study = Study(
        target.title, target.cells, target.columns, sequence=order.sequence, steps=scale.steps,
        preset=scale.preset, base=scale.overrides, probes=target.probes,
    )  # fmt: skip
    data_dir = order.materials.data_dir
    for cell, path, settings in jobs_of(study, order.seeds, order.place, data_dir, order.device):
        kept = settings.seed == order.seeds[0] or target.picture == "ambiguity"
        save_to = str(path.with_suffix(".pt")) if kept else None
        yield cell, path, replace(settings, save_to=save_to)


class StreamRuns:
    """Learners behind a wrapper that watch frames in their own order, as `vase-rl stream`."""

    def __init__(self, order: Order) -> None:
        self.order = order

    def run(self) -> None:
        """As `Runs.run`."""
        tasks = [self._task(settings, outcome) for _, settings, outcome in self._all()]
        sweep(tasks, self.order.workers, self.order.name)

    def results(self) -> dict[str, list[dict[str, Any]]]:
        """As `Runs.results`."""
        found: dict[str, list[dict[str, Any]]] = {}
        for cell, _, outcome in self._all():
            result = outcome.result()
            found.setdefault(cell.name, []).extend([] if result is None else [result])
        return found

    def pictures(self) -> Iterator[tuple[str, bytes]]:
        """As `Runs.pictures`: of the first seed of every condition."""
        from .portraits import stream_traversals

        for cell, settings, outcome in self._all():
            folder = outcome.folder
            # There is none of a stream in which no environment was found.
            drawn = folder / "cross-domain.png"
            if settings.seed != self.order.seeds[0] or not drawn.exists():
                continue
            if self.order.target.picture == "traversals":
                vase = VASE.load(folder / "encoder.pt", device="cpu")
                title = f"{cell.name}, seed {settings.seed}, {settings.frames:,} frames per visit"
                picture = stream_traversals(title, vase, settings, self.order.sequence)
            else:
                picture = drawn.read_bytes()
            yield f"{folder.name}.png", picture

    def _all(self) -> Iterator[tuple[Cell, StreamSettings, Outcome]]:
        scale = self.order.scale
        for seed in self.order.seeds:
            for cell in self.order.target.cells:
                settings = StreamSettings(
                    sequence=",".join(self.order.sequence),
                    frames=scale.steps * FRAMES_PER_UPDATE,
                    data_dir=self.order.materials.data_dir,
                    config=scale.preset,
                    frames_per_update=FRAMES_PER_UPDATE,
                    entangled=cell.entangled,
                    seed=seed,
                    device=self.order.device,
                )
                path = self.order.place / f"{cell.slug}-seed{seed}" / "result.json"
                stored = Stored(path, settings_of(settings, but=("data_dir",)))
                yield cell, settings, Outcome(stored, others=("metrics.json", *WRITTEN))

    def _task(self, settings: StreamSettings, outcome: Outcome) -> Task:
        keys = tuple(column.key for column in self.order.target.columns)
        name = outcome.folder.name
        work = partial(_stream, settings, keys, f"streaming, {name}")
        return Task(name, (outcome,), work, settings.device.startswith("cuda"))


def _stream(
    settings: StreamSettings, keys: tuple[str, ...], label: str, folder: Path
) -> list[dict[str, Any]]:
    finished = run_stream(settings, folder, ["(of vase-rl reproduce)"], label)
    return [{key: finished.metrics[key] for key in keys}]


class ExploreRuns:
    """Learners that explore, as `vase-rl explore`."""

    def __init__(self, order: Order) -> None:
        self.order = order
        self._results: list[dict[str, Any]] = []

    def run(self) -> None:
        """As `Runs.run`."""
        from .explore import run_explore

        own = self.order.sequence == self.order.target.sequence
        run = run_explore(
            self.order.place,
            ["(of vase-rl reproduce)"],
            seeds=self.order.seeds,
            steps=self.order.scale.steps,
            data_dir=self.order.materials.data_dir if own else None,
            workers=self.order.workers,
            device=self.order.device,
        )
        self._results = list(run.metrics["results"].values())

    def results(self) -> dict[str, list[dict[str, Any]]]:
        """As `Runs.results`."""
        names = [cell.name for cell in self.order.target.cells]
        return {name: [result["conditions"][name] for result in self._results] for name in names}

    def pictures(self) -> Iterator[tuple[str, bytes]]:
        """As `Runs.pictures`: accuracy over training, and what was imagined and done."""
        from .portraits import curves_png

        yield "curves.png", curves_png(self._results, self.order.sequence)
        yield "imagined.png", (self.order.place / "imagined.png").read_bytes()
