"""`vase-rl data`: which data sets there are, fetching them, and checking what is here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..envs import DataError, celeba, datasets, load_images
from ..envs.datasets import DataFile, DataSet
from ..envs.download import fetch_file
from .progress import Progress, say
from .results import RunDirectory

MISSING, PUBLISHED, OTHER, UNPACKED = (
    "missing",
    "as published",
    "not as published",
    "unpacked, which has no checksum",
)
"""What can be said of a file."""


def run_list(
    names: list[str], out: str | Path, arguments: list[str], *, data_dir: str | None = None
) -> RunDirectory:
    """Print a table of data sets: size, licence, and what is here of each.

    Args:
        names: of the data sets; all without names.
        out, arguments: as in `RunDirectory`.
        data_dir: where they lie; without it, `$VASE_RL_DATA` says.

    Raises:
        ValueError: a name is unknown, or `out` cannot be written.
    """
    chosen = datasets.choose(names) or list(datasets.DATASETS.values())
    run = RunDirectory(out, "data", arguments)
    rows, found = [("name", "size", "licence", "here")], {}
    for dataset in chosen:
        folder = _folder_or_none(dataset, data_dir)
        paths = {
            file.name: folder and datasets.find(dataset, file, folder) for file in dataset.files
        }
        held = sum(path is not None for path in paths.values())
        place = f"{held} of {len(paths)} files in {folder}" if held else "no"
        rows.append((dataset.name, _megabytes(dataset.size), dataset.licence, place))
        found[dataset.name] = {
            "bytes": dataset.size,
            "licence": dataset.licence,
            "files": {name: None if path is None else str(path) for name, path in paths.items()},
        }
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        say("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    run.record(datasets=found)
    run.finish()
    return run


def run_fetch(
    names: list[str],
    out: str | Path,
    arguments: list[str],
    *,
    data_dir: str | None = None,
    base_url: str | None = None,
) -> RunDirectory:
    """Download what is not here yet of some data sets.

    Args:
        names, out, arguments, data_dir: as in `run_list`.
        base_url: fetch from `base_url/FILE` instead of the known mirrors.

    Raises:
        ValueError: an argument breaks its rule, or there is no data directory.
        DataError: (a ValueError) a file could not be had, must be fetched by hand, or another
            file is in its place.
    """
    chosen = datasets.choose(names)
    if base_url is not None and not base_url.startswith(("http://", "https://")):
        raise ValueError(f"--base-url must start with http:// or https://, got {base_url!r}")
    wanted = [(dataset, file) for dataset in chosen for file in _missing(dataset, data_dir)]
    for dataset, _ in wanted:
        if not dataset.mirrors and base_url is None:
            raise DataError(_by_hand(dataset, dataset.folder(data_dir)))
    run = RunDirectory(out, "data", arguments)
    done: dict[str, Any] = {}
    run.record(fetched=done)
    for dataset, file in wanted:
        mirrors = dataset.mirrors if base_url is None else (f"{base_url.rstrip('/')}/",)
        path = _fetch_one(file, dataset.folder(data_dir), mirrors)
        say(f"{path}: fetched, its checksum is right")
        done[str(path)] = {"bytes": file.size, "sha256": file.sha256}
        run.record(fetched=done)
    for dataset in chosen:
        say(f"{dataset.name}: complete in {dataset.folder(data_dir)}")
    run.finish()
    return run


def _fetch_one(file: DataFile, folder: Path, mirrors: tuple[str, ...]) -> Path:
    with Progress(file.size, file.name, "bytes") as progress:
        try:
            return fetch_file(
                file, folder, mirrors, report=lambda done: progress.advance(done - progress.done)
            )
        except KeyboardInterrupt:
            progress.announce(f"{folder / file.name}.part is kept: fetch again to go on from there")
            raise


def _missing(dataset: DataSet, data_dir: str | None) -> list[DataFile]:
    """The files that are not here; one that is here but is another is never overwritten."""
    missing, folder = [], dataset.folder(data_dir)
    for file in dataset.files:
        path = datasets.find(dataset, file, folder)
        if path is None:
            missing.append(file)
        elif _state(path, file) == OTHER:
            raise DataError(f"{path}: is here but is not the published file; move it away to fetch "
                            f"that one")  # fmt: skip
    return missing


def run_verify(
    names: list[str], out: str | Path, arguments: list[str], *, data_dir: str | None = None
) -> RunDirectory:
    """Check checksums of data sets, and whether the readers can read them.

    Args:
        names: of the data sets; those that are here without names.
        out, arguments, data_dir: as in `run_list`.

    Raises:
        ValueError: a name is unknown, or there is no data directory.
        DataError: (a ValueError) something did not pass; the message has the first, and
            `metrics.json` all.
    """
    chosen = datasets.choose(names) or _here(data_dir)
    run = RunDirectory(out, "data", arguments)
    reports: dict[str, Any] = {}
    problems: list[str] = []
    for dataset in chosen:
        folder = dataset.folder(data_dir)
        states = {
            file.name: _verify_file(dataset, file, folder, problems) for file in dataset.files
        }
        images = _open(dataset, data_dir, states, problems)
        reports[dataset.name] = {"folder": str(folder), "files": states, "images": images}
        run.record(datasets=reports, problems=problems)
    run.finish()
    if problems:
        more = f" (and {len(problems) - 1} more, in {run.path / 'metrics.json'})"
        raise DataError(problems[0] + (more if len(problems) > 1 else ""))
    return run


def _verify_file(dataset: DataSet, file: DataFile, folder: Path, problems: list[str]) -> str:
    path = datasets.find(dataset, file, folder)
    try:
        state = MISSING if path is None else _state(path, file)
    except DataError as error:
        problems.append(str(error))
        state = "damaged"
    else:
        if state == OTHER or (state == MISSING and not file.optional):
            problems.append(f"{path or folder / file.name}: {state}")
    say(f"{path or folder / file.name}: {state}")
    return state


def _state(path: Path, file: DataFile) -> str:
    if path.is_dir():
        return UNPACKED
    return PUBLISHED if datasets.is_published(path, file) else OTHER


def _open(
    dataset: DataSet, data_dir: str | None, states: dict[str, str], problems: list[str]
) -> dict[str, int]:
    """How many images of each split the readers find."""
    try:
        if dataset.name == "celeba":
            images = _open_faces(dataset.folder(data_dir), states, problems)
        else:
            images = {s: len(load_images(dataset.name, s, data_dir)[0]) for s in ("train", "test")}
    except DataError as error:
        if str(error) not in problems:
            problems.append(str(error))
        return {}
    counts = ", ".join(f"{count:,} for {split}" for split, count in images.items())
    say(f"{dataset.name}: {counts} can be read")
    return images


def _open_faces(folder: Path, states: dict[str, str], problems: list[str]) -> dict[str, int]:
    """A checksum vouches for every image; without one, each is read."""
    store = celeba.open_images(folder)
    partition = celeba.find(folder, celeba.PARTITION)
    splits = {s: celeba.choose_split(store, partition, s) for s in ("train", "test")}
    vouched = PUBLISHED in (states[name] for name in states if name.endswith(".zip"))
    names = store.names[:1] if vouched else store.names
    bad = set()
    with Progress(len(names), "celeba", "images") as progress:
        for name in names:
            try:
                celeba.read_patch(store, name, 32)
            except DataError as error:
                bad.add(name)
                problems.append(str(error))
            progress.advance()
    return {split: len(set(chosen) - bad) for split, chosen in splits.items()}


def _here(data_dir: str | None) -> list[DataSet]:
    """The data sets whose folder is here."""
    known = list(datasets.DATASETS.values())
    here = [dataset for dataset in known if dataset.folder(data_dir).is_dir()]
    if not here:
        raise DataError(f"{known[0].folder(data_dir).parent}: holds no data set to verify")
    return here


def _folder_or_none(dataset: DataSet, data_dir: str | None) -> Path | None:
    try:
        return dataset.folder(data_dir)
    except DataError:
        return None


def _by_hand(dataset: DataSet, folder: Path) -> str:
    names = " and ".join(file.name for file in dataset.files)
    return (
        f"{dataset.name} must be fetched by hand, its authors ask you to agree to its terms: get "
        f"{names} from {dataset.page}, put them into {folder}, then run: vase-rl data verify "
        f"{dataset.name}"
    )


def _megabytes(count: int) -> str:
    return f"{count / 1e6:,.1f} MB"
