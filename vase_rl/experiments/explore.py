"""`vase-rl explore`: imagination-driven exploration over seeds, resumed where interrupted."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..files import write_whole
from .exploring import CONDITIONS, EVALUATIONS, ExploringSettings, run_exploring
from .forgetting import mean_of
from .progress import Progress
from .results import RunDirectory, Stored, settings_of
from .studies import BUILT_IN, MOVING_STATIC_MOVING
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
    device: str = "auto",
) -> RunDirectory:
    """Run the seeds that are not yet on disk, then write table, pictures and page.

    Args:
        out: one file per seed goes to `out/runs`; those of equal settings are not run again.
        arguments: the command line's, for the record.
        seeds: one run each.
        steps: batches per visit.
        data_dir: of MNIST and Fashion-MNIST; None takes built-in sprites.
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
    (run.path / "runs").mkdir(exist_ok=True)
    run.record(sequence=sequence, steps=steps, seeds=list(seeds))
    due = [job for job in jobs if _result(run, job) is None]
    try:
        with Progress(sum(job.batches for job in due), "exploring", "batches") as progress:
            for job in due:
                progress.show(f"seed {job.seed}")
                result, pictures = run_exploring(job, progress)
                _save_pictures(_pictures(_stored(run, job)), pictures)
                _stored(run, job).save(result)
                progress.announce(f"finished: seed {job.seed}")
    finally:
        _summarise(run, jobs)
    run.finish()
    return run


def _save_pictures(path: Path, pictures: dict[str, Any]) -> None:
    content = io.BytesIO()
    np.savez_compressed(content, **pictures)
    write_whole(path, content.getvalue())


def _stored(run: RunDirectory, job: ExploringSettings) -> Stored:
    """Where the data lie changes nothing."""
    return Stored(run.path / "runs" / f"seed{job.seed}.json", settings_of(job, but=("data_dir",)))


def _result(run: RunDirectory, job: ExploringSettings) -> dict[str, Any] | None:
    """That on disk, with its pictures; None where there is none of these settings."""
    stored = _stored(run, job)
    return stored.load() if _pictures(stored).exists() else None


def _pictures(stored: Stored) -> Path:
    return stored.path.with_suffix(".npz")


def _summarise(run: RunDirectory, jobs: Sequence[ExploringSettings]) -> None:
    from .explore_page import write_page

    done = {job.seed: result for job in jobs if (result := _result(run, job)) is not None}
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
    with np.load(_pictures(_stored(run, first))) as stored:
        write_page(run, dict(stored), results, evaluations=EVALUATIONS)
