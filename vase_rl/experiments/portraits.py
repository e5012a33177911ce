"""Pictures of a learner at the end of its sequence, and of accuracies, as the paper's figures."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from ..envs import Source, make_source
from ..learner import VASE
from .ambiguity import look
from .ambiguity_plots import ambiguity_png
from .cross_domain import cross_domain_png, look_at
from .figure2 import figure2_png, traversals_of
from .lifelong import LifelongSettings
from .plots import INK, LINE, MUTED, STYLE, WORLD_COLOURS
from .traversals import traversals_png

Portrait = Callable[[str, VASE, LifelongSettings, dict[str, Any]], bytes]
DOTS_PER_INCH = 110


def _traversals(title: str, vase: VASE, settings: LifelongSettings, result: Any) -> bytes:
    """Larger than in Figure 2, and nothing else."""
    shown = traversals_of(vase, settings, result)
    pictures = {name: pictures for name, pictures, _ in shown}
    return traversals_png(pictures, [uses for _, _, uses in shown], title)


def _cross_domain(title: str, vase: VASE, settings: LifelongSettings, result: Any) -> bytes:
    names = dict.fromkeys(settings.sequence)
    return cross_domain_png([look_at(vase, _tested(name, settings)) for name in names], title)


def _ambiguity(title: str, vase: VASE, settings: LifelongSettings, result: Any) -> bytes:
    first, second = settings.sequence
    return ambiguity_png(title, look(vase, first, second, settings))


PORTRAITS: dict[str, Portrait] = {
    "latents": figure2_png,
    "traversals": _traversals,
    "cross-domain": _cross_domain,
    "ambiguity": _ambiguity,
}
"""By `targets.Target.picture`."""


def _tested(name: str, settings: LifelongSettings) -> Source:
    """A source of sprites that were never shown in training."""
    return make_source(
        name,
        size=settings.config.image_size,
        seed=settings.seed,
        data_dir=settings.data_dir,
        split="test",
    )


def curves_png(found: Mapping[str, Sequence[dict[str, Any]]], sequence: Sequence[str]) -> bytes:
    """As Figure 4C: accuracy on the third world's objects over the second and third visit.

    Args:
        found: by condition, results of `exploring.run_exploring` over seeds.
        sequence: the three worlds.
    """
    with matplotlib.rc_context(STYLE):
        figure, axes = plt.subplots(figsize=(9, 3.4), layout="constrained")
        colours = (*WORLD_COLOURS[:2], MUTED)
        for (name, results), colour in zip(found.items(), colours, strict=True):
            runs = np.array([result["curve"] for result in results])
            visits = 1 + np.arange(1, runs.shape[1] + 1) / _per_visit(found)
            axes.plot(visits, runs.mean(0), color=colour, label=name.replace("_", " "))
            axes.fill_between(visits, runs.min(0), runs.max(0), color=colour, alpha=0.15)
        axes.axvline(2, color=INK, linewidth=0.9)
        axes.set(ylim=(0, 1), xlim=(1, 3))
        axes.set_xticks([1.5, 2.5], [sequence[1], sequence[2]])
        axes.set_title(f"accuracy on {sequence[2]}, mean and span of seeds", loc="left")
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
        axes.grid(axis="y", color=LINE, linewidth=0.5)
        axes.legend(frameon=False, loc="lower right")
    return _png(figure)


def _per_visit(found: Mapping[str, Sequence[dict[str, Any]]]) -> int:
    """Evaluations per visit: the upper bound has one visit, the others two."""
    return min(len(results[0]["curve"]) for results in found.values())


def _png(figure: Figure) -> bytes:
    content = io.BytesIO()
    with matplotlib.rc_context(STYLE):
        figure.savefig(content, format="png", dpi=DOTS_PER_INCH, facecolor="white")
    plt.close(figure)
    return content.getvalue()
