"""The options of each command of `vase-rl`, and what `--help` says of them."""

from __future__ import annotations

import argparse
from typing import Any

from . import commands, manual
from .options import (
    LARGEST_SEED,
    add_config,
    add_count,
    add_data_dir,
    add_environment,
    add_environment_arguments,
    add_replicas,
    add_seeds,
    add_workers,
    layout,
    parse_size,
    rate,
    whole,
)

ALGORITHMS = ("ppo", "a2c", "dqn", "sac")
IDX_FILES = "folder of the IDX files of mnist and fashion"


def add_commands(subparsers: Any) -> None:
    """Every command, in the order of `vase-rl --help`."""
    _add_demo(subparsers)
    _add_stream(subparsers)
    _add_train(subparsers)
    _add_evaluate(subparsers)
    _add_inspect(subparsers)
    _add_record(subparsers)
    _add_study(subparsers)
    _add_detect(subparsers)
    _add_explore(subparsers)
    _add_reproduce(subparsers)
    _add_bench(subparsers)
    _add_data(subparsers)


def _command(
    subparsers: Any, name: str, summary: str, examples: str, run: Any, out: str = ""
) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = subparsers.add_parser(
        name,
        help=summary,
        description=f"{summary[0].upper()}{summary[1:]}.",
        epilog=examples,
        formatter_class=layout,
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
        "--seed", type=whole(0, LARGEST_SEED), default=0, metavar="N",
        help="of everything random (default: 0)",
    )  # fmt: skip
    common.add_argument(
        "--device", default="auto", help="cpu, cuda, ... or auto: CUDA where there is one (default)"
    )
    return parser


def _add_demo(subparsers: Any) -> None:
    summary = "the whole idea on built-in data: stream, shifts, an agent, its transfer, a page"
    parser = _command(subparsers, "demo", summary, manual.DEMO, commands.demo)
    add_count(parser, "--frames", 5000, "frames per visit to a world", least=400)
    add_count(parser, "--agent-frames", 12_000, "frames that the agent practises on")
    add_count(parser, "--episodes", 200, "episodes per evaluation of the agent")


def _add_stream(subparsers: Any) -> None:
    summary = "watch a sequence of sources through the wrapper, learning, without an agent"
    parser = _command(subparsers, "stream", summary, manual.STREAM, commands.stream)
    parser.add_argument(
        "--sequence", required=True, metavar="S",
        help="sources joined by commas, each with an optional :N frames",
    )  # fmt: skip
    add_count(parser, "--frames", 10_000, "frames of a source without :N")
    parser.add_argument(
        "--motion", choices=("independent", "smooth"), default="independent",
        help="independent draws (default), or one sprite at a time that moves from frame to frame",
    )  # fmt: skip
    add_data_dir(parser, "folder of the data sets (see vase-rl data)")
    parser.add_argument(
        "--skip-bad", action="store_true",
        help="go on after damage, and count it: a neighbour stands in for an image of celeba, "
        "recordings go on with the next episode",
    )  # fmt: skip
    parser.add_argument(
        "--size", type=whole(16), default=64, metavar="PIXELS",
        help="side of the canvas (default: 64); the learner resizes it to its own",
    )  # fmt: skip
    add_config(parser)
    parser.add_argument(
        "--frames-per-update", type=whole(1), metavar="N",
        help="frames per training step (default: the wrapper's); fewer learn more and take longer",
    )  # fmt: skip
    parser.add_argument(
        "--entangled", action="store_true",
        help="the paper's baseline: a plain VAE loss (beta = 1) in place of the capacity objective",
    )  # fmt: skip


def _add_train(subparsers: Any) -> None:
    summary = "train a Stable-Baselines3 agent on the latents of an environment's images"
    parser = _command(subparsers, "train", summary, manual.TRAIN, commands.train)
    add_environment(parser)
    parser.add_argument(
        "--algorithm", choices=ALGORITHMS, default="ppo",
        help="ppo (default) or a2c: all kinds of actions; dqn: discrete; sac: continuous",
    )  # fmt: skip
    parser.add_argument(
        "--hyperparameters", metavar="FILE.yml",
        help="the algorithm's, by the names of Stable-Baselines3 (see below)",
    )  # fmt: skip
    add_count(parser, "--frames", 30_000, "frames to train on")
    add_count(parser, "--envs", 1, "environments side by side, all seen by one encoder at once")
    parser.add_argument("--encoder", metavar="CHECKPOINT", help="start from this encoder, frozen")
    parser.add_argument("--online", action="store_true", help="let that encoder go on learning")
    add_config(parser, note="not beside --encoder, which has its own")
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


def _add_evaluate(subparsers: Any) -> None:
    summary = "run a trained agent, with nothing learning"
    parser = _command(subparsers, "evaluate", summary, manual.EVALUATE, commands.evaluate)
    parser.add_argument("bundle", metavar="BUNDLE", help="agent.zip of train or demo")
    add_environment(parser)
    add_count(parser, "--episodes", 100, "how many")
    add_count(parser, "--record", 0, "episodes to animate", least=0)


def _add_inspect(subparsers: Any) -> None:
    summary = "environments, masks and used latents of an encoder, and a picture of its latents"
    parser = _command(subparsers, "inspect", summary, manual.INSPECT, commands.inspect)
    parser.add_argument("checkpoint", metavar="CHECKPOINT", help="encoder.pt, or agent.zip")


def _add_record(subparsers: Any) -> None:
    summary = "record what a Gymnasium environment shows as a Minari data set, losslessly"
    parser = _command(subparsers, "record", summary, manual.RECORD, commands.record)
    parser.add_argument("env", metavar="ENV_ID", help="a Gymnasium environment with images")
    add_environment_arguments(parser)
    add_count(parser, "--frames", 10_000, "frames in all, those of earlier calls counted", least=2)
    parser.add_argument(
        "--size", type=parse_size, metavar="WIDTHxHEIGHT",
        help="resize the picture by area, as in 111x84 (default: as it is)",
    )  # fmt: skip
    parser.add_argument(
        "--policy", metavar="BUNDLE", help="agent.zip of train or demo (default: random actions)"
    )


def _add_study(subparsers: Any) -> None:
    summary = "compare conditions of the learner over seeds, from batches; writes a table"
    parser = _command(subparsers, "study", summary, manual.study(), commands.study)
    parser.add_argument("study", metavar="STUDY", help="one of those listed below")
    add_seeds(parser, "--seed and the two after it")
    parser.add_argument(
        "--steps", type=whole(10), metavar="N", help="batches per visit (default: the study's)"
    )
    parser.add_argument(
        "--only", action="append", default=[], metavar="NAME",
        help="run this condition alone; may be given again",
    )  # fmt: skip
    add_data_dir(parser, IDX_FILES)
    add_workers(parser)
    add_replicas(parser)


def _add_detect(subparsers: Any) -> None:
    summary = "compare detectors of shifts on the same streams, with known switches"
    parser = _command(subparsers, "detect", summary, manual.DETECT, commands.detect)
    parser.add_argument(
        "--streams", nargs="+", metavar="NAME", help="of those below (default: four built-in ones)"
    )
    parser.add_argument(
        "--detectors",
        nargs="+",
        metavar="NAME",
        help="of those below (default: all but algorithm1)",
    )
    add_seeds(parser, "--seed")
    add_count(parser, "--frames", 30_000, "frames of each stream and seed", least=1000)
    parser.add_argument(
        "--false-alarms-per-million", type=rate, default=100.0, metavar="RATE",
        help="for the comparison at matched rates: at most so many per million frames of the "
        "group's still stream (default: 100)",
    )  # fmt: skip
    add_data_dir(parser, f"{IDX_FILES}, which then take part in sprites and reach")
    add_workers(parser)


def _add_explore(subparsers: Any) -> None:
    summary = "imagination-driven exploration: it moves what stands still, and learns from it"
    parser = _command(subparsers, "explore", summary, manual.EXPLORE, commands.explore)
    add_seeds(parser, "--seed")
    steps = "batches per visit to a world, a third of it for the last"
    add_count(parser, "--steps", 700, steps, least=10)
    add_data_dir(parser, f"{IDX_FILES}, which then take the place of built-in sprites")
    add_workers(parser)


def _add_reproduce(subparsers: Any) -> None:
    summary = "the paper's tables and figures, with the paper's numbers beside ours"
    parser = _command(subparsers, "reproduce", summary, manual.reproduce(), commands.reproduce)
    parser.add_argument("targets", nargs="+", metavar="TARGET", help="of those listed below")
    parser.add_argument(
        "--scale", choices=("smoke", "cpu", "paper"), default="smoke",
        help="smoke: a minute each, to see it work (default); cpu: hours; paper: its schedule",
    )  # fmt: skip
    add_seeds(parser, "as many as the scale has, from --seed on")
    add_data_dir(parser, "folder of the data sets; without it built-in sprites stand in")
    parser.add_argument(
        "--stand-in", action="append", default=[], metavar="NAME",
        help="built-in sprites stand in for this data set (mnist, fashion, celeba) although there "
        "is a folder; may be given again",
    )  # fmt: skip
    parser.add_argument(
        "--trajectories", nargs=2, metavar=("NATLAB", "EDE"),
        help="recordings of two worlds for fig4b and fig5b; without them built-in sprites stand in",
    )  # fmt: skip
    add_workers(parser)
    add_replicas(parser)


def _add_bench(subparsers: Any) -> None:
    summary = "speed, as ratios of what is measured side by side in one run"
    parser = _command(subparsers, "bench", summary, manual.BENCH, commands.bench)
    add_count(parser, "--rounds", 15, "times that everything is measured", least=2)
    parser.add_argument("--quick", action="store_true", help="leave out memory and growth")


def _add_data(subparsers: Any) -> None:
    summary = "list, fetch and check the data sets that sources of frames read"
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "data",
        help=summary,
        description=f"{summary[0].upper()}{summary[1:]}.",
        epilog=manual.DATA,
        formatter_class=layout,
    )
    actions = parser.add_subparsers(metavar="ACTION", required=True, title="actions", dest="action")
    for action, does in manual.DATA_ACTIONS.items():
        one = _command(actions, action, does, manual.DATA, commands.data, out="runs/data")
        one.add_argument(
            "names", nargs="+" if action == "fetch" else "*", metavar="NAME",
            help=f"mnist, fashion, celeba{'' if action == 'fetch' else ' (default: all)'}",
        )  # fmt: skip
        add_data_dir(one, "where they lie (default: $VASE_RL_DATA)")
        if action == "fetch":
            one.add_argument(
                "--base-url", metavar="URL", help="fetch URL/FILE instead of the known mirrors"
            )
