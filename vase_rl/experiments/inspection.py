"""What a learner knows: its environments, the part each latent plays there, and traversals."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from ..environments import Environment
from ..files import write_whole
from ..learner import VASE
from .results import RunDirectory

Images = npt.NDArray[np.uint8]
Role = Literal["used", "frozen", "spare"]
Use = Literal["added", "reused", "frozen", "spare"]

TRAVERSAL_RANGE = 2.0
TRAVERSAL_STEPS = 7


def latent_roles(vase: VASE) -> list[list[Role]]:
    """The part that each latent plays, per environment and latent.

    - "used": active, and the reconstruction depends on it;
    - "frozen": masked here, used in another environment;
    - "spare": neither; free for what is still to come.
    """
    masks, used = _masks_and_used(vase)
    anywhere = np.logical_or.reduce(used, axis=0)
    return [
        [
            "used" if used[e, n] else "frozen" if anywhere[n] and not masks[e, n] else "spare"
            for n in range(vase.config.latents)
        ]
        for e in range(len(masks))
    ]


def latent_uses(vase: VASE) -> list[list[Use]]:
    """As `latent_roles`, with the paper's words for what is used, per environment and latent.

    - "added": no environment that was opened earlier uses it;
    - "reused": one does.
    """
    known: set[int] = set()
    uses: list[list[Use]] = []
    for roles in latent_roles(vase):
        uses.append(
            [
                role if role != "used" else "reused" if n in known else "added"
                for n, role in enumerate(roles)
            ]
        )
        known |= {n for n, role in enumerate(roles) if role == "used"}
    return uses


def environment_table(vase: VASE) -> list[dict[str, Any]]:
    """One row per known environment; latents are numbered from 0."""
    masks, used = _masks_and_used(vase)
    return [
        {
            "environment": known.index,
            "name": known.name,
            "forbidden": known.forbidden,
            "updates": known.updates,
            "loss_mean": known.loss_mean,
            "active_latents": np.flatnonzero(masks[known.index]).tolist(),
            "used_latents": np.flatnonzero(used[known.index]).tolist(),
        }
        for known in vase.registry.known
    ]


def latent_traversals(vase: VASE, environment: int, latents: npt.NDArray[np.float32]) -> Images:
    """Pictures decoded as an environment while one latent at a time takes other values.

    Args:
        vase: the learner.
        environment: index.
        latents: where to start from, (N,).

    Returns:
        uint8 (N, TRAVERSAL_STEPS, H, W, C): latent n runs from −TRAVERSAL_RANGE to
        TRAVERSAL_RANGE, the others stay.
    """
    count = len(latents)
    values = np.linspace(-TRAVERSAL_RANGE, TRAVERSAL_RANGE, TRAVERSAL_STEPS)
    grid = np.tile(latents, (count, TRAVERSAL_STEPS, 1)).astype(np.float32)
    for n in range(count):
        grid[n, :, n] = values
    pictures = vase.decode(grid.reshape(-1, count), environment)
    return np.asarray(pictures).reshape(count, TRAVERSAL_STEPS, *pictures.shape[1:])


def run_inspect(
    checkpoint: str, out: str | Path, arguments: list[str], *, seed: int, device: str
) -> RunDirectory:
    """Print what an encoder knows; leave `metrics.json` and `traversals.png`.

    Args:
        checkpoint: of a learner, or a bundle of an agent and its encoder.
        out: directory.
        arguments: of the command line.
        seed: of the latents that the traversals start from, a draw from the prior.
        device: to load the encoder on.

    Raises:
        ValueError, OSError: no such file, or not an encoder that has seen frames.
    """
    from .traversals import traversals_png

    vase = load_encoder(checkpoint, device)
    if not vase.environments:
        raise ValueError(f"{checkpoint} has seen no frames yet: it knows no environment")
    run = RunDirectory(out, "inspect", arguments, stale=("traversals.png",))
    roles = latent_roles(vase)
    known = vase.registry.known
    for environment in known:
        print(describe(environment, roles[environment.index]))
    start = np.random.default_rng(seed).standard_normal(vase.config.latents).astype(np.float32)
    pictures = {title(e): latent_traversals(vase, e.index, start) for e in known}
    shown = [roles[environment.index] for environment in known]
    write_whole(run.path / "traversals.png", traversals_png(pictures, shown))
    run.record(
        checkpoint=checkpoint,
        seed=seed,
        latents=vase.config.latents,
        updates=vase.updates,
        present_environment=vase.environment,
        environments=environment_table(vase),
        roles=roles,
    )
    run.finish()
    return run


def title(environment: Environment) -> str:
    """Its index, and the name that its user has given it."""
    name = f" ({environment.name})" if environment.name else ""
    return f"environment {environment.index}{name}"


def describe(environment: Environment, roles: list[Role]) -> str:
    """One line on an environment."""
    parts = []
    for role in ("used", "frozen", "spare"):
        names = [str(n) for n, part in enumerate(roles) if part == role]
        parts.append(f"{role} {' '.join(names) or 'none'}")
    forbidden = "forbidden, " if environment.forbidden else ""
    return (
        f"{title(environment)}: {forbidden}{environment.updates:,} updates, "
        f"loss {environment.loss_mean:.1f} nats; latents {', '.join(parts)}"
    )


def load_encoder(path: str, device: str) -> VASE:
    """The learner in a checkpoint or in a bundle.

    Raises:
        ValueError, OSError: no such file, or it is damaged.
    """
    if _is_bundle(path):
        from ..agents import Bundle

        return Bundle.load(path).encoder(device=device)
    return VASE.load(path, device=device)


def _is_bundle(path: str) -> bool:
    if not zipfile.is_zipfile(path):
        return False
    try:
        with zipfile.ZipFile(path) as archive:
            return "agent.json" in archive.namelist()
    except zipfile.BadZipFile:
        return False  # `VASE.load` says what is wrong with it


def _masks_and_used(vase: VASE) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """aˢ and uˢ of every environment, bool (environments, N) each."""
    shape = (len(vase.environments), vase.config.latents)
    masks, used = np.zeros(shape, dtype=bool), np.zeros(shape, dtype=bool)
    for known in vase.environments:
        masks[known.index] = known.latent_mask.cpu().numpy()
        used[known.index] = known.used_latents.cpu().numpy() & masks[known.index]
    return masks, used
