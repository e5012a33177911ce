"""Learners that train together: each does what it would have done alone."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from worlds import World, bars, checkers, discs, learner, tiny, watch, weights

from vase_rl import VASE, UpdateReport
from vase_rl.networks import VASENetworks
from vase_rl.replicas import Replicas
from vase_rl.stacked import Stacked, StackedAdam

SEEDS = (0, 1, 2)


def lives(steps: int, switches: tuple[int, ...]) -> list[list[np.ndarray]]:
    """Batches of one learner each: checkers, then bars from a step of its own on, then back."""

    def frames(rng: np.random.Generator, step: int, switch: int) -> np.ndarray:
        world: World = bars if switch <= step < switch + 12 else checkers
        return world(rng, 32)

    return [
        [frames(rng, step, switch) for step in range(steps)]
        for rng, switch in zip(map(np.random.default_rng, SEEDS), switches, strict=True)
    ]


def several(**overrides: Any) -> list[VASE]:
    return [learner(seed=seed, used_interval=10, **overrides) for seed in SEEDS]


def step_together_and_alone(replicas: Replicas, frames: list[np.ndarray], rtol: float) -> None:
    """One update of all, and of copies one by one: the same decisions, losses and weights.

    Every step is compared from the same state: rounding differs, and would grow from step to step.
    """
    copies = copy.deepcopy(replicas.learners)
    reports = replicas.update(frames)
    expected = [vase.update(batch) for vase, batch in zip(copies, frames, strict=True)]
    for mine, theirs in zip(reports, expected, strict=True):
        assert_same(mine, theirs, rtol)
    for vase, other in zip(replicas.learners, copies, strict=True):
        assert vase.generator.get_state().equal(other.generator.get_state())
        assert [e.updates for e in vase.environments] == [e.updates for e in other.environments]
        assert (vase.snapshot is None) == (other.snapshot is None)
        pairs = [(weight, weights(other)[name]) for name, weight in weights(vase).items()]
        same = np.concatenate([np.isclose(a, b, rtol, 1e-4).ravel() for a, b in pairs])
        # Adam's first steps make the same of any gradient, and just after a switch dreams hold
        # weights whose gradients are nought but for rounding, which has either sign.
        assert same.mean() > 0.95


def assert_same(mine: UpdateReport, theirs: UpdateReport, rtol: float) -> None:
    exact = ("environment", "new_environment", "shift", "merged", "candidate", "trained", "blocks",
             "status", "updates")  # fmt: skip
    for name in exact:
        assert getattr(mine, name) == getattr(theirs, name), name
    assert (mine.latent_mask == theirs.latent_mask).all()
    np.testing.assert_allclose(mine.atypicality, theirs.atypicality, rtol, 1e-4)
    assert list(mine.losses) == list(theirs.losses)
    np.testing.assert_allclose(list(mine.losses.values()), list(theirs.losses.values()), rtol, 1e-4)


@pytest.mark.parametrize(
    "overrides",
    [
        {},
        dict(reset_optimizer=True),
        dict(dreaming=False),
        dict(clustering=False, snapshot_interval=4, burn_in=2),
        dict(inference="algorithm1", burn_in=5),
        dict(likelihood="gaussian", mask_updates="hysteresis", snapshot_sync="both"),
        dict(precision="bfloat16"),
    ],
    ids=lambda overrides: ",".join(overrides) or "default",
)
def test_each_learner_does_what_it_does_alone(overrides: dict[str, Any]) -> None:
    """Through a switch and a return at different times: dreams, masks, Adam's fresh start."""
    replicas = Replicas(several(**overrides))
    for frames in zip(*lives(40, (8, 11, 19)), strict=True):
        step_together_and_alone(replicas, list(frames), 0.05 if "precision" in overrides else 1e-3)
    if "clustering" not in overrides and "inference" not in overrides:
        assert [len(vase.environments) for vase in replicas.learners] == [2, 2, 2]
        assert all(vase.snapshot is not None for vase in replicas.learners)


def test_batches_of_different_sizes_train_together() -> None:
    learners, rng = several(), np.random.default_rng(0)
    replicas = Replicas(learners)
    reports = replicas.update([checkers(rng, size) for size in (32, 20, 7)])
    assert all(report.trained for report in reports)
    assert [vase.updates for vase in learners] == [1, 1, 1]


def test_one_that_holds_frames_back_stays_as_it_is() -> None:
    learners, rng = several(), np.random.default_rng(0)
    replicas = Replicas(learners)
    for _ in range(10):
        replicas.update([checkers(rng, 32) for _ in SEEDS])
    learners[1].forbid(0)
    before = [weights(vase) for vase in learners]
    reports = replicas.update([checkers(rng, 32) for _ in SEEDS])
    assert [report.trained for report in reports] == [True, False, True]
    same = [
        all((w == old[name]).all() for name, w in weights(vase).items())
        for vase, old in zip(learners, before, strict=True)
    ]
    assert same == [False, True, False]


def test_one_that_is_held_trains_beside_others() -> None:
    """The first is held, the second dreams of a world that it left, the third of none."""
    learners, rng = several(), np.random.default_rng(0)
    for world in (bars, checkers):
        watch(learners[1], world, 12, rng)
    replicas = Replicas(learners)
    for _ in range(10):
        replicas.update([checkers(rng, 32) for _ in SEEDS])
    learners[0].hold()
    for _ in range(20):
        reports = replicas.update([checkers(rng, 32) for _ in SEEDS])
    held, dreaming, alone = (report.losses["encoder_dreaming"] for report in reports)
    assert held > 0
    assert dreaming > 0
    assert alone == 0
    for _ in range(3):
        step_together_and_alone(replicas, [checkers(rng, 32) for _ in SEEDS], 1e-3)


def test_a_learner_can_be_updated_alone_in_between(tmp_path: Path) -> None:
    """Even one that has lived before, with moments and a snapshot from a checkpoint."""
    learners, rng = several(reset_optimizer=True), np.random.default_rng(0)
    for number, vase in enumerate(learners):
        for world in (checkers, bars, checkers):
            watch(vase, world, 20, rng)
        vase.save(tmp_path / f"{number}.pt")
    replicas = Replicas([VASE.load(tmp_path / f"{n}.pt", device="cpu") for n in range(3)])
    for _ in range(3):
        step_together_and_alone(replicas, [checkers(rng, 32) for _ in SEEDS], 1e-3)
        # There and back: its optimizer starts anew while nobody looks.
        alone = [*watch(replicas.learners[1], bars, 12, rng)]
        alone += watch(replicas.learners[1], checkers, 12, rng)
        assert sum(report.shift for report in alone) == 2
        step_together_and_alone(replicas, [checkers(rng, 32) for _ in SEEDS], 1e-3)


def test_a_learner_among_others_comes_back_with_what_it_learnt_there() -> None:
    learners, rng = several(), np.random.default_rng(0)
    first, second = Replicas(learners), Replicas(learners[:2])
    for _ in range(3):
        step_together_and_alone(first, [checkers(rng, 32) for _ in SEEDS], 1e-3)
        step_together_and_alone(second, [checkers(rng, 32) for _ in SEEDS[:2]], 1e-3)
    copied = copy.deepcopy(first)
    before = weights(copied.learners[0])
    assert all(report.trained for report in copied.update([checkers(rng, 32) for _ in SEEDS]))
    after = weights(copied.learners[0])
    assert any((after[name] != before[name]).any() for name in before)
    assert copied.learners[0].updates == learners[0].updates + 1


def test_a_checkpoint_holds_one_learner_and_what_it_holds_alone(tmp_path: Path) -> None:
    learners, rng = several(), np.random.default_rng(0)
    replicas = Replicas(learners)
    for world in (checkers, bars):
        for _ in range(6):
            replicas.update([world(rng, 32) for _ in SEEDS])
    other = copy.deepcopy(learners[1])
    learners[1].save(tmp_path / "one.pt")
    single = learner(seed=1)
    for world in (checkers, bars):
        watch(single, world, 6, rng)
    single.save(tmp_path / "alone.pt")
    sizes = [(tmp_path / name).stat().st_size for name in ("one.pt", "alone.pt")]
    assert sizes[0] < 1.1 * sizes[1]
    loaded = VASE.load(tmp_path / "one.pt", device="cpu")
    frames = discs(rng, 32)
    assert_same(loaded.update(frames), other.update(frames), 1e-3)


def test_a_loss_that_is_not_finite_stops_all_before_a_weight_moves() -> None:
    learners, rng = several(), np.random.default_rng(0)
    replicas = Replicas(learners)
    replicas.update([checkers(rng, 32) for _ in SEEDS])
    with torch.no_grad():
        learners[2].networks.encoder.posterior.bias.fill_(torch.nan)
    before = weights(learners[0])
    with pytest.raises(FloatingPointError, match=r"loss '.*' of replica 2 is not finite"):
        replicas.update([checkers(rng, 32) for _ in SEEDS])
    assert all((weight == before[name]).all() for name, weight in weights(learners[0]).items())


def test_stacked_adam_is_torchs_adam() -> None:
    generator = torch.Generator().manual_seed(0)
    nets = [torch.nn.Linear(5, 3) for _ in range(4)]
    copies = copy.deepcopy(nets)
    mine, theirs = (
        [torch.optim.Adam(net.parameters(), lr=0.01, fused=True) for net in group]
        for group in (nets, copies)
    )
    stacked = Stacked(nets)
    adam = StackedAdam(stacked, mine)
    for step in range(12):
        rows = [row for row in range(4) if step % 4 != row]
        if step == 6:
            mine[2].state.clear()
            theirs[2].state.clear()
        gradient = torch.randn(4, 18, generator=generator)
        with torch.no_grad():
            adam.step(rows, gradient)
        for row in rows:
            pieces = torch.split(gradient[row], stacked.sizes)
            for parameter, piece in zip(copies[row].parameters(), pieces, strict=True):
                parameter.grad = piece.view(parameter.shape)
            theirs[row].step()
    for net, other in zip(nets, copies, strict=True):
        for weight, expected in zip(net.parameters(), other.parameters(), strict=True):
            torch.testing.assert_close(weight, expected, rtol=1e-5, atol=1e-6)


def test_stacked_weights_are_the_networks_own() -> None:
    networks = [VASENetworks(tiny()) for _ in range(2)]
    before = copy.deepcopy(networks[1].state_dict())
    stacked = Stacked(networks)
    assert all(weight.equal(before[name]) for name, weight in networks[1].state_dict().items())
    stacked.flat[1] += 1
    assert all(weight.equal(before[name] + 1) for name, weight in networks[1].state_dict().items())
    named = stacked.by_name(stacked.flat)
    for name, weight in networks[1].named_parameters():
        assert named[name][1].equal(weight)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (list, "learners must be one or more, got none"),
        (lambda: [learner()] * 2, "learners must be different ones, got one of them twice"),
        (
            lambda: [learner(), learner(gamma=3.0)],
            "learners must have the same config, got different ones",
        ),
    ],
)
def test_learners_that_cannot_train_together(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Replicas(make())


@pytest.mark.parametrize(
    ("frames", "error", "message"),
    [
        ([], ValueError, "a batch for each of 3 learners, got 0"),
        ([np.zeros((4, 9, 9, 1), np.uint8)] * 3, ValueError, r"got \(4, 9, 9, 1\)"),
        ([[0]] * 3, TypeError, "frames must be a numpy array of uint8, got list"),
    ],
)
def test_bad_frames(frames: list[Any], error: type[Exception], message: str) -> None:
    replicas = Replicas(several())
    with pytest.raises(error, match=message):
        replicas.update(frames)
    assert all(vase.updates == 0 for vase in replicas.learners)
