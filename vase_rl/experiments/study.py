"""`vase-rl study`: conditions side by side over seeds, resumed where it was interrupted."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Sequence
from dataclasses import replace
from importlib.util import find_spec
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch

from ..config import VASEConfig
from ..envs import make_source
from ..files import write_whole
from ..learner import VASE
from .lifelong import LifelongSettings, run_lifelong
from .progress import Progress
from .results import RunDirectory, Stored, settings_of
from .studies import STUDIES, Cell, Study
from .tables import row_of, write_tables

WRITTEN = ("table.md", "table.csv")
"""What `study` leaves beside `metrics.json` and the results of its runs."""
Job = tuple[str, Path, LifelongSettings]
"""A cell's name, the file of its result, and what to run."""


def run_study(
    name: str,
    out: str | Path,
    arguments: list[str],
    *,
    seeds: Sequence[int],
    steps: int | None = None,
    only: Sequence[str] = (),
    data_dir: str | None = None,
    workers: int | None = None,
    device: str = "auto",
) -> RunDirectory:
    """Run what is not yet on disk, then write the tables.

    Args:
        name: one of `studies.STUDIES`.
        out: one file per run goes to `out/runs`; those of equal settings are not run again.
        arguments: the command line's, for the record.
        seeds: one run per cell and seed.
        steps: batches per visit; the study's own by default.
        only: names of the conditions to run; all by default.
        workers: processes side by side, of one thread each; as many as there are cores by default.
        device: of the learners.

    Raises:
        ValueError: no such study or condition, data are missing, or `out` cannot be written.
    """
    study = _chosen(name, steps, only)
    jobs = list(jobs_of(study, seeds, Path(out) / "runs", data_dir, device))
    _check_sources(jobs)
    if study.disentanglement and find_spec("sklearn") is None:
        raise ValueError(f"study {name} needs scikit-learn: pip install 'vase_rl[studies]'")
    run = RunDirectory(out, "study", arguments, stale=WRITTEN)
    run.record(study=name, question=study.question, steps=study.steps, seeds=list(seeds))
    try:
        run_jobs(jobs, workers, f"study {name}")
    finally:
        _summarise(run, study, jobs)
    if study.pictures:
        _draw(jobs)
    run.finish()
    return run


def _chosen(name: str, steps: int | None, only: Sequence[str]) -> Study:
    if name not in STUDIES:
        raise ValueError(f"STUDY must be one of {', '.join(STUDIES)}, got {name!r}")
    study = STUDIES[name]
    names = [cell.name for cell in study.cells]
    unknown = [condition for condition in only if condition not in names]
    if unknown:
        raise ValueError(
            f"--only must name conditions of {name} ({'; '.join(names)}), got {unknown[0]!r}"
        )
    cells = tuple(cell for cell in study.cells if not only or cell.name in only)
    return replace(study, cells=cells, steps=study.steps if steps is None else steps)


def _summarise(run: RunDirectory, study: Study, jobs: list[Job]) -> None:
    rows = [row_of(cell.name, results_of(jobs, cell.name), study.columns) for cell in study.cells]
    write_tables(run.path, rows, study.columns)
    run.record(rows=[row.to_dict() for row in rows])


def _draw(jobs: list[Job]) -> None:
    from .figure2 import figure2_png

    for cell, path, settings, result, vase in learners_of(jobs):
        picture = figure2_png(f"{cell}, seed {settings.seed}", vase, settings, result)
        write_whole(path.with_suffix(".png"), picture)


def run_jobs(jobs: Sequence[Job], workers: int | None, label: str) -> None:
    """Run those whose results are not yet on disk; each leaves its own when it is done.

    Args:
        jobs: of `jobs_of`.
        workers: processes side by side, of one thread each; as many as there are cores by default.
        label: what is being done, for the one who waits.
    """
    due = [job for job in jobs if not _is_done(job)]
    for folder in {path.parent for _, path, _ in due}:
        folder.mkdir(parents=True, exist_ok=True)
    with Progress(len(due), label, "runs") as progress:
        for cell, path in _results(due, workers or _cores()):
            progress.announce(f"finished: {cell} ({path.name})")
            progress.advance()


def results_of(jobs: Sequence[Job], cell: str) -> list[dict[str, Any]]:
    """What is on disk of one condition's jobs, in their order."""
    stored = [_stored(job).load() for job in jobs if job[0] == cell and _is_done(job)]
    return [result for result in stored if result is not None]


def learners_of(
    jobs: Sequence[Job],
) -> Iterator[tuple[str, Path, LifelongSettings, dict[str, Any], VASE]]:
    """Every learner that was kept: its job, the job's result, and the learner."""
    for job in jobs:
        result, kept = _stored(job).load(), job[2].save_to
        if result is not None and kept is not None and Path(kept).exists():
            yield *job, result, VASE.load(kept, device="cpu")


def jobs_of(
    study: Study, seeds: Sequence[int], folder: Path, data_dir: str | None, device: str
) -> Iterator[Job]:
    """A job per seed and condition, whose result goes to `folder`."""
    for seed in seeds:
        for cell in study.cells:
            path = folder / f"{cell.slug}-seed{seed}.json"
            settings = _settings(study, cell, seed, path)
            yield cell.name, path, replace(settings, data_dir=data_dir, device=device)


def _check_sources(jobs: list[Job]) -> None:
    """Missing data are told now, not by a worker in an hour."""
    for name in {source for _, _, settings in jobs for source in settings.sequence}:
        make_source(name, size=jobs[0][2].config.image_size, data_dir=jobs[0][2].data_dir)


def _settings(study: Study, cell: Cell, seed: int, path: Path) -> LifelongSettings:
    base = {} if cell.as_printed else study.base
    config = VASEConfig.preset(
        study.preset,
        entangled=cell.entangled,
        as_printed=cell.as_printed,
        **{**base, **cell.overrides},
    )
    return LifelongSettings(
        sequence=cell.sequence or study.sequence,
        steps=study.steps,
        config=config,
        seed=seed,
        probes=study.probes,
        disentanglement=study.disentanglement,
        save_to=str(path.with_suffix(".pt")) if study.pictures else None,
    )


def _stored(job: Job) -> Stored:
    """Where the data lie, and where the learner is kept, changes nothing."""
    _, path, settings = job
    return Stored(path, settings_of(settings, but=("data_dir", "save_to")))


def _is_done(job: Job) -> bool:
    result, kept = _stored(job).load(), job[2].save_to
    return result is not None and (kept is None or "diverged" in result or Path(kept).exists())


def _results(due: list[Job], workers: int) -> Iterator[tuple[str, Path]]:
    if workers == 1:
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            yield from map(_run, due)
        finally:
            torch.set_num_threads(threads)
        return
    # Leaving the block on Ctrl-C ends the workers; finished runs are on disk.
    with get_context("spawn").Pool(min(workers, max(len(due), 1)), _start_worker) as pool:
        yield from pool.imap_unordered(_run, due)


def _start_worker() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(1)


def _run(job: Job) -> tuple[str, Path]:
    cell, path, settings = job
    try:
        result = run_lifelong(settings)
    except FloatingPointError as error:
        result = {"diverged": str(error)}
    _stored(job).save(result)
    return cell, path


def _cores() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:
        return os.cpu_count() or 1
