"""What the benchmarks make of their runs: intervals, resuming, forgetting."""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from scipy import stats
from trajectory_formats import KINDS

from vase_rl import VASEConfig
from vase_rl.experiments.options import parse_seeds

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(BENCHMARKS))

    def load(name: str) -> ModuleType:
        return importlib.import_module(name)

    yield load
    for name in [
        n for n, m in sys.modules.items() if str(BENCHMARKS) in str(vars(m).get("__file__"))
    ]:
        del sys.modules[name]


def test_intervals_are_those_of_students_t(benchmark: Any) -> None:
    values = [0.1, 0.4, 0.35, 0.8, 0.2]
    low, high = stats.t.interval(
        0.95, len(values) - 1, loc=np.mean(values), scale=stats.sem(values)
    )
    mean, half = benchmark("intervals").interval(values)
    assert (mean - half, mean + half) == pytest.approx((low, high))
    assert benchmark("intervals").interval([0.5]) == (0.5, None)


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ([0.5, 0.5], "0.50 ± 0.00"),
        ([0.25], "0.25"),
        ([], "–"),
        ([None, None], "–"),
        ([0.5, None], "– (1 of 2)"),
    ],
)
def test_missing_values_are_not_averaged_away(benchmark: Any, values: Any, text: str) -> None:
    assert benchmark("intervals").mean_with_interval(values) == text


def test_a_run_is_made_once_for_its_settings(benchmark: Any, tmp_path: Path) -> None:
    made: list[int] = []

    def method(seed: int) -> dict[str, Any]:
        made.append(seed)
        return {"answer": seed * 2}

    def runs(**settings: Any) -> Any:
        return benchmark("resume").Runs(tmp_path / "x", settings, {"a method, learning": method})

    runs(frames=3, data_dir="here").complete([4, 5])
    again = runs(frames=3, data_dir="there")
    again.complete([4, 5, 6])
    assert made == [4, 5, 6]
    found = again.by_method([4, 5, 6])["a method, learning"]
    assert [result["answer"] for result in found] == [8, 10, 12]
    assert runs(frames=4).by_method([4, 5, 6]) == {"a method, learning": []}
    with pytest.raises(SystemExit, match="made with other settings: name another folder"):
        runs(frames=4).complete([4])


@pytest.mark.parametrize(
    ("text", "seeds"), [("3", [3]), ("10-12", [10, 11, 12]), ("1,2,7", [1, 2, 7])]
)
def test_seeds(text: str, seeds: list[int]) -> None:
    assert parse_seeds(text) == seeds


@pytest.mark.parametrize("text", ["", "a", "1-", "-1"])
def test_bad_seeds(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="must be different seeds as in"):
        parse_seeds(text)


def run(table: list[list[float]], curve: list[tuple[int, float]]) -> dict[str, Any]:
    visits = [
        {
            "trials": {
                w: {"success": v, "return_mean": 2 * v} for w, v in zip("abc", row, strict=True)
            }
        }
        for row in table
    ]
    return {"visits": visits, "curve": curve}


def test_forgetting_and_transfer_of_a_table(benchmark: Any) -> None:
    result = run([[0.9, 0.2, 0.1], [1.0, 0.8, 0.3], [0.7, 0.9, 1.0]], [(512, 0.5), (1024, 0.8)])
    numbers = benchmark("continual").sequence_numbers(result, "abc")
    assert numbers["forgetting"] == pytest.approx(((1.0 - 0.7) + (0.8 - 0.9)) / 2)
    assert numbers["before its first visit"] == pytest.approx((0.2 + 0.3) / 2)
    assert numbers["success after its visit"] == pytest.approx((0.9 + 0.8 + 1.0) / 3)
    assert numbers["return at the end"] == pytest.approx(2 * (0.7 + 0.9 + 1.0) / 3)
    assert numbers["frames to 80%"] == 1024
    numbers = benchmark("continual").lifelong_numbers(result, "abc")
    assert numbers["kept"] == pytest.approx(0.7 / 0.9)
    assert numbers["transfer"] == pytest.approx((0.9 + 1.0) / 2 / 0.9)
    assert numbers["transfer, unwatched"] == pytest.approx((0.2 + 0.1) / 2 / 0.9)
    assert numbers["before its visit"] == pytest.approx((0.2 + 0.3) / 2)
    assert numbers["after its visit"] == pytest.approx((0.8 + 1.0) / 2)
    result["visits"] = result["visits"][:1]
    numbers = benchmark("continual").lifelong_numbers(result, "abc")
    assert numbers["kept"] is numbers["before its visit"] is numbers["after its visit"] is None


def test_returns_are_those_of_the_frames_before_a_mark(benchmark: Any) -> None:
    curve = [(1000 * i, float(i)) for i in range(1, 11)]
    runs = [{"curve": curve, "return_mean": 7.0}]
    text = benchmark("foreign").table({"a method": runs}, 10_000)
    assert "| a method | 1 | 2.00 | 5.00 | 10.00 | 7.00 |" in text


def test_reading_measures_every_format_beside_the_learners(
    benchmark: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    reading = benchmark("reading")
    reading.LEARNERS = {"tiny": VASEConfig.preset("compact", channels=3, filters=(4, 4, 4))}
    reading.main(
        ["--frames", "10", "--updates", "1", "--rounds", "1", "--out", str(tmp_path / "out")]
    )
    result = json.loads((tmp_path / "out" / "reading.json").read_text())
    assert set(result["learners"]["tiny"]["ratios"]) == set(KINDS)
    text = (tmp_path / "out" / "reading.md").read_text()
    assert text.count("\n") == 2 + 1 + len(KINDS)
    assert text.strip() in capsys.readouterr().out


def test_the_rule_of_reading_is_that_of_the_slowest(benchmark: Any) -> None:
    reading = benchmark("reading")
    reading.LEARNERS = {"a": None, "b": None}
    rates = {"a": [10.0, 20.0], "b": [1.0, 1.0], "png": [80.0, 80.0], "npz": [90.0, 200.0]}
    found = reading.summary(rates)["learners"]
    assert found["a"] == {
        "ratios": {"png": 6.0, "npz": 9.5}, "slowest": "png", "slowest_ratio": 6.0,
        "rule_kept": True,
    }  # fmt: skip
    assert "| npz | 145 | 9.5 | 145.0 |" in reading.table(rates)
    assert not reading.summary({**rates, "slow": [4.0, 4.0]})["learners"]["b"]["rule_kept"]


def test_memory_of_reading_is_that_of_another_process(
    benchmark: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    benchmark("memory").main(["--gigabytes", "0.014", "--dir", str(tmp_path), "--out", str(out)])
    result = json.loads((out / "memory.json").read_text())
    assert [(row["format"], row["order"]) for row in result["rows"]] == [
        (format, order) for format in ("npz", "hdf5") for order in ("in order", "shuffled")
    ]
    for row in result["rows"]:
        assert row["frames"] == 512
        assert row["bytes"] > 0.014e9
        assert not row["torch"]
        assert 0 < row["before_mb"] <= row["peak_mb"] < 300
    assert list(tmp_path.iterdir()) == [out]


def test_the_share_of_the_rule_is_measured_at_both_paces(
    benchmark: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    detection = benchmark("detection")
    detection.LEARNERS = {"tiny": VASEConfig.preset("compact", filters=(4, 4), hidden=16)}
    options = ["--worlds", "2", "--updates", "1", "--rounds", "1", "--out", str(tmp_path)]
    detection.main(options)
    result = json.loads((tmp_path / "detection.json").read_text())
    shares = result["shares"]["tiny"]
    assert set(shares) == set(detection.STEPS)
    assert all(0 < share < 1 for values in shares.values() for share in values)
    assert result["largest"] == max(values[0] for values in shares.values())
    assert result["rule_kept"] == (result["largest"] <= detection.RULE)
    assert (tmp_path / "detection.md").read_text().strip() in capsys.readouterr().out
    vase, frames = detection.that_knows(2, detection.LEARNERS["tiny"], 0)
    with detection.timed(vase) as seconds:
        vase.update(next(frames))
    assert len(seconds) == 3, "features, blocks, and the tests of a block"


@pytest.mark.parametrize(
    ("world", "message"),
    [
        ("birds", "family must be one of garments, glyphs, mnist, fashion, got 'birds'"),
        ("birds@0.2", "family must be one of garments, glyphs, mnist, fashion, got 'birds'"),
        ("glyphs@", "light must be a number from 0 to below 1, as in glyphs@0.2, got 'glyphs@'"),
        ("glyphs@dim", "light must be a number from 0 to below 1, .* got 'glyphs@dim'"),
        ("glyphs@1", "light must be a number from 0 to below 1, .* got 'glyphs@1'"),
        ("glyphs@-0.1", "light must be a number from 0 to below 1, .* got 'glyphs@-0.1'"),
        ("glyphs@nan", "light must be a number from 0 to below 1, .* got 'glyphs@nan'"),
    ],
)
def test_worlds_that_there_are_not(benchmark: Any, world: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        benchmark("sprite_worlds").parse_world(world)


def test_a_world_has_its_sprites_and_its_light(benchmark: Any) -> None:
    worlds = benchmark("sprite_worlds")
    dark, lit = (
        worlds.environments(world, seed=0, split="train", data_dir=None)
        for world in ("garments", "glyphs@0.2")
    )
    black = dark.reset()
    shown = lit.reset()
    assert black.min() == 0
    assert shown.min() == round(0.2 * 255)
    lit.env_method("enter", "garments@0.2")
    # The same episode goes on as it began, and the next one is another.
    actions = np.zeros((len(shown), 2), dtype=np.float32)
    np.testing.assert_array_equal(lit.step(actions)[0], shown)
    lit.seed(0)
    dark.seed(0)
    black = dark.reset()
    expected = np.rint(51 + 0.8 * black)
    np.testing.assert_array_equal(lit.reset(), expected)


def test_continual_control_runs_over_lit_worlds(benchmark: Any, tmp_path: Path) -> None:
    continual = benchmark("continual")
    place = ["--out", str(tmp_path), "--only", "CnnPolicy", "--seeds", "3"]
    little = ["--watch", "256", "--practise", "256", "--every", "512", "--episodes", "8"]
    continual.main(["lifelong", "--worlds", "garments,glyphs@0.1", *little, *place])
    text = (tmp_path / "lifelong.md").read_text()
    assert "| glyphs@0.1 |" in text
    assert "| CnnPolicy | 1 |" in text
