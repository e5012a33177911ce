"""A picture of what every latent does in every environment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib
import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

from .inspection import TRAVERSAL_RANGE, TRAVERSAL_STEPS, Images
from .pictures import stack, strip
from .plots import INK, MUTED, STYLE, to_png

ROLE_COLOURS = {
    "used": "#1e6b45", "added": "#1e6b45", "reused": "#b8641b", "frozen": "#2b5c91",
    "spare": "#9a9ea6",
}  # fmt: skip
"""By `inspection.Role` and `inspection.Use`."""
GAP = 2


def traversals_png(
    pictures: Mapping[str, Images], roles: Sequence[Sequence[str]], title: str = ""
) -> bytes:
    """A PNG file: a row per latent, a panel per environment, every row with its role.

    Args:
        pictures: by title, (N, steps, H, W, C) as `inspection.latent_traversals` gives.
        roles: of every latent, per picture, as of `inspection.latent_roles` or `latent_uses`.
        title: of the whole.
    """
    latents = len(roles[0])
    size = (0.5 + 3.6 * len(pictures), 0.9 + 0.42 * latents)
    with matplotlib.rc_context(STYLE):
        figure, grid = plt.subplots(
            1, len(pictures), figsize=size, layout="constrained", squeeze=False
        )
        if title:
            figure.suptitle(title, x=0.01, ha="left", weight="bold", color=INK)
        for axes, (name, shown), parts in zip(grid[0], pictures.items(), roles, strict=True):
            draw_traversals(axes, shown, parts)
            axes.set_title(name, loc="left", weight="bold")
    return to_png(figure)


def draw_traversals(axes: Axes, pictures: Images, roles: Sequence[str]) -> None:
    """One environment's panel: a row per latent, marked and named in the colour of its role."""
    height, width = pictures.shape[2:4]
    axes.imshow(stack([strip(row, GAP) for row in pictures], GAP), interpolation="nearest")
    rows = np.arange(len(roles)) * (height + GAP) + height / 2
    columns = np.arange(TRAVERSAL_STEPS) * (width + GAP) + width / 2
    values = np.linspace(-TRAVERSAL_RANGE, TRAVERSAL_RANGE, TRAVERSAL_STEPS)
    axes.set_yticks(rows, [f"z{n} {role}" for n, role in enumerate(roles)])
    axes.set_xticks(columns[[0, len(columns) // 2, -1]], [f"{values[0]:g}", "0", f"{values[-1]:g}"])
    axes.set_xlabel("value of the latent", color=MUTED)
    axes.spines[:].set_visible(False)
    for label, role in zip(axes.get_yticklabels(), roles, strict=True):
        label.set_color(ROLE_COLOURS[role])
        label.set_fontweight("normal" if role in ("frozen", "spare") else "bold")
    axes.title.set_color(INK)
    bar = 0.4 * width
    axes.barh(rows, -bar, height, left=-GAP, color=[ROLE_COLOURS[role] for role in roles])
    axes.set_xlim(-GAP - bar, TRAVERSAL_STEPS * (width + GAP))
