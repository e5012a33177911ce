"""`vase-rl COMMAND`: the command line.

Exit status: 0; 2 with one line on standard error for bad input; 130 after Ctrl-C, with what was
finished left on disk.
"""

from __future__ import annotations

import argparse
import sys
import zipfile
from collections.abc import Sequence
from typing import Any, NoReturn

# Nothing heavy up here: `vase-rl --help` must not wait for what it does not use.
from . import manual

# Stable-Baselines3 seeds numpy's legacy generator, which takes 32 bits; the demo uses two seeds.
LARGEST_SEED = 2**32 - 2
ALGORITHMS = ("ppo", "a2c", "dqn", "sac")


class OneLineParser(argparse.ArgumentParser):
    """Reports bad options in one line instead of the whole usage."""

    def error(self, message: str) -> NoReturn:
        """Raise what `main` reports."""
        raise ValueError(f"{message} (see {self.prog} --help)")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status.

    Raises:
        SystemExit: after --help and --version.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    out = None
    try:
        options = build_parser().parse_args(arguments)
        out = options.out
        options.run(options, arguments[1:])
    except KeyboardInterrupt:
        place = f"; what was finished is in {out}" if out else ""
        print(f"vase-rl: interrupted{place}", file=sys.stderr)
        return 130
    except (ValueError, OSError, EOFError, FloatingPointError, zipfile.BadZipFile) as error:
        print(f"vase-rl: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    return 0


def build_parser() -> argparse.ArgumentParser:
    """All commands and options."""
    parser = OneLineParser(
        prog="vase-rl",
        description=manual.DESCRIPTION,
        epilog=manual.EXAMPLES,
        formatter_class=_layout,
    )
    parser.add_argument("--version", action="version", version=f"vase-rl {_version()}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True, title="commands")
    _add_demo(commands)
    _add_stream(commands)
    _add_train(commands)
    _add_evaluate(commands)
    _add_inspect(commands)
    _add_record(commands)
    _add_study(commands)
    _add_detect(commands)
    _add_explore(commands)
    _add_data(commands)
    return parser


def _command(
    commands: Any, name: str, summary: str, examples: str, run: Any, out: str = ""
) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=summary,
        description=f"{summary[0].upper()}{summary[1:]}.",
        epilog=examples,
        formatter_class=_layout,
    )
    parser.set_defaults(run=run)
    common = parser.add_argument_group("options of every command")
    common.add_argument(
        "--out",
        metavar="DIR",
        default=out or f"runs/{name}",
        help="results go here (default: %(default)s)",
    )
    common.add_argument(
        "--seed", type=_whole(0, LARGEST_SEED), default=0, metavar="N",
        help="of everything random (default: 0)",
    )  # fmt: skip
    common.add_argument(
        "--device", default="auto", help="cpu, cuda, ... or auto: CUDA where there is one (default)"
    )
    return parser


def _add_demo(commands: Any) -> None:
    summary = "the whole idea on built-in data: stream, shifts, an agent, its transfer, a page"
    parser = _command(commands, "demo", summary, manual.DEMO, _demo)
    parser.add_argument(
        "--frames", type=_whole(400), default=5_000, metavar="N",
        help="frames per visit to a world (default: 5000)",
    )  # fmt: skip
    parser.add_argument(
        "--agent-frames", type=_whole(1), default=12_000, metavar="N",
        help="frames that the agent practises on (default: 12000)",
    )  # fmt: skip
    parser.add_argument(
        "--episodes", type=_whole(1), default=200, metavar="N",
        help="episodes per evaluation of the agent (default: 200)",
    )  # fmt: skip


def _add_stream(commands: Any) -> None:
    summary = "watch a sequence of sources through the wrapper, learning, without an agent"
    parser = _command(commands, "stream", summary, manual.STREAM, _stream)
    parser.add_argument(
        "--sequence", required=True, metavar="S",
        help="sources joined by commas, each with an optional :N frames",
    )  # fmt: skip
    parser.add_argument(
        "--frames", type=_whole(1), default=10_000, metavar="N",
        help="frames of a source without :N (default: 10000)",
    )  # fmt: skip
    parser.add_argument(
        "--motion", choices=("independent", "smooth"), default="independent",
        help="independent draws (default), or one sprite at a time that moves from frame to frame",
    )  # fmt: skip
    parser.add_argument(
        "--data-dir", metavar="D", help="folder of the data sets (see vase-rl data)"
    )
    parser.add_argument(
        "--skip-bad", action="store_true",
        help="go on after damage, and count it: a neighbour stands in for an image of celeba, "
        "recordings go on with the next episode",
    )  # fmt: skip
    parser.add_argument(
        "--size", type=_whole(16), default=64, metavar="PIXELS",
        help="side of the canvas (default: 64); the learner resizes it to its own",
    )  # fmt: skip
    _add_config(parser)
    parser.add_argument(
        "--frames-per-update", type=_whole(1), metavar="N",
        help="frames per training step (default: the wrapper's); fewer learn more and take longer",
    )  # fmt: skip
    parser.add_argument(
        "--entangled", action="store_true",
        help="the paper's baseline: a plain VAE loss (beta = 1) in place of the capacity objective",
    )  # fmt: skip


def _add_train(commands: Any) -> None:
    summary = "train a Stable-Baselines3 agent on the latents of an environment's images"
    parser = _command(commands, "train", summary, manual.TRAIN, _train)
    _add_environment(parser)
    parser.add_argument(
        "--algorithm", choices=ALGORITHMS, default="ppo",
        help="ppo (default) or a2c: all kinds of actions; dqn: discrete; sac: continuous",
    )  # fmt: skip
    parser.add_argument(
        "--hyperparameters", metavar="FILE.yml",
        help="the algorithm's, by the names of Stable-Baselines3 (see below)",
    )  # fmt: skip
    parser.add_argument(
        "--frames", type=_whole(1), default=30_000, metavar="N",
        help="frames to train on (default: 30000)",
    )  # fmt: skip
    parser.add_argument(
        "--envs", type=_whole(1), default=1, metavar="N",
        help="environments side by side, all seen by one encoder at once (default: 1)",
    )  # fmt: skip
    parser.add_argument("--encoder", metavar="CHECKPOINT", help="start from this encoder, frozen")
    parser.add_argument("--online", action="store_true", help="let that encoder go on learning")
    _add_config(parser, note="not beside --encoder, which has its own")
    parser.add_argument(
        "--pixels-key", metavar="KEY", help="key of the image in a Dict observation"
    )
    parser.add_argument(
        "--append-environment", action="store_true",
        help="show the agent which environment it is in, as a one-hot behind the latents",
    )  # fmt: skip
    parser.add_argument(
        "--tensorboard",
        metavar="DIR",
        help="log scalars there, and figures every 10,000 frames, for TensorBoard",
    )


def _add_evaluate(commands: Any) -> None:
    summary = "run a trained agent, with nothing learning"
    parser = _command(commands, "evaluate", summary, manual.EVALUATE, _evaluate)
    parser.add_argument("bundle", metavar="BUNDLE", help="agent.zip of train or demo")
    _add_environment(parser)
    parser.add_argument(
        "--episodes", type=_whole(1), default=100, metavar="N", help="how many (default: 100)"
    )
    parser.add_argument(
        "--record", type=_whole(0), default=0, metavar="N", help="episodes to animate (default: 0)"
    )


def _add_inspect(commands: Any) -> None:
    summary = "environments, masks and used latents of an encoder, and a picture of its latents"
    parser = _command(commands, "inspect", summary, manual.INSPECT, _inspect)
    parser.add_argument("checkpoint", metavar="CHECKPOINT", help="encoder.pt, or agent.zip")


def _add_record(commands: Any) -> None:
    summary = "record what a Gymnasium environment shows as a Minari data set, losslessly"
    parser = _command(commands, "record", summary, manual.RECORD, _record)
    parser.add_argument("env", metavar="ENV_ID", help="a Gymnasium environment with images")
    _add_environment_arguments(parser)
    parser.add_argument(
        "--frames", type=_whole(2), default=10_000, metavar="N",
        help="frames in all, those of earlier calls counted (default: 10000)",
    )  # fmt: skip
    parser.add_argument(
        "--size", type=parse_size, metavar="WIDTHxHEIGHT",
        help="resize the picture by area, as in 111x84 (default: as it is)",
    )  # fmt: skip
    parser.add_argument(
        "--policy", metavar="BUNDLE", help="agent.zip of train or demo (default: random actions)"
    )


def _add_study(commands: Any) -> None:
    summary = "compare conditions of the learner over seeds, from batches; writes a table"
    parser = _command(commands, "study", summary, manual.study(), _study)
    parser.add_argument("study", metavar="STUDY", help="one of those listed below")
    parser.add_argument(
        "--seeds", type=parse_seeds, metavar="LIST",
        help="seeds joined by commas, or A-B (default: --seed and the two after it)",
    )  # fmt: skip
    parser.add_argument(
        "--steps", type=_whole(10), metavar="N", help="batches per visit (default: the study's)"
    )
    parser.add_argument(
        "--only", action="append", default=[], metavar="NAME",
        help="run this condition alone; may be given again",
    )  # fmt: skip
    parser.add_argument(
        "--data-dir", metavar="D", help="folder of the IDX files of mnist and fashion"
    )
    parser.add_argument(
        "--workers", type=_whole(1), metavar="N",
        help="runs side by side, one thread each (default: as many as cores)",
    )  # fmt: skip


def _add_detect(commands: Any) -> None:
    summary = "compare detectors of shifts on the same streams, with known switches"
    parser = _command(commands, "detect", summary, manual.DETECT, _detect)
    parser.add_argument(
        "--streams", nargs="+", metavar="NAME", help="of those below (default: four built-in ones)"
    )
    parser.add_argument(
        "--detectors",
        nargs="+",
        metavar="NAME",
        help="of those below (default: all but algorithm1)",
    )
    parser.add_argument(
        "--seeds", type=parse_seeds, metavar="LIST",
        help="seeds joined by commas, or A-B (default: --seed)",
    )  # fmt: skip
    parser.add_argument(
        "--frames", type=_whole(1000), default=30_000, metavar="N",
        help="frames of each stream and seed (default: 30000)",
    )  # fmt: skip
    parser.add_argument(
        "--false-alarms-per-million", type=_rate, default=100.0, metavar="RATE",
        help="for the comparison at matched rates: at most so many per million frames of the "
        "group's still stream (default: 100)",
    )  # fmt: skip
    parser.add_argument(
        "--data-dir", metavar="D", help="folder of the IDX files of mnist and fashion, which then "
        "take part in sprites and reach",
    )  # fmt: skip


def _add_explore(commands: Any) -> None:
    summary = "imagination-driven exploration: it moves what stands still, and learns from it"
    parser = _command(commands, "explore", summary, manual.EXPLORE, _explore)
    parser.add_argument(
        "--seeds", type=parse_seeds, metavar="LIST",
        help="seeds joined by commas, or A-B (default: --seed)",
    )  # fmt: skip
    parser.add_argument(
        "--steps", type=_whole(10), default=1500, metavar="N",
        help="batches per visit to a world (default: 1500)",
    )  # fmt: skip
    parser.add_argument(
        "--data-dir", metavar="D", help="folder of the IDX files of mnist and fashion, which then "
        "take the place of built-in sprites",
    )  # fmt: skip


def _add_data(commands: Any) -> None:
    summary = "list, fetch and check the data sets that sources of frames read"
    parser: argparse.ArgumentParser = commands.add_parser(
        "data",
        help=summary,
        description=f"{summary[0].upper()}{summary[1:]}.",
        epilog=manual.DATA,
        formatter_class=_layout,
    )
    actions = parser.add_subparsers(metavar="ACTION", required=True, title="actions", dest="action")
    for action, does in manual.DATA_ACTIONS.items():
        one = _command(actions, action, does, manual.DATA, _data, out="runs/data")
        one.add_argument(
            "names", nargs="+" if action == "fetch" else "*", metavar="NAME",
            help=f"mnist, fashion, celeba{'' if action == 'fetch' else ' (default: all)'}",
        )  # fmt: skip
        one.add_argument("--data-dir", metavar="D", help="where they lie (default: $VASE_RL_DATA)")
        if action == "fetch":
            one.add_argument(
                "--base-url", metavar="URL", help="fetch URL/FILE instead of the known mirrors"
            )


def _add_environment(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--env", required=True, metavar="ID", help="a Gymnasium environment")
    _add_environment_arguments(parser)


def _add_environment_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--env-arg", action="append", default=[], metavar="KEY=VALUE",
        help="argument of gymnasium.make, as JSON or text; may be given again",
    )  # fmt: skip


def _add_config(parser: argparse.ArgumentParser, note: str = "") -> None:
    known = (
        "compact (default), compact-detail (learns more of shapes, keeps places less linear), "
        "dmlab-compact (64x64, in colour), or a row of the paper's Table 2: ablation, dmlab, ..."
    )
    parser.add_argument(
        "--config", metavar="PRESET", help=f"{known}; {note}" if note else known
    )  # fmt: skip


def _demo(options: argparse.Namespace, arguments: list[str]) -> None:
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


def _stream(options: argparse.Namespace, arguments: list[str]) -> None:
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


def _train(options: argparse.Namespace, arguments: list[str]) -> None:
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


def _evaluate(options: argparse.Namespace, arguments: list[str]) -> None:
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


def _inspect(options: argparse.Namespace, arguments: list[str]) -> None:
    from .inspection import run_inspect

    run = run_inspect(
        options.checkpoint, options.out, arguments, seed=options.seed, device=options.device
    )
    print(f"picture: {run.path / 'traversals.png'}")


def _record(options: argparse.Namespace, arguments: list[str]) -> None:
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


def _study(options: argparse.Namespace, arguments: list[str]) -> None:
    from .study import run_study

    run = run_study(
        options.study,
        options.out,
        arguments,
        seeds=options.seeds or range(options.seed, options.seed + 3),
        steps=options.steps,
        only=options.only,
        data_dir=options.data_dir,
        workers=options.workers,
        device=options.device,
    )
    print((run.path / "table.md").read_text(), end="")
    print(f"results: {run.path / 'metrics.json'}, {run.path / 'table.md'}")


def _detect(options: argparse.Namespace, arguments: list[str]) -> None:
    from .detection import DetectSettings, run_detect

    settings = DetectSettings(
        streams=_names(options.streams) or DetectSettings.streams,
        detectors=_names(options.detectors) or DetectSettings.detectors,
        seeds=options.seeds or [options.seed],
        frames=options.frames,
        false_alarms_per_million=options.false_alarms_per_million,
        data_dir=options.data_dir,
        device=options.device,
    )
    run = run_detect(settings, options.out, arguments)
    print((run.path / "table.md").read_text(), end="")
    made = ("metrics.json", "table.md", "sweep.svg", "timeline.svg")
    print(f"results: {', '.join(str(run.path / name) for name in made)}")


def _explore(options: argparse.Namespace, arguments: list[str]) -> None:
    from .explore import run_explore

    run = run_explore(
        options.out,
        arguments,
        seeds=options.seeds or [options.seed],
        steps=options.steps,
        data_dir=options.data_dir,
        device=options.device,
    )
    print((run.path / "table.md").read_text(), end="")
    _summarise(run.metrics, "r2_own", "r2_unmoved", "r2_after")
    print(f"open {run.path / 'report.html'} in a browser")


def _data(options: argparse.Namespace, arguments: list[str]) -> None:
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


def _env_kwargs(options: argparse.Namespace) -> dict[str, Any]:
    from .training import parse_env_argument

    return dict(parse_env_argument(text) for text in options.env_arg)


def _summarise(metrics: dict[str, Any], *keys: str) -> None:
    shown = []
    for key in keys:
        value = metrics.get(key)
        if value is not None:
            text = f"{value:.3g}" if isinstance(value, float) else f"{value:,}"
            shown.append(f"{key.replace('_', ' ')} {text}")
    print(", ".join(shown))


def _whole(least: int, most: int | None = None) -> Any:
    """A type for argparse: an integer of at least `least`, and of at most `most`."""
    rule = f"of at least {least}" if most is None else f"from {least} to {most}"

    def convert(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = least - 1
        if value < least or (most is not None and value > most):
            raise argparse.ArgumentTypeError(f"must be a whole number {rule}, got {text!r}")
        return value

    return convert


def _rate(text: str) -> float:
    """A type for argparse: a finite number of at least 0."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"must be a finite number of at least 0, got {text!r}")
    return value


def parse_size(text: str) -> tuple[int, int]:
    """A type for argparse: `111x84`, width and height in pixels."""
    width, _, height = text.partition("x")
    if not all(part.isascii() and part.isdigit() and int(part) for part in (width, height)):
        raise argparse.ArgumentTypeError(f"must be WIDTHxHEIGHT in pixels, got {text!r}")
    return int(width), int(height)


def parse_seeds(text: str) -> list[int]:
    """A type for argparse: `0,2,5` or `10-14`."""
    try:
        first, dash, last = text.partition("-")
        seeds = (
            list(range(int(first), int(last) + 1)) if dash else [int(s) for s in text.split(",")]
        )
    except ValueError:
        seeds = []
    fit = all(0 <= seed <= LARGEST_SEED for seed in seeds)
    if not seeds or not fit or len(set(seeds)) < len(seeds):
        raise argparse.ArgumentTypeError(
            f"must be different seeds as in 0,1,2 or 10-14, got {text!r}"
        )
    return seeds


def _layout(prog: str) -> argparse.HelpFormatter:
    return argparse.RawDescriptionHelpFormatter(prog, max_help_position=28, width=100)


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("vase_rl")
    except PackageNotFoundError:
        return "(not installed)"


if __name__ == "__main__":
    sys.exit(main())
