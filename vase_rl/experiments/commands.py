"""What each command of `vase-rl` runs, and what it says when it is done."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .sweep import Workers

# The modules that do the work are imported where they are used: `vase-rl --help` must not wait.


def demo(options: argparse.Namespace, arguments: list[str]) -> None:
    from .demo import DemoSettings, run_demo

    settings = DemoSettings(
        frames=options.frames,
        agent_frames=options.agent_frames,
        episodes=options.episodes,
        seed=options.seed,
        device=options.device,
    )
    run = run_demo(settings, options.out, arguments)
    _summarise(run.metrics, "environments_found", "false_environments", "position_r2")
    _summarise(run.metrics, "reach_success", "reach_success_transfer", "reach_success_random")
    print(f"open {run.path / 'report.html'} in a browser")


def stream(options: argparse.Namespace, arguments: list[str]) -> None:
    from .stream import StreamSettings, run_stream

    settings = StreamSettings(
        sequence=options.sequence,
        frames=options.frames,
        size=options.size,
        motion=options.motion,
        data_dir=options.data_dir,
        skip_bad=options.skip_bad,
        config=options.config or StreamSettings.config,
        frames_per_update=options.frames_per_update,
        entangled=options.entangled,
        seed=options.seed,
        device=options.device,
    )
    run = run_stream(settings, options.out, arguments)
    _summarise(run.metrics, "environments_true", "environments_found", "false_environments")
    _summarise(run.metrics, "missed", "delay_frames_median", "frames_per_second")
    if not run.metrics["environments_found"]:
        print("nothing was learnt: the first training step comes after 256 frames")
    pictures = ("timeline.svg", "cross-domain.png")
    made = [str(run.path / name) for name in pictures if (run.path / name).exists()]
    print(f"results: {', '.join([str(run.path / 'metrics.json'), *made])}")


def train(options: argparse.Namespace, arguments: list[str]) -> None:
    from .training import TrainSettings, run_train

    settings = TrainSettings(
        env_id=options.env,
        algorithm=options.algorithm,
        hyperparameters=options.hyperparameters,
        env_kwargs=_env_kwargs(options),
        frames=options.frames,
        encoder=options.encoder,
        online=options.online,
        n_envs=options.envs,
        config=options.config,
        pixels_key=options.pixels_key,
        append_environment=options.append_environment,
        tensorboard=options.tensorboard,
        seed=options.seed,
        device=options.device,
    )
    run = run_train(settings, options.out, arguments)
    _summarise(run.metrics, "frames", "return_mean", "frames_per_second")


def evaluate(options: argparse.Namespace, arguments: list[str]) -> None:
    from .training import run_evaluate

    run = run_evaluate(
        options.bundle,
        options.env,
        _env_kwargs(options),
        episodes=options.episodes,
        record=options.record,
        seed=options.seed,
        device=options.device,
        out=options.out,
        arguments=arguments,
    )
    _summarise(run.metrics, "return_mean", "return_std", "success")


def inspect(options: argparse.Namespace, arguments: list[str]) -> None:
    from .inspection import run_inspect

    run = run_inspect(
        options.checkpoint, options.out, arguments, seed=options.seed, device=options.device
    )
    print(f"picture: {run.path / 'traversals.png'}")


def record(options: argparse.Namespace, arguments: list[str]) -> None:
    from .record import RecordSettings, run_record

    settings = RecordSettings(
        env_id=options.env,
        env_kwargs=_env_kwargs(options),
        frames=options.frames,
        size=options.size,
        policy=options.policy,
        seed=options.seed,
        device=options.device,
    )
    run = run_record(settings, options.out, arguments)
    _summarise(run.metrics, "frames", "episodes")
    print(f"as a source: trajectory:{run.path}")


def study(options: argparse.Namespace, arguments: list[str]) -> None:
    from .study import run_study

    workers = _workers(options)
    run = run_study(
        options.study,
        options.out,
        arguments,
        seeds=options.seeds or range(options.seed, options.seed + 3),
        steps=options.steps,
        only=options.only,
        data_dir=options.data_dir,
        workers=workers,
        device=options.device,
    )
    print((run.path / "table.md").read_text(), end="")
    print(f"results: {run.path / 'metrics.json'}, {run.path / 'table.md'}")


def detect(options: argparse.Namespace, arguments: list[str]) -> None:
    from .detection import WRITTEN, DetectSettings, run_detect

    workers = _workers(options)
    settings = DetectSettings(
        streams=_names(options.streams) or DetectSettings.streams,
        detectors=_names(options.detectors) or DetectSettings.detectors,
        seeds=options.seeds or [options.seed],
        frames=options.frames,
        false_alarms_per_million=options.false_alarms_per_million,
        data_dir=options.data_dir,
        device=options.device,
    )
    run = run_detect(settings, options.out, arguments, workers)
    print((run.path / "table.md").read_text(), end="")
    print(f"results: {', '.join(str(run.path / name) for name in ('metrics.json', *WRITTEN))}")


def explore(options: argparse.Namespace, arguments: list[str]) -> None:
    from .explore import run_explore

    workers = _workers(options)
    run = run_explore(
        options.out,
        arguments,
        seeds=options.seeds or [options.seed],
        steps=options.steps,
        data_dir=options.data_dir,
        workers=workers,
        device=options.device,
    )
    print((run.path / "table.md").read_text(), end="")
    _summarise(run.metrics, "r2_own", "r2_unmoved", "r2_after")
    print(f"open {run.path / 'report.html'} in a browser")


def reproduce(options: argparse.Namespace, arguments: list[str]) -> None:
    from .materials import Materials
    from .reproduce import ReproduceSettings, pictures, run_reproduce, tables

    workers = _workers(options)
    materials = Materials(
        data_dir=options.data_dir,
        stand_ins=tuple(options.stand_in),
        trajectories=None if options.trajectories is None else tuple(options.trajectories),
    )
    settings = ReproduceSettings(
        targets=tuple(_names(options.targets)),
        scale=options.scale,
        seeds=None if options.seeds is None else tuple(options.seeds),
        seed=options.seed,
        materials=materials,
        workers=workers,
        device=options.device,
    )
    run = run_reproduce(settings, options.out, arguments)
    made = run.metrics["targets"]
    print(tables(run.path, made), end="")
    shown = [str(picture) for picture in pictures(run.path, made)]
    print(f"results: {', '.join([str(run.path / 'metrics.json'), *shown])}")


def bench(options: argparse.Namespace, arguments: list[str]) -> None:
    from .bench import BenchSettings, run_bench

    settings = BenchSettings(
        rounds=options.rounds, quick=options.quick, seed=options.seed, device=options.device
    )
    run = run_bench(settings, options.out, arguments)
    print((run.path / "performance.md").read_text(), end="")
    print(f"results: {run.path / 'metrics.json'}, {run.path / 'performance.md'}")


def data(options: argparse.Namespace, arguments: list[str]) -> None:
    from . import data

    if options.action == "list":
        run = data.run_list(options.names, options.out, arguments, data_dir=options.data_dir)
    elif options.action == "verify":
        run = data.run_verify(options.names, options.out, arguments, data_dir=options.data_dir)
    else:
        run = data.run_fetch(
            options.names,
            options.out,
            arguments,
            data_dir=options.data_dir,
            base_url=options.base_url,
        )
    print(f"results: {run.path / 'metrics.json'}")


def _names(given: list[str] | None) -> list[str]:
    """Names separated by spaces or by commas."""
    return [name for text in given or () for name in text.split(",") if name]


def _workers(options: argparse.Namespace) -> Workers:
    from .sweep import Workers

    if options.ray is not None:
        # Other processes have other working directories.
        if options.data_dir is not None:
            options.data_dir = os.path.abspath(options.data_dir)
        if getattr(options, "trajectories", None) is not None:
            options.trajectories = [os.path.abspath(path) for path in options.trajectories]
    return Workers(options.workers, options.ray, getattr(options, "replicas", 1))


def _env_kwargs(options: argparse.Namespace) -> dict[str, Any]:
    from .training import parse_env_argument

    return dict(parse_env_argument(text) for text in options.env_arg)


WORDS = {
    "r2_own": "R² of wished-for places, where things moved:",
    "r2_unmoved": "where nothing moved:",
    "r2_after": "there, after exploring:",
}
"""For numbers whose names alone would not be understood."""


def _summarise(metrics: dict[str, Any], *keys: str) -> None:
    shown = []
    for key in keys:
        value = metrics.get(key)
        if value is not None:
            text = f"{value:.3g}" if isinstance(value, float) else f"{value:,}"
            shown.append(f"{WORDS.get(key, key.replace('_', ' '))} {text}")
    print(", ".join(shown))
