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

if TYPE_CHECKING:
    from .learner import VASE

FORMAT = "vase_rl checkpoint"
VERSION = 4


class CheckpointError(ValueError):
    """A file that is no checkpoint of this program, is damaged, or does not fit."""


def save_state(vase: VASE, path: Path) -> None:
    """Write `state_of(vase)`; the file appears complete or not at all."""
    buffer = io.BytesIO()
    torch.save(_own(state_of(vase)), buffer)
    write_whole(path, buffer.getvalue())


def _own(value: Any) -> Any:
    """The same with tensors that are parts of larger ones (`replicas`) copied: torch writes what a
    tensor is a part of."""
    if isinstance(value, dict):
        return {key: _own(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_own(part) for part in value]
    part = isinstance(value, Tensor) and value.untyped_storage().nbytes() > value.nbytes
    return value.clone() if part else value


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
        "rule": vase.registry.rule.state_dict(),
        "updates": vase.updates,
        "running_atypicality": vase.running_atypicality,
    }


def restore(vase: VASE, state: dict[str, Any]) -> None:
    """Put `state_of` back into a fresh learner of the same configuration."""
    vase.networks.load_state_dict(state["networks"])
    vase.optimizer.load_state_dict(state["optimizer"])
    _lay_out_moments(vase.optimizer)
    vase.generator.set_state(state["generator"].cpu())
    vase.registry.environments = [_unpack_environment(e) for e in state["environments"]]
    vase.registry.rule.load_state_dict(state["rule"])
    vase.updates = int(state["updates"])
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
    slots = vase.registry.rule.where.slots
    if slots != max(len(known), 1) or slots > vase.config.max_environments:
        raise ValueError(f"{len(known)} environments are known, {slots} indices are taken")
    known_to_rule = vase.registry.rule.where.known if known else []
    if [e.index for e in vase.registry.known] != known_to_rule:
        raise ValueError(f"environments {known_to_rule} are known to the rule")
    held = [e.held_latents for e in known if e.held_latents is not None]
    for vector in [vase.running_atypicality, *(e.latent_mask for e in known), *held]:
        if vector.shape != (latents,):
            raise ValueError(f"a latent mask has shape {tuple(vector.shape)}, not ({latents},)")


def _lay_out_moments(optimizer: torch.optim.Optimizer) -> None:
    """Adam's moments in their weights' order in memory, which the fused kernel takes for granted:
    in older files the channels come first."""
    for weight, state in optimizer.state.items():
        for name, moment in state.items():
            if moment.shape == weight.shape:
                state[name] = torch.empty_like(weight.data).copy_(moment)


def _pack_environment(environment: Environment) -> dict[str, Any]:
    loss = environment.loss
    return {
        "index": environment.index,
        "latent_mask": environment.latent_mask,
        "used_latents": environment.used_latents,
        "loss": [loss.count, loss.mean, loss.variance],
        "updates": environment.updates,
        "name": environment.name,
        "forbidden": environment.forbidden,
        "held_latents": environment.held_latents,
        "merged_into": environment.merged_into,
    }


def _unpack_environment(state: dict[str, Any]) -> Environment:
    mask: Tensor = state["latent_mask"]
    return Environment(
        index=state["index"],
        latent_mask=mask,
        used_latents=state["used_latents"],
        loss=LossStatistics(*state["loss"]),
        updates=state["updates"],
        name=state["name"],
        forbidden=state["forbidden"],
        # A checkpoint of a time before `VASE.hold` lacks it.
        held_latents=state.get("held_latents"),
        merged_into=state["merged_into"],
    )
