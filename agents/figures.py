"""TensorBoard figures of what a learner knows while an agent trains on its latents."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, MaxNLocator
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import Figure as LoggedFigure

from ..learner import VASE
from ..wrappers import VASEVecEnvWrapper
from .callbacks import Every

VALUES = np.linspace(-2.0, 2.0, 9)
"""That a latent takes in a traversal, in standard deviations of its prior."""
GAP = 2
"""Pixels between two decoded frames."""
CELL = 0.64
"""Inches that a decoded frame takes up with its gap."""
INK, MUTED, MARK = "#22262e", "#6c7280", "#d55e00"
# Told apart by their lightness alone, whatever colours the eye sees.
MASKED, UNMASKED, USED = "#e8e8e4", "#9bbfdf", "#16457a"
STATES = {"masked": MASKED, "unmasked": UNMASKED, "used": USED}
# Only TensorBoard draws.
NOT_DRAWN = ("stdout", "log", "json", "csv")


class Moment(NamedTuple):
    """A frame at which the learner's environment, or what is known of it, changed."""

    frame: int
    environment: int
    shift: bool
    new: bool


class LogFigures(BaseCallback):
    """Draws what the learner knows, every so many frames, into the log of TensorBoard.

    `vase/traversals`: what each used latent of the present environment does to the last frame.
    `vase/masks`: which latents each environment masks and uses. `vase/switches`: the environment
    over frames. Nothing is drawn before the learner knows an environment.

    They are drawn at the end of the first rollout that has come so far, and written with the
    algorithm's next log.

    Args:
        venv: the adapter that the algorithm trains on.
        every: frames between two drawings, all environments together.

    Raises:
        ValueError: `every` is not a positive integer.
    """

    def __init__(self, venv: VASEVecEnvWrapper, *, every: int = 10_000) -> None:
        super().__init__()
        self.venv = venv
        self.moments: list[Moment] = []
        self._every = Every(every)

    def _on_training_start(self) -> None:
        self._every.start(self.num_timesteps)
        if self.num_timesteps == 0:
            self.moments.clear()

    def _on_step(self) -> bool:
        info: dict[str, Any] = self.locals["infos"][0]["vase"]
        before = self.moments[-1].environment if self.moments else None
        moment = Moment(
            self.num_timesteps, info["environment"], info["shift"], info["new_environment"]
        )
        if moment.environment != before or moment.shift or moment.new:
            self.moments.append(moment)
        return True

    def _on_rollout_end(self) -> None:
        vase, now = self.venv.vase, self.num_timesteps
        if not vase.environments or not self._every.due(now):
            return
        environment = self.venv.stream.environment
        self._record("traversals", traversals(vase, environment, self.venv.frames[0]))
        self._record("masks", masks(vase, environment))
        self._record("switches", switches(self.moments, now))

    def _record(self, name: str, figure: Figure) -> None:
        self.logger.record(f"vase/{name}", LoggedFigure(figure, close=True), exclude=NOT_DRAWN)


def traversals(vase: VASE, environment: int, frame: np.ndarray) -> Figure:
    """A row per latent that some environment uses, or per latent where none is known to be used.

    Each runs over `VALUES` while the others stay at the frame's posterior mean, which a triangle
    marks. Rows of latents that the environment masks are pale: they have no effect there.

    Args:
        vase: the learner.
        environment: index of the one to decode as.
        frame: uint8 (H, W, C).

    Raises:
        ValueError: no such environment, or no such frame.
        RuntimeError: before the first `update`.
    """
    mean = vase.encode(frame[None])[0][0]
    reconstruction = vase.decode(mean[None], environment)[0]
    rows = _shown_latents(vase)
    strips = [_traversal(vase, environment, mean, latent) for latent in rows]
    size = 2.35 + CELL * len(VALUES), 1.0 + CELL * max(3, len(rows))
    figure = Figure(figsize=size, dpi=100)
    left = _axes(figure, 0.35, 1.4 * CELL, 2.8 * CELL)
    right = _axes(figure, 2.2, CELL * len(VALUES), CELL * len(rows))
    _draw_frame(left, np.stack([frame, reconstruction]))
    active = vase.environments[environment].latent_mask.tolist()
    used = vase.environments[environment].used_latents.tolist()
    _draw_strips(right, np.stack(strips), [active[latent] for latent in rows], mean[rows])
    right.set_yticklabels([_name(latent, active[latent], used[latent]) for latent in rows])
    for label, latent in zip(right.get_yticklabels(), rows, strict=True):
        label.set_color(INK if active[latent] else MUTED)
    figure.text(0.01, 1 - 0.1 / size[1], f"environment {environment}", va="top", color=INK)
    return figure


def masks(vase: VASE, environment: int) -> Figure:
    """A row per environment, a column per latent: masked, unmasked or used.

    Args:
        vase: the learner, which knows an environment.
        environment: index of the present one.
    """
    known = vase.registry.known
    states = np.stack([(e.latent_mask.int() * (1 + e.used_latents.int())).tolist() for e in known])
    count, latents = states.shape
    figure = Figure(
        figsize=(1.2 + 0.34 * max(latents, 12), 0.95 + 0.34 * count), dpi=100, layout="constrained"
    )
    axes = figure.subplots()
    axes.imshow(states, cmap=ListedColormap(list(STATES.values())), vmin=0, vmax=2, aspect="equal")
    axes.set_xticks(range(latents))
    axes.set_yticks(range(count), [_present(e.index, environment) for e in known])
    for label, e in zip(axes.get_yticklabels(), known, strict=True):
        label.set_fontweight("bold" if e.index == environment else "normal")
    axes.set_xlabel("latent", color=MUTED)
    # White lines between the cells.
    axes.set_xticks(np.arange(latents + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(count + 1) - 0.5, minor=True)
    axes.grid(which="minor", color="white", linewidth=2)
    _plain(axes)
    patches = [Patch(color=colour, label=label) for label, colour in STATES.items()]
    _legend(figure, patches)
    return figure


def switches(moments: list[Moment], now: int) -> Figure:
    """The environment over frames as a step line, with shifts and new environments marked.

    Args:
        moments: at which it changed, oldest first; at least one.
        now: the frame to draw up to.
    """
    figure = Figure(figsize=(7.6, 2.9), dpi=100, layout="constrained")
    axes = figure.subplots()
    frames = [m.frame for m in moments]
    environments = [m.environment for m in moments]
    axes.step([*frames, now], [*environments, environments[-1]], where="post", color=INK, lw=1.6)
    new = [m for m in moments if m.new]
    shifts = [m for m in moments if m.shift and not m.new]
    for found, marker, colour in ((new, "o", USED), (shifts, "^", MARK)):
        axes.plot(
            [m.frame for m in found], [m.environment for m in found],
            marker, color=colour, markersize=8, markeredgecolor="white", clip_on=False, zorder=3,
        )  # fmt: skip
    highest = max(environments)
    axes.set(xlim=(0, now), ylim=(-0.5, highest + 0.5))
    axes.set_yticks(range(0, highest + 1, 1 + highest // 8))
    axes.set_ylabel("environment", color=MUTED)
    axes.set_xlabel("frame", color=MUTED)
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.grid(axis="y", color="#dcdcd6", linewidth=0.6)
    _plain(axes)
    style: dict[str, Any] = dict(linestyle="none", markersize=8, markeredgecolor="white")
    _legend(
        figure,
        [
            Line2D([], [], marker="o", color=USED, label="new environment", **style),
            Line2D([], [], marker="^", color=MARK, label="shift to a known one", **style),
        ],
    )
    return figure


def _axes(figure: Figure, left: float, width: float, height: float) -> Axes:
    """A place below the title, in inches."""
    across, down = figure.get_size_inches()
    bottom = down - 0.4 - height
    return figure.add_axes((left / across, bottom / down, width / across, height / down))


def _shown_latents(vase: VASE) -> list[int]:
    used = np.any([e.used_latents.tolist() for e in vase.registry.known], axis=0)
    return np.flatnonzero(used).tolist() or list(range(vase.config.latents))


def _traversal(vase: VASE, environment: int, mean: np.ndarray, latent: int) -> np.ndarray:
    """Frames uint8 (len(VALUES), H, W, C) while one latent runs over `VALUES`."""
    codes = np.tile(mean, (len(VALUES), 1))
    codes[:, latent] = VALUES
    return vase.decode(codes, environment)


def _draw_frame(axes: Axes, pair: np.ndarray) -> None:
    """The frame above its reconstruction."""
    axes.imshow(_stacked(pair[:, None]))
    height = pair.shape[1]
    axes.set_yticks(
        [height / 2, 1.5 * height + GAP], ["frame", "decoded"], rotation=90, va="center"
    )
    axes.set_xticks([])
    _plain(axes)


def _draw_strips(axes: Axes, strips: np.ndarray, active: list[bool], mean: np.ndarray) -> None:
    """Rows of frames (R, len(VALUES), H, W, C), pale where not active, and the mean's place."""
    height, width = strips.shape[2:4]
    picture = _stacked(strips)
    for row in np.flatnonzero(np.logical_not(active)):
        part = picture[row * (height + GAP) :][:height]
        part[:] = 255 - (255 - part) // 4
    axes.imshow(picture, aspect="equal")
    places = np.arange(len(VALUES)) * (width + GAP) + width / 2 - 0.5
    axes.set_xticks(places[::2], [f"{value:g}" for value in VALUES[::2]])
    axes.set_yticks(np.arange(len(strips)) * (height + GAP) + height / 2 - 0.5)
    axes.set_xlabel("value of the latent, ▲ that of the frame", color=MUTED)
    rows = np.flatnonzero(active)
    at = np.interp(mean[rows], VALUES, places)
    axes.plot(
        at, rows * (height + GAP) + height - 0.5, "^", color=MARK, markersize=6,
        markeredgecolor="white", clip_on=False,
    )  # fmt: skip
    _plain(axes)


def _stacked(pictures: np.ndarray) -> np.ndarray:
    """Frames (R, K, H, W, C) as one picture (R·(H + GAP) − GAP, K·(W + GAP) − GAP, 3), on white."""
    rows, columns, height, width, _ = pictures.shape
    canvas = np.full((rows, height + GAP, columns, width + GAP, 3), 255, dtype=np.uint8)
    canvas[:, :height, :, :width] = pictures.transpose(0, 2, 1, 3, 4)
    whole = canvas.reshape(rows * (height + GAP), columns * (width + GAP), 3)
    return np.array(whole[:-GAP, :-GAP])


def _name(latent: int, active: bool, used: bool) -> str:
    if not active:
        return f"{latent}  masked"
    return f"{latent}  used" if used else f"{latent}"


def _present(index: int, environment: int) -> str:
    return f"present: {index}" if index == environment else f"{index}"


def _legend(figure: Figure, handles: list[Any]) -> None:
    figure.legend(
        handles=handles, loc="outside upper left", ncols=len(handles), frameon=False,
        labelcolor=INK, fontsize=9, handletextpad=0.5,
    )  # fmt: skip


def _plain(axes: Axes) -> None:
    axes.set_anchor("N")
    axes.spines[:].set_visible(False)
    axes.tick_params(which="both", length=0, labelsize=9)
