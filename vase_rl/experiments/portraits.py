"""Pictures of a learner at the end of its sequence, and of accuracies, as the paper's figures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..envs import Source, make_source
from ..learner import VASE
from .ambiguity import look
from .ambiguity_plots import ambiguity_png
from .cross_domain import cross_domain_png, look_at, taken_for
from .explore_page import exploration_curves
from .exploring import EVALUATIONS
from .figure2 import figure2_png, traversals_of
from .inspection import latent_traversals, latent_uses
from .lifelong import LifelongSettings
from .plots import to_png
from .stream import StreamSettings, unseen
from .traversals import traversals_png

Portrait = Callable[[str, VASE, LifelongSettings, dict[str, Any]], bytes]


def _traversals(title: str, vase: VASE, settings: LifelongSettings, result: Any) -> bytes:
    """Larger than in Figure 2, and nothing else."""
    shown = traversals_of(vase, settings, result)
    pictures = {name: pictures for name, pictures, _ in shown}
    return traversals_png(pictures, [uses for _, _, uses in shown], title)


def _cross_domain(title: str, vase: VASE, settings: LifelongSettings, result: Any) -> bytes:
    names = dict.fromkeys(settings.sequence)
    return cross_domain_png([look_at(vase, _tested(name, settings)) for name in names], title)


def _ambiguity(title: str, vase: VASE, settings: LifelongSettings, result: Any) -> bytes:
    first, second = settings.sequence
    return ambiguity_png(title, look(vase, first, second, settings))


PORTRAITS: dict[str, Portrait] = {
    "latents": figure2_png,
    "traversals": _traversals,
    "cross-domain": _cross_domain,
    "ambiguity": _ambiguity,
}
"""By `targets.Target.picture`."""


def _tested(name: str, settings: LifelongSettings) -> Source:
    """A source of sprites that were never shown in training."""
    return make_source(
        name,
        size=settings.config.image_size,
        seed=settings.seed,
        data_dir=settings.data_dir,
        split="test",
    )


def stream_traversals(
    title: str, vase: VASE, settings: StreamSettings, sequence: Sequence[str]
) -> bytes:
    """Of every source that was streamed, from one of its frames, as the environment that it is
    taken for."""
    uses = latent_uses(vase)
    pictures, roles = {}, []
    for source in unseen(settings, sequence):
        frames, environment = taken_for(vase, source)
        start = vase.encode(frames[:1])[0][0]
        name = f"{source.name} (environment {environment})"
        pictures[name] = latent_traversals(vase, environment, start)
        roles.append(uses[environment])
    return traversals_png(pictures, roles, title)


def curves_png(results: Sequence[dict[str, Any]], sequence: Sequence[str]) -> bytes:
    """As Figure 4C: accuracy on the third world's objects over the second and third visit.

    Args:
        results: of `exploring.run_exploring`, one per seed.
        sequence: the three worlds.
    """
    return to_png(exploration_curves(results, sequence, EVALUATIONS))
