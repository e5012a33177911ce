"""As Figure 2: traversals at the end of a sequence, probes and atypicality throughout it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

from ..envs import make_source
from ..learner import VASE
from .inspection import Images, Use, latent_traversals, latent_uses
from .lifelong import LifelongSettings
from .plots import INK, LINE, STYLE, to_png, world_colour
from .traversals import draw_traversals

PANEL_WIDTH, CURVES_WIDTH = 3.5, 6.5
"""Inches."""


def figure2_png(
    title: str, vase: VASE, settings: LifelongSettings, result: dict[str, Any]
) -> bytes:
    """A PNG file.

    Args:
        title: of the condition.
        vase: as it was at the end.
        settings: of the run.
        result: what `lifelong.run_lifelong` returned.
    """
    with matplotlib.rc_context(STYLE):
        widths = PANEL_WIDTH * len(set(settings.sequence)), CURVES_WIDTH
        figure = plt.figure(figsize=(sum(widths), 9), layout="constrained")
        left, right = figure.subfigures(1, 2, width_ratios=widths, squeeze=False)[0]
        figure.suptitle(title, x=0.01, ha="left", weight="bold", color=INK)
        _draw_sources(left, vase, settings, result)
        _draw_curves(right, settings, result)
    return to_png(figure)


def _draw_sources(figure: Any, vase: VASE, settings: LifelongSettings, result: Any) -> None:
    """A panel per source."""
    shown = traversals_of(vase, settings, result)
    panels = np.atleast_1d(figure.subplots(1, len(shown)))
    for axes, (title, pictures, uses) in zip(panels, shown, strict=True):
        draw_traversals(axes, pictures, uses)
        axes.set_title(title, loc="left", weight="bold")


def traversals_of(
    vase: VASE, settings: LifelongSettings, result: dict[str, Any]
) -> list[tuple[str, Images, list[Use]]]:
    """Every source, started from one of its frames, as its environment decodes it.

    Returns:
        Titles, pictures as of `inspection.latent_traversals`, and what each latent is used for.
    """
    uses, owners = latent_uses(vase), result["environment_sources"]
    found = []
    for name in dict.fromkeys(settings.sequence):
        source = make_source(
            name,
            size=settings.config.image_size,
            seed=settings.seed,
            data_dir=settings.data_dir,
            split="test",
        )
        environment = owners.index(name) if name in owners else 0
        start = vase.encode(source.sample(1).frames)[0][0]
        pictures = latent_traversals(vase, environment, start)
        found.append((f"{name} (environment {environment})", pictures, uses[environment]))
    return found


def _draw_curves(figure: Any, settings: LifelongSettings, result: Any) -> None:
    objects, position, alpha = np.ravel(figure.subplots(3, 1, sharex=True))
    names = list(dict.fromkeys(settings.sequence))
    total = settings.steps * len(settings.sequence)
    curves = result["curves"]
    steps = np.linspace(0, total, len(next(iter(curves.values()))["trained"]) + 1)[1:]
    for name, curve in curves.items():
        source, kind = name.split("/")
        axes, scale = (objects, 100) if kind == "class" else (position, 1)
        values = np.asarray(curve["trained"]) * scale
        axes.plot(steps, values, color=world_colour(names, source), linewidth=1.6, label=source)
    objects.set_title("object accuracy of the probes, %", loc="left")
    position.set_title("mean squared error of the position, range 0 to 1", loc="left")
    position.set_yscale("log")
    _draw_atypicality(alpha, settings, result)
    for axes in (objects, position, alpha):
        for visit in range(1, len(settings.sequence)):
            axes.axvline(visit * settings.steps, color=INK, linewidth=0.9)
        axes.grid(axis="y", color=LINE, linewidth=0.5)
        axes.set_xlim(0, total)
    objects.legend(frameon=False, loc="upper left", fontsize=8)
    _name_visits(alpha, settings.sequence, settings.steps)


def _draw_atypicality(axes: Axes, settings: LifelongSettings, result: Any) -> None:
    record = result["record"]
    values = np.clip(np.asarray(record["atypicality"]), 1e-3, None)
    for latent in range(values.shape[1]):
        axes.plot(record["steps"], values[:, latent], linewidth=0.9)
    threshold = settings.config.atypicality_threshold
    axes.axhline(threshold, color=INK, linewidth=1, linestyle=(0, (2, 2)))
    axes.set(yscale="log", ylim=(5e-3, 50), xlabel="training step")
    axes.set_title(f"atypicality of every latent, nats; dashed: λ = {threshold:g}", loc="left")


def _name_visits(axes: Axes, sequence: Sequence[str], steps: int) -> None:
    for visit, name in enumerate(sequence):
        axes.text((visit + 0.5) * steps, 30, name, ha="center", va="center", color=INK)
