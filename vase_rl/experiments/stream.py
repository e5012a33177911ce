"""`vase-rl stream`: the wrapper learns from a sequence of sources, without an agent."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium as gym

from ..config import VASEConfig
from ..envs import Source, make_source
from ..files import write_whole
from ..learner import VASE
from ..wrappers import VASEObservationWrapper
from .history import History
from .inspection import environment_table
from .progress import Progress
from .results import RunDirectory
from .scoring import Switch

RECORD_EVERY = 2000
"""Frames between two writings of `metrics.json`."""
WRITTEN = ("encoder.pt", "history.npz", "timeline.svg", "cross-domain.png")
"""What `stream` leaves beside `metrics.json`."""


@dataclass(frozen=True)
class StreamSettings:
    """What to stream, and what to put in front of it; as the options of `vase-rl stream`."""

    sequence: str
    frames: int = 10_000
    """Frames of a source without `:N`."""
    size: int = 64
    motion: str = "independent"
    data_dir: str | None = None
    skip_bad: bool = False
    config: str = "compact"
    frames_per_update: int | None = None
    """None: the wrapper's own."""
    entangled: bool = False
    """The paper's baseline in place of the capacity objective."""
    seed: int = 0
    device: str = "auto"


def make_stream(settings: StreamSettings) -> VASEObservationWrapper:
    """The sequence's environment inside a wrapper that learns.

    Raises:
        ValueError: a setting breaks its rule, or data are missing.
    """
    stream = gym.make(
        "vase_rl/SpriteStream-v0",
        sequence=settings.sequence,
        frames=settings.frames,
        size=settings.size,
        motion=settings.motion,
        data_dir=settings.data_dir,
        skip_bad=settings.skip_bad,
        seed=settings.seed,
    )
    pace = settings.frames_per_update
    options: dict[str, Any] = {} if pace is None else {"frames_per_update": pace}
    assert stream.observation_space.shape is not None
    config = VASEConfig.preset(
        settings.config,
        entangled=settings.entangled,
        channels=stream.observation_space.shape[2],
    )
    return VASEObservationWrapper(
        stream, config, seed=settings.seed, device=settings.device, **options
    )


def watch(
    env: VASEObservationWrapper,
    history: History,
    run: RunDirectory,
    *,
    seed: int,
    label: str = "streaming",
    at_end_of_visit: Callable[[str], None] = lambda source: None,
) -> None:
    """Show the learner one pass of the sequence.

    Args:
        env: of `make_stream`.
        history: is filled; what it holds when an interrupt comes is whole.
        run: its `metrics.json` is kept up to date, and its encoder is saved at the end of every
            visit.
        seed: of the order of frames.
        label: of the progress that is told.
        at_end_of_visit: called with the source's name after its last frame.
    """
    total: int = env.get_wrapper_attr("total_frames")
    learner, reported = env.stream, None
    _, info = env.reset(seed=seed)
    source = info["source"]
    try:
        with Progress(total, label) as progress:
            while True:
                if info["source"] != source:
                    leave(history, env.vase, run)
                    at_end_of_visit(source)
                    source = info["source"]
                new, reported = learner.report is not reported, learner.report
                _announce(progress, history.add(info, reported if new else None), source)
                progress.advance()
                if history.frames % RECORD_EVERY == 0:
                    progress.show(f"environment {learner.environment}, loss {history.loss[-1]:.0f}")
                    run.record(**stream_metrics(history, env.vase))
                if history.frames == total:
                    break
                _, _, _, _, info = env.step(0)
    finally:
        leave(history, env.vase, run)
    at_end_of_visit(source)


def _announce(progress: Progress, switch: Switch | None, source: str) -> None:
    if switch is not None:
        what = "opens" if switch.new else "returns to"
        progress.announce(
            f"frame {switch.frame:,}: {what} environment {switch.environment}; it is {source}"
        )


def leave(history: History, vase: VASE, run: RunDirectory) -> None:
    """Leave on disk what is known so far."""
    if not history.frames:
        return
    if vase.environments:
        vase.save(run.path / "encoder.pt")
    history.save(run.path / "history.npz")
    run.record(**stream_metrics(history, vase))


def stream_metrics(history: History, vase: VASE) -> dict[str, Any]:
    """Numbers on the stream so far."""
    return {
        "frames": history.frames,
        "updates": vase.updates,
        **history.score.to_dict(),
        "switches": [
            {"frame": s.frame, "environment": s.environment, "new": s.new} for s in history.switches
        ],
        "environments": environment_table(vase),
    }


def unseen(settings: StreamSettings, names: Sequence[str]) -> Iterator[Source]:
    """The sources again, those of sprites with sprites never shown; each is closed in its turn."""
    for name in names:
        source = make_source(
            name,
            size=settings.size,
            seed=settings.seed + 1,
            data_dir=settings.data_dir,
            motion=settings.motion,
            split="test",
            skip_bad=settings.skip_bad,
        )
        with closing(source):
            yield source


def _picture(vase: VASE, settings: StreamSettings, names: list[str], run: RunDirectory) -> None:
    """Frames of every source as every environment."""
    from .cross_domain import cross_domain_png, look_at

    views = [look_at(vase, source) for source in unseen(settings, names)]
    how = f"{settings.config}, entangled" if settings.entangled else settings.config
    title = f"Every source, decoded as every environment ({how})"
    write_whole(run.path / "cross-domain.png", cross_domain_png(views, title))


def run_stream(
    settings: StreamSettings, out: str | Path, arguments: list[str], label: str = "streaming"
) -> RunDirectory:
    """Stream a sequence; leave `metrics.json`, `encoder.pt`, `history.npz` and pictures.

    Raises:
        ValueError: as `make_stream`, or `out` cannot be written.
    """
    from .plots import save_timeline

    env = make_stream(settings)
    run = RunDirectory(out, "stream", arguments, stale=("report.html", *WRITTEN))
    run.record(seed=settings.seed, sequence=settings.sequence, motion=settings.motion)
    history = History()
    try:
        watch(env, history, run, seed=settings.seed, label=label)
    finally:
        if history.frames:
            save_timeline(history, run.path / "timeline.svg")
        env.close()
    if env.vase.environments:
        _picture(env.vase, settings, history.sources, run)
    if settings.skip_bad:
        run.record(skipped=env.get_wrapper_attr("skipped"))
    run.record(frames_per_second=round(history.frames / run.seconds, 1))
    run.finish()
    return run
