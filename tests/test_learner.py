"""The learner on worlds that a tiny network learns in seconds."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from worlds import World, bars, checkers, discs, flat, learner, state, tiny, watch, weights

from vase_rl import VASE, Inference, UpdateReport, VASEConfig
from vase_rl.objective import LOSS_NAMES


def error(vase: VASE, world: World, environment: int) -> float:
    """Squared error of reconstructions of unseen frames, relative to the world's mean image."""
    frames = world(np.random.default_rng(99), 200) / 255.0
    back = vase.reconstruct(world(np.random.default_rng(99), 200), environment) / 255.0
    return float(((back - frames) ** 2).mean() / ((frames - frames.mean(0)) ** 2).mean())


# ---------------------------------------------------------------- learning, end to end


class Life(NamedTuple):
    """checkers → bars → checkers, with errors on checkers and bars after each stage."""

    vase: VASE
    reports: list[list[UpdateReport]]
    errors: list[tuple[float, float]]


def live(batches: tuple[int, int, int] = (120, 140, 20), **overrides: Any) -> Life:
    vase, rng = learner(used_interval=50, **overrides), np.random.default_rng(0)
    reports, errors = [], []
    for world, n in zip((checkers, bars, checkers), batches, strict=True):
        reports.append(watch(vase, world, n, rng))
        last = len(vase.environments) - 1
        errors.append((error(vase, checkers, 0), error(vase, bars, last)))
    return Life(vase, reports, errors)


@pytest.fixture(name="life", scope="module")
def _life() -> Life:
    torch.manual_seed(0)
    return live()


def test_both_worlds_are_learnt(life):
    assert life.errors[0][0] < 0.1
    assert life.errors[1][1] < 0.4


def test_the_shift_is_found_within_three_batches(life):
    opened = [i for i, report in enumerate(life.reports[1]) if report.new_environment]
    assert len(opened) == 1
    assert opened[0] < 3


def test_the_return_is_recognised_within_three_batches(life):
    back = [report.environment for report in life.reports[2]]
    assert back.index(0) < 3
    assert set(back[3:]) == {0}
    assert not any(report.new_environment for report in life.reports[2])


def test_nothing_else_happens_in_hundreds_of_batches(life):
    assert len(life.vase.environments) == 2
    for stage, environment in enumerate((0, 1, 0)):
        for report in life.reports[stage][3:]:
            assert report.environment == environment
            assert report.trained
            assert not any((report.shift, report.new_environment, report.candidate))


def test_dreams_keep_the_first_world(life):
    assert life.errors[1][0] < 0.1
    without = live((120, 60, 0), dreaming=False)
    assert without.errors[0][0] < 0.1
    assert without.errors[1][0] > 1.0  # worse than the mean image


def test_the_classifier_tells_the_worlds_apart(life):
    for environment, world in enumerate((checkers, bars)):
        found = life.vase.infer(world(np.random.default_rng(5), 64))
        assert int(found.probabilities.argmax()) == environment


@pytest.mark.parametrize("world", [checkers, bars, discs])
def test_recognition_and_loss_are_those_of_infer(life, world):
    frames, before = world(np.random.default_rng(5), 48), state(life.vase)
    inferred = life.vase.infer(frames)
    assert life.vase.recognise(frames) == inferred.environment
    loss = life.vase.reconstruction_loss(frames, inferred.environment)
    assert loss == pytest.approx(inferred.reconstruction_loss, rel=1e-6)
    assert state(life.vase).keys() == before.keys()
    for name, value in state(life.vase).items():
        np.testing.assert_array_equal(value, before[name])


def test_recognition_follows_the_configured_rule():
    vase = learner(inference="algorithm1", burn_in=0)
    watch(vase, checkers, 30)
    frames = checkers(np.random.default_rng(5), 48)
    assert vase.recognise(frames) == vase.infer(frames).environment


def test_inference_names_known_worlds_and_strangers(life):
    for environment, world in enumerate((checkers, bars)):
        found = life.vase.infer(world(np.random.default_rng(5), 64))
        assert (found.environment, found.known) == (environment, True)
        assert int(found.shift_statistics.argmin()) == environment
        mask = life.vase.environments[environment].latent_mask.numpy()
        assert np.array_equal(found.latent_mask, mask)
    stranger = life.vase.infer(discs(np.random.default_rng(5), 64))
    assert not stranger.known
    assert stranger.shift_statistics.min() > 10.0


def test_used_latents_are_found(life):
    for environment in life.vase.environments:
        assert 1 <= int(environment.used_latents.sum()) <= life.vase.config.latents
        assert not (environment.used_latents & ~environment.latent_mask).any()


def test_a_used_latent_changes_the_picture_and_an_unused_one_hardly(life):
    """`used_latents` against the plain experiment: move one latent by its own noise scale."""
    first = life.vase.environments[0]
    z = np.random.default_rng(0).standard_normal((100, life.vase.config.latents))
    before = life.vase.decode(z, 0).astype(float)
    changes = np.empty(life.vase.config.latents)
    for n in range(len(changes)):
        moved = z.copy()
        moved[:, n] += 0.5
        changes[n] = np.abs(life.vase.decode(moved, 0) - before).mean()
    used = first.used_latents.numpy()
    assert 0 < used.sum() < len(used)
    assert changes[used].min() > changes[~used].max()


def test_algorithm_1_finds_a_shift_and_the_return():
    vase, rng = learner(inference="algorithm1", burn_in=40), np.random.default_rng(0)
    own = watch(vase, bars, 100, rng)
    assert [i for i, report in enumerate(own) if report.new_environment] == [0]
    assert not any(report.candidate for report in own)
    assert any(report.new_environment for report in watch(vase, checkers, 3, rng))
    watch(vase, checkers, 47, rng)
    assert watch(vase, bars, 3, rng)[-1].environment == 0
    assert len(vase.environments) == 2
    # Reading goes by the same rule.
    assert vase.infer(bars(rng, 64)).known
    assert not vase.infer(255 - bars(rng, 64)).known


@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian"])
def test_colour(likelihood):
    vase = learner(channels=3, likelihood=likelihood, gaussian_std=0.3)
    for world in (checkers, bars, checkers):
        reports = watch(vase, world, 10)
        losses = [value for report in reports for value in report.losses.values()]
        assert np.isfinite(losses).all()
    assert [e.updates for e in vase.environments] == [19, 9]
    frames = checkers(np.random.default_rng(0), 3, 3)
    assert vase.reconstruct(frames, 0).shape == frames.shape


# ---------------------------------------------------------------- reports


def test_a_report_of_the_first_batch():
    (report,) = watch(learner(), bars, 1)
    assert (report.environment, report.new_environment, report.shift) == (0, True, False)
    assert (report.candidate, report.trained, report.updates) == (False, True, 1)
    assert report.latent_mask.dtype == bool
    assert report.latent_mask.tolist() == [True] * 6
    assert report.atypicality.dtype == np.float32
    assert report.atypicality.shape == (6,)
    assert tuple(report.losses) == LOSS_NAMES
    assert all(type(value) is float for value in report.losses.values())


def test_a_batch_in_quarantine_is_not_learnt_from():
    vase = learner()
    watch(vase, bars, 12)
    before = weights(vase)
    (held,) = watch(vase, checkers, 1)
    assert (held.environment, held.candidate, held.trained) == (0, True, False)
    assert (held.losses, held.updates) == ({}, 12)
    assert vase.paused
    np.testing.assert_equal(weights(vase), before)
    (opened,) = watch(vase, checkers, 1)
    assert (opened.environment, opened.new_environment, opened.shift) == (1, True, True)
    assert (opened.trained, opened.updates, opened.blocks) == (True, 13, 2)
    assert not vase.paused


def test_a_change_within_a_batch_is_seen_and_only_what_belongs_is_learnt_from(steps):
    vase = learner()
    watch(vase, bars, 12)
    rng = np.random.default_rng(3)
    both = np.concatenate([bars(rng, 64), checkers(rng, 96)])
    report = vase.update(both)
    assert (report.environment, report.new_environment, report.blocks) == (1, True, 2)
    learnt = np.rint(255 * steps[-1]["x"].permute(0, 2, 3, 1).numpy()).astype(np.uint8)
    foreign = {frame.tobytes() for frame in both[:64]}
    assert not any(frame.tobytes() in foreign for frame in learnt)


def test_one_foreign_batch_is_forgiven():
    vase = learner()
    watch(vase, bars, 12)
    (held,) = watch(vase, discs, 1)
    (back,) = watch(vase, bars, 1)
    assert (held.candidate, back.candidate, back.environment) == (True, False, 0)
    assert len(vase.environments) == 1


def still(world: Any, frames: int) -> Any:
    """One picture of a world, over and over: a camera that stands still."""
    return np.repeat(world(np.random.default_rng(3), 1), frames, axis=0)


def test_a_still_picture_of_the_present_world_opens_nothing():
    vase = learner()
    watch(vase, bars, 3)
    for _ in range(10):
        report = vase.update(still(bars, 32))
        assert (report.environment, report.candidate, report.trained) == (0, False, True)
    assert len(vase.environments) == 1


def test_worlds_of_one_colour_are_told_apart():
    vase = learner()
    black, white = np.zeros((32, 8, 8, 1), np.uint8), np.full((32, 8, 8, 1), 255, np.uint8)
    found = [vase.update(x).environment for x in (black,) * 12 + (white,) * 12 + (black,) * 3]
    assert found == [0] * 13 + [1] * 12 + [0] * 2


@pytest.mark.parametrize("frames", [1, 2, 7])
def test_small_batches_are_learnt_from(frames):
    vase = learner()
    for _ in range(3):
        report = vase.update(bars(np.random.default_rng(0), frames))
        assert np.isfinite(list(report.losses.values())).all()
        assert np.isfinite(report.atypicality).all()
    found = vase.infer(bars(np.random.default_rng(0), frames))
    assert found.environment == 0
    assert np.isfinite(found.shift_statistics).all()
    assert len(vase.environments) == 1


def test_small_batches_of_one_world_open_one_environment():
    vase = learner(batch_size=16)
    rng = np.random.default_rng(0)
    for _ in range(40):
        vase.update(bars(rng, 8))
    assert len(vase.environments) == 1


def test_a_large_batch_is_tested_whole_and_trained_on_in_part():
    vase, seen = learner(), []
    vase.networks.encoder.trunk.register_forward_pre_hook(lambda _, x: seen.append(len(x[0])))
    vase.update(bars(np.random.default_rng(0), 100))
    assert seen == [100, 32]  # atypicality on entry, then the training step


def test_practice_trains_without_asking():
    vase = learner()
    watch(vase, bars, 2)
    before = weights(vase)
    losses = vase.practise(checkers(np.random.default_rng(0), 32))
    assert tuple(losses) == LOSS_NAMES
    assert (vase.updates, vase.environments[0].updates, len(vase.environments)) == (3, 3, 1)
    with pytest.raises(AssertionError):
        np.testing.assert_equal(weights(vase), before)


# ---------------------------------------------------------------- ablations


def test_without_clustering_everything_is_one_environment():
    vase = learner(clustering=False)
    for world in (bars, checkers, discs):
        for report in watch(vase, world, 4):
            assert (report.environment, report.candidate, report.trained) == (0, False, True)
    assert len(vase.environments) == 1
    assert vase.updates == 12


def test_without_clustering_the_snapshot_follows_the_clock_and_every_latent_is_dreamt():
    vase = learner(clustering=False, snapshot_interval=4, burn_in=2)
    losses = [report.losses for report in watch(vase, bars, 6)]
    assert [loss["decoder_dreaming"] > 0.0 for loss in losses] == [False] * 4 + [False, True]
    atypical(vase, [1, 4])
    watch(vase, bars, 40)
    assert not vase.environments[0].latent_mask[[1, 4]].any(), "the mask follows the stream"
    drawn = vase._draw(torch.zeros(1, 1, 8, 8))
    assert drawn is not None
    assert (drawn.latents != 0).all()


@pytest.mark.parametrize("dreaming", [True, False])
def test_without_dreaming_nothing_is_held(dreaming):
    vase = learner(dreaming=dreaming)
    watch(vase, bars, 10)
    losses = watch(vase, checkers, 10)[-1].losses
    for name in ("encoder_dreaming", "decoder_dreaming"):
        assert (losses[name] > 0.0) == dreaming
    (alone,) = watch(learner(dreaming=dreaming), bars, 1)
    assert alone.losses["encoder_dreaming"] == alone.losses["decoder_dreaming"] == 0.0


def atypical(vase: VASE, latents: list[int], mean: float = 5.0) -> None:
    """Move the posterior means of some latents far from the prior."""
    with torch.no_grad():
        vase.networks.encoder.posterior.bias[latents] = mean


@pytest.mark.parametrize("masking", [True, False])
def test_atypical_latents_are_masked_in_a_new_environment(masking):
    vase = learner(masking=masking)
    watch(vase, bars, 10)
    atypical(vase, [1, 4])
    report = watch(vase, checkers, 2)[-1]
    assert report.new_environment
    assert not report.latent_mask[[1, 4]].any() or not masking
    assert report.latent_mask.all() or masking
    assert vase.environments[0].latent_mask.all()


def test_without_masking_masks_stay_ones_whatever_their_updates():
    for updates in ("entry", "hysteresis", "every"):
        vase = learner(masking=False, mask_updates=updates)
        for world in (bars, checkers, bars):
            watch(vase, world, 10)
            atypical(vase, [0, 3])
        assert all(e.latent_mask.all() for e in vase.environments)
        assert len(vase.environments) == 2


@pytest.mark.parametrize("reset", [True, False])
def test_adams_moments_outlive_a_switch_only_on_request(reset):
    vase = learner(reset_optimizer=reset)
    watch(vase, bars, 10)
    atypical(vase, [1, 4])
    rows = [1, 4, 1 + 6, 4 + 6]  # mean and log-variance of both
    watch(vase, checkers, 1)
    # Without dreams, which hold masked latents too, nothing but momentum can move these rows.
    vase.config = replace(vase.config, dreaming=False)
    before = vase.networks.encoder.posterior.weight[rows].detach().clone()
    report = watch(vase, checkers, 1)[-1]
    assert report.new_environment
    assert not report.latent_mask[[1, 4]].any()
    stayed = torch.equal(vase.networks.encoder.posterior.weight[rows], before)
    assert stayed == reset
    assert vase.updates == 11


def test_some_latents_stay_active_when_all_are_atypical():
    vase = learner(minimum_active=3)
    watch(vase, bars, 10)
    atypical(vase, list(range(6)))
    assert int(watch(vase, checkers, 2)[-1].latent_mask.sum()) == 3


def test_masked_latents_are_dreamt_and_decoded_as_zero():
    vase = learner()
    watch(vase, bars, 10)
    atypical(vase, [1])
    watch(vase, checkers, 2)
    z = np.random.default_rng(0).standard_normal((10, 6)).astype(np.float32)
    moved = z.copy()
    moved[:, 1] += 3.0
    assert np.array_equal(vase.decode(z, 1), vase.decode(moved, 1))
    assert not np.array_equal(vase.decode(z, 0), vase.decode(moved, 0))


def test_hysteresis_does_not_unmask_an_atypical_latent_on_return():
    vase = learner(mask_updates="hysteresis")
    watch(vase, bars, 10)
    atypical(vase, [1], mean=2.5)
    watch(vase, checkers, 2)
    assert not vase.environments[1].latent_mask[1]
    vase.environments[1].updates = 1000  # long enough for hysteresis
    watch(vase, bars, 3)
    atypical(vase, [1], mean=2.5)
    (_, report) = watch(vase, checkers, 2)
    assert (report.environment, report.trained) == (1, True)
    assert report.atypicality[1] > vase.config.atypicality_upper
    assert not report.latent_mask[1]


@pytest.mark.parametrize(("updates", "follows"), [("entry", False), ("every", True)])
def test_the_mask_follows_every_batch_only_on_request(updates, follows):
    vase = learner(mask_updates=updates)
    watch(vase, bars, 10)
    (*_, entered) = watch(vase, checkers, 3)
    atypical(vase, [2], mean=2.5)
    (first, second) = watch(vase, checkers, 2)
    assert entered.latent_mask[2]
    assert first.atypicality[2] > vase.config.atypicality_upper
    assert second.latent_mask[2] != follows


# ---------------------------------------------------------------- what a step is made of


def test_capacity_rises_with_all_updates_and_is_not_reset(steps):
    vase = learner()
    for world in (bars, checkers, bars):
        watch(vase, world, 4)
    expected = [vase.config.capacity(step) for step in range(len(steps))]
    assert [step["capacity"] for step in steps] == expected


def test_beta_warms_up_anew_in_every_new_world_and_not_on_return(steps):
    vase = learner(beta=2.0, beta_warm_up=8)
    for world in (bars, checkers, bars):
        watch(vase, world, 10)
    counts = {0: 0, 1: 0}
    for step in steps:
        environment = step["environment"]
        assert step["beta"] == vase.config.beta_after(counts[environment])
        counts[environment] += 1
    assert min(counts.values()) > 2
    assert steps[-1]["beta"] == 2.0


def test_a_step_dreams_of_all_environments_but_the_present_one(steps):
    vase = learner()
    for world in (bars, checkers, discs, bars):
        watch(vase, world, 10)
    dreamt: dict[int, set[int]] = {}
    for step in steps:
        found = () if step["memory"] is None else step["memory"].environments.tolist()
        dreamt.setdefault(step["environment"], set()).update(found)
    # The third world was left before the first was entered again.
    assert dreamt == {0: {1, 2}, 1: {0}, 2: {0, 1}}


def test_a_step_masks_as_its_environment_says(steps):
    vase = learner()
    watch(vase, bars, 10)
    atypical(vase, [2])
    watch(vase, checkers, 10)
    watch(vase, bars, 4)
    for step in steps:
        expected = vase.environments[step["environment"]].latent_mask
        assert torch.equal(step["mask"], expected)
    assert not vase.environments[1].latent_mask[2]


def test_what_was_held_back_is_not_trained_on():
    vase = learner()
    for world, batches in ((bars, 12), (checkers, 10), (bars, 3)):
        watch(vase, world, batches)
    assert [environment.updates for environment in vase.environments] == [12 + 2, 9]


def test_the_average_loss_is_that_of_the_environments_own_steps():
    vase = learner()
    reports = watch(vase, bars, 12) + watch(vase, checkers, 10) + watch(vase, bars, 3)
    for environment in vase.environments:
        losses = [
            report.losses["reconstruction"]
            for report in reports
            if report.trained and report.environment == environment.index
        ]
        assert environment.loss_mean == pytest.approx(np.mean(losses))
        assert environment.loss.count == environment.updates == len(losses)


# ---------------------------------------------------------------- the snapshot


def snapshot(vase: VASE) -> dict[str, Any]:
    assert vase.snapshot is not None
    return flat(vase.snapshot.state_dict())


def test_the_snapshot_is_taken_at_the_switch_and_kept():
    vase = learner(snapshot_sync="switch")
    watch(vase, bars, 10)
    assert vase.snapshot is None
    before = weights(vase)
    watch(vase, checkers, 8)
    np.testing.assert_equal(snapshot(vase), before)
    assert vase.snapshot_environments == 1
    assert not any(p.requires_grad for p in vase.snapshot.parameters())
    assert {id(p) for p in vase.snapshot.parameters()}.isdisjoint(
        id(p) for p in vase.networks.parameters()
    )
    with pytest.raises(AssertionError):
        np.testing.assert_equal(weights(vase), before)


def test_the_snapshot_is_taken_every_so_many_steps():
    vase = learner(snapshot_sync="interval", snapshot_interval=10)
    watch(vase, bars, 9)
    assert vase.snapshot is None
    watch(vase, bars, 1)
    before = weights(vase)
    watch(vase, checkers, 10)  # the first is held back
    assert vase.updates == 19
    np.testing.assert_equal(snapshot(vase), before)
    watch(vase, checkers, 1)
    np.testing.assert_equal(snapshot(vase), weights(vase))
    assert vase.snapshot_environments == 2


def test_both_occasions_can_be_combined():
    vase = learner(snapshot_sync="both", snapshot_interval=4)
    watch(vase, bars, 10)
    before = weights(vase)
    watch(vase, checkers, 2)
    np.testing.assert_equal(snapshot(vase), before)
    watch(vase, checkers, 1)  # step 8
    np.testing.assert_equal(snapshot(vase), weights(vase))


# ---------------------------------------------------------------- reading changes nothing


def test_reading_changes_nothing(life):
    vase, rng = life.vase, np.random.default_rng(3)
    frames, z = discs(rng, 10), rng.standard_normal((3, 6)).astype(np.float32)
    before, torch_state = state(vase), torch.random.get_rng_state()
    for _ in range(2):
        vase.infer(frames)
        vase.infer(frames[:1])
        vase.encode(frames)
        vase.reconstruct(frames, 1)
        vase.decode(z)
        vase.recognise(frames)
    np.testing.assert_equal(state(vase), before)
    assert torch.equal(torch.random.get_rng_state(), torch_state)


def test_reading_twice_gives_the_same(life):
    frames = checkers(np.random.default_rng(3), 20)
    first, again = life.vase.infer(frames), life.vase.infer(frames)
    np.testing.assert_equal(vars(first), vars(again))
    assert isinstance(first, Inference)
    assert float(first.probabilities.sum()) == pytest.approx(1.0, abs=1e-6)
    np.testing.assert_equal(life.vase.encode(frames), life.vase.encode(frames))


def test_reading_leaves_the_frames_alone(life):
    frames = bars(np.random.default_rng(3), 20)
    before = frames.copy()
    life.vase.infer(frames)
    life.vase.encode(frames)
    learner().update(frames)
    assert np.array_equal(frames, before)


def test_encodings_are_float_arrays_frame_by_frame(life):
    frames = checkers(np.random.default_rng(3), 5)
    mean, std = life.vase.encode(frames)
    assert mean.dtype == std.dtype == np.float32
    assert mean.shape == std.shape == (5, 6)
    assert (std > 0).all()
    single, _ = life.vase.encode(frames[2:3])
    np.testing.assert_allclose(single[0], mean[2], atol=1e-5)


def test_inferred_atypicality_is_that_of_many_samples(life):
    """Means and widths stand in for samples: the same marginal mean and variance."""
    frames = discs(np.random.default_rng(3), 64)
    mean, std = life.vase.encode(frames)
    samples = mean + std * np.random.default_rng(0).standard_normal((4000, *mean.shape))
    m, v = samples.mean((0, 1)), samples.var((0, 1))
    expected = 0.5 * (m**2 + v - 1 - np.log(v))
    found = life.vase.infer(frames).atypicality
    np.testing.assert_allclose(found, expected, rtol=0.02, atol=0.01)


def test_reconstruction_is_decoding_the_mean(life):
    frames = checkers(np.random.default_rng(3), 5)
    mean, _ = life.vase.encode(frames)
    for environment in (0, 1):
        back = life.vase.reconstruct(frames, environment)
        assert back.dtype == np.uint8
        assert np.array_equal(back, life.vase.decode(mean, environment))
    assert np.array_equal(life.vase.reconstruct(frames), life.vase.reconstruct(frames, 0))


# ---------------------------------------------------------------- randomness and the caller's torch


def test_the_seed_decides_everything():
    first, again, other = (learner(seed) for seed in (1, 1, 2))
    torch.manual_seed(99)
    for vase in (first, again, other):
        watch(vase, bars, 3)
        watch(vase, checkers, 3)
    np.testing.assert_equal(state(first), state(again))
    with pytest.raises(AssertionError):
        np.testing.assert_equal(weights(first), weights(other))


def test_without_a_seed_learners_differ():
    first, other = (VASE(tiny(), device="cpu") for _ in range(2))
    with pytest.raises(AssertionError):
        np.testing.assert_equal(weights(first), weights(other))


@pytest.mark.parametrize("seed", [None, 3])
def test_the_global_generator_is_left_alone(seed):
    before = torch.random.get_rng_state()
    vase = VASE(tiny(), seed=seed, device="cpu")
    watch(vase, bars, 2)
    watch(vase, checkers, 3)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_the_global_generators_of_accelerators_are_left_alone(monkeypatch):
    """`torch.manual_seed` would reseed them too, which no CPU test could see otherwise."""
    seeded: list[int] = []
    monkeypatch.setattr(torch.cuda, "manual_seed_all", seeded.append)
    VASE(tiny(), seed=3, device="cpu")
    assert seeded == []


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_it_learns_inside_the_callers_no_grad(mode):
    vase, plain = learner(), learner()
    with mode():
        watch(vase, bars, 2)
        watch(vase, checkers, 3)
        vase.practise(checkers(np.random.default_rng(0), 32))
    watch(plain, bars, 2)
    watch(plain, checkers, 3)
    plain.practise(checkers(np.random.default_rng(0), 32))
    np.testing.assert_equal(state(vase), state(plain))


def test_a_diverged_step_leaves_the_weights_as_they_were():
    vase = learner()
    watch(vase, bars, 2)
    with torch.no_grad():
        vase.networks.decoder.output.bias[:] = torch.nan
    before = state(vase)
    with pytest.raises(FloatingPointError, match="loss 'reconstruction' is not finite"):
        vase.practise(bars(np.random.default_rng(0), 32))
    after = state(vase)
    del before["/generator"], after["/generator"]
    np.testing.assert_equal(after, before)


# ---------------------------------------------------------------- bad input

FRESH = learner()


BAD_CALLS: list[tuple[Any, type[Exception], str]] = [
    (lambda v: VASE("compact"), TypeError, r"config must be a VASEConfig .*got 'compact'"),
    (lambda v: VASE(tiny(), device="abacus"), ValueError, r"device must be .*got 'abacus'"),
    (lambda v: v.update(np.zeros((2, 8, 8, 3), "uint8")), ValueError, r"\(B, 8, 8, 1\)"),
    (lambda v: v.update(np.zeros((2, 8, 8, 1))), TypeError, r"must be uint8"),
    (lambda v: v.practise(np.zeros((0, 8, 8, 1), "uint8")), ValueError, r"at least one frame"),
    (lambda v: v.infer(np.zeros((8, 8, 1), "uint8")), ValueError, r"shape \(B, H, W, C\)"),
    (lambda v: v.encode([1, 2]), TypeError, r"numpy array of uint8, got list"),
    (lambda v: v.decode(np.zeros((2, 5))), ValueError, r"shape \(B, 6\), got \(2, 5\)"),
    (lambda v: v.decode(np.zeros(6)), ValueError, r"shape \(B, 6\), got \(6,\)"),
    (lambda v: v.decode(np.full((1, 6), np.nan)), ValueError, r"latents must be finite"),
    (lambda v: v.decode(np.zeros((1, 6)), 2), ValueError, r"one of \[0, 1\], .*got 2"),
    (lambda v: v.decode(np.zeros((1, 6)), -1), ValueError, r"one of \[0, 1\], .*got -1"),
    (lambda v: v.decode(np.zeros((1, 6)), 0.5), ValueError, r"one of \[0, 1\], .*got 0\.5"),
    (lambda v: v.decode(np.zeros((1, 6)), True), ValueError, r"one of \[0, 1\], .*got True"),
    (lambda v: FRESH.infer(bars(np.random.default_rng(0), 2)), RuntimeError, r"infer needs"),
    (lambda v: FRESH.practise(bars(np.random.default_rng(0), 2)), RuntimeError, r"practise needs"),
    (lambda v: FRESH.decode(np.zeros((1, 6))), RuntimeError, r"call update first"),
    (lambda v: FRESH.hold(), RuntimeError, r"hold needs a learner that has seen frames"),
    (lambda v: FRESH.confirm(), RuntimeError, r"confirm needs a learner that has seen frames"),
    (lambda v: FRESH.merge(1, 0), RuntimeError, r"merge needs a learner that has seen frames"),
    (lambda v: FRESH.rename(0, "a"), RuntimeError, r"rename needs a learner that has seen frames"),
    (lambda v: v.merge(2, 0), ValueError, r"environment must be one of \[0, 1\], .*got 2"),
    (lambda v: v.merge(0, 2), ValueError, r"into must be one of \[0, 1\], .*got 2"),
    (lambda v: v.merge(1, 1), ValueError, r"into must be another environment than 1, got 1"),
    (lambda v: v.rename(5, "a"), ValueError, r"environment must be one of \[0, 1\], .*got 5"),
    (lambda v: v.rename(None, "a"), ValueError, r"environment must be one of .*got None"),
    (lambda v: FRESH.forbid(0), RuntimeError, r"forbid needs a learner that has seen frames"),
    (lambda v: v.forbid(-1), ValueError, r"environment must be one of \[0, 1\], .*got -1"),
]


@pytest.mark.parametrize(("call", "exception", "message"), BAD_CALLS)
def test_bad_input_is_refused_and_changes_nothing(life, call, exception, message):
    before = state(life.vase)
    with pytest.raises(exception, match=message):
        call(life.vase)
    np.testing.assert_equal(state(life.vase), before)


def test_the_promised_names_are_exported():
    assert VASEConfig.preset("compact").image_size == 32
    assert set(UpdateReport.__dataclass_fields__) >= {
        "environment", "new_environment", "shift", "candidate", "latent_mask", "atypicality",
        "losses", "updates",
    }  # fmt: skip
    assert set(Inference.__dataclass_fields__) >= {
        "environment", "latent_mask", "atypicality", "reconstruction_loss", "probabilities",
    }  # fmt: skip
