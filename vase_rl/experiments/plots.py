"""Charts of a run as SVG, in one style."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

import numpy as np
import numpy.typing as npt
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

from ..files import write_whole
from .history import MERGED, History
from .pictures import Images, strip
from .probes import Probe
from .scoring import Switch

INK, MUTED, LINE, PAPER = "#22262e", "#6c7280", "#dcdcd6", "#ffffff"
WORLD_COLOURS = (
    "#3a6ea5", "#d07f2c", "#3d9970", "#8e63ab", "#b9564c", "#5f7d95", "#8a7a2f", "#a64d79",
)  # fmt: skip
RANDOM_COLOUR = "#8b8f98"
COLUMNS = 720
"""Columns that a long stream is summarised to."""

STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 8.5,
    "axes.edgecolor": LINE,
    "axes.labelcolor": MUTED,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 9,
    "axes.titlecolor": INK,
    "text.color": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "figure.facecolor": PAPER,
    "axes.facecolor": PAPER,
    "savefig.facecolor": "none",
}
DOTS_PER_INCH = 110


def world_colour(sources: Sequence[str], source: str) -> str:
    """The colour of a world on all charts, by order of its first appearance."""
    return WORLD_COLOURS[list(sources).index(source) % len(WORLD_COLOURS)]


def svg(figure: Figure, salt: str) -> str:
    """A figure as SVG text that can stand in a page; `salt` keeps identifiers apart."""
    content = io.StringIO()
    with matplotlib.rc_context({**STYLE, "svg.hashsalt": salt}):
        figure.savefig(content, format="svg", metadata={"Date": None, "Creator": None})
    plt.close(figure)
    text = content.getvalue()
    return text[text.index("<svg") :]


def to_png(figure: Figure) -> bytes:
    """A figure as a PNG file on white."""
    content = io.BytesIO()
    with matplotlib.rc_context(STYLE):
        figure.savefig(content, format="png", dpi=DOTS_PER_INCH, facecolor="white")
    plt.close(figure)
    return content.getvalue()


def save_timeline(history: History, path: Path) -> None:
    """Write the picture of a stream and its switches as an SVG file."""
    write_svg(svg(timeline(history), "timeline"), path)


def write_svg(text: str, path: Path) -> None:
    """Write the text of a chart as a file of its own, in a folder that may be missing."""
    path.parent.mkdir(exist_ok=True)
    write_whole(path, ('<?xml version="1.0" encoding="utf-8"?>\n' + text).encode())


def timeline(history: History, examples: Mapping[str, Images] | None = None) -> Figure:
    """True worlds above, the learner's environments below, and how late each switch came.

    Args:
        history: of the stream.
        examples: frames (n, H, W, C) of each world, to be shown above it.
    """
    height = 1.75 if examples is None else 2.2
    with matplotlib.rc_context(STYLE):
        figure, axes = plt.subplots(figsize=(9, height), layout="constrained")
        _bands(axes, history, y=1.12, height=0.86)
        _environment_bands(axes, history, y=0.0, height=0.86)
        for boundary in history.score.boundaries:
            axes.plot([boundary.frame] * 2, [-0.05, 2.03], color=INK, linewidth=0.9)
        _mark_switches(axes, history, y=2.12)
        if examples is not None:
            _show_examples(axes, history, examples, y=2.85)
        top = 2.75 if examples is None else 3.85
        axes.set(ylim=(-0.05, top), xlim=(0, history.frames), yticks=[0.43, 1.55], aspect="auto")
        axes.set_yticklabels(["VASE says", "true world"], color=INK)
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
        axes.set_xlabel("frame")
        axes.spines[:].set_visible(False)
    return figure


def _show_examples(axes: Axes, history: History, examples: Mapping[str, Images], y: float) -> None:
    """A row of frames above each visit, as many as there is room for."""
    for number, visit in enumerate(history.visits):
        # A world that comes back shows other frames.
        frames = np.roll(examples[visit.source], -5 * number, axis=0)
        # The axis is about 21 frames of this height wide.
        room = 21 * (visit.end - visit.start) / history.frames
        count = min(len(frames), int(room))
        if count:
            middle = (visit.start + visit.end) / 2
            half = 0.5 * count / 21 * history.frames
            axes.imshow(
                strip(frames[:count], gap=1),
                extent=(middle - half, middle + half, y, y + 1),
                aspect="auto",
                interpolation="nearest",
            )


def _bands(axes: Axes, history: History, y: float, height: float) -> None:
    for visit in history.visits:
        length = visit.end - visit.start
        colour = world_colour(history.sources, visit.source)
        axes.broken_barh([(visit.start, length)], (y, height), facecolor=colour)
        _inside(axes, visit.start, length, y + height / 2, visit.source, history.frames)


def _environment_bands(axes: Axes, history: History, y: float, height: float) -> None:
    owners = history.score.owners
    for start, end, environment in runs(history.environment):
        name, colour, hatch = "", "#f1f1ed", "////"
        if environment == MERGED:
            colour = MUTED
        elif environment >= 0:
            colour = world_colour(history.sources, owners[environment])
            name, hatch = f"environment {environment}", ""
        axes.broken_barh(
            [(start, end - start)], (y, height), facecolor=colour, hatch=hatch, edgecolor=PAPER
        )
        _inside(axes, start, end - start, y + height / 2, name, history.frames)


def _inside(axes: Axes, start: int, length: int, y: float, text: str, total: int) -> None:
    """Write into a band where it is long enough for the words."""
    if length > total * 0.0115 * len(text):
        axes.text(
            start + length / 2, y, text, color="white", ha="center", va="center", weight="bold"
        )


def _mark_switches(axes: Axes, history: History, y: float) -> None:
    found = {b.found: b for b in history.score.boundaries if b.found is not None}
    for switch in history.switches:
        axes.plot(switch.frame, y, marker="v", color=INK, markersize=5, clip_on=False)
        axes.annotate(
            _switch_words(switch, found.get(switch.frame)),
            (switch.frame, y),
            xytext=(0, 6),
            textcoords="offset points",
            ha="center" if switch.frame < 0.92 * history.frames else "right",
            color=INK,
        )


def _switch_words(switch: Switch, boundary: Any) -> str:
    if boundary is None:
        return "false switch"
    what = "new" if switch.new else "known"
    return f"{what}, after {boundary.delay:,} frames"


def runs(values: Sequence[int]) -> list[tuple[int, int, int]]:
    """Maximal stretches of one value: (start, end, value), end not included."""
    numbers = np.asarray(values)
    starts = [0, *(np.flatnonzero(np.diff(numbers)) + 1).tolist()]
    return [
        (start, end, int(numbers[start]))
        for start, end in zip(starts, [*starts[1:], len(numbers)], strict=True)
    ]


def atypicality_and_loss(history: History, threshold: float) -> Figure:
    """Atypicality of every latent and the reconstruction loss over the stream."""
    with matplotlib.rc_context(STYLE):
        figure, (bands, heat, loss) = plt.subplots(
            3,
            1,
            figsize=(9, 4.6),
            sharex=True,
            height_ratios=(0.16, 2.3, 1.5),
            layout="constrained",
        )
        _bands(bands, history, y=0, height=1)
        for text in bands.texts:
            text.set_fontsize(7)
        bands.set_axis_off()
        _heat(figure, heat, history, threshold)
        _loss(loss, history)
        for axes in (heat, loss):
            for boundary in history.score.boundaries:
                axes.axvline(boundary.frame, color=INK, linewidth=0.9)
            for switch in history.switches:
                axes.axvline(switch.frame, color=INK, linewidth=0.9, linestyle=(0, (2, 2)))
        loss.set_xlim(0, history.frames)
        loss.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
        loss.set_xlabel("frame")
    return figure


def _heat(figure: Figure, axes: Axes, history: History, threshold: float) -> None:
    alpha = np.asarray(history.atypicality)
    edges = np.linspace(0, history.frames, COLUMNS + 1)
    grid = np.full((COLUMNS, alpha.shape[1]), np.nan)
    # A column shows the strongest of the tests inside it and the last one before: no spike is lost.
    latest = np.searchsorted(history.test_frames, edges, side="right")
    for column in range(COLUMNS):
        first, last = latest[column] - 1, latest[column + 1]
        if last > 0:
            grid[column] = alpha[max(first, 0) : last].max(axis=0)
    image = axes.imshow(
        grid.T,
        aspect="auto",
        interpolation="nearest",
        extent=(0, history.frames, alpha.shape[1] - 0.5, -0.5),
        norm=LogNorm(0.02, 20, clip=True),
        cmap="magma_r",
    )
    axes.set(ylabel="latent", yticks=range(0, alpha.shape[1], 5))
    axes.set_title("atypicality α of every latent", loc="left")
    bar = figure.colorbar(image, ax=axes, pad=0.01, aspect=14, ticks=[0.02, threshold, 20])
    bar.ax.set_yticklabels(["≤0.02", f"λ = {threshold:g}", "≥20 nats"])
    bar.ax.minorticks_off()
    bar.ax.axhline(threshold, color="white", linewidth=1)
    bar.outline.set_visible(False)


def _loss(axes: Axes, history: History) -> None:
    values = np.asarray(history.loss)
    for visit in history.visits:
        count = max(2, round(COLUMNS * (visit.end - visit.start) / history.frames))
        edges = np.linspace(visit.start, visit.end, count + 1).astype(int)
        middles, means = [], []
        for start, end in pairwise(edges):
            part = values[start:end]
            if np.isfinite(part).any():
                middles.append((start + end) / 2)
                means.append(np.nanmean(part))
        axes.plot(middles, means, color=world_colour(history.sources, visit.source), linewidth=1.2)
    axes.set(yscale="log")
    axes.set_title("reconstruction loss, nats per frame", loc="left")
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.grid(axis="y", color=LINE, linewidth=0.5)


def probe_scatter(probes: Sequence[Probe], sources: Sequence[str]) -> Figure:
    """True position against the position read from the latents, per world and axis."""
    with matplotlib.rc_context(STYLE):
        figure, grid = plt.subplots(
            1, 2 * len(probes), figsize=(9, 2.55), layout="constrained", squeeze=False
        )
        for place, probe in enumerate(probes):
            colour = world_colour(sources, probe.source)
            for axis, name in enumerate("xy"):
                _scatter(grid[0, 2 * place + axis], probe, axis, name, colour)
        grid[0, 0].set_ylabel("read from the latents")
    return figure


def _scatter(axes: Axes, probe: Probe, axis: int, name: str, colour: str) -> None:
    axes.plot([0, 1], [0, 1], color=INK, linewidth=0.8, linestyle=(0, (2, 2)))
    axes.scatter(
        probe.truth[:, axis], probe.read_out[:, axis], s=5, color=colour, alpha=0.45, linewidth=0
    )
    axes.set(
        xlim=(-0.08, 1.08),
        ylim=(-0.08, 1.08),
        xticks=[0, 0.5, 1],
        yticks=[0, 0.5, 1],
        aspect="equal",
        xlabel=f"true {name}",
        title=f"{probe.source}, {name}: R² {probe.r2_by_axis[axis]:.2f}",
    )


def learning_curve(
    curve: npt.NDArray[np.float64], levels: Sequence[tuple[str, float, str]]
) -> Figure:
    """Success while learning, and the levels that were measured afterwards.

    Args:
        curve: rows of (frames, success rate, mean return).
        levels: (words, success rate, colour) of each evaluation.
    """
    with matplotlib.rc_context(STYLE):
        figure, axes = plt.subplots(figsize=(5, 3.1), layout="constrained")
        axes.plot(curve[:, 0], curve[:, 1], color=levels[0][2], linewidth=1.8)
        end = curve[-1, 0]
        for _, success, colour in levels:
            axes.axhline(success, color=colour, linewidth=0.8, linestyle=(0, (2, 2)))
        for (words, _, colour), y in zip(levels, _apart([s for _, s, _ in levels]), strict=True):
            axes.text(end * 1.02, y, words, color=colour, va="center", weight="bold")
        axes.set(ylim=(-0.03, 1.05), xlim=(0, end), xlabel="frames of practice")
        axes.xaxis.set_major_locator(MaxNLocator(4))
        axes.set_title("episodes that reach the target", loc="left")
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
        axes.grid(axis="y", color=LINE, linewidth=0.5)
    return figure


def _apart(heights: Sequence[float], gap: float = 0.08) -> list[float]:
    """Heights moved down so that labels at least `gap` apart do not overlap, in the same order."""
    placed = [0.0] * len(heights)
    highest = np.inf
    for place in sorted(range(len(heights)), key=lambda place: -heights[place]):
        placed[place] = min(heights[place], highest)
        highest = placed[place] - gap
    return placed
