"""Hyperparameters: their rules, YAML files, and `vase-rl train` with them."""

from __future__ import annotations

import inspect
import json
import os
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import yaml
from lamps import LAMP

from vase_rl.agents import ALGORITHMS, Bundle, make_config
from vase_rl.agents.config import from_values, plain_values
from vase_rl.experiments import cli, manual, parsers
from vase_rl.experiments.hyperparameters import read_config

REACH = "vase_rl/SpriteReach-v0"


@pytest.mark.parametrize("name", ALGORITHMS)
def test_defaults_survive_yaml(name: str, tmp_path: Path) -> None:
    config = make_config(name)
    values = plain_values(config)
    assert from_values(ALGORITHMS[name].config, json.loads(json.dumps(values))) == config
    (tmp_path / "all.yml").write_text(yaml.safe_dump(values))
    assert read_config(str(tmp_path / "all.yml"), name, 1) == config
    assert read_config(None, name, 1) == config


@pytest.mark.parametrize("name", ALGORITHMS)
def test_names_are_arguments_of_stable_baselines3(name: str) -> None:
    kind = ALGORITHMS[name]
    known = {*inspect.signature(kind.model).parameters, *inspect.signature(kind.policy).parameters}
    names = {entry.name for entry in fields(kind.config)}
    assert names - known == {"activation"}


def test_rollouts_are_shared_among_environments() -> None:
    lengths = [make_config("ppo", count).n_steps for count in (1, 4, 1000)]  # type: ignore[union-attr]
    assert lengths == [512, 128, 1]
    assert make_config("ppo", 4, n_steps=512).n_steps == 512  # type: ignore[union-attr]


def test_a_file_as_people_write_it(tmp_path: Path) -> None:
    file = tmp_path / "sac.yml"
    file.write_text(
        "# slower\nlearning_rate: 3e-4\nnet_arch: [32, 16]\nactivation: tanh\nent_coef: auto\n"
    )
    wanted = make_config(
        "sac", 1, learning_rate=3e-4, net_arch=(32, 16), activation="tanh", ent_coef="auto"
    )
    assert read_config(str(file), "sac", 1) == wanted


BAD = [
    ("sac", {"ent_coef": "high"}, "'auto', 'auto_X' with X above 0, or a finite number"),
    ("sac", {"ent_coef": "auto_0"}, "'auto', 'auto_X' with X above 0, or a finite number"),
    ("sac", {"ent_coef": -0.1}, "'auto', 'auto_X' with X above 0, or a finite number"),
    ("sac", {"target_entropy": "low"}, "'auto' or a finite number"),
    ("sac", {"tau": 0}, "a number in (0, 1]"),
    ("sac", {"gradient_steps": 0}, "a positive integer, or -1"),
    ("sac", {"gradient_steps": -2}, "a positive integer, or -1"),
    ("dqn", {"train_freq": [1, "episode"]}, "a positive integer"),
    ("dqn", {"learning_starts": -1}, "an integer, 0 or above"),
    ("dqn", {"buffer_size": 1e5}, "a positive integer"),
    ("dqn", {"exploration_fraction": 0}, "a number in (0, 1]"),
    ("dqn", {"exploration_final_eps": 2}, "a number in [0, 1]"),
    ("dqn", {"activation": ["relu"]}, "one of ('tanh', 'relu')"),
    ("a2c", {"use_rms_prop": "yes"}, "True or False"),
    ("a2c", {"net_arch": {"pi": [4], "vf": [4]}}, "a sequence of positive integers"),
    ("a2c", {"n_steps": True}, "a positive integer"),
    ("ppo", {"batch_size": 1}, "above 1 where normalize_advantage is set"),
]


@pytest.mark.parametrize(("name", "values", "rule"), BAD)
def test_bad_values_are_refused(name: str, values: dict[str, Any], rule: str) -> None:
    with pytest.raises(ValueError, match="must be") as caught:
        make_config(name, 1, **values)
    ((key, value),) = values.items()
    kind = ALGORITHMS[name].config.__name__
    start, _, got = str(caught.value).rpartition(", got ")
    assert start.startswith(f"{kind}.{key} must be {rule}")
    assert got == repr(value)


BAD_FILES = [
    ("ppo", b"learning_rate: fast", "PPOConfig.learning_rate must be a finite number above 0, got"),
    ("ppo", b"learning_rate: .inf", "a finite number above 0, got inf"),
    ("ppo", b"n_steps: 1e3", "PPOConfig.n_steps must be a positive integer, got 1000.0"),
    ("ppo", b"net_arch: 64", "PPOConfig.net_arch must be a sequence of positive integers, got 64"),
    ("sac", b"clip_range: 0.2", "unknown hyperparameter 'clip_range'; SACConfig has learning_rate"),
    ("ppo", b"algorithm: sac", "unknown hyperparameter 'algorithm'; PPOConfig has learning_rate"),
    ("ppo", b"gamma: 0.9\ngamma: 0.5", "gamma must stand there once, got it 2 times"),
    ("ppo", b"", "it must be a mapping as in `learning_rate: 0.001`, got nothing"),
    ("ppo", b"- gamma", "it must be a mapping as in `learning_rate: 0.001`, got a list"),
    ("ppo", b"1: 2", "a key must be the name of a hyperparameter, got 1"),
    ("ppo", b"n_steps: 9\ngamma: ]", "it must be YAML: line 2: expected"),
    ("ppo", b"\xff\xfe\x00", "it must be YAML: "),
    ("ppo", b"gamma: !!python/object/apply:os.getcwd []", "it must be YAML: "),
    ("ppo", b"n_steps: 1", "n_steps times the number of environments must be above 1"),
    ("a2c", b"n_steps: 1\nnormalize_advantage: true", "must be above 1 where normalize_advantage"),
]


@pytest.mark.parametrize(("name", "content", "message"), BAD_FILES)
def test_bad_files_are_one_line_and_leave_nothing(
    name: str,
    content: bytes,
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("my.yml").write_bytes(content)
    arguments = ["--env", REACH, "--algorithm", name, "--hyperparameters", "my.yml"]
    assert cli.main(["train", *arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith("vase-rl: --hyperparameters my.yml: ")
    assert error.count("\n") == 1
    assert message in error
    assert os.listdir() == ["my.yml"]


BAD_ARGUMENTS = [
    (["--env", REACH, "--algorithm", "td3"], "argument --algorithm: invalid choice: 'td3'"),
    (["--env", REACH, "--hyperparameters", "gone.yml"], "must be a file, got 'gone.yml'"),
    (["--env", REACH, "--hyperparameters", "."], "--hyperparameters must be a file, got '.'"),
    (["--env", REACH, "--algorithm", "dqn"], "for DQN the action space must be a Discrete"),
    (["--env", LAMP, "--algorithm", "sac"], "for SAC the action space must be a Box"),
    (["--env", "CartPole-v1"], "gymnasium.wrappers.AddRenderObservation observes what"),
]


@pytest.mark.parametrize(("arguments", "message"), BAD_ARGUMENTS)
def test_bad_arguments_are_one_line(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main(["train", *arguments]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert message in error
    assert os.listdir() == []


def test_help_names_every_algorithm_and_hyperparameter() -> None:
    assert tuple(ALGORITHMS) == parsers.ALGORITHMS
    table = manual.TRAIN.partition("what each algorithm knows")[2].split()
    places = [table.index(name) for name in ALGORITHMS] + [len(table)]
    for i, kind in enumerate(ALGORITHMS.values()):
        named = table[places[i] + 1 : places[i + 1]]
        assert named == [entry.name for entry in fields(kind.config)]


def test_train_and_evaluate_off_policy(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, out, place = tmp_path / "sac.yml", tmp_path / "train", tmp_path / "evaluate"
    file.write_text("learning_starts: 500\nbatch_size: 16\nnet_arch: [16]\n")
    arguments = ["--env", REACH, "--algorithm", "sac", "--hyperparameters", str(file)]
    assert cli.main(["train", *arguments, "--frames", "540", "--out", str(out)]) == 0
    shown = capsys.readouterr()
    assert "training SAC in vase_rl/SpriteReach-v0 for 540 frames on a new encoder" in shown.out
    assert "training: 540 of 540 frames (100%)" in shown.err
    found = json.loads((out / "metrics.json").read_text())
    assert (found["finished"], found["algorithm"], found["frames"]) == (True, "sac", 540)
    assert found["hyperparameters"]["net_arch"] == [16]
    assert found["hyperparameters"]["gamma"] == 0.95
    assert found["curve"]["frames"] == [512, 540]
    assert Bundle.load(out / "agent.zip").card.algorithm == "SAC"
    evaluate = ["evaluate", str(out / "agent.zip"), "--env", REACH, "--episodes", "2"]
    assert cli.main([*evaluate, "--out", str(place)]) == 0
    assert json.loads((place / "metrics.json").read_text())["episodes"] == 2
