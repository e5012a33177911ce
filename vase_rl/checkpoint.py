"""Checkpoints: one file, written whole or not at all, read without running code from it."""

from __future__ import annotations

import io
import pickle
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from .config import VASEConfig
from .environments import Environment, LossStatistics
from .files import write_whole
from .inference import Evidence
from .moments import DIMENSION, Moments

if TYPE_CHECKING:
    from .learner import VASE

FORMAT = "vase_rl checkpoint"
VERSION = 3


class CheckpointError(ValueError):
    """A file that is no checkpoint of this program, is damaged, or does not fit."""


def save_state(vase: VASE, path: Path) -> None:
    """Write `state_of(vase)`; the file appears complete or not at all."""
    buffer = io.BytesIO()
    torch.save(state_of(vase), buffer)
    write_whole(path, buffer.getvalue())


def load_state(cls: type[VASE], path: Path, device: torch.device) -> VASE:
    """Inverse of `save_state`.

    Raises:
        FileNotFoundError: no such file.
        CheckpointError: damaged, not a checkpoint, or of another version.
    """
    state = read_checkpoint(path, device)
    try:
        config = VASEConfig.from_dict(state["config"])
        vase = cls(config, seed=0, device=device)
        restore(vase, state)
    except (KeyError, TypeError, ValueError, RuntimeError, AttributeError) as error:
        raise CheckpointError(
            f"checkpoint {path} does not hold what its configuration says: {error}"
        ) from error
    return vase


def read_checkpoint(path: Path, device: torch.device) -> dict[str, Any]:
    """The dictionary in a checkpoint file, with format and version checked."""
    if not path.is_file():
        raise FileNotFoundError(f"no checkpoint at {path}")
    try:
        _check_sums(path)
        state = torch.load(path, map_location=device, weights_only=True)
    except pickle.UnpicklingError as error:
        # torch's own message advises to load without this protection.
        raise CheckpointError(
            f"checkpoint {path} holds objects that no checkpoint of this program holds; "
            "nothing of it was run"
        ) from error
    except (RuntimeError, LookupError, ValueError, EOFError, zipfile.BadZipFile) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise CheckpointError(
            f"checkpoint {path} is damaged or not a checkpoint: {reason}"
        ) from error
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        raise CheckpointError(f"{path} is not a {FORMAT}")
    if state.get("version") != VERSION:
        raise CheckpointError(
            f"checkpoint {path} has version {state.get('version')!r}, this program reads {VERSION}"
        )
    return state


def _check_sums(path: Path) -> None:
    """Compare every part of the file with its stored CRC; torch's reader does not."""
    with zipfile.ZipFile(path) as archive:
        damaged = archive.testzip()
    if damaged is not None:
        raise zipfile.BadZipFile(f"bad CRC-32 of {damaged!r}")


def state_of(vase: VASE) -> dict[str, Any]:
    """Everything that future updates depend on, as tensors and plain values."""
    return {
        "format": FORMAT,
        "version": VERSION,
        "config": vase.config.to_dict(),
        "networks": vase.networks.state_dict(),
        "snapshot": None if vase.snapshot is None else vase.snapshot.state_dict(),
        "snapshot_environments": vase.snapshot_environments,
        "optimizer": vase.optimizer.state_dict(),
        "generator": vase.generator.get_state(),
        "environments": [_pack_environment(e) for e in vase.environments],
        "environment": vase.environment,
        "opened": vase.registry.opened,
        "updates": vase.updates,
        "evidence": _pack_evidence(vase.evidence),
        "running_atypicality": vase.running_atypicality,
    }


def restore(vase: VASE, state: dict[str, Any]) -> None:
    """Put `state_of` back into a fresh learner of the same configuration."""
    vase.networks.load_state_dict(state["networks"])
    vase.optimizer.load_state_dict(state["optimizer"])
    vase.generator.set_state(state["generator"].cpu())
    vase.registry.environments = [_unpack_environment(e) for e in state["environments"]]
    vase.registry.index = int(state["environment"])
    vase.registry.opened = list(state.get("opened", range(len(vase.environments))))
    vase.updates = int(state["updates"])
    vase.registry.evidence = _unpack_evidence(state["evidence"])
    vase.running_atypicality = state["running_atypicality"]
    _check_records(vase)
    if state["snapshot"] is not None:
        vase._sync_snapshot()
        assert vase.snapshot is not None
        vase.snapshot.load_state_dict(state["snapshot"])
    vase.snapshot_environments = int(state["snapshot_environments"])


def _check_records(vase: VASE) -> None:
    """ValueError unless the environments fit the configuration and each other."""
    known, latents = vase.environments, vase.config.latents
    if [e.index for e in known] != list(range(len(known))):
        raise ValueError(f"environments are numbered {[e.index for e in known]}")
    if set(vase.registry.opened) != set(range(len(known))):
        raise ValueError(f"{len(known)} environments are known, opened are {vase.registry.opened}")
    present = range(max(len(known), 1))
    if len(known) > vase.config.max_environments or vase.environment not in present:
        raise ValueError(f"environment {vase.environment} of {len(known)}")
    for vector in [vase.running_atypicality, *(e.latent_mask for e in known)]:
        if vector.shape != (latents,):
            raise ValueError(f"a latent mask has shape {tuple(vector.shape)}, not ({latents},)")
    for e in known:
        if e.moments.covariance.shape != (DIMENSION, DIMENSION):
            raise ValueError(f"moments have shape {tuple(e.moments.covariance.shape)}")


def _pack_moments(moments: Moments) -> dict[str, Any]:
    return {
        "count": moments.count,
        "mean": moments.mean,
        "covariance": moments.covariance,
    }


def _pack_environment(environment: Environment) -> dict[str, Any]:
    loss = environment.loss
    return {
        "index": environment.index,
        "latent_mask": environment.latent_mask,
        "used_latents": environment.used_latents,
        "moments": _pack_moments(environment.moments),
        "loss": [loss.count, loss.mean, loss.variance],
        "frames": environment.frames,
        "updates": environment.updates,
        "confirmed": environment.confirmed,
        "trial": None if environment.trial is None else _pack_moments(environment.trial),
    }


def _unpack_environment(state: dict[str, Any]) -> Environment:
    mask: Tensor = state["latent_mask"]
    return Environment(
        index=state["index"],
        latent_mask=mask,
        used_latents=state["used_latents"],
        moments=Moments(**state["moments"]),
        loss=LossStatistics(*state["loss"]),
        frames=state["frames"],
        updates=state["updates"],
        confirmed=state["confirmed"],
        trial=None if state["trial"] is None else Moments(**state["trial"]),
    )


def _pack_evidence(evidence: Evidence | None) -> dict[str, Any] | None:
    if evidence is None:
        return None
    return {
        "environment": evidence.environment,
        "batches": evidence.batches,
        "moments": _pack_moments(evidence.moments),
    }


def _unpack_evidence(state: dict[str, Any] | None) -> Evidence | None:
    if state is None:
        return None
    return Evidence(state["environment"], state["batches"], Moments(**state["moments"]))
