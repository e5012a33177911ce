"""Options that several commands share, and the types of options."""

from __future__ import annotations

import argparse
from typing import Any

# Stable-Baselines3 seeds numpy's legacy generator, which takes 32 bits; the demo uses two seeds.
LARGEST_SEED = 2**32 - 2
THIS_OR_RUNNING = "auto"
"""In place of a Ray cluster's address: that of $RAY_ADDRESS or one that runs here, or else a new
one of this machine alone."""


def add_environment(parser: argparse.ArgumentParser) -> None:
    """`--env` and `--env-arg`."""
    parser.add_argument("--env", required=True, metavar="ID", help="a Gymnasium environment")
    add_environment_arguments(parser)


def add_environment_arguments(parser: argparse.ArgumentParser) -> None:
    """`--env-arg`."""
    parser.add_argument(
        "--env-arg", action="append", default=[], metavar="KEY=VALUE",
        help="argument of gymnasium.make, as JSON or text; may be given again",
    )  # fmt: skip


def add_seeds(parser: argparse.ArgumentParser, default: str) -> None:
    """`--seeds`, of commands that run once per seed."""
    parser.add_argument(
        "--seeds", type=parse_seeds, metavar="LIST",
        help=f"seeds joined by commas, or A-B (default: {default})",
    )  # fmt: skip


def add_count(
    parser: argparse.ArgumentParser, name: str, default: int, what: str, least: int = 1
) -> None:
    """An option that counts something, at least `least` of it."""
    parser.add_argument(
        name, type=whole(least), default=default, metavar="N", help=f"{what} (default: {default})"
    )


def add_workers(parser: argparse.ArgumentParser) -> None:
    """`--workers` and `--ray`, of commands that make many runs."""
    who = parser.add_mutually_exclusive_group()
    who.add_argument(
        "--workers", type=whole(1), metavar="N",
        help="runs side by side, one thread each (default: as many as cores)",
    )  # fmt: skip
    who.add_argument(
        "--ray", nargs="?", const=THIS_OR_RUNNING, metavar="ADDRESS",
        help="run on the Ray cluster there; without an address, on that of $RAY_ADDRESS, one that "
        "runs here, or a new one of this machine alone",
    )  # fmt: skip


def add_replicas(parser: argparse.ArgumentParser) -> None:
    """`--replicas`, of commands whose runs differ in their seeds."""
    parser.add_argument(
        "--replicas", type=whole(1), default=1, metavar="N",
        help="seeds of a condition that a process trains together, for GPUs (a processor is slower "
        "so); they are saved together, too (default: 1)",
    )  # fmt: skip


def add_data_dir(parser: argparse.ArgumentParser, what: str) -> None:
    """`--data-dir`."""
    parser.add_argument("--data-dir", metavar="D", help=what)


def add_config(parser: argparse.ArgumentParser, note: str = "") -> None:
    """`--config`."""
    known = (
        "compact (default), compact-detail (learns more of shapes, keeps places less linear), "
        "dmlab-compact (64x64, in colour), or a row of the paper's Table 2: ablation, dmlab, ..."
    )
    parser.add_argument(
        "--config", metavar="PRESET", help=f"{known}; {note}" if note else known
    )  # fmt: skip


def whole(least: int, most: int | None = None) -> Any:
    """A type for argparse: an integer of at least `least`, and of at most `most`."""
    rule = f"of at least {least}" if most is None else f"from {least} to {most}"

    def convert(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = least - 1
        if value < least or (most is not None and value > most):
            raise argparse.ArgumentTypeError(f"must be a whole number {rule}, got {text!r}")
        return value

    return convert


def rate(text: str) -> float:
    """A type for argparse: a finite number of at least 0."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"must be a finite number of at least 0, got {text!r}")
    return value


def parse_size(text: str) -> tuple[int, int]:
    """A type for argparse: `111x84`, width and height in pixels."""
    width, _, height = text.partition("x")
    if not all(part.isascii() and part.isdigit() and int(part) for part in (width, height)):
        raise argparse.ArgumentTypeError(f"must be WIDTHxHEIGHT in pixels, got {text!r}")
    return int(width), int(height)


def parse_seeds(text: str) -> list[int]:
    """A type for argparse: `0,2,5` or `10-14`."""
    try:
        first, dash, last = text.partition("-")
        seeds = (
            list(range(int(first), int(last) + 1)) if dash else [int(s) for s in text.split(",")]
        )
    except ValueError:
        seeds = []
    fit = all(0 <= seed <= LARGEST_SEED for seed in seeds)
    if not seeds or not fit or len(set(seeds)) < len(seeds):
        raise argparse.ArgumentTypeError(
            f"must be different seeds as in 0,1,2 or 10-14, got {text!r}"
        )
    return seeds


def layout(prog: str) -> argparse.HelpFormatter:
    """How help is set."""
    return argparse.RawDescriptionHelpFormatter(prog, max_help_position=28, width=100)
