"""As Figure 4A: frames between two worlds, how they are decoded, and what is inferred of them."""

from __future__ import annotations

import matplotlib
import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

from .ambiguity import SHARES, WEIGHTS, Ambiguity
from .pictures import stack, strip
from .plots import INK, STYLE, to_png

FIRST, SECOND, BOTH = "#2b5c91", "#b9352f", "#6b6f78"
"""Of latents that only the first, only the second, or both environments use, as in the paper."""
GAP = 2


def ambiguity_png(title: str, found: Ambiguity | None) -> bytes:
    """A PNG file; of a learner that takes both worlds for one, only a sentence that says so."""
    with matplotlib.rc_context(STYLE):
        if found is None:
            figure, axes = plt.subplots(figsize=(9, 1))
            axes.text(0, 0.5, "Both worlds are one to this learner: nothing is ambiguous.")
            axes.set_axis_off()
        else:
            figure = plt.figure(figsize=(9, 10.5), layout="constrained")
            grid = figure.add_gridspec(3, 2, height_ratios=(2.6, 2.2, 2.6))
            _draw_frames(figure.add_subplot(grid[0, :]), found)
            _draw_posterior(figure.add_subplot(grid[1, :]), found)
            for context in (0, 1):
                _draw_context(figure.add_subplot(grid[2, context]), found, context)
        figure.suptitle(title, x=0.01, ha="left", weight="bold", color=INK)
    return to_png(figure)


def _draw_frames(axes: Axes, found: Ambiguity) -> None:
    """From above: the frames, decoded as the first world, decoded as the second."""
    height, width = found.mixed.shape[1:3]
    rows = [found.mixed, *found.decoded]
    axes.imshow(stack([strip(row, GAP) for row in rows], GAP), interpolation="nearest")
    names = ["frames", *(f"as {source}" for source in found.sources)]
    axes.set_yticks(np.arange(len(rows)) * (height + GAP) + height / 2, names)
    columns = np.arange(len(WEIGHTS)) * (width + GAP) + width / 2
    axes.set_xticks(columns, [f"{weight:.1f}" for weight in WEIGHTS])
    axes.set_xlabel(f"weight of {found.sources[1]}")
    axes.spines[:].set_visible(False)
    axes.set_title("one pair of frames, and how either world decodes what lies between", loc="left")


def _draw_posterior(axes: Axes, found: Ambiguity) -> None:
    """μ and σ of the latents that are used."""
    first, second = found.used
    groups = (
        (first & ~second, FIRST, f"used by {found.sources[0]} alone"),
        (~first & second, SECOND, f"by {found.sources[1]} alone"),
        (first & second, BOTH, "by both"),
    )
    for chosen, colour, name in groups:
        for place, latent in enumerate(np.flatnonzero(chosen)):
            mean, std = found.mean[:, latent], found.std[:, latent]
            label = name if place == 0 else None
            axes.plot(WEIGHTS, mean, color=colour, linewidth=1.2, label=label)
            axes.fill_between(WEIGHTS, mean - std, mean + std, color=colour, alpha=0.13)
    axes.set(xlim=(0, 1), xlabel=f"weight of {found.sources[1]}", ylabel="μ, band: σ")
    axes.set_title("posterior of the latents that are used", loc="left")
    if found.used.any():
        axes.legend(frameon=False, loc="upper left", bbox_to_anchor=(0, 1), ncols=3)


def _draw_context(axes: Axes, found: Ambiguity, context: int) -> None:
    """q(s = first | x) over weight and context; a dot where the learner's rule says the first."""
    axes.imshow(
        found.probability[context], cmap="RdBu", vmin=0, vmax=1, aspect="auto", origin="lower"
    )
    rows, columns = np.nonzero(found.verdict[context])
    axes.plot(columns, rows, "o", color=INK, markersize=3.5)
    for row, column in np.ndindex(found.probability[context].shape):
        value = found.probability[context, row, column]
        axes.text(column, row + 0.22, f"{value:.2f}", ha="center", fontsize=6.5,
                  color="white" if abs(value - 0.5) > 0.3 else INK)  # fmt: skip
    ticks = range(0, len(WEIGHTS), 2)
    axes.set_xticks(list(ticks), [f"{WEIGHTS[tick]:.1f}" for tick in ticks])
    axes.set_yticks(range(len(SHARES)), [f"{share:.0%} real" for share in SHARES])
    first, second = found.sources
    axes.set_xlabel(f"weight of {second}\ndot: the learner's rule says {first}")
    axes.set_title(f"q(s = {first} | batch) beside {found.sources[context]}", loc="left")
