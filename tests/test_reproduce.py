"""`vase-rl reproduce`: every target at a size of seconds, resumed, beside the paper's numbers."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from vase_rl.experiments import cli, exploring, online_probes, study
from vase_rl.experiments.ambiguity import WEIGHTS, Ambiguity, _in_context, crossing, mix, summary
from vase_rl.experiments.comparison import compare, markdown, to_csv
from vase_rl.experiments.inspection import latent_uses
from vase_rl.experiments.materials import Materials
from vase_rl.experiments.published import PUBLISHED, Printed
from vase_rl.experiments.tables import Column, Row
from vase_rl.experiments.targets import TARGETS, Scale, chosen

NETWORKS: dict[str, Any] = dict(
    image_size=16, filters=(8, 8), hidden=32, latents=6, max_environments=4, used_interval=5
)
EXPLORING = dict(NETWORKS, learning_rate=4e-3, used_noise_threshold=50.0)
STEPS = {"stream": 90, "explore": 30, "lifelong": 4, "two worlds": 40}
"""By kind; Figure 4A needs a learner that has found both its worlds."""
PICTURES = {
    "table1": (),
    "table3": (),
    "fig2": ("none-seed0", "sda-seed0"),
    "fig3": ("sda-seed0",),
    "fig4a": ("sda-seed0",),
    "fig4b": ("sda-entangled-seed0", "sda-seed0"),
    "fig4c": ("curves", "imagined"),
    "fig5a": ("sda-seed0",),
    "fig5b": ("sda-seed0",),
    "fig6": ("sda-entangled-seed0", "sda-seed0"),
    "fig7": ("sda-seed0",),
    "fig8": ("sda-seed0",),
}


@pytest.fixture(name="small", autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    """The scale smoke, smaller still."""
    for name, target in TARGETS.items():
        preset = "compact" if target.kind == "stream" else "compact-detail"
        overrides = {} if target.kind == "stream" else NETWORKS
        steps = STEPS["two worlds" if name == "fig4a" else target.kind]
        smoke = Scale(steps, 1, preset, overrides)
        monkeypatch.setitem(TARGETS, name, replace(target, smoke=smoke))
    monkeypatch.setattr(online_probes, "TEST_FRAMES", 30)
    monkeypatch.setattr(exploring, "OVERRIDES", EXPLORING)
    monkeypatch.setattr(exploring, "READER_STEPS", 20)


@pytest.fixture(name="out", scope="module")
def _out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One directory for all targets, so that they share what they have in common."""
    return tmp_path_factory.mktemp("reproduce")


def reproduce(out: Path, *arguments: str) -> int:
    return cli.main(["reproduce", "--workers", "1", "--out", str(out), *arguments])


def lines(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(path.read_text())))


@pytest.mark.parametrize("name", TARGETS)
def test_every_target_leaves_its_table_and_pictures(name: str, out: Path) -> None:
    target = TARGETS[name]
    assert reproduce(out, name) == 0
    rows = lines(out / name / "table.csv")
    assert [row["condition"] for row in rows[:: len(target.columns)]] == [
        cell.name for cell in target.cells
    ]
    assert {row["seeds"] for row in rows} == {"1"}
    first = rows[: len(target.columns)]
    assert any(row["mean"] for row in first)
    printed = {(r["condition"], r["measure"]): r["paper"] for r in rows if r["paper"]}
    assert len(printed) == len(PUBLISHED.get(name, {}))
    text = (out / name / "table.md").read_text()
    assert target.title in text
    assert "In place of the paper's data" in text
    assert sorted(p.stem for p in (out / name).glob("*.png")) == [
        f"{name}-{picture}" for picture in PICTURES[name]
    ]
    for path in (out / name).glob("*.png"):
        with Image.open(path) as image:
            assert min(image.size) > 60
            assert len(image.convert("L").getcolors()) > 10
    found = json.loads((out / "metrics.json").read_text())
    assert found["finished"]
    assert len(found["rows"]) == len(rows)
    assert {"mean", "standard_error", "seeds", "paper"} <= set(found["rows"][0])


def test_what_is_there_is_not_run_again_and_is_shared(
    out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Figure 6 finds VASE of Figure 2, and runs its entangled baseline."""
    assert reproduce(out, "fig2", "fig6") == 0
    before = (out / "fig2" / "table.csv").read_text()
    monkeypatch.setattr(study, "run_lifelong", lambda *given: pytest.fail("run again"))
    assert reproduce(out, "figure2", "fig6") == 0
    assert (out / "fig2" / "table.csv").read_text() == before
    sda = [(out / name / "table.csv").read_text().splitlines()[1] for name in ("fig2", "fig6")]
    assert sda[0].removeprefix("fig2") == sda[1].removeprefix("fig6")


def test_ctrl_c_leaves_a_table_of_what_was_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, ran = study.run_lifelong, []

    def once(settings: Any, label: str) -> Any:
        if ran:
            raise KeyboardInterrupt
        ran.append(settings)
        return real(settings)

    monkeypatch.setattr(study, "run_lifelong", once)
    assert reproduce(tmp_path, "fig2") == 130
    rows = lines(tmp_path / "fig2" / "table.csv")
    seeds = {row["condition"]: row["seeds"] for row in rows}
    assert seeds == {"SDA": "1", "none": "0"}
    assert not json.loads((tmp_path / "metrics.json").read_text())["finished"]


BAD_INPUT = [
    (["socks"], "TARGET must be one of table1, table3, fig2"),
    (["fig2", "--scale", "huge"], "invalid choice: 'huge'"),
    (["fig2", "--stand-in", "socks"], "--stand-in must name data sets (mnist, fashion, celeba)"),
    (["table1", "--data-dir", "gone"], "table1 needs moving-fashion: --data-dir must be a"),
    (
        ["fig4b", "--trajectories", "gone", "there"],
        "fig4b needs natlab: ",
    ),
]


@pytest.mark.parametrize(("arguments", "message"), BAD_INPUT)
def test_bad_input_is_one_line(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert reproduce(tmp_path / "out", *arguments) == 2
    told = capsys.readouterr().err
    assert message in told
    assert told.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_missing_data_are_told_with_a_way_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert reproduce(tmp_path / "out", "fig4a", "--data-dir", str(tmp_path)) == 2
    told = capsys.readouterr().err
    assert "fig4a needs celeba: " in told
    assert "--stand-in celeba lets faces take its place" in told


def test_what_is_learnt_from() -> None:
    drawn, real = Materials(), Materials("data", stand_ins=("celeba",))
    assert drawn.source("large-inverted-fashion") == "large-inverted-garments"
    assert drawn.source("moving-mnist") == "moving-glyphs"
    assert real.source("celeba") == "faces"
    assert real.source("moving-mnist") == "moving-mnist"
    assert real.replaced(("celeba", "fashion")) == {"celeba": "faces"}
    recorded = Materials(trajectories=("runs/a", "runs/b"))
    assert recorded.source("ede") == "trajectory:runs/b"


def test_several_targets_by_one_name() -> None:
    assert chosen(("fig4", "figure4a", "fig2")) == ["fig4a", "fig4b", "fig4c", "fig2"]
    assert chosen(("all",)) == list(TARGETS)


def test_the_numbers_that_the_text_names() -> None:
    one, three = PUBLISHED["table1"], PUBLISHED["table3"]
    assert len(one) == 16 * 4
    assert len(three) == 16 * 2
    assert one["SDA", "object_change"] == Printed(-5.4, 0.3, "Table 1")
    assert one["SDA, entangled", "position_change"].value == 3.9
    rises = {name: v.value for (name, column), v in one.items() if column == "position_change"}
    assert max(rises, key=rises.__getitem__) == "SA"
    assert three["SDA", "object_change"].value == -0.9
    for table in (one, three):
        least = max(v.value for (_, column), v in table.items() if column == "object_change")
        assert least == table["SDA", "object_change"].value


def test_numbers_stand_beside_the_papers() -> None:
    columns = (Column("a", "A %", 100), Column("b", "B", digits=2))
    rows = [
        Row("x", 2, 0, {"a": (0.5, 0.01), "b": (3.0, None)}),
        Row("y", 2, 1, {"a": None, "b": None}),
    ]
    compared = compare("t", rows, columns, {("x", "a"): Printed(49.5, 0.3, "there")})
    assert markdown(compared, columns).splitlines() == [
        "| condition | runs | A %: paper | A %: here | B |",
        "|---|---|---|---|---|",
        "| x | 2 | 49.5 ± 0.3 | 50.0 ± 1.0 | 3.00 |",
        "| y | 2 (1 diverged) | – | – | – |",
    ]
    assert to_csv(compared).splitlines()[1] == "t,x,a,A %,49.5,0.3,there,50.0,1.0,2,0"


def test_mixing_goes_from_one_to_the_other() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 256, (2, 3, 4, 4, 1), dtype=np.uint8)
    assert np.array_equal(mix(a, b, 0.0), a)
    assert np.array_equal(mix(a, b, 1.0), b)
    assert np.array_equal(mix(a, a, 0.3), a)
    assert mix(np.uint8([0, 10]), np.uint8([255, 11]), 0.5).tolist() == [128, 10]


def test_where_a_curve_crosses() -> None:
    line = 1 - WEIGHTS
    assert crossing(line, 0.43) == pytest.approx(0.57)
    assert crossing(line, -1) is None
    assert crossing(np.ones_like(line), 0.5) is None


def test_context_and_ambiguity_in_closed_form() -> None:
    """A learner that is sure below a brightness of 102: q is the share of such frames."""

    def infer(frames: Any) -> Any:
        share = float((frames.mean((1, 2, 3)) < 102).mean())
        return SimpleNamespace(probabilities=np.array([1 - share, share]), environment=share > 0.6)

    dark, bright = (np.full((64, 2, 2, 1), level, np.uint8) for level in (0, 200))
    mixed = [mix(dark, bright, weight) for weight in WEIGHTS]
    vase: Any = SimpleNamespace(infer=infer)
    probability, verdict = _in_context(vase, (dark, bright), mixed, 1)
    sure = (WEIGHTS * 200 < 102).astype(float)
    assert np.allclose(probability[0, 3], sure)
    assert np.allclose(probability[0, 2], 0.25 + 0.75 * sure)
    assert np.allclose(probability[1, 1], 0.5 * sure)
    assert np.array_equal(verdict[1, 2], sure == 1)
    ones = np.ones((len(WEIGHTS), 3))
    wide = ones + np.where(np.arange(len(WEIGHTS)) == 5, 1.0, 0.0)[:, None]
    found = Ambiguity(
        ("dark", "bright"), (1, 0), mixed[0], mixed[0], ones, ones, wide,
        np.array([[True, False, False], [True, True, False]]), probability, verdict,
    )  # fmt: skip
    assert summary(found) == pytest.approx(
        {
            "boundary": 0.55,
            "width": 0.08,
            "boundary_first": 0.5 + 0.1 * 0.5 / 0.75,
            "boundary_second": 0.5 + 0.1 * 0.25 / 0.75,
            "sigma_ratio": 2.0,
        }
    )


def test_uses_tell_what_is_added_from_what_is_reused(monkeypatch: pytest.MonkeyPatch) -> None:
    roles = [["used", "used", "spare"], ["frozen", "used", "used"], ["used", "frozen", "used"]]
    monkeypatch.setattr("vase_rl.experiments.inspection.latent_roles", lambda vase: roles)
    vase: Any = None
    assert latent_uses(vase) == [
        ["added", "added", "spare"],
        ["frozen", "reused", "added"],
        ["reused", "frozen", "reused"],
    ]
