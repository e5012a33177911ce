"""Environments on trial, what a user says of them, and no room for another one."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from worlds import World, bars, checkers, dim_bars, discs, learner, watch, weights

from vase_rl import VASE, UpdateReport
from vase_rl.shifts import TRIAL

# ---------------------------------------------------------------- candidates


def bars_on_the_left(rng: np.random.Generator, frames: int, channels: int = 1) -> np.ndarray:
    """Bars on the left alone: an odd stretch of the world of bars."""
    plenty = bars(rng, 80 * frames, channels)
    place = plenty[:, 0, :, 0].argmax(1)
    return plenty[place < 1][:frames]


def test_an_odd_stretch_of_a_known_world_is_merged_back():
    vase = learner()
    watch(vase, bars, 30)
    assert [r.new_environment for r in watch(vase, bars_on_the_left, 2)] == [False, True]
    assert vase.status == "candidate"
    reports = watch(vase, bars, TRIAL, np.random.default_rng(8))
    (merge,) = (r for r in reports if r.merged)
    assert merge.shift
    assert not merge.new_environment
    assert [e.index for e in vase.environments] == [0]
    assert (vase.environment, vase.status) == (0, "recognised")
    assert vase.snapshot_environments == 1
    assert vase.registry.opened == [0, 0]
    (report,) = (r for r in watch(vase, checkers, 2) if r.new_environment)
    assert report.environment == 1, "the index is free again"
    assert vase.registry.opened == [0, 0, 1], "frames of the candidate count to world 0 for ever"
    assert [vase.registry.serial(e.index) for e in vase.environments] == [0, 2]


def test_status_is_candidate_then_confirmed_then_recognised():
    vase = learner()
    reports = [*watch(vase, bars, 12), *watch(vase, checkers, 2 + TRIAL), *watch(vase, bars, 3)]
    assert [r.status for r in reports] == (
        ["confirmed"] * 13 + ["candidate"] * TRIAL + ["confirmed"] * 2 + ["recognised"] * 2
    )


@pytest.fixture(name="hesitant")
def _hesitant(monkeypatch: pytest.MonkeyPatch) -> None:
    """A candidate is not left for the known world that its blocks look like again."""
    monkeypatch.setattr("vase_rl.shifts.ShiftDetector._back", lambda _: None)


def with_a_candidate_that_repeats_bars(**overrides: Any) -> VASE:
    vase = learner(**overrides)
    watch(vase, bars, 30)
    watch(vase, bars_on_the_left, 2)
    watch(vase, bars, TRIAL - 1, np.random.default_rng(8))
    assert (vase.environment, len(vase.environments), vase.status) == (1, 2, "candidate")
    return vase


@pytest.mark.usefixtures("hesitant")
def test_a_candidate_that_repeats_a_known_world_is_merged_back_after_its_trial():
    vase = with_a_candidate_that_repeats_bars()
    (report,) = watch(vase, bars, 1, np.random.default_rng(9))
    assert (report.environment, report.merged, report.new_environment) == (0, True, False)


@pytest.mark.usefixtures("hesitant")
def test_a_candidate_is_merged_back_when_it_is_left_for_a_new_world():
    """The new world takes over the index: that is a shift all the same."""
    report = watch(with_a_candidate_that_repeats_bars(), checkers, 2)[-1]
    assert (report.environment, report.new_environment, report.merged) == (1, True, True)
    assert report.shift


@pytest.mark.usefixtures("hesitant")
def test_a_candidate_makes_room_for_a_new_world():
    vase = with_a_candidate_that_repeats_bars(max_environments=2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        reports = watch(vase, checkers, 2)
    assert [r.candidate for r in reports] == [True, False]
    assert reports[1].merged
    assert (reports[1].environment, reports[1].new_environment) == (1, True)


def test_a_passing_oddity_leaves_no_environment():
    vase = learner()
    watch(vase, bars, 30)
    assert watch(vase, checkers, 2)[-1].new_environment
    mean = vase.registry.rule.models[0].mean.copy()
    report = watch(vase, bars, 2)[-1]
    assert (report.environment, report.merged, report.shift) == (0, True, True)
    assert len(vase.environments) == 1
    assert vase.snapshot_environments == 1
    np.testing.assert_array_equal(vase.registry.rule.models[0].mean, mean)


def test_the_papers_rule_knows_no_candidates():
    vase = learner(inference="algorithm1", burn_in=5)
    watch(vase, bars, 30)
    opened = watch(vase, checkers, 4)
    assert any(r.new_environment for r in opened)
    assert vase.status == "confirmed"


# ---------------------------------------------------------------- what a user says


def of_three_worlds() -> VASE:
    vase = learner()
    for world in (bars, checkers, discs):
        watch(vase, world, 2 + TRIAL)
    assert [e.index for e in vase.environments] == [0, 1, 2]
    return vase


@pytest.mark.usefixtures("hesitant")
def test_a_confirmed_candidate_is_never_merged_back():
    vase = with_a_candidate_that_repeats_bars()
    vase.confirm()
    assert vase.status == "confirmed"
    assert not any(r.merged for r in watch(vase, bars, 20, np.random.default_rng(9)))
    assert len(vase.environments) == 2


def test_a_merged_environment_is_gone_and_its_frames_are_the_others(steps):
    vase = of_three_worlds()
    vase.merge(1, into=0)
    assert vase.registry.opened == [0, 0, 2]
    assert [e.index for e in vase.registry.known] == [0, 2]
    found = vase.infer(checkers(np.random.default_rng(5), 64))
    assert (found.environment, found.known) == (0, True)
    assert found.probabilities[1] == 0.0
    assert float(found.probabilities.sum()) == pytest.approx(1.0)
    assert np.isnan(found.shift_statistics[1])
    assert watch(vase, checkers, 2)[-1].environment == 0
    steps.clear()
    watch(vase, discs, 8)
    dreamt = [i for step in steps for i in step["memory"].environments.tolist()]
    assert set(dreamt) == {0}
    assert vase.registry.serial(1) == 0


def test_the_last_environment_that_is_merged_frees_its_index():
    vase = of_three_worlds()
    vase.merge(2, into=1)
    assert (vase.environment, len(vase.environments), vase.snapshot_environments) == (1, 2, 2)
    assert watch(vase, dim_bars, 3)[-1].environment == 2


def test_a_forbidden_environment_is_recognised_and_neither_learnt_nor_dreamt(steps):
    vase = of_three_worlds()
    vase.forbid(1)
    before = weights(vase)
    reports = watch(vase, checkers, 5)
    assert [r.environment for r in reports] == [2, 1, 1, 1, 1]
    assert not any(r.trained for r in reports)
    assert vase.paused
    np.testing.assert_equal(weights(vase), before)
    steps.clear()
    watch(vase, discs, 8)
    assert {i for step in steps for i in step["memory"].environments.tolist()} == {0}
    vase.forbid(1, forbidden=False)
    assert watch(vase, checkers, 3)[-1].trained


def test_names_are_kept(tmp_path):
    vase = of_three_worlds()
    vase.rename(1, "chess")
    vase.save(tmp_path / "vase.pt")
    assert [e.name for e in VASE.load(tmp_path / "vase.pt", device="cpu").environments] == [
        "", "chess", "",
    ]  # fmt: skip


def test_changes_are_told_once_each_and_can_be_answered():
    told: list[tuple[int, str, bool]] = []

    def answer(vase: VASE, report: UpdateReport) -> None:
        told.append((report.environment, report.status, report.merged))
        if report.status == "candidate":
            vase.rename(report.environment, "new")
            vase.confirm()

    vase = learner()
    vase.on_change = answer
    watch(vase, bars, 12)
    watch(vase, checkers, 2 + TRIAL)
    watch(vase, bars, 3)
    assert told == [(0, "confirmed", False), (1, "candidate", False), (0, "recognised", False)]
    assert [e.name for e in vase.environments] == ["", "new"]


# ---------------------------------------------------------------- no room for another environment


def full(worlds: tuple[World, ...], batches: int = 12) -> VASE:
    vase = learner(max_environments=len(worlds))
    for world in worlds:
        watch(vase, world, batches)
    assert len(vase.environments) == len(worlds)
    return vase


def test_when_all_environments_are_taken_strangers_are_not_learnt_from():
    vase = full((bars, checkers))
    before = weights(vase)
    with pytest.warns(RuntimeWarning, match=r"all 2 environments \(max_environments\) are taken"):
        reports = watch(vase, discs, 2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # once is enough
        reports += watch(vase, discs, 10) + watch(vase, dim_bars, 10)
    np.testing.assert_equal(weights(vase), before)
    assert len(vase.environments) == 2
    for report in reports:
        assert (report.candidate, report.trained, report.new_environment) == (True, False, False)
    known = watch(vase, checkers, 3)[-1]
    assert (known.environment, known.trained) == (1, True)


def test_the_warning_points_at_the_caller():
    vase, frames = full((bars,)), checkers(np.random.default_rng(0), 32)
    vase.update(frames)
    with pytest.warns(RuntimeWarning, match="max_environments") as caught:
        vase.update(frames)
    assert [w.filename for w in caught] == [__file__]


def test_strangers_beyond_the_last_environment_are_told_once():
    vase, told = full((bars,)), []
    vase.on_change = lambda _, report: told.append(report.environment)
    with pytest.warns(RuntimeWarning, match="max_environments"):
        watch(vase, checkers, 10)
    assert told == []


def test_without_clustering_nothing_is_foreign():
    vase = learner(clustering=False)
    watch(vase, bars, 3)
    found = vase.infer(checkers(np.random.default_rng(0), 32))
    assert (found.environment, found.known) == (0, True)
    assert np.isnan(found.shift_statistics).all()


def test_strangers_are_seen_as_the_nearest_environment():
    vase = full((bars, checkers))
    with pytest.warns(RuntimeWarning, match="nearest known environment"):
        report = watch(vase, dim_bars, 3)[-1]
    assert report.environment == vase.environment == 0


def test_a_world_left_for_the_nearest_one_is_dreamt_of():
    """The way from checkers to bars leads through strangers: checkers must not be forgotten."""
    vase = full((bars, checkers))
    with pytest.warns(RuntimeWarning, match="max_environments"):
        watch(vase, dim_bars, 3)
    assert (vase.environment, vase.snapshot_environments) == (0, 2)
    reports = watch(vase, bars, 5)
    assert [report.environment for report in reports] == [0] * 5
    assert all(report.trained for report in reports)
    assert reports[-1].losses["decoder_dreaming"] > 0.0
