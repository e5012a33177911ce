"""VASE: the learner. Algorithm 1 decides where a batch belongs, then one step of eq. 8 is taken."""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .allocation import keep_freed_memory
from .blocks import Block
from .checkpoint import load_state, save_state
from .config import VASEConfig
from .devices import resolve_device
from .distributions import expected_pixels, negative_log_likelihood
from .dreaming import Drawn, draw, dream
from .environments import Environment
from .fixed_features import FixedFeatures
from .frames import to_frames, to_tensor
from .inference import Persistence, algorithm_1
from .latents import atypicality, entry_mask, hysteresis_mask, tolerated_noise, used_latents
from .networks import VASENetworks, require_finite
from .objective import training_losses
from .registry import Registry, Status
from .reports import Inference, UpdateReport
from .seeding import seeded
from .shifts import ShiftDetector
from .whereabouts import Shift

# Weight of one batch in the running atypicality that hysteresis looks at: one batch is noisy.
ATYPICALITY_WEIGHT = 0.05
# Training steps on entry during which hysteresis leaves the mask alone: latents that have just been
# taken into use are atypical for a while.
MASK_SETTLING = 50
# From `_warn_full` up to whoever called `update`, through torch's decorator.
_FRAMES_TO_CALLER = 7


@dataclass(frozen=True)
class Arrival:
    """A batch whose environment has been inferred, and entered."""

    x: Tensor
    """(B, C, H, W)."""
    shifts: list[Shift]
    accepted: Tensor | None
    """Those of its frames that are trained on; None: none are."""
    held: bool
    """Whether frames are held back, for they spoke against the environment."""
    before: int
    """The environment before, how many were known then, and its status."""
    known: int
    status: Status


@dataclass(frozen=True)
class Ready:
    """What one training step takes beside the weights; names are those of `training_losses`."""

    x: Tensor
    mask: Tensor
    capacity: float
    beta: float
    drawn: Drawn | None
    noise: Tensor


class VASE:
    """Variational Autoencoder with Shared Embeddings (Achille et al. 2018), learning online.

    On Linux's processors the process keeps the memory that it frees (`allocation`).

    Args:
        config: hyperparameters.
        seed: of weights and noise; None draws one.
        device: "cpu", "cuda", ... or "auto": CUDA where there is one.

    Raises:
        TypeError: `config` is not a `VASEConfig`.
    """

    def __init__(
        self, config: VASEConfig, *, seed: int | None = None, device: str | torch.device = "auto"
    ) -> None:
        if not isinstance(config, VASEConfig):
            raise TypeError(
                f"config must be a VASEConfig (VASEConfig.preset(name) makes one), got {config!r}"
            )
        self.config = config
        self.device = resolve_device(device)
        if self.device.type == "cpu":
            keep_freed_memory()
        # torch's global generators belong to the caller: none of this moves them.
        seed = torch.Generator().seed() % 2**31 if seed is None else seed
        with seeded(seed):
            self.networks = VASENetworks(config).to(self.device)
        self.optimizer = torch.optim.Adam(
            self.networks.parameters(), lr=config.learning_rate, fused=True
        )
        # On the CPU whatever the device: equal seeds draw equal noise, and a checkpoint's random
        # state fits every machine.
        self.generator = torch.Generator().manual_seed(seed)
        self.features = FixedFeatures(config.channels, self.device)
        self.registry = Registry(config)
        self.updates = 0
        self.snapshot: VASENetworks | None = None
        self.snapshot_environments = 0
        self.running_atypicality = torch.zeros(config.latents, device=self.device)
        self.on_change: Callable[[VASE, UpdateReport], None] | None = None
        """Called at the end of every update that has changed which environments are known, which
        is the present one, or its status. It may call `confirm`, `merge`, `rename` and `forbid`;
        it is not saved."""
        self._warned_full = False

    def __getstate__(self) -> dict[str, Any]:
        """A copy of a learner reports to nobody."""
        return {**vars(self), "on_change": None}

    @property
    def environments(self) -> list[Environment]:
        """By index, in the order of their opening; one that was merged into another one may keep
        its place (`Environment.merged_into`)."""
        return self.registry.environments

    @property
    def environment(self) -> int:
        """Index of the present one; 0 before the first."""
        return self.registry.index

    @property
    def status(self) -> Status:
        """Of the present environment: "candidate", it may yet be merged back into a known one;
        "confirmed"; or "recognised", it is confirmed and was known when it was entered."""
        return self.registry.status

    @property
    def paused(self) -> bool:
        """Whether frames that come now must not be learnt from: the last ones spoke against the
        present environment, or it is forbidden."""
        forbidden = bool(self.environments) and self.registry.present.forbidden
        return self.registry.rule.suspects or forbidden

    # ---------------------------------------------------------------- learning

    @torch.inference_mode(False)  # learns even inside the caller's torch.no_grad()
    def update(self, frames: np.ndarray) -> UpdateReport:
        """Infer the environment of one batch and train on it (section 3.6).

        Frames that speak for another environment than the present one are held back until several
        blocks in a row agree (`shifts.ShiftDetector`; with the paper's rule, `config.persistence`
        batches); then the environment changes, and the frames are trained on.

        Args:
            frames: uint8 (B, H, W, C) at the size of the configuration, oldest first where they
                have an order. They are tested in parts of about `config.block_frames`, and trained
                on up to `config.batch_size`, chosen at random. Batches of one stream should be of
                one size: how much their means differ is part of what is known of a world.

        Raises:
            TypeError, ValueError: as `frames.to_tensor`.
            FloatingPointError: a loss is not finite or, on a processor in bfloat16, a weight or its
                gradient; the weights stay as they were.
        """
        arrival = self._arrive(to_tensor(frames, self.config, self.device))
        if arrival.accepted is None:
            return self._report(arrival, {}, self._sample(arrival.x))
        return self._report(arrival, *self._train(arrival.accepted))

    @torch.inference_mode(False)
    def practise(self, frames: np.ndarray) -> dict[str, float]:
        """Train once more on frames that are known to belong to the present environment.

        Nothing is asked, not even whether that environment is forbidden (see `paused`).

        Returns:
            Losses by name, as in `UpdateReport`.

        Raises:
            RuntimeError: before the first `update`.
            TypeError, ValueError: as `frames.to_tensor`.
            FloatingPointError: a loss is not finite or, on a processor in bfloat16, a weight or its
                gradient; the weights stay as they were.
        """
        self.registry.require("practise")
        losses, _ = self._train(to_tensor(frames, self.config, self.device))
        return losses

    def _arrive(self, x: Tensor, features: np.ndarray | None = None) -> Arrival:
        """Find out where a batch belongs, and go there; its features (B, D) may be known."""
        before, known, status = self.environment, len(self.environments), self.status
        shifts, accepted = self._infer_and_enter(x, features)
        held = self.registry.rule.suspects
        return Arrival(x, shifts, None if self.paused else accepted, held, before, known, status)

    def _report(self, arrival: Arrival, losses: dict[str, float], samples: Tensor) -> UpdateReport:
        """What became of a batch; `on_change` is told."""
        shifts, known = arrival.shifts, arrival.known
        kinds = [shift.kind for shift in shifts]
        report = UpdateReport(
            environment=self.environment,
            new_environment="open" in kinds or not known,
            shift=known > 0 and (self.environment != arrival.before or "open" in kinds),
            merged="merge" in kinds,
            candidate=arrival.held,
            trained=bool(losses),
            blocks=shifts[-1].blocks if shifts else 0,
            status=self.status,
            latent_mask=_array(self.registry.present.latent_mask),
            atypicality=_array(atypicality(samples)),
            losses=losses,
            updates=self.updates,
        )
        changed = any(s.kind != "full" or s.environment != s.left for s in shifts)
        if self.on_change is not None and (changed or not known or arrival.status != self.status):
            self.on_change(self, report)
        return report

    def _infer_and_enter(
        self, x: Tensor, features: np.ndarray | None
    ) -> tuple[list[Shift], Tensor | None]:
        """Find out where a batch belongs, block by block, and go there.

        Returns:
            The changes, and the frames that belong to where the learner is now.
        """
        if not self.environments:
            self._open(x)
        if not self.config.clustering:
            return [], x
        shifts: list[Shift] = []
        accepted: list[Tensor] = []
        for frames, found in self._observed(x, features):
            for shift in found:
                self._follow(shift, frames)
            if found:
                accepted.clear()
            if not self.registry.rule.suspects:
                accepted.append(frames)
            shifts += found
        return shifts, torch.cat(accepted) if accepted else None

    def _observed(
        self, x: Tensor, features: np.ndarray | None
    ) -> Iterator[tuple[Tensor, list[Shift]]]:
        """Parts of a batch, and the changes that the rule sees in each."""
        rule = self.registry.rule
        if isinstance(rule, Persistence):
            yield x, rule.observe(self._verdict(x))
            return
        blocks = self._blocks(self._features(x) if features is None else features)
        for frames, block in zip(x.tensor_split(len(blocks)), blocks, strict=True):
            yield frames, rule.observe(block)

    def _features(self, x: Tensor) -> np.ndarray:
        features: np.ndarray = self.features(x).cpu().double().numpy()
        return features

    def _blocks(self, features: np.ndarray) -> list[Block]:
        """A batch cut into as many parts of about `block_frames` as it has."""
        parts = max(1, len(features) // self.config.block_frames)
        return [Block.of(part) for part in np.array_split(features, parts)]

    def _verdict(self, x: Tensor) -> int | None:
        present = self.registry.present
        # Before its first step an environment has no loss to compare with.
        if present.updates < max(1, self.config.burn_in):
            return self.environment
        samples = self._sample(x)
        return self._algorithm_1(x, samples, atypicality(samples))[1]

    def _algorithm_1(self, x: Tensor, z: Tensor, alpha: Tensor) -> tuple[Environment, int | None]:
        """ŝ, and what Algorithm 1 says of it, for latents z and their atypicality."""
        likely = self.environments[int(self._classify(x).argmax())]
        batch_mask = likely.latent_mask
        if self.config.masking:
            batch_mask = hysteresis_mask(batch_mask, alpha, self.config)
        loss = self._reconstruction_loss(x, z, likely)
        return likely, algorithm_1(likely, loss, batch_mask, self.config)

    def _follow(self, shift: Shift, x: Tensor) -> None:
        """Go where the rule has gone, with frames of there."""
        if shift.kind == "full":
            self._warn_full()
        if shift.environment == shift.left:
            return
        if shift.kind == "merge":
            self._forget(shift)
        else:
            self._take_stock(self.environments[shift.left])
        if shift.kind == "open":
            self._open(x)
        else:
            self.running_atypicality = atypicality(self._sample(x))

    def _take_stock(self, left: Environment) -> None:
        """Of the environment that is left: what it used, and the networks as they are."""
        self._estimate_used(left)
        if self.config.snapshot_sync in ("switch", "both"):
            self._sync_snapshot()
        if self.config.reset_optimizer:
            self.optimizer.state.clear()

    def _forget(self, merge: Shift) -> None:
        self.registry.forget(merge.left, merge.environment)
        self.snapshot_environments = min(self.snapshot_environments, len(self.environments))
        held = self.environments[merge.environment].held_latents is not None
        if held and merge.environment >= self.snapshot_environments:
            self._sync_snapshot()

    def _warn_full(self) -> None:
        if self._warned_full:
            return
        self._warned_full = True
        warnings.warn(
            f"all {self.config.max_environments} environments (max_environments) are taken: "
            "frames of further ones are encoded as the nearest known environment and not "
            "learnt from, so that nothing known is overwritten",
            RuntimeWarning,
            stacklevel=_FRAMES_TO_CALLER,
        )

    def _open(self, x: Tensor) -> None:
        """Infer the latent mask of a new environment from its first frames."""
        ones = torch.ones(self.config.latents, dtype=torch.bool, device=self.device)
        alpha = atypicality(self._sample(x))
        # The first environment meets an untrained encoder: there is nothing to protect yet.
        first = not self.environments
        if first and self.config.initialisation == "he":
            self.networks.decoder.centre_on(x, self.config)
        mask = ones if first or not self.config.masking else entry_mask(alpha, self.config)
        self.registry.open(mask)
        self.running_atypicality = alpha

    def _train(self, x: Tensor) -> tuple[dict[str, float], Tensor]:
        """One step of eq. 9 in the present environment: losses by name, and latent samples."""
        ready = self._prepare(x)
        memory = None
        if ready.drawn is not None and self.snapshot is not None:
            memory = dream(self.snapshot, ready.drawn, self.config)
        step = training_losses(
            self.networks,
            ready.x,
            self.environment,
            ready.mask,
            ready.capacity,
            ready.beta,
            memory,
            ready.noise,
            self.config,
        )
        losses = _finite(step.by_name)
        self.optimizer.zero_grad(set_to_none=True)
        step.by_name["total"].backward()  # type: ignore[no-untyped-call]
        if self.device.type == "cpu" and self.config.precision != "float32":
            require_finite(self.networks)
        self.optimizer.step()
        self._after_step(losses, step.samples)
        return losses, step.samples

    def _prepare(self, x: Tensor) -> Ready:
        """What a training step on frames takes, but for the weights."""
        x = self._thinned(x)
        present = self.registry.present
        drawn = self._draw(x)
        return Ready(
            x,
            present.latent_mask,
            self.config.capacity(self.updates),
            self.config.beta_after(present.updates),
            drawn,
            self._normal(len(x)),
        )

    def _draw(self, x: Tensor) -> Drawn | None:
        """Of other environments than the present one, and of those that are held, once the snapshot
        knows any; with the present frames, where they are to be encoded as before."""
        if self.snapshot is None:
            return None
        masks = torch.stack([e.latent_mask for e in self.environments])
        used = torch.stack([e.used_latents for e in self.environments])
        past = [
            e.index
            for e in self.environments[: self.snapshot_environments]
            if e.alive and (e.held_latents is not None or e.index != self.environment)
        ]
        if not self.config.clustering:
            # The only environment holds all worlds so far; the present mask is that of the last.
            past, masks = [0], torch.ones_like(masks)
        if not past:
            return None
        drawn = draw(past, masks, used, self.generator, self.config)
        held = self.registry.present.held_latents
        return drawn if held is None else drawn.holding(x, held)

    def _after_step(self, losses: dict[str, float], samples: Tensor) -> None:
        """What changes with a training step beside the weights."""
        present, alpha = self.registry.present, atypicality(samples)
        self.updates += 1
        present.updates += 1
        present.loss.add(losses["reconstruction"])
        weight = max(ATYPICALITY_WEIGHT, 1.0 / present.updates)
        self.running_atypicality.lerp_(alpha, weight)
        if self.config.masking:
            self._revise_mask(present, alpha)
        if present.updates % self.config.used_interval == 0:
            self._estimate_used(present)
        interval = self.config.snapshot_sync in ("interval", "both") or not self.config.clustering
        if interval and self.updates % self.config.snapshot_interval == 0:
            self._sync_snapshot()

    def _revise_mask(self, present: Environment, alpha: Tensor) -> None:
        """The mask after a training step, as `mask_updates` says; that of world 0 stays ones."""
        if present.held_latents is not None:
            return
        if not self.config.clustering:
            # No entry tells when to ask, so every batch is asked (A.2): an average would come when
            # training has already made the old latents typical of the new world.
            if present.updates > self.config.burn_in:
                present.latent_mask = hysteresis_mask(present.latent_mask, alpha, self.config)
        elif present.index == 0:
            return
        elif self.config.mask_updates == "every":
            present.latent_mask = entry_mask(alpha, self.config)
        elif self.config.mask_updates == "hysteresis" and present.updates > MASK_SETTLING:
            smooth = self.running_atypicality
            present.latent_mask = hysteresis_mask(present.latent_mask, smooth, self.config)

    def _sync_snapshot(self) -> None:
        """(φ', θ') ← (φ, θ)."""
        self.snapshot = copy.deepcopy(self.networks).requires_grad_(False)
        self.snapshot_environments = len(self.environments)

    @torch.inference_mode(False)
    def estimate_used_latents(self) -> None:
        """Estimate which latents the present environment uses; done every `used_interval` steps.

        Raises:
            RuntimeError: before the first `update`.
        """
        self.registry.require("estimate_used_latents")
        self._estimate_used(self.registry.present)

    @torch.no_grad()
    def _estimate_used(self, environment: Environment) -> None:
        z = self._normal(self.config.batch_size) * environment.latent_mask
        s = torch.full((len(z),), environment.index, device=self.device)
        noise = tolerated_noise(self.networks.decoder, z, s, self.config)
        environment.used_latents = used_latents(noise, environment.latent_mask, self.config)

    # ---------------------------------------------------------------- what a user says

    def confirm(self) -> None:
        """Keep the present environment: from now on it is not merged back by itself.

        Raises:
            RuntimeError: before the first `update`.
        """
        self.registry.require("confirm")
        self.registry.rule.confirm()

    @torch.inference_mode(False)
    def hold(self) -> None:
        """Keep what latents mean in every environment known by now, in the present one too.

        Dreaming protects environments that were left. What is too much like the present one to be
        told from it is learnt in its place, and the present one's latents move. From now on the
        learner also dreams of the environment that it is in, and encodes its frames as its snapshot
        does in the latents that are used by now; spare ones may take up what is new. The snapshot
        is taken at once; as ever, one that follows replaces it (`snapshot_sync`). Masks stay, too.
        Call it when a policy has learnt on the latents and the learner is to go on; a further call
        adds what is used by then. A step then takes as long as one with dreams of other
        environments, and a pass of the encoder more.

        Raises:
            RuntimeError: before the first `update`, or the configuration has `dreaming` off.
        """
        self.registry.require("hold")
        if not self.config.dreaming:
            raise RuntimeError("hold needs a learner that dreams, and dreaming is off")
        self._estimate_used(self.registry.present)
        for environment in self.environments:
            environment.hold()
        self._sync_snapshot()

    def merge(self, environment: int, into: int) -> None:
        """Count the frames of an environment to another one, from now on and for ever.

        What the networks have learnt stays, and so does what is known of its blocks. Its index is
        free again unless there is a higher one: then it stays empty, for no other may change.

        Args:
            environment: index of the one that is given up.
            into: index of the one that stays.

        Raises:
            RuntimeError: before the first `update`.
            ValueError: they are not two known environments.
        """
        gone = self.registry.checked(environment, "merge")
        stays = self.registry.checked(into, "merge", argument="into")
        self._forget(self.registry.rule.merge(gone, stays))

    def rename(self, environment: int, name: str) -> None:
        """Give an environment a name, as `info["vase"]["name"]` and `inspect` show it.

        Raises:
            RuntimeError: before the first `update`.
            ValueError: no such environment.
        """
        self.environments[self.registry.checked(environment, "rename")].name = str(name)

    def forbid(self, environment: int, forbidden: bool = True) -> None:
        """Recognise an environment from now on, but neither learn from it nor dream of it.

        For what is no world: menus, loading screens, a covered camera. What it was trained on
        before, if only the block that opened it, is not undone.

        Args:
            environment: its index.
            forbidden: False allows it again.

        Raises:
            RuntimeError: before the first `update`.
            ValueError: no such environment.
        """
        self.environments[self.registry.checked(environment, "forbid")].forbidden = forbidden

    # ---------------------------------------------------------------- reading

    @torch.no_grad()
    def infer(self, frames: np.ndarray) -> Inference:
        """Infer the environment of a batch; nothing learns, nothing changes.

        Args:
            frames: as for `update`.

        Raises:
            RuntimeError: before the first `update`.
            TypeError, ValueError: as `frames.to_tensor`.
        """
        self.registry.require("infer")
        x = to_tensor(frames, self.config, self.device)
        mean, std = self.networks.encoder(x)
        # Means in place of samples: reading must not advance the learner's random state.
        alpha = atypicality(torch.cat([mean - std, mean + std]))
        nothing = np.full(len(self.environments), np.nan)
        if not self.config.clustering:
            environment, known, statistics = self.environments[0], True, nothing
        elif isinstance(self.registry.rule, Persistence):
            environment, verdict = self._algorithm_1(x, mean, alpha)
            known, statistics = verdict is not None, nothing
        else:
            environment, known, statistics = self._explain(self._features(x), self.registry.rule)
        return Inference(
            environment=environment.index,
            known=known,
            latent_mask=_array(environment.latent_mask),
            atypicality=_array(alpha),
            reconstruction_loss=self._reconstruction_loss(x, mean, environment),
            probabilities=_array(self._classify(x)),
            shift_statistics=statistics.astype(np.float32),
        )

    @torch.inference_mode()
    def recognise(self, frames: np.ndarray) -> int:
        """Index of the known environment that a batch most likely comes from, as `infer` says.

        The rule of blocks needs neither encoder nor decoder, so this costs far less than `infer`.

        Args:
            frames: as for `infer`.

        Raises:
            RuntimeError: before the first `update`.
            TypeError, ValueError: as `frames.to_tensor`.
        """
        rule = self.registry.rule
        if isinstance(rule, Persistence):
            return self.infer(frames).environment
        self.registry.require("recognise")
        features = self._features(to_tensor(frames, self.config, self.device))
        return self._explain(features, rule)[0].index

    def _explain(
        self, features: np.ndarray, rule: ShiftDetector
    ) -> tuple[Environment, bool, np.ndarray[Any, Any]]:
        """The most likely environment of a batch by its blocks, whether it explains it, and how
        foreign the batch is to every environment, from its features (B, D).

        Unlike `update`, no preference for the present environment: readers ask about any frames.
        """
        index, known, statistics = rule.explain(self._blocks(features))
        return self.environments[index], known, np.array(statistics)

    @torch.no_grad()
    def reconstruction_loss(self, frames: np.ndarray, environment: int | None = None) -> float:
        """−log p(x|z, s) of frames at their posterior means, in nats per frame.

        Args:
            frames: uint8 (B, H, W, C).
            environment: index to decode as, from 0; the present one by default.

        Raises:
            ValueError: no such environment.
            RuntimeError: before the first `update`.
            TypeError, ValueError: as `frames.to_tensor`.
        """
        seen_as = self._known(environment, "reconstruction_loss")
        x = to_tensor(frames, self.config, self.device)
        return self._reconstruction_loss(x, self.networks.encoder(x)[0], seen_as)

    @torch.inference_mode()
    def encode(self, frames: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Posterior mean and standard deviation, float32 (B, N) each, no mask applied.

        Raises:
            TypeError, ValueError: as `frames.to_tensor`.
        """
        mean, std = self.networks.encoder(to_tensor(frames, self.config, self.device))
        return _array(mean), _array(std)

    @torch.inference_mode()
    def reconstruct(self, frames: np.ndarray, environment: int | None = None) -> np.ndarray:
        """Frames decoded from their posterior means, seen as an environment.

        Args:
            frames: uint8 (B, H, W, C).
            environment: index to decode as, from 0; the present one by default.

        Returns:
            uint8 (B, H, W, C): the mean of p(x|z, s).

        Raises:
            ValueError: no such environment.
            RuntimeError: before the first `update`.
        """
        mean, _ = self.networks.encoder(to_tensor(frames, self.config, self.device))
        return self._decode(mean, environment)

    @torch.inference_mode()
    def decode(self, latents: np.ndarray, environment: int | None = None) -> np.ndarray:
        """Frames uint8 (B, H, W, C) of latents float (B, N), masked as the environment says.

        Raises:
            ValueError: wrong shape, values that are not finite, or no such environment.
            RuntimeError: before the first `update`.
        """
        values = np.asarray(latents, dtype=np.float32)
        if values.ndim != 2 or values.shape[1] != self.config.latents:
            raise ValueError(
                f"latents must have shape (B, {self.config.latents}), got {values.shape}"
            )
        if not np.isfinite(values).all():
            raise ValueError("latents must be finite, got NaN or infinity")
        return self._decode(torch.from_numpy(values.copy()).to(self.device), environment)

    def _decode(self, latents: Tensor, environment: int | None) -> np.ndarray:
        seen_as = self._known(environment, "decode")
        s = torch.full((len(latents),), seen_as.index, device=self.device)
        output = self.networks.decoder(latents * seen_as.latent_mask, s)
        return to_frames(expected_pixels(output, self.config))

    def _known(self, environment: int | None, what: str) -> Environment:
        """The environment of an index, the present one of None."""
        index = self.environment if environment is None else environment
        return self.environments[self.registry.checked(index, what)]

    # ---------------------------------------------------------------- keeping

    def save(self, path: str | Path) -> None:
        """Write everything to one file, under a temporary name first.

        Raises:
            OSError: the file cannot be written.
        """
        save_state(self, Path(path))

    @classmethod
    def load(cls, path: str | Path, *, device: str | torch.device = "auto") -> VASE:
        """The learner as saved; going on from it equals never having stopped.

        No code from the file is run.

        Raises:
            FileNotFoundError: no such file.
            CheckpointError: not a checkpoint, a corrupt one, or one of another format.
        """
        return load_state(cls, Path(path), resolve_device(device))

    # ---------------------------------------------------------------- helpers

    def _normal(self, batch: int) -> Tensor:
        return torch.randn(batch, self.config.latents, generator=self.generator).to(self.device)

    @torch.no_grad()
    def _sample(self, x: Tensor) -> Tensor:
        mean, std = self.networks.encoder(x)
        sample: Tensor = mean + self._normal(len(x)) * std
        return sample

    def _thinned(self, x: Tensor) -> Tensor:
        """At most `batch_size` frames of a batch, chosen at random."""
        if len(x) <= self.config.batch_size:
            return x
        order = torch.randperm(len(x), generator=self.generator)[: self.config.batch_size]
        return x[order.to(self.device)]

    @torch.no_grad()
    def _classify(self, x: Tensor) -> Tensor:
        """q(s|x) over the known environments, averaged over the batch (A.2)."""
        logits: Tensor = self.networks.classifier(self.networks.encoder.features(x))
        known = logits[:, : len(self.environments)]
        gone = [e.index for e in self.environments if e.merged_into is not None]
        known[:, gone] = -math.inf
        return known.softmax(1).mean(0)

    @torch.no_grad()
    def _reconstruction_loss(self, x: Tensor, z: Tensor, environment: Environment) -> float:
        s = torch.full((len(x),), environment.index, device=self.device)
        output = self.networks.decoder(z * environment.latent_mask, s)
        return float(negative_log_likelihood(output, x, self.config).mean())


def _finite(tensors: dict[str, Tensor]) -> dict[str, float]:
    """Plain numbers, fetched from the device at once; FloatingPointError if the total is not."""
    values = torch.stack([t.detach() for t in tensors.values()]).tolist()
    if not math.isfinite(values[-1]):
        bad = [n for n, v in zip(tensors, values, strict=True) if not math.isfinite(v)]
        raise FloatingPointError(f"training diverged: loss {bad[0]!r} is not finite")
    return dict(zip(tensors, values, strict=True))


def _array(tensor: Tensor) -> np.ndarray[Any, Any]:
    return tensor.detach().cpu().numpy()
