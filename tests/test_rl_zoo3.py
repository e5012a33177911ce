"""The files in docs/rl_zoo3, taken as rl_zoo3 takes them; and the callback that they name."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from counting import Memory, makers, venv
from stable_baselines3 import DQN, PPO, SAC
from stable_baselines3.common.callbacks import EvalCallback
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

from vase_rl import VASE, VASEConfig
from vase_rl.agents import FrameReplayBuffer, VASECallback
from vase_rl.wrappers import VASEObservationWrapper, VASEVecEnvWrapper

FILES = sorted((Path(__file__).parents[1] / "docs" / "rl_zoo3").glob("*.yml"))
ALGORITHMS: dict[str, Any] = {"ppo": PPO, "sac": SAC}
ENVIRONMENT = "vase_rl/SpriteReach-v0"


def named(path: str) -> Any:
    module, _, name = path.rpartition(".")
    return getattr(importlib.import_module(module), name)


def entries(settings: dict[str, Any], key: str) -> list[tuple[Any, dict[str, Any]]]:
    """(class, keyword arguments) of `- dotted.path: {...}`."""
    parts = settings.pop(key, [])
    return [(named(name), kwargs) for part in parts for name, kwargs in part.items()]


def wrapped(classes: list[tuple[Any, dict[str, Any]]], env: Any) -> Any:
    for kind, kwargs in classes:
        env = kind(env, **kwargs)
    return env


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_examples_train(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    saved = VASE(VASEConfig.preset("compact"), seed=0, device="cpu")
    saved.update(np.random.default_rng(0).integers(0, 256, (64, 32, 32, 1), dtype=np.uint8))
    saved.save("encoder.pt")

    (environment, settings), *others = yaml.safe_load(path.read_text("utf-8")).items()
    assert (environment, others) == (ENVIRONMENT, [])
    count, _ = settings.pop("n_envs"), settings.pop("n_timesteps")
    single, whole = entries(settings, "env_wrapper"), entries(settings, "vec_env_wrapper")
    callbacks = [kind(**kwargs) for kind, kwargs in entries(settings, "callback")]
    if "replay_buffer_class" in settings:
        settings["replay_buffer_class"] = eval(settings["replay_buffer_class"])
    assert bool(single) != bool(whole)
    assert not single or count == 1, "one learner per environment"

    def make(number: int) -> Any:
        made = make_vec_env(ENVIRONMENT, number, wrapper_class=lambda env: wrapped(single, env))
        return wrapped(whole, made)

    env = make(count)
    agent = ALGORITHMS[path.stem.partition("-")[0]](env=env, seed=0, device="cpu", **settings)
    evaluation = EvalCallback(make(1), eval_freq=120, n_eval_episodes=1, verbose=0)
    agent.learn(300, callback=[*callbacks, evaluation])
    assert np.isfinite(evaluation.last_mean_reward)
    if whole:
        assert env.vase.updates > 0
        assert evaluation.eval_env.vase is env.vase
        assert not evaluation.eval_env.training
        assert VASE.load("encoder.pt", device="cpu").updates == env.vase.updates
    else:
        assert env.envs[0].unwrapped.spec.id == ENVIRONMENT
        assert isinstance(env.envs[0], VASEObservationWrapper)
        assert env.envs[0].vase.updates == saved.updates


def test_the_files_are_there() -> None:
    assert {path.stem for path in FILES} >= {"ppo", "ppo-frozen", "sac"}
    for path in FILES:
        assert f"docs/rl_zoo3/{path.name}" in path.read_text("utf-8"), "the command to run it"


# ---------------------------------------------------------------- the callback


def test_a_held_view_is_refreshed_and_the_learner_logged() -> None:
    env = venv(2, view="held", frames_per_update=4)
    agent = PPO("MlpPolicy", env, n_steps=32, batch_size=32, seed=0, device="cpu")
    memory = Memory()
    agent.set_logger(Logger(None, [memory]))
    agent.learn(256, callback=VASECallback())
    assert memory.written[-1]["vase/drift"] > 0
    assert memory.written[-1]["vase/environments"] == 1


def test_a_live_view_is_not_refreshed() -> None:
    env = venv(1)
    agent = PPO("MlpPolicy", env, n_steps=32, batch_size=32, seed=0, device="cpu")
    memory = Memory()
    agent.set_logger(Logger(None, [memory]))
    agent.learn(32, callback=VASECallback())
    assert "vase/drift" not in memory.written[-1]


def test_a_buffer_without_an_adapter_gets_that_of_the_training() -> None:
    env = venv(1)
    agent = DQN(
        "MlpPolicy", env, replay_buffer_class=FrameReplayBuffer, buffer_size=100, device="cpu",
        learning_starts=20, batch_size=16,
    )  # fmt: skip
    for _ in range(2):
        agent.learn(40, callback=[VASECallback()], reset_num_timesteps=False)
    buffer: Any = agent.replay_buffer
    assert buffer.observations.shape == (100, 1, 16, 16, 1)
    assert buffer.pos == 80


def test_evaluation_looks_through_the_learner_that_is_trained() -> None:
    env, other = venv(1, view="average"), venv(1, seed=1)
    agent = PPO("MlpPolicy", VecNormalize(env), n_steps=32, batch_size=32, device="cpu")
    evaluation = EvalCallback(VecNormalize(other), eval_freq=1000, verbose=0)
    agent.learn(64, callback=[VASECallback(), evaluation])
    assert other.vase is env.vase
    assert other.observer.stream.view is env.observer.stream.view
    assert not other.training


def test_what_has_no_adapter_is_refused() -> None:
    single = VASEObservationWrapper(makers(1)[0](), "compact", device="cpu")
    agent = PPO("MlpPolicy", DummyVecEnv([lambda: single]), n_steps=32, batch_size=32, device="cpu")
    with pytest.raises(ValueError, match="needs a VASEVecEnvWrapper, got DummyVecEnv"):
        agent.learn(32, callback=VASECallback())
    agent = PPO("MlpPolicy", venv(1), n_steps=32, batch_size=32, device="cpu")
    evaluation = EvalCallback(VASEVecEnvWrapper(DummyVecEnv(makers(1)), device="cpu"))
    with pytest.raises(ValueError, match="must observe alike"):
        agent.learn(32, callback=[VASECallback(), evaluation])
