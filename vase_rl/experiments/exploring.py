"""Figure 4C, one seed: a learner goes from a moving world to a still one, with exploration and not.

A classifier of moving objects learns beside it from the latents of what the learner sees, and of
nothing else: without exploration those are still objects. It is tested on real moving ones. A
second classifier is the probe of A.6: it learns from the latents of real moving objects that the
learner itself has never seen.
"""

from __future__ import annotations

import copy
import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from ..agents import Explorer, ExplorerConfig
from ..config import VASEConfig
from ..envs import Batch, Source, make_source
from ..envs.canvas import sprite_side
from ..learner import VASE
from ..seeding import seeded
from .online_probes import BATCH, OnlineProbe, make_probe
from .probes import encode, r2_score
from .progress import Progress

CONDITIONS = ("with_exploration", "without", "upper_bound")
EVALUATIONS = 10
"""Per visit."""
TEST_FRAMES = 1000
READER_FRAMES, READER_STEPS = 4000, 1500
PRESET = "compact-detail"
OVERRIDES: dict[str, Any] = dict(
    beta=0.3, capacity_start=40.0, capacity_max=40.0, learning_rate=2e-3,
    encoder_dreaming_weight=8.0, decoder_dreaming_weight=2.0,
)  # fmt: skip
"""At β = 1 a short visit ends with little more than the position in the latents, and no classifier
of moving digits learns much, whatever it has seen. At this learning rate, and with more in the
latents, it takes more to hold them."""

EXPLORER = ExplorerConfig(share=0.75, policy_steps=4)
"""Every batch is moved three times: a visit is short, and what stands still is soon known."""


@dataclass(frozen=True)
class ExploringSettings:
    """What to learn from, and how."""

    sequence: tuple[str, str, str]
    """A moving world, one where nothing moves, and the same where it does."""
    steps: int
    """Batches per visit but the last; each is trained on, and the explorer's share of explored or
    further ones beside it."""
    seed: int = 0
    data_dir: str | None = None
    device: str = "auto"
    explorer: ExplorerConfig = EXPLORER
    overrides: dict[str, Any] = field(default_factory=lambda: dict(OVERRIDES))
    """Fields of `VASEConfig` that differ from the preset."""

    @property
    def last_steps(self) -> int:
        """Batches of the last visit, which shows what becomes of environments and of the first
        world, and no longer the benefit."""
        return max(EVALUATIONS, self.steps // 3)

    @property
    def batches(self) -> int:
        """Of all conditions: the first world once, the second twice, the third in its place and
        then twice more."""
        return 4 * self.steps + 2 * self.last_steps

    @property
    def config(self) -> VASEConfig:
        """Of the learner."""
        return VASEConfig.preset(PRESET, **self.overrides)

    def source(self, visit: int, split: str = "train", offset: int = 0) -> Source:
        """That of a visit, at the learner's size."""
        return make_source(
            self.sequence[visit],
            size=self.config.image_size,
            seed=self.seed + offset,
            data_dir=self.data_dir,
            split=split,
        )


class Classifiers:
    """Of moving objects: one that learns from what the learner sees, and the probe of A.6."""

    def __init__(self, settings: ExploringSettings) -> None:
        self.moving, self.test = settings.source(2), settings.source(2, "test").sample(TEST_FRAMES)
        self.generator = torch.Generator().manual_seed(settings.seed + 1)
        with seeded(settings.seed + 1):
            latents = settings.config.latents
            self.own, self.probe = (make_probe(n, "class", latents) for n in ("own", "probe"))

    def train(self, vase: VASE, seen: Batch) -> None:
        """One step each, as often as the learner trains on a batch (A.6)."""
        batches = (seen, self.moving.sample(BATCH))
        mean, std = vase.encode(np.concatenate([batch.frames for batch in batches]))
        noise = torch.randn(mean.shape, generator=self.generator)
        latents = torch.from_numpy(mean) + noise * torch.from_numpy(std)
        parts = torch.split(latents, [len(batch.frames) for batch in batches])
        for classifier, part, batch in zip((self.own, self.probe), parts, batches, strict=True):
            classifier.train(part, torch.from_numpy(batch.factors["class"]))

    def evaluate(self, vase: VASE) -> None:
        """Accuracy on real moving objects."""
        mean = torch.from_numpy(encode(vase, self.test.frames))
        truth = torch.from_numpy(self.test.factors["class"])
        for classifier in (self.own, self.probe):
            classifier.evaluate(mean, truth)


def run_exploring(
    settings: ExploringSettings, progress: Progress
) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
    """Train and measure.

    Returns:
        Numbers for a JSON file, and what pictures are made of (see `_show`).

    Raises:
        ValueError: a source is unknown, its data are missing, or so few steps that nothing is
            learnt of the first world.
        FloatingPointError: the learner diverged.
    """
    started = time.perf_counter()
    first = Explorer(
        VASE(settings.config, seed=settings.seed, device=settings.device),
        settings.explorer,
        seed=settings.seed,
    )
    _visit(first, settings, 0, settings.steps, None, progress, explores=True)
    first.vase.estimate_used_latents()
    if not first.ready:
        raise ValueError(
            f"--steps must be enough for the learner to use latents of {settings.sequence[0]}, "
            f"got {settings.steps}"
        )
    reader = position_reader(first, settings)
    moved = {
        "r2_own": realised(first, reader, settings, 0),
        "r2_unmoved": realised(first, reader, settings, 1),
    }
    results: dict[str, Any] = {}
    pictures: dict[str, npt.NDArray[Any]] = {}
    for condition in CONDITIONS:
        explorer = copy.deepcopy(first)
        results[condition] = _condition(explorer, condition, settings, progress)
        if condition == "with_exploration":
            moved["r2_after"] = results[condition].pop("realised")
            pictures = results[condition].pop("pictures")
    return {
        **moved,
        "conditions": results,
        "seconds": round(time.perf_counter() - started, 1),
    }, pictures


def _condition(
    explorer: Explorer, condition: str, settings: ExploringSettings, progress: Progress
) -> dict[str, Any]:
    """Second and third visit; of the upper bound, the third world takes the second's place."""
    explores = condition == "with_exploration"
    vase, classifiers = explorer.vase, Classifiers(settings)
    before = _loss_of_first(vase, settings)
    extra: dict[str, Any] = {}
    second = 2 if condition == "upper_bound" else 1
    _visit(explorer, settings, second, settings.steps, classifiers, progress, explores=explores)
    own, probe = classifiers.own.scores[-1], classifiers.probe.scores[-1]
    if explores:
        extra["realised"] = realised(explorer, position_reader(explorer, settings), settings, 1)
        extra["pictures"] = _show(explorer, settings)
    if condition != "upper_bound":
        _visit(explorer, settings, 2, settings.last_steps, classifiers, progress,
               explores=explores)  # fmt: skip
    true = 2 if condition == "upper_bound" else 3
    return {
        "accuracy": own,
        "accuracy_probe": probe,
        "accuracy_end": classifiers.own.scores[-1],
        "curve": classifiers.own.scores,
        "curve_probe": classifiers.probe.scores,
        "environments_found": len(vase.registry.known),
        "false_environments": max(0, len(vase.registry.known) - true),
        "loss_of_first_before": before,
        "loss_of_first_after": _loss_of_first(vase, settings),
        **extra,
    }


def _visit(
    explorer: Explorer,
    settings: ExploringSettings,
    visit: int,
    steps: int,
    classifiers: Classifiers | None,
    progress: Progress,
    *,
    explores: bool,
) -> None:
    """So many batches of one source; as many training steps whether there is exploration or not."""
    source, vase = settings.source(visit), explorer.vase
    share, owed = settings.explorer.share, 0.0
    for step in range(steps):
        seen = [source.sample(settings.config.batch_size)]
        if explores:
            explorer.update(seen[0].frames)
            seen += [Batch(each.frames, seen[0].factors) for each in explorer.explored]
        else:
            vase.update(seen[0].frames)
        owed += share / (1 - share) - len(seen[1:])
        while owed >= 1 and not vase.paused:
            owed -= 1
            seen.append(source.sample(settings.config.batch_size))
            vase.practise(seen[-1].frames)
        if classifiers is not None:
            for batch in seen:
                classifiers.train(vase, batch)
        due = (step + 1) * EVALUATIONS // steps > step * EVALUATIONS // steps
        if classifiers is not None and due:
            classifiers.evaluate(vase)
        progress.advance()


# -------------------------------------------------------------------- measuring


def position_reader(explorer: Explorer, settings: ExploringSettings) -> OnlineProbe:
    """A regressor of the position, trained on what an attended latent says of the first world.

    The network of A.6: three latents may hold two coordinates, which no straight line reads.
    """
    batch = settings.source(0, offset=1).sample(READER_FRAMES)
    attended = explorer.imagine(1).attended.cpu().numpy()
    latents = torch.from_numpy(encode(explorer.vase, batch.frames) * attended)
    truth = torch.from_numpy(batch.factors["position"].astype(np.float32))
    generator = torch.Generator().manual_seed(settings.seed)
    with seeded(settings.seed):
        reader = make_probe(settings.sequence[0], "position", latents.shape[1])
    for _ in range(READER_STEPS):
        chosen = torch.randint(len(latents), (BATCH,), generator=generator)
        reader.train(latents[chosen], truth[chosen])
    return reader


def realised(
    explorer: Explorer, reader: OnlineProbe, settings: ExploringSettings, visit: int
) -> float:
    """R² between the position that is wished for, as read from z*, and the one that is reached."""
    source = settings.source(visit, "test")
    batch = source.sample(TEST_FRAMES)
    explored = explorer.explore(batch.frames)
    with torch.no_grad():
        wanted = reader.network(explored.wish.latents.cpu()).numpy()
    span = 1 - sprite_side(source.size) / source.size
    reached = batch.factors["position"].astype(np.float32) + explored.shift / np.float32(span)
    return float(r2_score(wanted, reached).mean())


def _loss_of_first(vase: VASE, settings: ExploringSettings) -> float:
    """Reconstruction loss of unseen frames of the first world as environment 0, nats."""
    return vase.reconstruction_loss(settings.source(0, "test").sample(TEST_FRAMES).frames, 0)


def _show(explorer: Explorer, settings: ExploringSettings) -> dict[str, npt.NDArray[Any]]:
    """Objects that stand still, what is imagined, what is done, and how the outcome is seen."""
    frames = settings.source(1, "test").sample(settings.config.batch_size).frames
    explored = explorer.explore(frames)
    mean = explorer.vase.encode(explored.frames)[0]
    return {
        "still": frames,
        "imagined": explorer.vase.decode(explored.wish.latents.cpu().numpy(), 0),
        "reached": explored.frames,
        "seen_as": explorer.vase.reconstruct(explored.frames),
        "wish": explored.wish.latents.cpu().numpy(),
        "encoding": mean,
        "attended": explored.wish.attended.cpu().numpy(),
        "control": explorer.control.share.cpu().numpy(),
        "shift": explored.shift,
    }
