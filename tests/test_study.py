"""`vase-rl study` on the built-in sprites: rows, resuming, and what one run measures."""

from __future__ import annotations

import json

import numpy as np
import pytest

from vase_rl import VASE, UpdateReport, VASEConfig
from vase_rl.envs import make_source
from vase_rl.experiments import study as study_module
from vase_rl.experiments.lifelong import LifelongSettings, Record, _collapse, run_lifelong
from vase_rl.experiments.online_probes import OnlineProbes
from vase_rl.experiments.scoring import Visit, score
from vase_rl.experiments.studies import BUILT_IN, CONDITIONS, STUDIES, Cell, Study
from vase_rl.experiments.study import run_study
from vase_rl.experiments.sweep import Workers
from vase_rl.experiments.tables import Column

SMALL = dict(image_size=16, filters=(8, 8), hidden=32, latents=6, max_environments=4)
STEPS = 40


@pytest.fixture(name="result", scope="module")
def _result() -> dict:
    config = VASEConfig.preset("compact", **SMALL)
    return run_lifelong([LifelongSettings(BUILT_IN, STEPS, config, device="cpu")])[0]


def test_a_run_finds_the_worlds(result):
    assert result["environments_found"] == result["environments_true"] == 3
    assert (result["false_environments"], result["missed"]) == (0, 0)
    assert result["environment_sources"] == list(BUILT_IN)
    assert result["delay_max"] <= 5


def test_a_run_scores_every_probe_at_every_evaluation(result):
    kinds = {"moving-garments/class", "moving-garments/position", "glyphs/class",
             "moving-glyphs/class", "moving-glyphs/position"}  # fmt: skip
    assert set(result["curves"]) == kinds == set(result["probes"])
    for name, curve in result["curves"].items():
        assert len(curve["trained"]) == len(curve["frozen"]) == 30
        visit = BUILT_IN.index(name.split("/")[0])
        known = [score is not None for score in curve["frozen"]]
        assert known == [False] * 10 * (visit + 1) + [True] * 10 * (2 - visit)
    assert result["probes"]["moving-glyphs/class"]["change"] is None
    assert result["object_change"] is not None
    assert [span["start"] for span in result["spans"]] == [0, 10, 20]


def test_a_run_is_plain_json_and_repeats_itself(result):
    config = VASEConfig.preset("compact", **SMALL)
    (again,) = run_lifelong([LifelongSettings(BUILT_IN, STEPS, config, device="cpu")])
    assert json.dumps(again | {"seconds": 0}) == json.dumps(result | {"seconds": 0})


def test_a_visit_without_training_is_a_collapse():
    config = VASEConfig.preset("compact", **SMALL)
    settings = LifelongSettings(("glyphs", "garments"), 10, config)
    vase = VASE(config, seed=0, device="cpu")
    record = Record(steps=[0, 5], kl=[3.0, 5.0])
    found = _collapse(vase, record, settings)
    assert found == {"kl_end": 0.0, "kl_least": 0.0, "collapsed": 1.0}
    record = Record(steps=[0, 5, 10, 15], kl=[3.0, 5.0, 2.0, 2.0])
    assert _collapse(vase, record, settings)["collapsed"] == 0.0


def test_a_candidate_that_was_given_up_finds_no_boundary():
    """B is taken for a new world and then for A after all: its boundary was missed."""

    def report(environment, **true):
        flags = dict(new_environment=False, shift=False, merged=False) | true
        nothing = np.zeros(2, np.float32)
        return UpdateReport(
            environment=environment, candidate=False, trained=True, blocks=2, status="confirmed",
            latent_mask=nothing > 0, atypicality=nothing,
            losses=dict(kl=1.0, reconstruction=1.0), updates=1, **flags
        )  # fmt: skip

    record = Record()
    record.add(0, report(0, new_environment=True))
    record.add(102, report(1, new_environment=True, shift=True))
    record.add(150, report(0, shift=True, merged=True))
    visits = [Visit(0, 100, "a"), Visit(100, 200, "b")]
    found = score(visits, record.openings, record.switches)
    assert (found.environments_found, found.missed, found.false_switches) == (1, 1, 2)


def test_probes_leave_the_learner_alone():
    config = VASEConfig.preset("compact", **SMALL)
    settings = dict(sequence=BUILT_IN, steps=STEPS, config=config, device="cpu")
    (alone,) = run_lifelong([LifelongSettings(probes=False, **settings)])
    (beside,) = run_lifelong([LifelongSettings(probes=True, **settings)])
    assert alone["record"] == beside["record"]


def test_probes_learn_what_the_latents_hold():
    """A learner whose means are the sprite's place and class: both are read, and a copy kept."""
    source = make_source("moving-glyphs", size=16, seed=0)
    probes = OnlineProbes({"moving-glyphs": source}, {"moving-glyphs": source}, 12, seed=0)
    truth = probes.tests["moving-glyphs"]

    class Oracle(VASE):
        def encode(self, frames):
            factors = self.factors if len(frames) < len(truth.frames) else truth.factors
            codes = np.zeros((len(frames), 12), np.float32)
            codes[:, :2] = factors["position"]
            codes[np.arange(len(frames)), 2 + factors["class"]] = 1
            return codes, np.zeros_like(codes)

    vase = Oracle(VASEConfig.preset("compact", **SMALL), seed=0, device="cpu")
    sample = source.sample

    def remembered(n):
        batch = sample(n)
        vase.factors = batch.factors
        return batch

    source.sample = remembered
    for _ in range(300):
        probes.train(vase)
    probes.leave("moving-glyphs")
    probes.evaluate(vase)
    accuracy, error = (p for p in probes.probes)
    assert accuracy.scores[-1] > 0.99
    assert error.scores[-1] < 0.002
    assert accuracy.frozen_scores == accuracy.scores


@pytest.fixture(name="tiny_study")
def _tiny_study(monkeypatch):
    cells = (Cell("one", dict(SMALL)), Cell("two", {**SMALL, **CONDITIONS["none"]}))
    study = Study("?", cells, (Column("environments_found", "found"),), BUILT_IN, 12, probes=False)
    monkeypatch.setitem(STUDIES, "tiny", study)


def test_a_study_has_a_row_per_condition(tiny_study, tmp_path):
    run = run_study("tiny", tmp_path, [], seeds=[0, 1], workers=Workers(1), device="cpu")
    assert [row["condition"] for row in run.metrics["rows"]] == ["one", "two"]
    assert run.metrics["rows"][0]["runs"] == 2
    assert run.metrics["rows"][1]["environments_found"] == {"mean": 1.0, "standard_error": 0.0}
    assert "| two | 2 | 1.0 ± 0.0 |" in (tmp_path / "table.md").read_text()
    assert run.metrics["finished"]


def test_finished_runs_are_not_run_again_and_others_are(tiny_study, tmp_path, monkeypatch):
    run_study("tiny", tmp_path, [], seeds=[0], workers=Workers(1), device="cpu")
    ran = []
    real = study_module.run_lifelong
    monkeypatch.setattr(
        study_module,
        "run_lifelong",
        lambda settings, label: (ran.append(settings[0].seed), real(settings))[1],
    )
    run_study("tiny", tmp_path, [], seeds=[0, 1], workers=Workers(1), device="cpu")
    assert ran == [1, 1]
    (tmp_path / "runs" / "one-seed0.json").write_text("{half a file")
    run_study("tiny", tmp_path, [], seeds=[0, 1], workers=Workers(1), device="cpu")
    assert ran == [1, 1, 0]
    run_study("tiny", tmp_path, [], seeds=[0], steps=13, workers=Workers(1), device="cpu")
    assert ran == [1, 1, 0, 0, 0]


def test_workers_give_the_same(tiny_study, tmp_path):
    one = run_study("tiny", tmp_path / "1", [], seeds=[0], workers=Workers(1), device="cpu")
    two = run_study("tiny", tmp_path / "2", [], seeds=[0], workers=Workers(2), device="cpu")
    assert one.metrics["rows"] == two.metrics["rows"]


def test_seeds_that_train_together_are_runs_like_others(tiny_study, tmp_path):
    """Those that are there already are left out; rounding may differ, decisions do not."""
    run_study("tiny", tmp_path / "1", [], seeds=[0, 1, 2], workers=Workers(1), device="cpu")
    out = tmp_path / "2"
    run_study("tiny", out, [], seeds=[1], workers=Workers(1), device="cpu")
    run_study("tiny", out, [], seeds=[0, 1, 2], workers=Workers(1, replicas=2), device="cpu")
    for seed in (0, 1, 2):
        alone, together = (
            json.loads((tmp_path / name / "runs" / f"one-seed{seed}.json").read_text())
            for name in ("1", "2")
        )
        assert alone["settings"] == together["settings"]
        assert alone["result"]["record"]["openings"] == together["result"]["record"]["openings"]
        assert together["result"]["reconstruction_loss"][0]["moving-garments"] == pytest.approx(
            alone["result"]["reconstruction_loss"][0]["moving-garments"], rel=0.02
        )


def test_one_that_diverges_does_not_take_others_along(tiny_study, tmp_path, monkeypatch):
    real = study_module.run_lifelong

    def some(settings, label):
        if any(one.seed == 1 for one in settings):
            raise FloatingPointError("loss 'kl' of replica 1 is not finite")
        return real(settings, label)

    monkeypatch.setattr(study_module, "run_lifelong", some)
    workers = Workers(1, replicas=3)
    run = run_study("tiny", tmp_path, [], seeds=[0, 1, 2], workers=workers, device="cpu")
    assert [(row["runs"], row["failed"]) for row in run.metrics["rows"]] == [(3, 1), (3, 1)]


def test_ctrl_c_leaves_the_runs_and_a_table_of_them(tiny_study, tmp_path, monkeypatch):
    real, ran = study_module.run_lifelong, []

    def once(settings, label):
        if ran:
            raise KeyboardInterrupt
        ran.append(settings)
        return real(settings)

    monkeypatch.setattr(study_module, "run_lifelong", once)
    with pytest.raises(KeyboardInterrupt):
        run_study("tiny", tmp_path, [], seeds=[0], workers=Workers(1), device="cpu")
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert not metrics["finished"]
    assert [row["runs"] for row in metrics["rows"]] == [1, 0]
    assert "| two | 0 | – |" in (tmp_path / "table.md").read_text()


def test_a_run_that_diverges_is_told_in_the_table(tiny_study, tmp_path, monkeypatch):
    def diverge(settings, label):
        raise FloatingPointError("loss 'kl' is not finite")

    monkeypatch.setattr(study_module, "run_lifelong", diverge)
    run = run_study("tiny", tmp_path, [], seeds=[0], workers=Workers(1), device="cpu")
    assert run.metrics["rows"][0]["failed"] == 1
    assert "1 (1 diverged)" in (tmp_path / "table.md").read_text()


def test_every_study_can_be_built():
    for name, study in STUDIES.items():
        for names in ([cell.name for cell in study.cells], [cell.slug for cell in study.cells]):
            assert len(set(names)) == len(names), name
        for cell in study.cells:
            VASEConfig.preset(
                "compact", entangled=cell.entangled, as_printed=cell.as_printed, **cell.overrides
            )
    assert len(STUDIES["ablation"].cells) == 17


def test_an_unknown_study(tmp_path):
    with pytest.raises(ValueError, match=r"STUDY must be one of sequences, .* got 'tables'"):
        run_study("tables", tmp_path, [], seeds=[0])
