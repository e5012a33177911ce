"""What `explore` shows: the curves of Figure 4C, what was imagined and done, in pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
import numpy.typing as npt
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..files import write_whole
from .page import chart, image, page, paragraph, section, table
from .pictures import data_uri, gif, png, stack, strip
from .plots import INK, LINE, MUTED, STYLE, WORLD_COLOURS, svg, write_svg
from .results import RunDirectory

Images = npt.NDArray[np.uint8]
SHOWN = 10
"""Objects in the pictures."""
FRAMES, PAUSE = 10, 6
"""Of the animation: frames of a move, and how often its end is shown again."""
REACHED, GAINED = 0.8, 0.1
"""R² of positions and points of accuracy that the headline takes for success."""
NAMES = {
    "with_exploration": ("with exploration", WORLD_COLOURS[0]),
    "without": ("without", WORLD_COLOURS[1]),
    "upper_bound": ("upper bound", MUTED),
}


def write_page(
    run: RunDirectory,
    pictures: Mapping[str, npt.NDArray[Any]],
    results: Sequence[dict[str, Any]],
    *,
    evaluations: int,
) -> None:
    """Write `report.html` and its pictures.

    Args:
        run: with its numbers recorded.
        pictures: of one seed, as `exploring.run_exploring` returns them.
        results: of all seeds.
        evaluations: per visit.
    """
    curves = svg(
        exploration_curves(results, run.metrics["sequence"], evaluations), "explore-curves"
    )
    scatter = svg(_wishes(pictures), "explore-wishes")
    still = png(_rows(pictures), 3)
    film = gif(_film(pictures), 120)
    write_svg(curves, run.path / "curves.svg")
    write_whole(run.path / "imagined.png", still)
    write_whole(run.path / "imagined.gif", film)
    body = _body(run.metrics, curves, scatter, still, film)
    write_whole(run.path / "report.html", page("Imagination-driven exploration", body).encode())


def _body(metrics: dict[str, Any], curves: str, scatter: str, still: bytes, film: bytes) -> str:
    moving, static, target = metrics["sequence"]
    return "\n".join(
        [
            f"<h1>{headline(metrics)}</h1>",
            paragraph(
                f"A learner watches {moving}, then {static}, where nothing moves by itself. There "
                "it imagines what the first world could have shown, and a policy moves the "
                "objects towards that configuration. No one told it what a place is.",
                "lead",
            ),
            section(
                "What it imagines, does and sees",
                paragraph(
                    "From above: an object that stands still; the imagined configuration z*, "
                    "decoded as the first world; the object after the policy's action; how the "
                    "learner sees the outcome."
                ),
                f'<div class="card">{image(data_uri(still), "objects, wishes and outcomes")}</div>',
                f'<figure class="card">'
                f"{image(data_uri(film, 'image/gif'), 'objects on their way')}"
                "<figcaption>What is imagined, and under it the object on its way from where it "
                "stands to where the policy puts it.</figcaption></figure>",
                chart(
                    scatter,
                    "wanted against reached values of latents",
                    "z* against the encoding of what was done, for the latents that translations "
                    "control most.",
                ),
            ),
            section(
                f"A classifier of {target} that has seen none",
                paragraph(
                    "It learns from the latents of what the learner sees, and is tested on real "
                    f"{target}. Dotted: a classifier that is shown the latents of real labelled "
                    f"{target} (A.6), of which the learner has seen none either."
                ),
                chart(
                    curves,
                    "accuracy over training",
                    "Mean over seeds; the band is their span. The last visit takes a third of the "
                    "batches.",
                ),
                _numbers(metrics),
            ),
            f"<footer>Made by <code>{metrics['command']}</code></footer>",
        ]
    )


def headline(metrics: dict[str, Any]) -> str:
    """What the numbers allow to say."""
    gained = metrics["accuracy_with_exploration"] - metrics["accuracy_without"]
    if metrics["r2_unmoved"] < REACHED:
        return "It imagines that things could move, and cannot yet move them there"
    if gained < GAINED:
        return "It imagines that things could move and moves them, and learns little from it"
    return "It imagines that things could move, moves them, and learns from what it sees"


def _numbers(metrics: dict[str, Any]) -> str:
    rows = [
        ["accuracy with exploration", f"{metrics['accuracy_with_exploration']:.1%}"],
        ["accuracy without", f"{metrics['accuracy_without']:.1%}"],
        ["accuracy, real thing seen", f"{metrics['accuracy_upper_bound']:.1%}"],
        ["wanted against reached position, R², in the first world", f"{metrics['r2_own']:.3f}"],
        ["the same in the second, as it is entered", f"{metrics['r2_unmoved']:.3f}"],
        ["false environments with exploration", f"{metrics['false_environments']}"],
    ]
    return table(["what", "mean over seeds"], rows, {1})


def exploration_curves(
    results: Sequence[dict[str, Any]], sequence: Sequence[str], evaluations: int
) -> Figure:
    """Accuracies over the second and third visit, mean and span of seeds; dotted, A.6's probe."""
    with matplotlib.rc_context(STYLE):
        figure, axes = plt.subplots(figsize=(9, 3.4), layout="constrained")
        for condition, (name, colour) in NAMES.items():
            for key, style in (("curve", "-"), ("curve_probe", ":")):
                runs = np.array([result["conditions"][condition][key] for result in results])
                visits = 1 + np.arange(1, runs.shape[1] + 1) / evaluations
                label = name if key == "curve" else None
                axes.plot(visits, runs.mean(0), style, color=colour, linewidth=1.8, label=label)
                if key == "curve":
                    axes.fill_between(visits, runs.min(0), runs.max(0), color=colour, alpha=0.15)
        axes.axvline(2, color=INK, linewidth=0.9)
        axes.set(ylim=(0, 1), xlim=(1, 3), xticks=[1.5, 2.5])
        axes.set_xticklabels([f"{sequence[1]}", f"{sequence[2]}"])
        axes.set_title(f"accuracy on {sequence[2]}", loc="left")
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
        axes.grid(axis="y", color=LINE, linewidth=0.5)
        axes.legend(frameon=False, loc="lower right")
    return figure


def _wishes(pictures: Mapping[str, npt.NDArray[Any]]) -> Figure:
    """z* against z, for the three attended latents that translations control most."""
    control = pictures["control"] * pictures["attended"]
    chosen = np.argsort(-control)[: min(3, int(pictures["attended"].sum()))]
    with matplotlib.rc_context(STYLE):
        figure, row = plt.subplots(1, len(chosen), figsize=(9, 2.8), layout="constrained")
        for axes, latent in zip(np.atleast_1d(row), chosen, strict=True):
            _wish(axes, pictures["wish"][:, latent], pictures["encoding"][:, latent])
            axes.set_title(f"latent {latent}", loc="left")
    return figure


def _wish(axes: Axes, wanted: npt.NDArray[Any], found: npt.NDArray[Any]) -> None:
    limit = 1.1 * max(np.abs(wanted).max(), np.abs(found).max())
    axes.plot([-limit, limit], [-limit, limit], color=INK, linewidth=0.8, linestyle=(0, (2, 2)))
    axes.scatter(wanted, found, s=8, color=WORLD_COLOURS[0], alpha=0.6, linewidth=0)
    axes.set(aspect="equal", xlabel="z*, imagined", ylabel="z, after the action")


def _rows(pictures: Mapping[str, npt.NDArray[Any]]) -> Images:
    names = ("still", "imagined", "reached", "seen_as")
    return stack([strip(pictures[name][:SHOWN], shade=90) for name in names], shade=90)


def _film(pictures: Mapping[str, npt.NDArray[Any]]) -> list[Images]:
    """Objects on their way to where the policy takes them, below what is imagined."""
    size = pictures["still"].shape[1]
    pixels = np.rint(pictures["shift"][:SHOWN] * size).astype(int)
    imagined = strip(pictures["imagined"][:SHOWN], shade=90)
    shots = []
    for part in [*np.linspace(0, 1, FRAMES), *[1.0] * PAUSE]:
        steps = np.rint(part * pixels).astype(int)
        moved = [
            np.roll(frame, tuple(step[::-1]), axis=(0, 1))
            for frame, step in zip(pictures["still"][:SHOWN], steps, strict=True)
        ]
        picture = stack([imagined, strip(np.stack(moved), shade=90)], shade=90)
        shots.append(picture.repeat(3, axis=0).repeat(3, axis=1))
    return shots
