"""The command line: short runs of every command, and how it refuses and stops."""

from __future__ import annotations

import json
import os
import signal
import struct
from contextlib import redirect_stderr
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
import pytest
from counting import TINY as COUNTING
from counting import open_environment
from gymnasium import spaces
from PIL import Image

from vase_rl import VASE, VASEConfig
from vase_rl.agents import Bundle
from vase_rl.experiments import cli, progress
from vase_rl.experiments.inspection import latent_roles, latent_traversals

COMMANDS = ("demo", "stream", "train", "evaluate", "inspect", "study", "detect", "explore",
            "reproduce", "bench")  # fmt: skip
LONG = ("demo", "stream", "train", "study", "detect", "explore", "reproduce", "bench")
"""Commands whose help says how long they take."""
ACTIONS = ("data list", "data fetch", "data verify")
REACH = "vase_rl/SpriteReach-v0"


class OddActions(gym.Env[Any, Any]):
    """Images, and actions that PPO cannot choose."""

    KINDS: ClassVar[dict[str, spaces.Space[Any]]] = {
        "unbounded": spaces.Box(-np.inf, np.inf, (2,), np.float32),
        "tuple": spaces.Tuple([spaces.Discrete(2), spaces.Discrete(3)]),
        "from_one": spaces.Discrete(3, start=1),
        "grid": spaces.MultiDiscrete([[2, 2], [2, 2]]),
    }

    def __init__(self, kind: str) -> None:
        self.observation_space = spaces.Box(0, 255, (32, 32, 1), np.uint8)
        self.action_space = self.KINDS[kind]


gym.register("OddActions-v0", OddActions)


def metrics(folder: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((folder / "metrics.json").read_text())
    return loaded


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A demo far too short to learn anything, but with all of its parts."""
    out = tmp_path_factory.mktemp("demo")
    arguments = ["--frames", "400", "--agent-frames", "512", "--episodes", "2", "--device", "cpu"]
    with (out / "stderr.txt").open("w") as progress_lines, redirect_stderr(progress_lines):
        assert cli.main(["demo", "--out", str(out), *arguments]) == 0
    return out


@pytest.fixture(scope="module")
def stream(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("stream")
    sequence = "moving-glyphs:448,inverted-garments:320"
    assert cli.main(["stream", "--sequence", sequence, "--seed", "1", "--out", str(out)]) == 0
    return out


@pytest.mark.parametrize("command", COMMANDS + ACTIONS)
def test_help_teaches_with_examples(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        cli.main([*command.split(), "--help"])
    assert exit_.value.code == 0
    text = capsys.readouterr().out
    assert f"examples:\n  vase-rl {command.split()[0]}" in text
    assert all(option in text for option in ("--out DIR", "--seed N", "--device"))
    assert ("on two cores" in " ".join(text.lower().split())) == (command in LONG)


def test_the_overview_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        cli.main(["--help"])
    assert exit_.value.code == 0
    text = capsys.readouterr().out
    assert all(f"\n    {command}" in text for command in (*COMMANDS, "data"))


BAD_INPUT = [
    ([], "the following arguments are required: COMMAND"),
    (["dance"], "invalid choice: 'dance'"),
    (["stream"], "the following arguments are required: --sequence"),
    (["stream", "--sequence", "socks"], "source must be one of garments, "),
    (["stream", "--sequence", "glyphs:0"], "positive number of frames, as in glyphs:2000"),
    (
        ["stream", "--sequence", "glyphs", "--frames", "few"],
        "number of at least 1, got 'few'",
    ),
    (["stream", "--sequence", "glyphs", "--config", "huge"], "preset must be one of"),
    (["stream", "--sequence", "mnist"], "VASE_RL_DATA"),
    (["stream", "--sequence", "mnist", "--data-dir", "data_dir"], "vase-rl: --data-dir must be a "),
    (["stream", "--sequence", "mnist", "--data-dir", "data_dir"], "got 'data_dir', which is not"),
    (["stream", "--sequence", "glyphs", "--device", "abacus"], 'device must be "auto" or'),
    (["demo", "--seed", "-1"], "must be a whole number from 0 to 4294967294, got '-1'"),
    (["train", "--env", REACH, "--seed", "4294967295"], "0 to 4294967294, got '4294967295'"),
    (["demo", "--frames", "1"], "must be a whole number of at least 400, got '1'"),
    (["train"], "the following arguments are required: --env"),
    (["train", "--env", "NoSuchEnv-v0"], "environment NoSuchEnv-v0: "),
    (["train", "--env", "no_such_module:Env-v0"], "environment no_such_module:Env-v0: "),
    (["train", "--env", "CartPole-v1"], "the observation space must be a uint8 Box"),
    (["train", "--env", REACH, "--env-arg", "family"], "KEY=VALUE, got 'family'"),
    (["train", "--env", REACH, "--env-arg", "family=socks"], "family must be one of"),
    (["train", "--env", REACH, "--env-arg", "socks=1"], "unexpected keyword argument 'socks'"),
    (["train", "--env", REACH, "--encoder", "gone.pt"], "--encoder must be a file, got 'gone.pt'"),
    (["train", "--env", REACH, "--encoder", "e.pt", "--config", "compact"], "beside --encoder"),
    (["train", "--env", REACH, "--online"], "--online must stand beside --encoder"),
    (
        ["train", "--env", "OddActions-v0", "--env-arg", "kind=unbounded"],
        "a Box with finite bounds",
    ),
    (["train", "--env", "OddActions-v0", "--env-arg", "kind=tuple"], "got Tuple(Discrete(2)"),
    (["train", "--env", "OddActions-v0", "--env-arg", "kind=from_one"], "starts at 0"),
    (["train", "--env", "OddActions-v0", "--env-arg", "kind=grid"], "one-dimensional"),
    (["evaluate", "gone.zip", "--env", REACH], "cannot use gone.zip as a bundle: there is no such"),
    (["inspect", "gone.pt"], "gone.pt"),
    (["study"], "the following arguments are required: STUDY"),
    (["study", "socks"], "STUDY must be one of sequences, "),
    (["study", "ablation", "--only", "SADA"], "conditions of ablation (SDA; SD; SA; "),
    (["study", "dreaming"], "VASE_RL_DATA"),
    (["study", "disentanglement", "--seeds", "3-1"], "seeds as in 0,1,2 or 10-14, got '3-1'"),
    (["study", "disentanglement", "--seeds", "a"], "seeds as in 0,1,2 or 10-14, got 'a'"),
    (["study", "disentanglement", "--seeds", "0,0"], "must be different seeds as in"),
    (["data"], "the following arguments are required: ACTION"),
    (["data", "get"], "invalid choice: 'get' (choose from 'list', 'fetch', 'verify')"),
    (["data", "list", "socks"], "NAME must be one of mnist, fashion, celeba, got 'socks'"),
    (["data", "fetch"], "the following arguments are required: NAME"),
    (["data", "fetch", "mnist"], "must be given as --data-dir or in VASE_RL_DATA"),
    (["data", "fetch", "--data-dir", "d", "celeba"], "put them into d/celeba, then run: vase-rl"),
    (["data", "fetch", "mnist", "--data-dir", "d", "--base-url", "ftp://h"], "http:// or https://"),
    (["data", "verify"], "must be given as --data-dir or in VASE_RL_DATA"),
    (["data", "verify", "--data-dir", "d"], "d: holds no data set to verify"),
    (["data", "verify", "--base-url", "http://h"], "unrecognized arguments: --base-url"),
    (
        ["stream", "--sequence", "celeba:300", "--data-dir", "."],
        "--data-dir must hold one of celeba/",
    ),
    (["study", "disentanglement", "--workers", "0"], "number of at least 1, got '0'"),
]


@pytest.mark.parametrize(("arguments", "message"), BAD_INPUT)
def test_bad_input_is_one_line_and_leaves_nothing(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main(arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("vase-rl: ")
    assert error.count("\n") == 1
    assert message in error
    assert os.listdir(tmp_path) == []


def test_out_must_not_hold_results_of_another_command(
    stream: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = metrics(stream)
    assert cli.main(["inspect", str(stream / "encoder.pt"), "--out", str(stream)]) == 2
    assert "which holds those of vase-rl stream" in capsys.readouterr().err
    assert metrics(stream) == before


def test_out_must_not_be_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    out = str(tmp_path / "file")
    assert cli.main(["stream", "--sequence", "glyphs:300", "--out", out]) == 2
    assert "--out must be a directory that can be written" in capsys.readouterr().err


NO_DIRECTORY = b"PK\5\6" + struct.pack("<HHHHLLH", 0, 0, 1, 1, 46, 0, 0)
"""A zip's last record, which speaks of a directory that is not there."""


@pytest.mark.parametrize("content", [b"nonsense", b"x" * 46 + NO_DIRECTORY, NO_DIRECTORY])
def test_a_damaged_checkpoint_is_refused(
    content: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "encoder.pt").write_bytes(content)
    assert cli.main(["inspect", str(tmp_path / "encoder.pt"), "--out", str(tmp_path / "o")]) == 2
    error = capsys.readouterr().err
    assert "encoder.pt" in error
    assert error.count("\n") == 1
    assert not (tmp_path / "o").exists()


def test_training_that_diverges_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def diverge(*_: Any) -> None:
        raise FloatingPointError("training diverged: loss 'kl' is not finite")

    monkeypatch.setattr(VASE, "update", diverge)
    arguments = ["stream", "--sequence", "glyphs:300", "--out", str(tmp_path)]
    assert cli.main(arguments) == 2
    assert capsys.readouterr().err == "vase-rl: training diverged: loss 'kl' is not finite\n"


def test_stream_leaves_what_is_promised(stream: Path) -> None:
    found = metrics(stream)
    assert found["finished"] is True
    assert found["frames"] == 768
    assert (found["environments_found"], found["false_environments"], found["missed"]) == (2, 0, 0)
    (switch,) = found["switches"]
    assert set(switch) == {"frame", "environment", "new"}
    assert switch["new"] is True
    assert found["delay_frames_median"] == switch["frame"] - 448
    assert found["environment_sources"] == ["moving-glyphs", "inverted-garments"]
    assert found["seed"] == 1
    assert found["command"].startswith("vase-rl stream --sequence moving-glyphs:448,")
    assert VASE.load(stream / "encoder.pt", device="cpu").updates == found["updates"]
    text = (stream / "timeline.svg").read_text()
    assert "inverted-garments" in text
    assert "environment 1" in text


def test_the_same_seed_streams_the_same(stream: Path, tmp_path: Path) -> None:
    sequence = "moving-glyphs:448,inverted-garments:320"
    assert cli.main(["stream", "--sequence", sequence, "--seed", "1", "--out", str(tmp_path)]) == 0
    first, second = metrics(stream), metrics(tmp_path)
    for key in ("switches", "environments", "updates"):
        assert first[key] == second[key]


def test_ctrl_c_leaves_what_was_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    advance = progress.Progress.advance

    def stop_at_500(self: progress.Progress, count: int = 1) -> None:
        advance(self, count)
        if self.done == 500:
            raise KeyboardInterrupt

    monkeypatch.setattr(progress.Progress, "advance", stop_at_500)
    arguments = ["stream", "--sequence", "moving-glyphs:448,garments:448", "--out", str(tmp_path)]
    assert cli.main(arguments) == 130
    assert "interrupted; what was finished is in" in capsys.readouterr().err
    found = metrics(tmp_path)
    assert (found["finished"], found["frames"]) == (False, 500)
    assert VASE.load(tmp_path / "encoder.pt", device="cpu").updates == found["updates"]
    assert (tmp_path / "timeline.svg").exists()


def test_terminating_is_interrupting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(
        progress.Progress, "advance", lambda *_: os.kill(os.getpid(), signal.SIGTERM)
    )
    assert cli.main(["stream", "--sequence", "glyphs:300", "--out", str(tmp_path)]) == 130
    assert "interrupted; what was finished is in" in capsys.readouterr().err
    assert metrics(tmp_path)["finished"] is False
    assert signal.getsignal(signal.SIGTERM) == before


def test_an_interrupted_demo_reports_what_was_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("vase_rl.experiments.demo.agent_and_transfer", interrupted)
    monkeypatch.setattr("vase_rl.experiments.demo.SEQUENCE", "moving-garments")
    assert cli.main(["demo", "--frames", "400", "--out", str(tmp_path)]) == 130
    page = (tmp_path / "report.html").read_text()
    assert "This run was interrupted" in page
    assert "Does an agent take its skill along?" not in page
    assert metrics(tmp_path)["finished"] is False


def test_demo_leaves_what_is_promised(demo: Path) -> None:
    found = metrics(demo)
    assert found["finished"] is True
    assert found["environments_true"] == 3
    assert found["stream_frames"] == found["frames"] == 1600
    assert found["position_r2"] == min(found["position_r2_by_world"].values())
    assert set(found["position_r2_by_world"]) == {"moving-garments", "moving-glyphs"}
    assert len(found["memory"]) == 4
    lines = (demo / "stderr.txt").read_text()
    assert "streaming: 1,600 of 1,600 frames (100%)" in lines
    assert "training: 512 of 512 frames (100%)" in lines
    for key in ("reach_success", "reach_success_transfer", "reach_success_random"):
        assert 0 <= found[key] <= 1
    assert 0 < found["stream_seconds"] < found["seconds"]
    assert Bundle.load(demo / "agent.zip").card.env_id == REACH
    assert {path.name for path in (demo / "pictures").iterdir()} == {
        "timeline.svg",
        "atypicality.svg",
        "probe.svg",
        "learning.svg",
    }
    with Image.open(demo / "agent.gif") as film:
        assert film.n_frames > 10


class _Page(HTMLParser):
    """What a page refers to, and whether its pictures are described."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.silent: list[str] = []
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.tags.append(tag)
        for name in ("src", "srcset", "href", "xlink:href", "action", "data"):
            value = values.get(name)
            if value is not None and not value.startswith(("data:", "#")):
                self.addresses.append(value)
        if (tag == "img" and not values.get("alt")) or (
            tag == "svg" and not values.get("aria-label")
        ):
            self.silent.append(tag)


def test_the_report_stands_alone_and_is_described(demo: Path) -> None:
    text = (demo / "report.html").read_text()
    page = _Page()
    page.feed(text)
    assert page.addresses == []
    assert page.silent == []
    assert "script" not in page.tags
    assert "@import" not in text
    assert page.tags.count("section") == 6
    assert "Does an agent take its skill along?" in text
    found = metrics(demo)
    assert f"{found['reach_success_transfer']:.1%}" in text
    assert f"{found['position_r2']:.3f}" in text
    assert found["command"] in text


def test_inspect_tells_environments_and_draws_traversals(
    stream: Path, demo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["inspect", str(stream / "encoder.pt"), "--out", str(tmp_path), "--seed", "2"]
    assert cli.main(arguments) == 0
    text = capsys.readouterr().out
    assert "environment 0: " in text
    assert "environment 1: " in text
    found = metrics(tmp_path)
    assert [row["environment"] for row in found["environments"]] == [0, 1]
    assert found["environments"] == metrics(stream)["environments"]
    assert [len(roles) for roles in found["roles"]] == [16, 16]
    with Image.open(tmp_path / "traversals.png") as picture:
        # At least the frames themselves: two environments of 7 steps, 16 latents.
        assert picture.width > 2 * 7 * 32
        assert picture.height > 16 * 32
    assert cli.main(["inspect", str(demo / "agent.zip"), "--out", str(tmp_path)]) == 0
    assert metrics(tmp_path)["updates"] == metrics(demo)["updates"]


def test_inspect_shows_what_the_user_said_of_environments(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    vase = VASE(COUNTING, seed=0, device="cpu")
    vase.update(np.random.default_rng(0).integers(0, 99, (16, 16, 16, 1), np.uint8))
    for _ in range(2):
        open_environment(vase, vase.environments[0].latent_mask.clone())
    vase.rename(0, "kitchen")
    vase.forbid(2)
    vase.merge(1, 0)
    vase.save(tmp_path / "encoder.pt")
    out = tmp_path / "out"
    assert cli.main(["inspect", str(tmp_path / "encoder.pt"), "--out", str(out)]) == 0
    first, second, *_ = capsys.readouterr().out.splitlines()
    assert first.startswith("environment 0 (kitchen): 1 updates, ")
    assert second.startswith("environment 2: forbidden, 0 updates, ")
    rows = metrics(out)["environments"]
    assert [(row["environment"], row["name"], row["forbidden"]) for row in rows] == [
        (0, "kitchen", False),
        (2, "", True),
    ]


def test_roles_say_used_frozen_and_spare() -> None:
    vase = VASE(VASEConfig.preset("compact", latents=6), seed=0, device="cpu")
    frames = np.random.default_rng(0).integers(0, 256, (32, 32, 32, 1), dtype=np.uint8)
    vase.update(frames)
    (record,) = vase.environments
    open_environment(vase, ~record.latent_mask)
    first, second = vase.environments
    first.used_latents[:] = first.latent_mask.new_tensor([1, 1, 0, 0, 0, 0])
    second.latent_mask[:] = second.latent_mask.new_tensor([1, 0, 0, 1, 1, 1])
    second.used_latents[:] = second.latent_mask.new_tensor([1, 0, 0, 1, 0, 0])
    assert latent_roles(vase) == [
        ["used", "used", "spare", "spare", "spare", "spare"],
        ["used", "frozen", "spare", "used", "spare", "spare"],
    ]
    grid = latent_traversals(vase, 1, np.zeros(6, np.float32))
    assert grid.shape == (6, 7, 32, 32, 1)
    # A masked latent changes nothing; an active one does.
    assert (grid[1] == grid[1, :1]).all()
    assert (grid[0] != grid[0, :1]).any()


def test_train_and_evaluate(
    stream: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "train"
    encoder = str(stream / "encoder.pt")
    arguments = ["--env", REACH, "--encoder", encoder, "--frames", "512", "--out", str(out)]
    assert cli.main(["train", *arguments, "--env-arg", "target=[0.5, 0.5]"]) == 0
    assert "training: 512 of 512 frames (100%)" in capsys.readouterr().err
    trained = metrics(out)
    assert trained["frames"] == 512
    assert trained["frames_per_second"] > 0
    assert np.isfinite(trained["return_mean"])
    assert trained["env_kwargs"] == {"target": [0.5, 0.5]}
    # Frozen: the encoder in the bundle is the one that was given.
    assert trained["environments"] == metrics(stream)["environments"]
    bundle, place = str(out / "agent.zip"), tmp_path / "evaluate"
    arguments = ["--env", REACH, "--env-arg", "family=glyphs", "--out", str(place)]
    arguments += ["--episodes", "3", "--record", "1", "--seed", "5"]
    assert cli.main(["evaluate", bundle, *arguments]) == 0
    found = metrics(place)
    assert found["episodes"] == 3
    assert np.isfinite([found["return_mean"], found["return_std"]]).all()
    assert 0 <= found["success"] <= 1
    assert (place / "episodes.gif").exists()
    assert cli.main(["evaluate", bundle, "--env", "vase_rl/SpriteStream-v0"]) == 2


def test_training_that_is_interrupted_is_saved(
    tmp_path: Path, stream: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from stable_baselines3 import PPO

    learn = PPO.learn

    def learn_a_little(self: PPO, *args: Any, **kwargs: Any) -> None:
        learn(self, 512, **{**kwargs, "callback": None})
        raise KeyboardInterrupt

    monkeypatch.setattr(PPO, "learn", learn_a_little)
    arguments = ["train", "--env", REACH, "--encoder", str(stream / "encoder.pt")]
    assert cli.main([*arguments, "--frames", "5000", "--out", str(tmp_path)]) == 130
    assert metrics(tmp_path)["finished"] is False
    assert Bundle.load(tmp_path / "agent.zip").card.frames == 512
