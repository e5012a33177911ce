"""`vase-rl reproduce`: the paper's tables and figures, with the paper's numbers beside ours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..config import VASEConfig
from ..files import write_whole
from .comparison import Compared, compare, markdown, to_csv
from .materials import Materials
from .progress import say
from .published import PUBLISHED
from .reproducing import Order, Runs, runs_of
from .results import RunDirectory
from .sweep import HERE, Workers
from .tables import row_of
from .targets import TARGETS, chosen

WRITTEN = ("table.md", "table.csv")
"""What every target leaves in its folder, beside its pictures."""
LEAST_STEPS = 500
"""Per visit, below which a table says that it means nothing."""


@dataclass(frozen=True)
class ReproduceSettings:
    """As the options of `vase-rl reproduce`."""

    targets: tuple[str, ...]
    scale: str
    seeds: tuple[int, ...] | None = None
    """None: as many as the scale has, from `seed` on."""
    seed: int = 0
    materials: Materials = field(default_factory=Materials)
    workers: Workers = HERE
    device: str = "auto"


def run_reproduce(
    settings: ReproduceSettings, out: str | Path, arguments: list[str]
) -> RunDirectory:
    """Run every target, each to a table and pictures in `out/TARGET`.

    Runs are kept below `out/runs`; those of equal settings are not run again.

    Raises:
        ValueError: no such target, data are missing, or `out` cannot be written.
        KeyboardInterrupt: after the tables of what was finished have been written.
    """
    orders = [_order(name, settings, Path(out)) for name in chosen(settings.targets)]
    for order in orders:
        size = VASEConfig.preset(order.scale.preset, **order.scale.overrides).image_size
        settings.materials.check(order.name, order.target.sequence, size)
    run = RunDirectory(out, "reproduce", arguments)
    run.record(scale=settings.scale, targets=[order.name for order in orders], rows=[])
    for order in orders:
        say(f"{order.name}: {order.target.title}, at the scale {settings.scale}")
        runs = runs_of(order)
        try:
            runs.run()
        finally:
            rows = _write_table(run, order, runs)
            run.record(rows=[*run.metrics["rows"], *(row.to_dict() for row in rows)])
        _write_pictures(run.path / order.name, order.name, runs)
    run.finish()
    return run


def _order(name: str, settings: ReproduceSettings, out: Path) -> Order:
    target = TARGETS[name]
    scale = target.scale(settings.scale)
    seeds = settings.seeds or tuple(range(settings.seed, settings.seed + scale.seeds))
    return Order(
        name, target, scale, seeds, settings.materials, out / "runs",
        workers=settings.workers, device=settings.device,
    )  # fmt: skip


def _write_table(run: RunDirectory, order: Order, runs: Runs) -> list[Compared]:
    columns = order.target.columns
    found = runs.results()
    rows = [row_of(cell.name, found[cell.name], columns) for cell in order.target.cells]
    compared = compare(order.name, rows, columns, PUBLISHED.get(order.name, {}))
    text = [f"# {order.target.title}", "", f"`{run.metrics['command']}`", ""]
    text += [*_notes(order), "", markdown(compared, columns)]
    folder = run.path / order.name
    folder.mkdir(exist_ok=True)
    write_whole(folder / "table.md", "\n".join(text).encode())
    write_whole(folder / "table.csv", to_csv(compared).encode())
    return compared


def _notes(order: Order) -> list[str]:
    """How far this is the paper's experiment, in as many lines as it takes."""
    scale, theirs = order.scale, order.target.paper
    config = VASEConfig.preset(scale.preset, **scale.overrides)
    lines = [
        f"- The paper says: {order.target.says}.",
        f"- Here: {scale.steps:,} training steps per visit (the paper: {theirs.steps:,}), seeds "
        f"{', '.join(map(str, order.seeds))}, preset `{scale.preset}`, "
        f"{config.image_size}×{config.image_size} pixels, {config.latents} latents. "
        "± is the standard error over seeds.",
    ]
    if scale.steps < LEAST_STEPS:
        lines.append("- **In so few steps hardly anything is learnt**: this shows that all runs.")
    replaced = order.materials.replaced(order.target.sequence)
    if replaced:
        pairs = ", ".join(f"{source} for {name}" for name, source in replaced.items())
        lines.append(f"- **In place of the paper's data**: {pairs}.")
    sources = sorted({printed.where for printed in PUBLISHED.get(order.name, {}).values()})
    if sources:
        lines.append(f"- The paper's numbers: {'; '.join(sources)}.")
    return lines


def _write_pictures(folder: Path, prefix: str, runs: Runs) -> None:
    for name, content in runs.pictures():
        write_whole(folder / f"{prefix}-{name}", content)


def tables(path: Path, names: Sequence[str]) -> str:
    """The tables of several targets, one after the other."""
    return "\n".join((path / name / "table.md").read_text() for name in names)


def pictures(path: Path, names: Sequence[str]) -> list[Path]:
    """The pictures of several targets."""
    return [picture for name in names for picture in sorted((path / name).glob("*.png"))]
