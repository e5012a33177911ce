"""`vase-rl study`: conditions side by side over seeds, resumed where it was interrupted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ..config import VASEConfig
from ..envs import make_source
from ..files import write_whole
from ..learner import VASE
from .lifelong import LifelongSettings, run_lifelong
from .results import RunDirectory, Stored, settings_of
from .studies import STUDIES, Cell, Study
from .sweep import HERE, Outcome, Task, Workers, sweep
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
    workers: Workers = HERE,
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
        workers: who runs them; processes of this machine, as many as cores, by default.
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
        sweep(tasks_of(jobs, workers.replicas), workers, f"study {name}")
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


def tasks_of(jobs: Sequence[Job], replicas: int = 1) -> list[Task]:
    """What `sweep` runs: what is not yet on disk, up to so many seeds of a condition at a time."""
    due: dict[str, list[Job]] = {}
    for job in jobs:
        if _outcome(job).result() is None:
            due.setdefault(job[0], []).append(job)
    groups = [
        same[i : i + replicas] for same in due.values() for i in range(0, len(same), replicas)
    ]
    # As the jobs came: all conditions of one seed before those of the next.
    return [_task(group) for group in sorted(groups, key=lambda group: jobs.index(group[0]))]


def _outcome(job: Job) -> Outcome:
    _, path, settings = job
    kept = () if settings.save_to is None else (Path(settings.save_to).name,)
    # Where the data lie, and where the learner is kept, changes nothing.
    stored = Stored(path, settings_of(settings, but=("data_dir", "save_to")))
    return Outcome(stored, kept, others=(f"{path.stem}.pt", f"{path.stem}.png"))


def _task(group: Sequence[Job]) -> Task:
    names = ", ".join(path.name for _, path, _ in group)
    all_settings = [settings for _, _, settings in group]
    more = f" and {len(group) - 1} more" if len(group) > 1 else ""
    work = partial(_run, all_settings, group[0][1].stem + more)
    gpu = all_settings[0].device.startswith("cuda")
    return Task(f"{group[0][0]} ({names})", tuple(map(_outcome, group)), work, gpu)


def _run(
    all_settings: Sequence[LifelongSettings], label: str, folder: Path
) -> list[dict[str, Any]]:
    placed = [_placed(settings, folder) for settings in all_settings]
    try:
        return run_lifelong(placed, label)
    except FloatingPointError as error:
        if len(placed) == 1:
            return [{"diverged": str(error)}]
    # One of them diverged, the others need not.
    return [result for settings in placed for result in _run([settings], label, folder)]


def _placed(settings: LifelongSettings, folder: Path) -> LifelongSettings:
    if settings.save_to is None:
        return settings
    return replace(settings, save_to=str(folder / Path(settings.save_to).name))


def results_of(jobs: Sequence[Job], cell: str) -> list[dict[str, Any]]:
    """What is on disk of one condition's jobs, in their order."""
    found = [_outcome(job).result() for job in jobs if job[0] == cell]
    return [result for result in found if result is not None]


def learners_of(
    jobs: Sequence[Job],
) -> Iterator[tuple[str, Path, LifelongSettings, dict[str, Any], VASE]]:
    """Every learner that was kept: its job, the job's result, and the learner."""
    for job in jobs:
        result, kept = _outcome(job).result(), job[2].save_to
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
