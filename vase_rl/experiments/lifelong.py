"""One learner through a sequence of sources, from batches, with probes beside it.

The learner is never told that the source changes. This is the paper's set-up (section 4), at any
number of steps; `study` runs it over conditions and seeds.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..config import VASEConfig
from ..envs import Source, make_source
from ..learner import VASE
from ..replicas import Replicas
from ..reports import UpdateReport
from .disentanglement import disentanglement_of
from .forgetting import forgetting, mean_of
from .online_probes import OnlineProbe, OnlineProbes, position_variance
from .progress import Progress
from .scoring import Score, Switch, Visit, score, withdraw

PROBE_EVERY = 2
"""Training steps of the learner per step of the probes; 1 in A.6. It halves their cost, which on a
small network is that of the learner."""
ATYPICALITY_EVERY = 10
"""Training steps between two records of atypicality and mask."""


@dataclass(frozen=True)
class LifelongSettings:
    """What to learn from, and how."""

    sequence: tuple[str, ...]
    """Sources in order; one may come again."""
    steps: int
    """Batches, and training steps but for those held back at a switch, per visit."""
    config: VASEConfig
    seed: int = 0
    data_dir: str | None = None
    probes: bool = True
    evaluations: int = 10
    """Evaluations of the probes per visit."""
    disentanglement: bool = False
    """Whether to measure MIG, DCI and the like at the end, on sources with known factors."""
    device: str = "cpu"
    save_to: str | None = None
    """Where to leave the learner at the end."""


@dataclass
class Record:
    """What happened, batch by batch."""

    openings: list[int] = field(default_factory=list)
    switches: list[Switch] = field(default_factory=list)
    steps: list[int] = field(default_factory=list)
    atypicality: list[list[float]] = field(default_factory=list)
    mask: list[list[bool]] = field(default_factory=list)
    kl: list[float] = field(default_factory=list)
    reconstruction: list[float] = field(default_factory=list)

    def add(self, batch: int, report: UpdateReport) -> None:
        """Note what one update did."""
        if report.merged:
            withdraw(self.switches, self.openings.pop())
        if report.new_environment:
            self.openings.append(batch)
        if report.shift:
            self.switches.append(Switch(batch, report.environment, report.new_environment))
        if batch % ATYPICALITY_EVERY == 0 and report.trained:
            self.steps.append(batch)
            self.atypicality.append([round(float(a), 4) for a in report.atypicality])
            self.mask.append([bool(m) for m in report.latent_mask])
            self.kl.append(round(report.losses["kl"], 3))
            self.reconstruction.append(round(report.losses["reconstruction"], 3))


def run_lifelong(
    settings: Sequence[LifelongSettings], label: str = "learning"
) -> list[dict[str, Any]]:
    """Train and measure; everything as plain values for a JSON file.

    Args:
        settings: what to learn from, and how. Several, which may differ in their seeds and in where
            they are kept, are trained together (`replicas`).
        label: of the progress that is told.

    Raises:
        ValueError: a source is unknown, or its data are missing.
        FloatingPointError: a learner diverged.
    """
    learners = [VASE(one.config, seed=one.seed, device=one.device) for one in settings]
    lives = [_live(one, vase) for one, vase in zip(settings, learners, strict=True)]
    steps = len(settings[0].sequence) * settings[0].steps
    update = Replicas(learners).update if len(learners) > 1 else _alone(learners[0])
    with Progress(steps, label, "batches", part=True) as progress:
        frames = [next(life) for life in lives]
        for _ in range(steps - 1):
            reports = update(frames)
            frames = [life.send(report) for life, report in zip(lives, reports, strict=True)]
            progress.advance()
        reports = update(frames)
        progress.advance()
        return [_last(life, report) for life, report in zip(lives, reports, strict=True)]


def _alone(vase: VASE) -> Callable[[Sequence[np.ndarray]], list[UpdateReport]]:
    return lambda frames: [vase.update(frames[0])]


Life = Generator[np.ndarray, UpdateReport, dict[str, Any]]
"""Asks for an update on a batch by yielding it; returns the result."""


def _last(life: Life, report: UpdateReport) -> dict[str, Any]:
    try:
        life.send(report)
    except StopIteration as end:
        result: dict[str, Any] = end.value
        return result
    raise AssertionError("a life went on after its last batch")


def _live(settings: LifelongSettings, vase: VASE) -> Life:
    started = time.perf_counter()
    names = list(dict.fromkeys(settings.sequence))
    train, test, probed = (
        {name: _source(name, split, settings) for name in names}
        for split in ("train", "test", "train")
    )
    probes = OnlineProbes(probed, test, settings.config.latents, settings.seed + 1)
    record, spans, losses = Record(), [], []
    for visit, name in enumerate(settings.sequence):
        before = probes.evaluations
        yield from _visit(visit, train[name], vase, probes, record, settings)
        spans.append(Visit(before, probes.evaluations, name))
        losses.append({source: _loss(vase, probes, source) for source in names})
    if settings.save_to is not None:
        vase.save(Path(settings.save_to))
    return {
        **_switching(settings, record),
        **(_probe_results(probes, spans) if settings.probes else {}),
        **_latents(vase),
        **(disentanglement_of(vase, test) if settings.disentanglement else {}),
        **_collapse(vase, record, settings),
        "reconstruction_loss": losses,
        "record": vars(record) | {"switches": [vars(s) for s in record.switches]},
        "seconds": round(time.perf_counter() - started, 1),
    }


def _visit(
    visit: int,
    source: Source,
    vase: VASE,
    probes: OnlineProbes,
    record: Record,
    settings: LifelongSettings,
) -> Generator[np.ndarray, UpdateReport, None]:
    """All batches of one source, with the probes learning and being evaluated beside."""
    pause = max(1, settings.steps // settings.evaluations)
    for step in range(settings.steps):
        report = yield source.sample(settings.config.batch_size).frames
        record.add(visit * settings.steps + step, report)
        if settings.probes and step % PROBE_EVERY == 0:
            probes.train(vase)
        if settings.probes and (step + 1) % pause == 0:
            probes.evaluate(vase)
    probes.leave(source.name)


def _source(name: str, split: str, settings: LifelongSettings) -> Source:
    """A source at the learner's size. Sources do not share their random state."""
    return make_source(
        name,
        size=settings.config.image_size,
        seed=settings.seed,
        data_dir=settings.data_dir,
        split=split,
    )


def _loss(vase: VASE, probes: OnlineProbes, source: str) -> float:
    """Reconstruction loss of test frames under the environment that they are taken for, nats."""
    return vase.infer(probes.tests[source].frames[:256]).reconstruction_loss


def _switching(settings: LifelongSettings, record: Record) -> dict[str, Any]:
    """Switches against the truth; what the score calls frames are batches here."""
    visits = [
        Visit(i * settings.steps, (i + 1) * settings.steps, name)
        for i, name in enumerate(settings.sequence)
    ]
    found: Score = score(visits, record.openings, record.switches)
    return {
        "environments_true": found.environments_true,
        "environments_found": found.environments_found,
        "false_environments": found.false_environments,
        "false_switches": found.false_switches,
        "missed": found.missed,
        "delay_max": max(found.delays, default=None),
        "environment_sources": list(found.owners),
    }


def _probe_results(probes: OnlineProbes, spans: list[Visit]) -> dict[str, Any]:
    curves, summary = {}, {}
    for probe in probes.probes:
        accuracy = probe.kind == "class"
        own = forgetting(probe.scores, spans, probe.source, higher_is_better=accuracy)
        curves[probe.name] = {"trained": probe.scores, "frozen": probe.frozen_scores}
        summary[probe.name] = {**vars(own), **_frozen(probe, spans)}
        if not accuracy:
            positions = probes.tests[probe.source].factors["position"].astype(np.float32)
            variance = position_variance(positions)
            summary[probe.name]["r2_end"] = 1 - probe.scores[-1] / variance
    classes = [s for name, s in summary.items() if name.endswith("/class")]
    places = [s for name, s in summary.items() if name.endswith("/position")]
    return {
        "curves": curves,
        "spans": [vars(span) for span in spans],
        "probes": summary,
        "object_max": mean_of([s["best"] for s in classes]),
        "object_change": mean_of([s["change"] for s in classes]),
        "object_change_frozen": mean_of([s["change_frozen"] for s in classes]),
        "object_backward_transfer": mean_of([s["backward_transfer"] for s in classes]),
        "position_min": mean_of([s["best"] for s in places]),
        "position_change": mean_of([s["change"] for s in places]),
        "position_change_frozen": mean_of([s["change_frozen"] for s in places]),
        "position_ratio": mean_of(
            [s["change"] / s["best"] for s in places if s["change"] is not None]
        ),
        "position_r2_end": min((s["r2_end"] for s in places), default=None),
    }


def _frozen(probe: OnlineProbe, spans: list[Visit]) -> dict[str, float | None]:
    """Change of the probe that stopped learning when its first visit ended.

    From the score when it stopped to the worst one before it was trained anew.
    """
    visits = [i for i, span in enumerate(spans) if span.source == probe.source]
    end = spans[visits[0]].end
    again = spans[visits[1]].end if len(visits) > 1 else len(probe.scores)
    after = [s for s in probe.frozen_scores[end:again] if s is not None]
    if not after:
        return {"change_frozen": None}
    worst = min(after) if probe.kind == "class" else max(after)
    return {"change_frozen": worst - probe.scores[end - 1]}


def _collapse(vase: VASE, record: Record, settings: LifelongSettings) -> dict[str, Any]:
    """Whether the latents fell silent: KL below 1 nat at the end of a visit, or all masked.

    A visit without any training counts as 0 nats; all masked means all but `minimum_active`.
    """
    kl, visits = np.asarray(record.kl), np.asarray(record.steps) // settings.steps
    trained = [kl[visits == visit][-10:] for visit in range(len(settings.sequence))]
    ends = [float(part.mean()) if len(part) else 0.0 for part in trained]
    least = settings.config.minimum_active
    masked = any(int(e.latent_mask.sum()) <= least for e in vase.environments)
    return {
        "kl_end": ends[-1],
        "kl_least": min(ends),
        "collapsed": float(masked or min(ends) < 1.0),
    }


def _latents(vase: VASE) -> dict[str, Any]:
    vase.estimate_used_latents()
    masks = np.stack([e.latent_mask.cpu().numpy() for e in vase.environments])
    used = np.stack([e.used_latents.cpu().numpy() for e in vase.environments])
    return {
        "masks": masks.tolist(),
        "used": used.tolist(),
        "latents_used": int(used.any(0).sum()),
        "latents_spare": int((~used.any(0)).sum()),
        "fewest_unmasked": int(masks.sum(1).min()),
    }
