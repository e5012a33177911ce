"""`vase-rl bench`: speed, as ratios of what is measured side by side in one run."""

from __future__ import annotations

import datetime
import os
import platform
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from ..allocation import keep_freed_memory
from ..config import VASEConfig
from ..devices import resolve_device
from ..files import write_whole
from ..precision import Precision
from .bench_layers import layer_rows, layer_work
from .bench_subjects import (
    dreaming_learner,
    encode_work,
    plain_epoch,
    replicas_work,
    step_work,
    with_precision,
    world,
    wrapped_work,
)
from .bench_tables import markdown
from .ceilings import DTYPES, ceiling_work, ceilings, operations
from .library_loop import is_installed, library_epoch
from .measured import Times, Work, elsewhere, in_turn
from .progress import Progress
from .reference_step import ReferenceStep
from .results import RunDirectory, peak_memory_mib

PRESET = "ablation"
"""The paper's network: 64×64×1, 24 latents, batches of 64 frames and 64 dreams."""
PRECISIONS: tuple[Precision, ...] = ("float32", "bfloat16")
FRAMES = (1, 8, 64)
ENVIRONMENTS = (1, 8)
WRAPPED_STEPS = 64
"""Of a measurement of the wrapper: alone it asks for the world every 64 steps, eight environments
every 32."""
GROWTH: dict[str, tuple[dict[str, Any], ...]] = {
    "latents": tuple({"latents": n} for n in (12, 24, 48, 96)),
    "image_size": tuple({"image_size": n} for n in (32, 64, 128)),
    "environments": tuple({"max_environments": n} for n in (2, 4, 7)),
}
"""What grows, and how far, everything else being the paper's."""
REPLICAS = {"cpu": (1, 2, 4), "cuda": (1, 5, 20)}
"""Learners that train together, by the type of device."""
REFERENCE, KEPT, LIBRARY = "reference", "reference, kept", "pythae"
"""The plain step in a process of its own, and in the learner's, which keeps what it frees."""
EPOCH = 4
"""Batches of an epoch of the library's loop and the learner's."""
PROCESSES = ("", REFERENCE, *PRECISIONS)
"""Whose memory is measured; the first takes no steps."""
WRITTEN = ("performance.md",)


@dataclass(frozen=True)
class BenchSettings:
    """What to measure, and how often."""

    rounds: int = 15
    quick: bool = False
    """Leave out memory and growth."""
    seed: int = 0
    device: str = "auto"
    overrides: dict[str, Any] = field(default_factory=dict)
    """Fields of `VASEConfig` that differ from the paper's."""

    @property
    def config(self) -> VASEConfig:
        """Of the learners."""
        return VASEConfig.preset(PRESET, **self.overrides)


def run_bench(settings: BenchSettings, out: str | Path, arguments: list[str]) -> RunDirectory:
    """Measure, write `metrics.json` and the table `performance.md`.

    Raises:
        ValueError: a setting breaks its rule, or `out` cannot be written.
    """
    device = resolve_device(settings.device)
    run = RunDirectory(out, "bench", arguments, stale=WRITTEN)
    run.record(machine=machine(device), rounds=settings.rounds, network=settings.config.to_dict())
    sections: dict[str, Callable[[Progress], Any]] = {
        "step": lambda progress: measure_step(settings, progress),
        "encode": lambda progress: measure_encode(settings, progress),
        "wrapper": lambda progress: measure_wrapper(settings, progress),
    }
    if is_installed() and device.type in ("cpu", "cuda") and not device.index:
        # Where pythae computes, too.
        sections["library"] = lambda progress: measure_library(settings, progress)
    if not settings.quick:
        sections["memory"] = lambda progress: measure_memory(settings, progress)
        sections["growth"] = lambda progress: measure_growth(settings, progress)
    for name, measure in sections.items():
        with Progress(_measurements(name, settings), f"bench {name}", "measurements") as progress:
            run.record(**{name: measure(progress)})
    run.finish()
    write_whole(run.path / "performance.md", markdown(run.metrics).encode())
    return run


def machine(device: torch.device) -> dict[str, Any]:
    """What computes: the processor's name, cores and threads, the accelerator's name, the day."""
    return {
        "processor": processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "accelerator": torch.cuda.get_device_name(device) if device.type == "cuda" else None,
        "system": f"{platform.system()} {platform.machine()}",
        "date": datetime.date.today().isoformat(),
    }


def processor() -> str:
    """The name that the processor gives itself, and what it has for bfloat16."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    flags = next((line.split() for line in lines if line.startswith("flags")), [])
    able = [flag for flag in ("avx512_bf16", "amx_bf16") if flag in flags]
    name = names[0] if names else platform.processor() or platform.machine()
    return ", ".join([name, *able])


def measure_step(settings: BenchSettings, progress: Progress) -> dict[str, Any]:
    """Training steps in float32 and bfloat16 beside the reference and the machine's ceilings."""
    config, seed = settings.config, settings.seed
    device = resolve_device(settings.device)
    plain = reference_work(config, seed)
    learners: dict[str, Work] = {}
    for precision in PRECISIONS:
        exact = with_precision(config, precision)
        learners[precision] = step_work(dreaming_learner(exact, 2, seed, settings.device), seed)
    products, layers = ceiling_work(device), layer_work(config, device)
    with ExitStack() as processes:
        steps: dict[str, Work] = {}
        if REFERENCE in references(device):
            alone = elsewhere(partial(reference_work, config, seed))
            steps[REFERENCE] = processes.enter_context(alone)
        if KEPT in references(device):
            steps[KEPT] = plain
        steps |= learners
        times = in_turn({**steps, **products, **layers}, settings.rounds, progress.advance)
    best = ceilings(products, times)
    needed = operations(plain)
    return {
        "operations": needed,
        "ceilings": best,
        "rows": {name: _step_row(name, times, needed, best) for name in steps},
        "layers": layer_rows(config, Times({n: times.rounds[n] for n in layers}), best),
        "times": times.rounds,
    }


def references(device: torch.device) -> tuple[str, ...]:
    """Where the plain step is measured: not on accelerators, and in the learner's process only if
    what is freed is kept there."""
    if device.type != "cpu":
        return ()
    return (REFERENCE, KEPT) if keep_freed_memory() else (REFERENCE,)


def reference_work(config: VASEConfig, seed: int) -> Work:
    """The plain step, in the second of two worlds, as the learner's."""
    reference = ReferenceStep(config, seed)
    frames = world(config, 1, config.batch_size, seed)
    return lambda: reference(frames)


def _step_row(
    name: str, times: Times, needed: int, best: Mapping[str, Mapping[str, float]]
) -> dict[str, Any]:
    seconds = times.median(name)
    kind = best["float32" if name in (REFERENCE, KEPT) else name]
    row: dict[str, Any] = {"seconds": seconds, "operations_per_second": needed / seconds}
    row["share_of_ceiling"] = {what: needed / seconds / rate for what, rate in kind.items()}
    if REFERENCE in times.rounds:
        row["speed_up"] = times.ratio(REFERENCE, name)
        row["speed_up_quartiles"] = times.spread(REFERENCE, name)
    return row


def measure_encode(settings: BenchSettings, progress: Progress) -> list[dict[str, Any]]:
    """`VASE.encode` of frames beside the bare forward pass."""
    rows = []
    for precision, vase in _learners(settings):
        for frames in FRAMES:
            work = encode_work(vase, frames, settings.seed)
            times = in_turn(work, settings.rounds, progress.advance)
            over = times.ratio("encode", "forward") - 1
            seconds = {name: times.median(name) for name in work}
            rows.append({"precision": precision, "frames": frames, **seconds, "over": over})
    return rows


def measure_wrapper(settings: BenchSettings, progress: Progress) -> list[dict[str, Any]]:
    """What a frozen wrapper adds to stepping environments and passing frames through the encoder,
    beside that bare forward pass."""
    rows = []
    for precision, vase in _learners(settings):
        for count in ENVIRONMENTS:
            work = wrapped_work(vase, count, WRAPPED_STEPS, settings.seed)
            rounds = in_turn(work, settings.rounds, progress.advance).rounds
            added = [w - p for w, p in zip(rounds["wrapped"], rounds["plain"], strict=True)]
            times = Times({"forward": rounds["forward"], "added": added})
            rows.append(
                {
                    "precision": precision,
                    "environments": count,
                    "forward": times.median("forward") / WRAPPED_STEPS,
                    "added": times.median("added") / WRAPPED_STEPS,
                    "over": times.ratio("added", "forward"),
                }
            )
    return rows


def measure_library(settings: BenchSettings, progress: Progress) -> list[dict[str, Any]]:
    """Frames per second from memory to updated weights, of a public library's loop and of a learner
    in its first environment: neither has dreams."""
    config, device = settings.config, resolve_device(settings.device)
    frames = world(config, 0, EPOCH * config.batch_size, settings.seed)
    with TemporaryDirectory() as scratch:
        work = {LIBRARY: library_epoch(config, frames, scratch, settings.seed, device)}
        for precision, vase in _learners(settings, worlds=1):
            work[precision] = plain_epoch(vase, frames, settings.seed)
        times = in_turn(work, settings.rounds, progress.advance)
    return [
        {"name": name, "frames_per_second": len(frames) / times.median(name),
         "speed_up": times.ratio(LIBRARY, name)}
        for name in work
    ]  # fmt: skip


def _learners(settings: BenchSettings, worlds: int = 2) -> Iterable[tuple[str, Any]]:
    for precision in PRECISIONS:
        config = with_precision(settings.config, precision)
        yield precision, dreaming_learner(config, worlds, settings.seed, settings.device)


def measure_memory(settings: BenchSettings, progress: Progress) -> dict[str, int | None]:
    """The most memory of a process that takes training steps, in MiB, each in its own."""
    peaks = {}
    with get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
        for name in PROCESSES:
            peaks[name] = pool.apply(peak_of, (name, settings))
            progress.advance()
    return peaks


def peak_of(name: str, settings: BenchSettings) -> int | None:
    """The most memory that this process has held after three steps of a kind; "" takes none."""
    if name == REFERENCE:
        step = reference_work(settings.config, settings.seed)
    elif name:
        config = VASEConfig.from_dict({**settings.config.to_dict(), "precision": name})
        step = step_work(dreaming_learner(config, 2, settings.seed, "cpu"), settings.seed)
    for _ in range(3 if name else 0):
        step()
    return _high_water_mib()


def _high_water_mib() -> int | None:
    """As `peak_memory_mib`, but on Linux without what the parent held, which that one inherits."""
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return peak_memory_mib()
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    return round(int(found[1]) / 2**10) if found else peak_memory_mib()


def measure_growth(settings: BenchSettings, progress: Progress) -> list[dict[str, Any]]:
    """A training step where one size grows, in turn with the others of its kind."""
    rows = []
    for what, work in _growing(settings):
        times = in_turn(work, settings.rounds, progress.advance)
        first = next(iter(work))
        rows += [
            {"what": what, "value": int(name), "seconds": times.median(name),
             "times_first": times.ratio(name, first)}
            for name in work
        ]  # fmt: skip
    return rows


def _growing(settings: BenchSettings) -> Iterator[tuple[str, dict[str, Work]]]:
    """What grows, and by its size the work that is measured."""
    plain = {**settings.overrides, "precision": "auto"}
    for what, steps in GROWTH.items():
        work = {}
        for overrides in steps:
            config = VASEConfig.preset(PRESET, **{**plain, **overrides})
            worlds = overrides.get("max_environments", 2)
            vase = dreaming_learner(config, worlds, settings.seed, settings.device)
            work[str(next(iter(overrides.values())))] = step_work(vase, settings.seed)
        yield what, work
    config = VASEConfig.preset(PRESET, **plain)
    yield (
        "replicas",
        {
            str(count): replicas_work(config, count, settings.seed, settings.device)
            for count in _replicas(settings)
        },
    )


def _replicas(settings: BenchSettings) -> tuple[int, ...]:
    return REPLICAS.get(resolve_device(settings.device).type, REPLICAS["cpu"])


def _measurements(section: str, settings: BenchSettings) -> int:
    """How many a section makes, for the one who waits."""
    steps = len(PRECISIONS) + len(references(resolve_device(settings.device)))
    each = {
        "step": steps + (4 + 2 * len(settings.config.filters)) * len(DTYPES),
        "encode": 2 * len(PRECISIONS) * len(FRAMES),
        "wrapper": 3 * len(PRECISIONS) * len(ENVIRONMENTS),
        "library": 1 + len(PRECISIONS),
        "growth": sum(map(len, GROWTH.values())) + len(_replicas(settings)),
    }
    return len(PROCESSES) if section == "memory" else each[section] * settings.rounds
