"""One file for an agent and the encoder that its latents come from.

A policy without its encoder is useless, and with another encoder it is wrong without any sign of
it. The file is a zip of three members: `agent.json` (what the agent is), `encoder.pt` (a
checkpoint of the learner) and `policy.pt` (weights and optimizer). The description holds the
digests of the other two, so halves of different bundles are noticed.

Nothing in the file is executed: tensors are read by torch with `weights_only`, and the model is
rebuilt from the description. (`PPO.load` of Stable-Baselines3 unpickles arbitrary objects.)
"""

from __future__ import annotations

import hashlib
import io
import json
import pickle
import tempfile
import zipfile
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gymnasium as gym
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.policies import ActorCriticPolicy

from ..checkpoint import CheckpointError
from ..files import write_whole
from ..learner import VASE
from ..wrappers import VASEObservationWrapper, VASEVecEnvWrapper
from .attended import AttendedLatents
from .card import AgentCard, BundleError
from .config import PPOConfig

Adapter = VASEObservationWrapper | VASEVecEnvWrapper
CARD, ENCODER, POLICY = "agent.json", "encoder.pt", "policy.pt"


@dataclass(frozen=True)
class Bundle:
    """A trained agent: its description, its encoder and its weights.

    `Bundle.load` and `Bundle.of` make one.

    Example:
        >>> import gymnasium as gym
        >>> from vase_rl.agents import Bundle
        >>> bundle = Bundle.load("agent.zip")  # doctest: +SKIP
        >>> env = bundle.wrap(gym.make("vase_rl/SpriteReach-v0"))  # doctest: +SKIP
        >>> latents, info = env.reset()  # doctest: +SKIP
        >>> action, _ = bundle.policy().predict(latents, deterministic=True)  # doctest: +SKIP
    """

    card: AgentCard
    encoder_bytes: bytes = field(repr=False)
    """A checkpoint as `VASE.save` writes it."""
    policy_bytes: bytes = field(repr=False)
    """`torch.save` of {"policy": ..., "optimizer": ...}, two state dictionaries."""

    @classmethod
    def of(cls, model: PPO, env: Adapter, *, env_id: str | None = None) -> Bundle:
        """Bundles a model with the encoder of the environment that it was trained in.

        Args:
            model: a `stable_baselines3.PPO` with `MlpPolicy`.
            env: the wrapper that the model's observations come from, of one environment or of a
                `VecEnv`.
            env_id: name of the environment, for the record.

        Raises:
            BundleError: the model was not trained on such latents, or has hyperparameters that
                cannot be kept as plain values.
        """
        if not isinstance(model, PPO) or type(model.policy) is not ActorCriticPolicy:
            raise BundleError(
                f"model must be a stable_baselines3.PPO with MlpPolicy, got {type(model).__name__} "
                f"with {type(model.policy).__name__}"
            )
        try:
            config = PPOConfig.of(model)
        except (TypeError, ValueError) as error:
            raise BundleError(f"the model cannot be kept as plain values: {error}") from error
        extractor = model.policy.features_extractor
        attended = extractor.attended if isinstance(extractor, AttendedLatents) else None
        card = AgentCard(
            hyperparameters=config,
            observation_space=env.observation_space,  # type: ignore[arg-type]
            action_space=env.action_space,
            append_environment=env.append_environment,
            pixels_key=env.pixels.key,
            attended_latents=attended,
            env_id=env_id,
            frames=model.num_timesteps,
        )
        _check_spaces(card, model, "model")
        bundle = cls(card, _encoder_bytes(env), _policy_bytes(model))
        bundle.card.to_json()
        return bundle

    def save(self, path: str | Path) -> None:
        """Writes the bundle under a temporary name, then renames it: all of it or nothing.

        Raises:
            OSError: the file cannot be written.
        """
        write_whole(path, self._packed())

    @classmethod
    def load(cls, path: str | Path) -> Bundle:
        """Reads a bundle and checks all of it; no code from the file is run.

        Raises:
            BundleError: no such file, not a bundle, damaged, of another version, or with halves
                that do not belong together.
        """
        path = Path(path)
        try:
            members = _read_members(path)
            values = _read_json(members[CARD])
            card = AgentCard.from_json(values)
            for name in (ENCODER, POLICY):
                _check_digest(name, members[name], values.get("digests"))
            bundle = cls(card, members[ENCODER], members[POLICY])
            bundle._check_halves()
        except BundleError as error:
            raise BundleError(f"cannot use {path} as a bundle: {error}") from error
        return bundle

    def encoder(self, device: str | torch.device = "auto") -> VASE:
        """A fresh copy of the learner.

        Raises:
            BundleError: the checkpoint is damaged.
        """
        with tempfile.TemporaryDirectory() as folder:
            try:
                return VASE.load(self._encoder_file(folder), device=device)
            except CheckpointError as error:
                raise BundleError(f"{ENCODER} is damaged: {error.__cause__ or error}") from error

    def policy(self) -> ActorCriticPolicy:
        """A fresh copy of the policy with its optimizer, on the CPU; it has `predict`.

        Raises:
            BundleError: the weights are damaged or do not fit the description.
        """
        card = self.card
        rate = card.hyperparameters.learning_rate
        kwargs = card.hyperparameters.policy_kwargs(card.attended_latents)
        # Initialising weights that are overwritten must not advance the caller's random numbers.
        with torch.random.fork_rng(devices=[]):
            policy = ActorCriticPolicy(
                card.observation_space, card.action_space, lambda _: rate, **kwargs
            )
        _load_weights(policy, self.policy_bytes)
        return policy.eval()

    def model(self, env: Any, *, seed: int | None = None) -> PPO:
        """A `stable_baselines3.PPO` that can go on learning, on the CPU.

        Args:
            env: an environment, single or vectorised, that gives the latents of this encoder, as
                from `wrap(env, training=...)`.
            seed: of action noise and minibatches.

        Raises:
            BundleError: its latents or actions are not those of the agent.
        """
        _check_spaces(self.card, env, "env")
        kwargs = self.card.hyperparameters.ppo_kwargs(self.card.attended_latents)
        model = PPO("MlpPolicy", env, seed=seed, device="cpu", **kwargs)
        _load_weights(model.policy, self.policy_bytes)
        model.num_timesteps = self.card.frames
        return model

    def wrap(
        self,
        env: gym.Env[Any, Any],
        *,
        training: bool = False,
        seed: int | None = None,
        device: str = "auto",
    ) -> VASEObservationWrapper:
        """Puts a fresh copy of the encoder before an environment with images.

        Args:
            env: its action space must be the agent's.
            training: whether that copy goes on learning.
            seed: of the order of training frames.
            device: of the encoder.

        Raises:
            BundleError: the action space is another one.
            ValueError: the environment has no image where the agent expects it.
        """
        _check_actions(self.card, env, "env")
        with tempfile.TemporaryDirectory() as folder:
            return VASEObservationWrapper(
                env,
                load_path=self._encoder_file(folder),
                training=training,
                pixels_key=self.card.pixels_key,
                append_environment=self.card.append_environment,
                seed=seed,
                device=device,
            )

    def _encoder_file(self, folder: str) -> Path:
        path = Path(folder) / ENCODER
        path.write_bytes(self.encoder_bytes)
        return path

    def _packed(self) -> bytes:
        halves = {ENCODER: self.encoder_bytes, POLICY: self.policy_bytes}
        digests = {name: _digest(content) for name, content in halves.items()}
        card = json.dumps({**self.card.to_json(), "digests": digests}, indent=2, allow_nan=False)
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
            for name, content in {CARD: card.encode(), **halves}.items():
                archive.writestr(name, content)
        return buffer.getvalue()

    def _check_halves(self) -> None:
        """Builds both halves once; a bundle that loads can be used."""
        config = self.encoder("cpu").config
        size = config.latents + self.card.append_environment * config.max_environments
        seen = self.card.observation_space.shape
        if seen != (size,):
            raise BundleError(
                f"policy and encoder do not belong together: the policy takes observations of "
                f"shape {seen}, the encoder gives {(size,)}"
            )
        attended = self.card.attended_latents
        if attended is not None and len(attended) != config.latents:
            raise BundleError(
                f"attended_latents must have {config.latents} flags, got {len(attended)}"
            )
        extractor = self.policy().features_extractor
        if isinstance(extractor, AttendedLatents) and extractor.attended != attended:
            raise BundleError(f"attended_latents differs from what {POLICY} was trained with")


def _encoder_bytes(env: Adapter) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / ENCODER
        env.save(path)
        return path.read_bytes()


def _policy_bytes(model: PPO) -> bytes:
    buffer = io.BytesIO()
    policy = model.policy
    state = {"policy": policy.state_dict(), "optimizer": policy.optimizer.state_dict()}
    torch.save(state, buffer)
    return buffer.getvalue()


def _load_weights(policy: ActorCriticPolicy, content: bytes) -> None:
    try:
        if not zipfile.is_zipfile(io.BytesIO(content)):
            raise zipfile.BadZipFile("it was not written by torch.save")
        state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
        policy.load_state_dict(state["policy"])
        policy.optimizer.load_state_dict(state["optimizer"])
    except (
        RuntimeError, EOFError, pickle.UnpicklingError, zipfile.BadZipFile, KeyError, TypeError,
        ValueError, AttributeError,
    ) as error:  # fmt: skip
        raise BundleError(
            f"{POLICY} is damaged or does not fit the description: {_first_line(error)}"
        ) from error


def _read_members(path: Path) -> dict[str, bytes]:
    if not path.is_file():
        raise BundleError("there is no such file")
    try:
        with zipfile.ZipFile(path) as archive:
            names = sorted(archive.namelist())
            if names != sorted((CARD, ENCODER, POLICY)):
                more = f" and {len(names) - 4} more" if len(names) > 4 else ""
                expected = [CARD, ENCODER, POLICY]
                raise BundleError(f"it holds {names[:4]}{more} and not just {expected}")
            return {name: archive.read(name) for name in names}
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError) as error:
        raise BundleError(f"it is damaged or not a bundle: {_first_line(error)}") from error


def _read_json(content: bytes) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        raise BundleError(f"{CARD} is not JSON: {_first_line(error)}") from error


def _digest(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


def _check_digest(name: str, content: bytes, digests: Any) -> None:
    expected = digests.get(name) if isinstance(digests, dict) else None
    if expected != _digest(content):
        raise BundleError(
            f"policy and encoder do not belong together: {name} is not the one that {CARD} was "
            f"written with"
        )


def _check_spaces(card: AgentCard, env: Any, name: str) -> None:
    shape = getattr(env.observation_space, "shape", None)
    if shape != card.observation_space.shape:
        raise BundleError(
            f"{name} must have observations of shape {card.observation_space.shape}, the latents "
            f"of the encoder, got {shape}"
        )
    _check_actions(card, env, name)


def _check_actions(card: AgentCard, env: Any, name: str) -> None:
    if env.action_space != card.action_space:
        raise BundleError(
            f"{name} must have the action space {card.action_space} of the agent, got "
            f"{env.action_space}"
        )


def _first_line(error: Exception) -> str:
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__
