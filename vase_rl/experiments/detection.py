"""`vase-rl detect`: detectors of shifts side by side, on the same streams with known switches."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

from .. import blocks, fixed_features, shifts, whereabouts
from ..files import write_whole
from .detection_scores import Detection, Recognition, judge, pooled, recognise, together
from .detection_streams import STREAMS, DetectionStream, check_length, check_stream
from .detection_tables import matched_setting, tables
from .detectors import DEFAULT_METHODS, METHODS, Detector, check_methods
from .onlooker import Onlooker, Stretch
from .progress import Progress
from .results import RunDirectory, Stored, releases
from .scoring import Visit
from .sweep import HERE, Outcome, Task, Workers, sweep

WRITTEN = ("table.md", "sweep.svg", "timeline.svg")
"""What `detect` leaves beside `metrics.json` and the results of its runs."""
DEFAULT_STREAMS = ("sprites", "sprites-still", "reach-random", "reach-random-still")


@dataclass(frozen=True)
class DetectSettings:
    """What to compare, and on what; as the options of `vase-rl detect`."""

    streams: Sequence[str] = DEFAULT_STREAMS
    detectors: Sequence[str] = DEFAULT_METHODS
    seeds: Sequence[int] = (0,)
    frames: int = 30_000
    """Of each stream and seed."""
    false_alarms_per_million: float = 100.0
    """At most so many where nothing changes, for the comparison at matched rates."""
    data_dir: str | None = None
    device: str = "auto"


@dataclass(frozen=True)
class Job:
    """One stream of one seed, and the file of its result."""

    stream: str
    seed: int
    path: Path
    settings: DetectSettings

    @property
    def stored(self) -> Stored:
        """Where the data lie changes nothing."""
        settings = {
            "stream": self.stream,
            "seed": self.seed,
            "frames": self.settings.frames,
            "data": self.settings.data_dir is not None,
            "methods": {name: list(METHODS[name].settings) for name in self.settings.detectors},
            "releases": releases(),
            "rule": _rule(),
        }
        return Stored(self.path, settings)


@dataclass
class Watched:
    """A detector at one setting, and what it said so far."""

    detector: Detector
    alarms: list[int] = field(default_factory=list)
    track: list[tuple[int, int]] = field(default_factory=list)

    def look(self, stretch: Stretch, start: int) -> None:
        """Show it the stretch that begins at a frame."""
        self.alarms += [start + place for place in self.detector.observe(stretch)]
        beliefs = self.detector.beliefs
        if beliefs is not None and beliefs.opened:
            place = beliefs.environment
            if not self.track or self.track[-1][1] != place:
                self.track.append((start + len(stretch) - 1, place))

    def to_dict(self) -> dict[str, Any]:
        """For the run's file."""
        beliefs = self.detector.beliefs
        named = {} if beliefs is None else {
            "track": self.track, "opened": list(beliefs.opened), "merges": beliefs.merges
        }  # fmt: skip
        return {"alarms": self.alarms, **named}


def run_detect(
    settings: DetectSettings, out: str | Path, arguments: list[str], workers: Workers = HERE
) -> RunDirectory:
    """Run what is not yet on disk, then write table and pictures.

    Args:
        settings: which streams and detectors.
        out: one file per stream and seed goes to `out/runs`; those of equal settings are not run
            again.
        arguments: the command line's, for the record.
        workers: who runs them; processes of this machine, as many as cores, by default.

    Raises:
        ValueError: no such stream or detector, too few frames for a switch, a library or data are
            missing, or `out` cannot be written.
    """
    settings = replace(
        settings,
        streams=list(dict.fromkeys(map(check_stream, settings.streams))),
        detectors=check_methods(settings.detectors),
    )
    for stream in settings.streams:
        check_length(stream, settings.frames)
    jobs = list(_jobs(settings, Path(out) / "runs"))
    due = [job for job in jobs if job.stored.load() is None]
    for job in due:
        # Missing data and libraries are told now, not after the streams before.
        _stream(job).close()
    run = RunDirectory(out, "detect", arguments, stale=WRITTEN)
    run.record(
        frames=settings.frames,
        seeds=list(settings.seeds),
        false_alarms_per_million_wanted=settings.false_alarms_per_million,
    )
    try:
        sweep([_task(job) for job in jobs], workers, "detect")
    finally:
        _summarise(run, settings, jobs)
    run.finish()
    return run


@cache
def _rule() -> str:
    """A fingerprint of the learner's rule, which may change between releases."""
    sources = "".join(map(inspect.getsource, (blocks, fixed_features, shifts, whereabouts)))
    return hashlib.sha256(sources.encode()).hexdigest()[:12]


def _jobs(settings: DetectSettings, folder: Path) -> Iterator[Job]:
    for seed in settings.seeds:
        for stream in settings.streams:
            yield Job(stream, seed, folder / f"{stream}-seed{seed}.json", settings)


def _task(job: Job) -> Task:
    gpu = job.settings.device.startswith("cuda")
    outcome = Outcome(job.stored)
    return Task(f"{job.stream}, seed {job.seed}", (outcome,), partial(_watch, job), gpu)


def _stream(job: Job) -> DetectionStream:
    settings = job.settings
    return DetectionStream(job.stream, settings.frames, seed=job.seed, data_dir=settings.data_dir)


def _watch(job: Job, folder: Path) -> list[dict[str, Any]]:
    """Show one stream to all detectors at all settings; no file is left."""
    settings = job.settings
    methods = {name: METHODS[name] for name in settings.detectors}
    watched = {name: [Watched(m.make(s)) for s in m.settings] for name, m in methods.items()}
    label = f"detecting, {job.stream}, seed {job.seed}"
    with (
        closing(_stream(job)) as stream,
        Progress(settings.frames, label, part=True) as progress,
    ):
        onlooker = Onlooker(
            stream.channels,
            plain=any(method.plain for method in methods.values()),
            seed=job.seed,
            device=settings.device,
        )
        start = 0
        for frames in stream.chunks():
            stretch = onlooker.look(frames)
            for group in watched.values():
                for one in group:
                    one.look(stretch, start)
            start += len(frames)
            progress.advance(len(frames))
    said = {name: [one.to_dict() for one in group] for name, group in watched.items()}
    return [{"visits": [asdict(visit) for visit in stream.visits], "methods": said}]


@dataclass(frozen=True)
class Result:
    """A detector at one setting on one stream, all seeds together."""

    setting: float
    detection: Detection
    recognition: Recognition | None

    def to_dict(self) -> dict[str, Any]:
        """The numbers for `metrics.json`."""
        named = {} if self.recognition is None else self.recognition.to_dict()
        return {"setting": self.setting, **self.detection.to_dict(), **named}


def _results(name: str, runs: Sequence[dict[str, Any]]) -> list[Result]:
    """Of a detector at each of its settings, on the runs of one stream."""
    found = []
    for number, setting in enumerate(METHODS[name].settings):
        parts, named = [], []
        for run in runs:
            visits = [Visit(**visit) for visit in run["visits"]]
            said = run["methods"][name][number]
            parts.append(judge(visits, said["alarms"]))
            if "track" in said:
                named.append(recognise(visits, said["track"], said["opened"], said["merges"]))
        found.append(Result(setting, together(parts), pooled(named) if named else None))
    return found


def _summarise(run: RunDirectory, settings: DetectSettings, jobs: Sequence[Job]) -> None:
    from .detection_plots import sweep, timeline
    from .plots import svg, write_svg

    done = [(job.stream, result) for job in jobs if (result := job.stored.load()) is not None]
    streams = list(dict.fromkeys(stream for stream, _ in done))
    if not streams:
        return
    results = {
        stream: {
            name: _results(name, [r for s, r in done if s == stream]) for name in settings.detectors
        }
        for stream in streams
    }
    numbers = {name: _numbers(name, results, settings) for name in settings.detectors}
    run.record(detectors=numbers)
    write_whole(run.path / "table.md", tables(numbers, settings.false_alarms_per_million).encode())
    first = {stream: next(r for s, r in done if s == stream) for stream in streams}
    write_svg(svg(timeline(first), "detect-timeline"), run.path / "timeline.svg")
    write_svg(svg(sweep(numbers), "detect-sweep"), run.path / "sweep.svg")


def _numbers(
    name: str, results: dict[str, dict[str, list[Result]]], settings: DetectSettings
) -> dict[str, Any]:
    """Of one detector: at its default on all streams together, and stream by stream."""
    method = METHODS[name]
    default = method.settings.index(method.default)
    every = together(found[name][default].detection for found in results.values())
    streams = {}
    for stream, found in results.items():
        still = results.get(f"{STREAMS[stream][0]}-still", {}).get(name, [])
        rates = [result.detection.per_million for result in still]
        chosen = matched_setting(rates, settings.false_alarms_per_million)
        streams[stream] = {
            **found[name][default].to_dict(),
            "matched": None if chosen is None else found[name][chosen].to_dict(),
            "sweep": [result.to_dict() for result in found[name]],
        }
    return {"knob": method.knob, **every.to_dict(), "streams": streams}
