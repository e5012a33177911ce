"""`vase-rl explore` on the built-in sprites, at a size that takes seconds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from vase_rl.experiments import cli, exploring
from vase_rl.experiments.explore import WRITTEN
from vase_rl.experiments.explore_page import headline

STEPS = 15
SMALL: dict[str, Any] = dict(
    image_size=16, filters=(8, 8), hidden=32, latents=6, max_environments=4, used_interval=5,
    learning_rate=4e-3, used_noise_threshold=50.0,
)  # fmt: skip


def explore(out: Path, *arguments: str) -> int:
    return cli.main(["explore", "--steps", str(STEPS), "--out", str(out), *arguments])


@pytest.fixture(name="out", scope="module")
def _out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("explore")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exploring, "OVERRIDES", SMALL)
        patch.setattr(exploring, "READER_STEPS", 20)
        patch.setattr(exploring, "TEST_FRAMES", 100)
        assert explore(out, "--seeds", "1") == 0
    return out


def metrics(out: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((out / "metrics.json").read_text())
    return found


def test_a_run_leaves_numbers_and_pictures(out: Path) -> None:
    found = metrics(out)
    assert found["finished"]
    for name in ("accuracy_with_exploration", "accuracy_without", "accuracy_upper_bound"):
        assert 0 <= found[name] <= 1
        assert 0 <= found[f"{name}_probe"] <= 1
    assert found["r2_own"] <= 1
    assert all((out / name).stat().st_size > 100 for name in WRITTEN)
    page = (out / "report.html").read_text()
    assert page.count("<img") == 2
    assert "<svg" in page
    # In so few steps nothing is learnt, and the page does not claim it.
    assert found["r2_unmoved"] < 0.8
    assert "cannot yet move them there" in page


@pytest.mark.parametrize(
    ("r2", "gain", "says"),
    [(0.7, 0.3, "cannot yet"), (0.9, 0.05, "learns little"), (0.9, 0.3, "and learns from what")],
)
def test_the_headline_says_what_the_numbers_allow(r2: float, gain: float, says: str) -> None:
    numbers = {
        "r2_unmoved": r2,
        "accuracy_without": 0.1,
        "accuracy_with_exploration": 0.1 + gain,
    }
    assert says in headline(numbers)


def test_every_condition_trains_as_long_and_is_read_as_often(out: Path) -> None:
    conditions = metrics(out)["results"]["1"]["conditions"]
    assert set(conditions) == set(exploring.CONDITIONS)
    lengths = {name: len(cell["curve"]) for name, cell in conditions.items()}
    assert lengths == {"with_exploration": 20, "without": 20, "upper_bound": 10}
    for cell in conditions.values():
        assert len(cell["curve_probe"]) == len(cell["curve"])
        assert cell["accuracy"] == cell["curve"][9]


def test_a_finished_seed_is_not_run_again(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exploring, "OVERRIDES", SMALL)
    before = metrics(out)["results"]
    runs = []
    monkeypatch.setattr("vase_rl.experiments.explore.run_exploring", lambda *a: runs.append(a))
    assert explore(out, "--seeds", "1") == 0
    assert not runs
    assert metrics(out)["results"] == before


def test_too_few_steps_name_the_option(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(exploring, "OVERRIDES", {**SMALL, "used_noise_threshold": 1e-6})
    assert explore(tmp_path) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert (
        f"--steps must be enough for the learner to use latents of moving-garments, got {STEPS}"
        in error
    )


def test_bad_input_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert explore(tmp_path, "--data-dir", str(tmp_path / "gone")) == 2
    assert explore(tmp_path, "--seeds", "3-1") == 2
    assert explore(tmp_path, "--steps", "9") == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 3
    assert "gone" in lines[0]
    assert "3-1" in lines[1]
    assert "at least 10" in lines[2]
