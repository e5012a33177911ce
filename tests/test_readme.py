"""What the README says is what happens."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vase_rl.experiments import demo, stream, study, training
from vase_rl.experiments.cli import build_parser, main

README = (Path(__file__).parents[1] / "README.md").read_text()
PYTHON = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
COMMANDS = re.findall(r"^vase-rl .*$", README, re.MULTILINE)
WRITTEN = {
    "demo": demo.WRITTEN,
    "stream": stream.WRITTEN,
    "study": study.WRITTEN,
    "train": training.WRITTEN,
    "evaluate": (),
    "inspect": (),
    "detect": (),
    "explore": (),
    "reproduce": (),
    "record": (),
    "data": (),
    "bench": (),
}
"""What a later command can read, by the command that writes it."""


def run(code: str) -> dict[str, Any]:
    names: dict[str, Any] = {}
    exec(compile(code, "README.md", "exec"), names)
    return names


def test_the_five_lines_train_an_agent_on_latents() -> None:
    """Word for word, but for the number of frames: one rollout instead of ten."""
    names = run(PYTHON[0].replace("20_000", "2_000"))
    assert names["env"].observation_space.shape == (16,)
    assert names["env"].vase.updates > 100
    assert len(names["env"].vase.environments) == 1
    assert names["agent"].num_timesteps >= 2_000


def test_several_environments_share_a_learner() -> None:
    """Word for word, but for the frames: one rollout of a few steps."""
    code = PYTHON[1].replace("20_000", "256").replace("venv)", "venv, n_steps=32)")
    names = run(code)
    assert names["venv"].observation_space.shape == (16,)
    assert names["venv"].num_envs == 8
    assert names["venv"].vase.updates > 0


def test_the_learner_works_by_itself() -> None:
    names = run(PYTHON[2])
    assert names["mean"].shape == names["std"].shape == (64, 16)
    assert names["report"].environment == 0


def test_new_worlds_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    vase, rng = run(PYTHON[3])["vase"], np.random.default_rng(0)
    for brightness in [100] * 10 + [250] * 2:
        vase.update(rng.integers(0, brightness, (64, 32, 32, 1), dtype=np.uint8))
    assert capsys.readouterr().out == "a new world, environment 1\n"
    vase.confirm()
    vase.rename(1, "menu")
    vase.forbid(1)
    vase.merge(1, into=0)
    vase.hold()
    assert len(vase.environments) == 1


def test_a_recording_is_learnt_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Word for word, on a recording of 150 small frames."""
    frames = np.random.default_rng(0).integers(0, 256, (150, 84, 111, 3), dtype=np.uint8)
    (tmp_path / "runs" / "outdoors").mkdir(parents=True)
    np.savez(tmp_path / "runs" / "outdoors" / "episode.npz", frames=frames)
    monkeypatch.chdir(tmp_path)
    names = run(PYTHON[6])
    assert names["frames"].shape[1:] == (64, 64, 3)
    assert names["vase"].updates == 3


def test_the_commands_exist(capsys: pytest.CaptureFixture[str]) -> None:
    assert len(COMMANDS) >= 5
    for command in COMMANDS:
        name = shlex.split(command)[1]
        with pytest.raises(SystemExit) as stopped:
            main([name, "--help"])
        assert stopped.value.code == 0
        helped = capsys.readouterr().out
        options = [word for word in shlex.split(command) if word.startswith("--")]
        assert all(option in helped for option in options), command


def test_the_commands_read_what_earlier_ones_wrote() -> None:
    there: set[str] = set()
    read = 0
    for command in COMMANDS:
        name, *rest = shlex.split(command)[1:]
        options = build_parser().parse_args([name, *rest])
        for key in ("bundle", "checkpoint", "encoder"):
            path = getattr(options, key, None)
            if path is not None:
                assert path in there, command
                read += 1
        there |= {f"{options.out}/{file}" for file in WRITTEN[name]}
    assert read >= 2
