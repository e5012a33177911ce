"""Figure 4A: frames between two worlds, and how a learner of both reads them.

A frame at weight w is (1 − w) times one of the first world plus w times one of the second. It is
shown alone, and in batches beside real frames of either world, its context.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..envs import make_source
from ..learner import VASE
from .lifelong import LifelongSettings

Images = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

WEIGHTS = np.linspace(0, 1, 11)
SHARES = (0.75, 0.5, 0.25, 0.0)
"""Of real frames in a batch."""
QUARTER = SHARES.index(0.25)
BATCH = 64


@dataclass(frozen=True)
class Ambiguity:
    """What a learner of two worlds makes of frames between them.

    Attributes:
        sources: the two worlds.
        environments: what the learner takes them for.
        mixed: one pair of frames at every weight, uint8 (W, H, W, C).
        decoded: the same decoded as either environment, (2, W, H, W, C).
        mean, std: the posterior of that pair, (W, N).
        std_mean: σ over all pairs, (W, N).
        used: which latents either environment uses, bool (2, N).
        probability: q(s = first | x), averaged over a batch (A.2), by the context's world, its
            share and the weight, (2, len(SHARES), W).
        verdict: whether the learner's own rule takes the batch for the first world; same shape.
    """

    sources: tuple[str, str]
    environments: tuple[int, int]
    mixed: Images
    decoded: Images
    mean: Floats
    std: Floats
    std_mean: Floats
    used: Flags
    probability: Floats
    verdict: Flags


def mix(first: Images, second: Images, weight: float) -> Images:
    """(1 − weight)·first + weight·second, pixel by pixel."""
    return np.rint((1 - weight) * first + weight * second.astype(np.float64)).astype(np.uint8)


def look(vase: VASE, first: str, second: str, settings: LifelongSettings) -> Ambiguity | None:
    """Show a learner of two worlds what lies between them; it does not change.

    Args:
        vase: of the run.
        first, second: its sources.
        settings: of the run; frames are of its test split.

    Returns:
        None where the learner takes both for one world.
    """
    a, b = (_frames(name, settings) for name in (first, second))
    own = vase.infer(a).environment, vase.infer(b).environment
    if own[0] == own[1]:
        return None
    vase.estimate_used_latents()
    mixed = [mix(a, b, weight) for weight in WEIGHTS]
    pair = np.stack([frames[0] for frames in mixed])
    mean, std = vase.encode(pair)
    probability, verdict = _in_context(vase, (a, b), mixed, own[0])
    known = [vase.environments[index] for index in own]
    return Ambiguity(
        (first, second),
        own,
        pair,
        np.stack([vase.reconstruct(pair, index) for index in own]),
        mean.astype(np.float64),
        std.astype(np.float64),
        np.stack([vase.encode(frames)[1].mean(0, dtype=np.float64) for frames in mixed]),
        np.stack([(e.used_latents & e.latent_mask).cpu().numpy() for e in known]),
        probability,
        verdict,
    )


def _frames(name: str, settings: LifelongSettings) -> Images:
    size, seed = settings.config.image_size, settings.seed
    made = make_source(name, size=size, seed=seed, data_dir=settings.data_dir, split="test")
    with closing(made) as source:
        return source.sample(BATCH).frames


def _in_context(
    vase: VASE, real: tuple[Images, Images], mixed: list[Images], first: int
) -> tuple[Floats, Flags]:
    """Every weight beside every share of real frames of either world."""
    shape = (len(real), len(SHARES), len(mixed))
    probability, verdict = np.zeros(shape), np.zeros(shape, dtype=bool)
    for context, row, column in np.ndindex(shape):
        count = round(SHARES[row] * BATCH)
        batch = np.concatenate([real[context][:count], mixed[column][count:]])
        found = vase.infer(batch)
        probability[context, row, column] = found.probabilities[first]
        verdict[context, row, column] = found.environment == first
    return probability, verdict


def crossing(curve: Floats, level: float) -> float | None:
    """The first weight at which a curve over `WEIGHTS` falls to a level; None where it never does.

    Between two weights the curve is taken to be straight.
    """
    for place in range(1, len(curve)):
        before, after = curve[place - 1], curve[place]
        if before > level >= after:
            part = (before - level) / (before - after)
            return float(WEIGHTS[place - 1] + part * (WEIGHTS[place] - WEIGHTS[place - 1]))
    return None


def summary(found: Ambiguity) -> dict[str, float | None]:
    """Numbers for a table: where the boundary is, how sharp, how the context moves it."""
    alone = found.probability[0, -1]
    begins, ends = crossing(alone, 0.9), crossing(alone, 0.1)
    used = found.used.any(0)
    std = found.std_mean[:, used].mean(1) if used.any() else np.full(len(WEIGHTS), np.nan)
    ratio = float(std[len(WEIGHTS) // 2] / (std[0] + std[-1]) * 2)
    return {
        "boundary": crossing(alone, 0.5),
        "width": None if begins is None or ends is None else ends - begins,
        "boundary_first": crossing(found.probability[0, QUARTER], 0.5),
        "boundary_second": crossing(found.probability[1, QUARTER], 0.5),
        "sigma_ratio": ratio if np.isfinite(ratio) else None,
    }
