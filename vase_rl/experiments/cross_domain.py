"""As Figure 4B: frames of every source, decoded as every environment."""

from __future__ import annotations

from dataclasses import dataclass

import matplotlib
import numpy as np
import numpy.typing as npt
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

from ..envs import Source, prepare
from ..learner import VASE
from .pictures import stack, strip
from .plots import INK, STYLE, to_png

Images = npt.NDArray[np.uint8]

SHOWN = 8
"""Frames of each source in the picture."""
LOOKED_AT = 512
"""Frames of a source that those are taken from, at equal distances: neighbours look alike."""
GAP = 2


@dataclass(frozen=True)
class CrossDomain:
    """Frames of one source as the learner sees them.

    Attributes:
        source: its name.
        environment: the one that the learner takes it for.
        frames: uint8 (n, H, W, C).
        decoded: per environment, the frames decoded as that environment.
    """

    source: str
    environment: int
    frames: Images
    decoded: list[Images]


def taken_for(vase: VASE, source: Source) -> tuple[Images, int]:
    """A source's next 512 frames as the learner sees them, and the environment it sees in them."""
    config = vase.config
    frames = prepare(
        source.sample(LOOKED_AT).frames, config.image_size, crop="none", channels=config.channels
    )
    return frames, vase.infer(frames).environment


def look_at(vase: VASE, source: Source) -> CrossDomain:
    """Decode some frames of a source as every environment; the learner does not change.

    Args:
        vase: a learner that has seen frames.
        source: gives its next 512 frames.
    """
    frames, environment = taken_for(vase, source)
    frames = frames[:: LOOKED_AT // SHOWN]
    decoded = [vase.reconstruct(frames, known.index) for known in vase.registry.known]
    return CrossDomain(source.name, environment, frames, decoded)


def cross_domain_png(views: list[CrossDomain], title: str) -> bytes:
    """A PNG file: a panel per source; below its frames, a row per environment.

    The row of the environment that the source belongs to is its reconstruction, the others are
    what its factors look like in another world.
    """
    rows = 1 + len(views[0].decoded)
    size = (1.6 + 0.95 * SHOWN, 0.5 + len(views) * (0.5 + 0.98 * rows))
    with matplotlib.rc_context(STYLE):
        figure, grid = plt.subplots(len(views), 1, figsize=size, layout="compressed", squeeze=False)
        figure.suptitle(title, x=0.01, ha="left", weight="bold", color=INK)
        for view, axes in zip(views, grid[:, 0], strict=True):
            _draw(axes, view)
    return to_png(figure)


def _draw(axes: Axes, view: CrossDomain) -> None:
    height = view.frames.shape[1]
    rows = [view.frames, *view.decoded]
    axes.imshow(stack([strip(row, GAP) for row in rows], GAP), interpolation="nearest")
    names = ["frames", *(f"as environment {index}" for index in range(len(view.decoded)))]
    axes.set_yticks(np.arange(len(rows)) * (height + GAP) + height / 2, names)
    axes.get_yticklabels()[1 + view.environment].set_fontweight("bold")
    axes.set_xticks([])
    axes.spines[:].set_visible(False)
    axes.set_title(view.source, loc="left", color=INK)
