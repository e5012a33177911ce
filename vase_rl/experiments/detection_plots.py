"""Charts of `vase-rl detect`: waiting against false alarms, and who raised alarms when."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import matplotlib
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .detectors import METHODS
from .plots import INK, STYLE, WORLD_COLOURS, world_colour

COLUMNS = 3
"""Charts side by side, at most."""
LINEAR = 10
"""Up to so many false alarms per million frames the axis is linear, logarithmic beyond."""


def sweep(numbers: Mapping[str, Any]) -> Figure:
    """Per stream with switches, a curve per detector over its settings; a ring at its default.

    A missed switch counts as a wait until the next.

    Args:
        numbers: per detector, as in `metrics.json`.
    """
    streams = next(iter(numbers.values()))["streams"]
    shown = [name for name, row in streams.items() if row["boundaries"]]
    columns = max(1, min(COLUMNS, len(shown)))
    rows = max(1, -(-len(shown) // columns))
    with matplotlib.rc_context(STYLE):
        figure, grid = plt.subplots(
            rows,
            columns,
            figsize=(3 * columns + 2, 2.7 * rows + 0.5),
            squeeze=False,
            layout="constrained",
        )
        for axes in grid.flat[len(shown) :]:
            axes.set_visible(False)
        for axes, stream in zip(grid.flat, shown, strict=False):
            for number, (name, found) in enumerate(numbers.items()):
                _curve(axes, name, found["streams"][stream], WORLD_COLOURS[number % 8])
            axes.set(title=stream, xlabel="false alarms per million frames")
            axes.set_xscale("symlog", linthresh=LINEAR)
            axes.set_yscale("log")
            # Beyond the linear part, for ticks at 0 and 10: where no one raised a false alarm, the
            # axis would be all but a point.
            axes.set_xlim(-2, max(2 * LINEAR, axes.get_xlim()[1]))
        grid[0, 0].set_ylabel("median wait for an alarm, frames")
        handles, labels = grid[0, 0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False)
    return figure


def _curve(axes: Axes, name: str, row: Mapping[str, Any], colour: str) -> None:
    points = [(r["false_alarms_per_million"], r["wait_frames_median"]) for r in row["sweep"]]
    axes.plot(*zip(*points, strict=True), ".-", color=colour, label=name, linewidth=1)
    default = points[METHODS[name].settings.index(METHODS[name].default)]
    axes.plot(*default, "o", markerfacecolor="none", markeredgecolor=colour, markersize=8)


def timeline(runs: Mapping[str, Mapping[str, Any]]) -> Figure:
    """Per stream, its worlds, and below them a line of alarms per detector at its default.

    Args:
        runs: the result of one run per stream, as in its file.
    """
    detectors = list(next(iter(runs.values()))["methods"])
    height = 0.6 + 0.17 * len(detectors)
    with matplotlib.rc_context(STYLE):
        figure, grid = plt.subplots(
            len(runs), 1, figsize=(9, height * len(runs)), squeeze=False, layout="constrained"
        )
        for axes, (stream, run) in zip(grid.flat, runs.items(), strict=True):
            _worlds(axes, run["visits"])
            for line, name in enumerate(detectors):
                place = METHODS[name].settings.index(METHODS[name].default)
                alarms = run["methods"][name][place]["alarms"]
                axes.plot(alarms, [-1 - line] * len(alarms), "|", color=INK, markersize=5)
            axes.set(title=stream, xlim=(0, run["visits"][-1]["end"]))
            axes.set(yticks=range(-len(detectors), 1), ylim=(-len(detectors) - 0.6, 0.7))
            axes.set_yticklabels([*reversed(detectors), "world"])
            axes.spines[:].set_visible(False)
        grid[-1, 0].set_xlabel("frame")
    return figure


def _worlds(axes: Axes, visits: list[dict[str, Any]]) -> None:
    sources = list(dict.fromkeys(visit["source"] for visit in visits))
    total = visits[-1]["end"]
    for visit in visits:
        start, length = visit["start"], visit["end"] - visit["start"]
        axes.broken_barh(
            [(start, length)], (-0.4, 0.9), facecolor=world_colour(sources, visit["source"])
        )
        axes.axvline(start, color=INK, linewidth=0.4)
        if length > total * 0.0115 * len(visit["source"]):
            axes.text(
                start + length / 2, 0.05, visit["source"],
                color="white", ha="center", va="center", fontsize=7,
            )  # fmt: skip
