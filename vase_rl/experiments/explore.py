"""`vase-rl explore`: imagination-driven exploration over seeds, resumed where interrupted."""

from __future__ import annotations

import io
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ..files import write_whole
from .exploring import CONDITIONS, EVALUATIONS, ExploringSettings, run_exploring
from .forgetting import mean_of
from .progress import Progress
from .results import RunDirectory, Stored, settings_of
from .studies import BUILT_IN, MOVING_STATIC_MOVING
from .sweep import HERE, Outcome, Task, Workers, sweep
from .tables import Column, markdown, row_of

WRITTEN = ("table.md", "report.html", "curves.svg", "imagined.png", "imagined.gif")
"""What `explore` leaves beside `metrics.json` and the results of its runs."""
ACCURACIES = {
    "with_exploration": "accuracy_with_exploration",
    "without": "accuracy_without",
    "upper_bound": "accuracy_upper_bound",
}
COLUMNS = (
    Column("accuracy", "accuracy %", 100),
    Column("accuracy_probe", "A.6's probe %", 100),
    Column("accuracy_end", "accuracy % after the third world", 100),
    Column("environments_found", "environments found"),
    Column("false_environments", "false"),
    Column("loss_of_first_before", "loss of the first world, nats"),
    Column("loss_of_first_after", "the same at the end"),
)


def run_explore(
    out: str | Path,
    arguments: list[str],
    *,
    seeds: Sequence[int],
    steps: int,
    data_dir: str | None = None,
    workers: Workers = HERE,
    device: str = "auto",
) -> RunDirectory:
    """Run the seeds that are not yet on disk, then write table, pictures and page.

    Args:
        out: one file per seed goes to `out/runs`; those of equal settings are not run again.
        arguments: the command line's, for the record.
        seeds: one run each.
        steps: batches per visit.
        data_dir: of MNIST and Fashion-MNIST; None takes built-in sprites.
        workers: who runs them; processes of this machine, as many as cores, by default.
        device: of the learners.

    Raises:
        ValueError: data are missing, or `out` cannot be written.
        FloatingPointError: a learner diverged.
    """
    sequence = BUILT_IN if data_dir is None else MOVING_STATIC_MOVING
    jobs = [ExploringSettings(sequence, steps, seed, data_dir, device) for seed in seeds]
    for visit in range(len(sequence)):
        jobs[0].source(visit)  # missing data are told now
    run = RunDirectory(out, "explore", arguments, stale=WRITTEN)
    run.record(sequence=sequence, steps=steps, seeds=list(seeds))
    try:
        sweep([_task(run, job) for job in jobs], workers, "explore")
    finally:
        _summarise(run, jobs)
    run.finish()
    return run


def _outcome(run: RunDirectory, job: ExploringSettings) -> Outcome:
    # Where the data lie changes nothing.
    path = run.path / "runs" / f"seed{job.seed}.json"
    return Outcome(Stored(path, settings_of(job, but=("data_dir",))), (_pictures(job),))


def _pictures(job: ExploringSettings) -> str:
    return f"seed{job.seed}.npz"


def _task(run: RunDirectory, job: ExploringSettings) -> Task:
    gpu = job.device.startswith("cuda")
    return Task(f"seed {job.seed}", (_outcome(run, job),), partial(_explore, job), gpu)


def _explore(job: ExploringSettings, folder: Path) -> list[dict[str, Any]]:
    with Progress(job.batches, f"exploring, seed {job.seed}", "batches", part=True) as progress:
        result, pictures = run_exploring(job, progress)
    content = io.BytesIO()
    arrays: dict[str, Any] = pictures
    np.savez_compressed(content, **arrays)
    write_whole(folder / _pictures(job), content.getvalue())
    return [result]


def _summarise(run: RunDirectory, jobs: Sequence[ExploringSettings]) -> None:
    from .explore_page import write_page

    found = {job.seed: _outcome(run, job).result() for job in jobs}
    done = {seed: result for seed, result in found.items() if result is not None}
    if not done:
        return
    results = list(done.values())
    rows = {name: [result["conditions"][name] for result in results] for name in CONDITIONS}
    run.record(
        **{key: mean_of([cell["accuracy"] for cell in rows[name]])
           for name, key in ACCURACIES.items()},
        **{f"{key}_probe": mean_of([cell["accuracy_probe"] for cell in rows[name]])
           for name, key in ACCURACIES.items()},
        **{key: mean_of([result[key] for result in results])
           for key in ("r2_own", "r2_unmoved", "r2_after")},
        false_environments=sum(cell["false_environments"] for cell in rows["with_exploration"]),
        results={str(seed): result for seed, result in done.items()},
    )  # fmt: skip
    table = [row_of(name.replace("_", " "), cells, COLUMNS) for name, cells in rows.items()]
    write_whole(run.path / "table.md", markdown(table, COLUMNS).encode())
    first = next(job for job in jobs if job.seed in done)
    with np.load(run.path / "runs" / _pictures(first)) as stored:
        write_page(run, dict(stored), results, evaluations=EVALUATIONS)
