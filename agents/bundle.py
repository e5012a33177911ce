"""One file for an agent and the encoder that its latents come from.

A policy without its encoder is useless, and with another encoder it is wrong without any sign of
it. The file is a zip of three members: `agent.json` (what the agent is), `encoder.pt` (a
checkpoint of the learner) and `policy.pt` (weights and optimizers). The description holds the
digests of the other two, so halves of different bundles are noticed. The replay buffer of DQN and
SAC is not part of it: it is larger than all the rest, and acting does not need it.

Nothing in the file is executed: tensors are read by torch with `weights_only`, and the model is
rebuilt from the description. (`load` of Stable-Baselines3 unpickles arbitrary objects.)
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gymnasium as gym
import torch
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.common.vec_env import VecNormalize

from ..checkpoint import CheckpointError
from ..files import write_whole
from ..learner import VASE
from ..wrappers import VASEObservationWrapper, VASEVecEnvWrapper
from .algorithms import Model, algorithm_of
from .archive import ENCODER, POLICY, check_digests, first_line, pack, unpack
from .arguments import config_of, make_model, policy_kwargs
from .attended import attended_latents
from .callbacks import source_of_observations
from .card import AgentCard, BundleError
from .weights import check_weights, load_model, load_policy, write_weights

Adapter = VASEObservationWrapper | VASEVecEnvWrapper


@dataclass(frozen=True)
class Bundle:
    """A trained agent: its description, its encoder and its weights.

    `Bundle.load` and `Bundle.of` make one. The replay buffer of DQN and SAC is not part of it.

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
    """`torch.save` of state dictionaries by name: that of the policy, those of its optimizers."""

    @classmethod
    def of(cls, model: Model, env: Adapter, *, env_id: str | None = None) -> Bundle:
        """Bundles a model with the encoder of the environment that it was trained in.

        Args:
            model: a `PPO`, `A2C`, `DQN` or `SAC` of `stable_baselines3` with `MlpPolicy`.
            env: the wrapper that the model's observations come from, of one environment or of a
                `VecEnv`.
            env_id: name of the environment, for the record.

        Raises:
            BundleError: the model was not trained on such latents, or has hyperparameters that
                cannot be kept as plain values.
        """
        _check_kind(model)
        _check_adapter(model, env)
        try:
            config = config_of(model)
            attended = attended_latents(model.policy)
        except (TypeError, ValueError) as error:
            raise BundleError(f"the model cannot be kept as plain values: {error}") from error
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
        bundle = cls(card, _encoder_bytes(env), write_weights(model))
        bundle.card.to_json()
        return bundle

    def save(self, path: str | Path) -> None:
        """Writes the bundle under a temporary name, then renames it: all of it or nothing.

        Raises:
            OSError: the file cannot be written.
        """
        content = pack(self.card.to_json(), self.encoder_bytes, self.policy_bytes)
        write_whole(path, content)

    @classmethod
    def load(cls, path: str | Path) -> Bundle:
        """Reads a bundle and checks all of it; no code from the file is run.

        Raises:
            BundleError: no such file, not a bundle, damaged, of another version, or with halves
                that do not belong together.
        """
        path = Path(path)
        try:
            values, encoder, policy = unpack(path)
            card = AgentCard.from_json(values)
            check_digests(values, encoder, policy)
            bundle = cls(card, encoder, policy)
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

    def policy(self) -> BasePolicy:
        """A fresh copy of the policy with its optimizers, on the CPU; it has `predict`.

        That of DQN takes the best action, also where `deterministic` is not set.

        Raises:
            BundleError: the weights are damaged or do not fit the description.
        """
        policy = self._blank_policy()
        with _fitting():
            load_policy(policy, self.policy_bytes)
        return policy.eval()

    def model(self, env: Any, *, seed: int | None = None) -> Model:
        """A model of `stable_baselines3` that can go on learning, on the CPU.

        The replay buffer of DQN and SAC starts empty. `learn` counts frames from 0 again and
        explores anew as the hyperparameters say; with `reset_num_timesteps=False` it goes on at
        once with what it has learnt. The buffer keeps frames where `env` is a `VASEVecEnvWrapper`
        that learns; otherwise latents, which go stale if the encoder moves.

        Args:
            env: an environment, single or vectorised, that gives the latents of this encoder, as
                from `wrap(env, training=...)`.
            seed: of action noise and minibatches.

        Raises:
            BundleError: its latents or actions are not those of the agent.
        """
        card = self.card
        _check_spaces(card, env, "env")
        model = make_model(card.hyperparameters, env, card.attended_latents, seed)
        with _fitting():
            load_model(model, self.policy_bytes)
        model.num_timesteps = card.frames
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

    def _blank_policy(self) -> BasePolicy:
        card, config = self.card, self.card.hyperparameters
        kwargs = policy_kwargs(config, card.attended_latents)
        # Initialising weights that are overwritten must not advance the caller's random numbers.
        with torch.random.fork_rng(devices=[]):
            return algorithm_of(config).policy(
                card.observation_space, card.action_space, lambda _: config.learning_rate, **kwargs
            )

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
        policy = self._blank_policy()
        with _fitting():
            check_weights(policy, self.card.hyperparameters, self.policy_bytes)
            seen_latents = attended_latents(policy)
        if seen_latents != attended:
            raise BundleError(f"attended_latents differs from what {POLICY} was trained with")


@contextmanager
def _fitting() -> Iterator[None]:
    """Says of what was read in it that it does not fit."""
    try:
        yield
    except ValueError as error:
        raise BundleError(
            f"{POLICY} is damaged or does not fit the description: {first_line(error)}"
        ) from error


def _check_kind(model: Any) -> None:
    try:
        kind = algorithm_of(model)
    except ValueError as error:
        raise BundleError(f"model {error}") from error
    if type(model.policy) is not kind.policy:
        raise BundleError(
            f"model must be a {kind.name} with MlpPolicy, got {type(model.policy).__name__}"
        )


def _encoder_bytes(env: Adapter) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / ENCODER
        env.save(path)
        return path.read_bytes()


def _check_adapter(model: Model, env: Adapter) -> None:
    """Whether the model saw the latents of this learner, and as they are."""
    env_of_model = model.get_env()
    seen = None if env_of_model is None else source_of_observations(env_of_model)
    if isinstance(seen, VecNormalize):
        raise BundleError(
            "the model must see latents as they are, got one behind a VecNormalize with "
            "norm_obs=True, whose statistics a bundle does not keep"
        )
    if isinstance(seen, VASEVecEnvWrapper) and seen.vase is not env.vase:
        raise BundleError("the model was trained on the latents of another learner than env's")


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
