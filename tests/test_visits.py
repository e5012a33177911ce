"""Worlds that come and go, and environments that their user merges: nothing known is lost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from counting import TINY
from worlds import bars, discs, tiny

from vase_rl import VASE, VASEConfig
from vase_rl.checkpoint import state_of
from vase_rl.shifts import ShiftDetector

LEVELS = (40, 100, 160, 220)


def learner(**overrides: Any) -> VASE:
    return VASE(VASEConfig.from_dict({**TINY.to_dict(), **overrides}), seed=0, device="cpu")


def noise(seed: int, world: int) -> np.ndarray:
    """A block of noise about one grey."""
    level, rng = LEVELS[world], np.random.default_rng(seed)
    return rng.integers(level - 30, level + 30, (16, 16, 16, 1), dtype=np.uint8)


def show(vase: VASE, world: int, blocks: int) -> None:
    """So many blocks of a world."""
    for number in range(blocks):
        vase.update(noise(vase.updates + number, world))


def through(*worlds: int, blocks: int = 24, **overrides: Any) -> VASE:
    vase = learner(**overrides)
    for world in worlds:
        show(vase, world, blocks)
    return vase


def rule(vase: VASE) -> ShiftDetector:
    assert isinstance(vase.registry.rule, ShiftDetector)
    return vase.registry.rule


def test_the_recipe_as_printed_opens_one_environment_with_the_first_batch() -> None:
    vase = learner(inference="algorithm1", persistence=1, burn_in=0)
    show(vase, 0, 1)
    assert (len(vase.environments), vase.environments[0].updates) == (1, 1)


@pytest.mark.filterwarnings("ignore:all 2 environments")
def test_stock_is_taken_of_a_world_that_is_left_for_one_too_many() -> None:
    """What comes is seen as the other world, which may come next without a further change."""
    vase = through(0, 3, max_environments=2)
    assert vase.snapshot is not None
    assert (vase.environment, vase.snapshot_environments) == (1, 1)
    show(vase, 1, 4)
    assert vase.environment == 0
    assert vase.snapshot_environments == 2
    for mine, learnt in zip(vase.snapshot.parameters(), vase.networks.parameters(), strict=True):
        assert mine.equal(learnt)
    show(vase, 0, 2)
    assert vase.update(noise(9, 0)).losses["decoder_dreaming"] > 0


def test_what_was_merged_into_one_that_is_merged_goes_along() -> None:
    vase = through(0, 1, 2)
    vase.merge(1, 2)
    vase.merge(2, 0)
    assert vase.registry.opened == [0, 0, 0]
    assert (len(vase.environments), vase.snapshot_environments) == (1, 1)
    show(vase, 1, 3)
    assert vase.environment == 0
    show(vase, 3, 24)
    assert (vase.environment, vase.registry.opened) == (1, [0, 0, 0, 1])


def test_an_index_that_stays_empty_goes_along_with_a_later_merge() -> None:
    vase = through(0, 1, 2, 3)
    vase.merge(1, 2)
    vase.merge(2, 0)
    assert vase.registry.opened == [0, 0, 0, 3]
    assert [vase.registry.serial(index) for index in range(4)] == [0, 0, 0, 3]
    assert [e.merged_into for e in vase.environments] == [None, 0, 0, None]


def test_a_candidate_is_given_up_for_what_its_predecessor_was_merged_into() -> None:
    vase = through(0, 1)
    show(vase, 2, 3)
    assert (vase.environment, vase.status) == (2, "candidate")
    vase.merge(1, 0)
    show(vase, 0, 3)
    assert vase.environment == 0
    assert vase.registry.opened == [0, 0, 0]


def test_a_candidate_that_takes_in_another_environment_stays() -> None:
    vase = through(0, 1)
    show(vase, 2, 3)
    assert vase.status == "candidate"
    vase.merge(1, 2)
    assert vase.status == "confirmed"
    show(vase, 2, 12)
    show(vase, 0, 3)
    assert vase.environment == 0
    assert vase.registry.opened == [0, 2, 2]


@pytest.mark.parametrize(
    ("index", "into", "message"),
    [
        (7, 0, r"environment must be one of \[0, 1\], .* got 7"),
        (-1, 0, r"environment must be one of \[0, 1\], .* got -1"),
        (0, 7, r"into must be one of \[0, 1\], .* got 7"),
        (1, 1, "into must be another environment than 1, got 1"),
    ],
)
def test_a_merge_that_is_refused_changes_nothing(index: int, into: int, message: str) -> None:
    vase = through(0, 1)
    before: dict[str, Any] = rule(vase).models[0].state_dict(), rule(vase).models[1].state_dict()
    with pytest.raises(ValueError, match=message):
        vase.merge(index, into)
    for model, state in zip(rule(vase).models, before, strict=True):
        assert model.blocks == state["blocks"]
        np.testing.assert_array_equal(model.mean, state["mean"])
        np.testing.assert_array_equal(model.between, state["between"])
    assert vase.registry.opened == [0, 1]


def position_error(vase: VASE, reader: np.ndarray, frames: np.ndarray) -> float:
    """Of a linear reader of latents, in parts of the variance of a bar's place."""
    place = frames[..., 0].argmax(2).mean(1)
    return float(np.mean((read(vase, frames) @ reader - place) ** 2) / np.var(place))


def read(vase: VASE, frames: np.ndarray) -> np.ndarray:
    return np.column_stack([vase.encode(frames)[0], np.ones(len(frames))])


def unlearnt(seed: int, *, hold: bool) -> float:
    """How wrong a linear reader of bars' places becomes while discs are learnt in their
    environment."""
    rng = np.random.default_rng(seed)
    vase = VASE(tiny(), seed=seed, device="cpu")
    for _ in range(200):
        vase.update(bars(rng, 32))
    if hold:
        vase.hold()
    frames = bars(rng, 500)
    place = frames[..., 0].argmax(2).mean(1)
    reader = np.linalg.lstsq(read(vase, frames), place, rcond=None)[0]
    assert position_error(vase, reader, frames) < 0.1
    for _ in range(100):
        losses = vase.practise(discs(rng, 32))
    assert len(vase.environments) == 1
    assert (losses["encoder_dreaming"] > 0) == hold
    return position_error(vase, reader, frames)


@pytest.mark.parametrize("seed", [0, 2])
def test_what_is_held_stays_while_another_world_is_learnt_in_its_place(seed: int) -> None:
    free, held = unlearnt(seed, hold=False), unlearnt(seed, hold=True)
    assert free > 0.5
    assert held < 0.25 * free


def reencoded(seed: int, *, hold: bool) -> float:
    """How far used latents of discs move while they are learnt as the environment of bars, root
    mean square in units of their spread."""
    rng = np.random.default_rng(seed)
    vase = VASE(tiny(), seed=seed, device="cpu")
    for _ in range(200):
        vase.update(bars(rng, 32))
    vase.estimate_used_latents()
    used = vase.environments[0].used_latents.numpy()
    assert used.any()
    if hold:
        vase.hold()
    frames = discs(rng, 300)
    before, loss = vase.encode(frames)[0][:, used], vase.reconstruction_loss(frames)
    for _ in range(100):
        vase.practise(discs(rng, 32))
    assert vase.reconstruction_loss(frames) < 0.2 * loss, "they are learnt either way"
    moved = vase.encode(frames)[0][:, used] - before
    return float(np.sqrt(np.mean(moved**2)) / before.std())


@pytest.mark.parametrize("seed", [0, 2])
def test_what_is_seen_where_it_is_held_is_encoded_as_before(seed: int) -> None:
    assert reencoded(seed, hold=False) > 1.0
    assert reencoded(seed, hold=True) < 0.5


def test_masks_of_what_is_held_stay() -> None:
    vase = through(0, 3, mask_updates="hysteresis")
    vase.hold()
    vase.running_atypicality = 9.0 * (torch.arange(6) < 2)
    mask = vase.environments[1].latent_mask.clone()
    assert mask.all()
    vase._revise_mask(vase.registry.present, vase.running_atypicality)
    assert vase.environments[1].latent_mask.equal(mask)
    vase.environments[1].held_latents = None
    vase.environments[1].updates = 10_000
    vase._revise_mask(vase.registry.present, vase.running_atypicality)
    assert not vase.environments[1].latent_mask.equal(mask)


def test_a_further_hold_adds_what_is_used_by_then() -> None:
    vase = through(0)
    vase.environments[0].held_latents = torch.arange(6) == 5
    vase.hold()
    held = vase.environments[0].held_latents
    assert held is not None
    assert held.equal(vase.environments[0].used_latents | (torch.arange(6) == 5))


def test_what_is_held_is_held_in_a_world_that_no_snapshot_knew() -> None:
    vase = through(0)
    vase.hold()
    show(vase, 3, 24)
    vase.merge(0, into=1)
    show(vase, 3, 2)
    assert vase.update(noise(0, 3)).losses["encoder_dreaming"] > 0


def test_nothing_can_be_held_without_dreams() -> None:
    vase = through(0, blocks=3, dreaming=False)
    with pytest.raises(RuntimeError, match="hold needs a learner that dreams, and dreaming is off"):
        vase.hold()


def test_an_environment_that_opens_later_is_not_held() -> None:
    vase = through(0)
    vase.hold()
    show(vase, 3, 24)
    assert [e.held_latents is not None for e in vase.environments] == [True, False]
    assert vase.update(noise(0, 3)).losses["encoder_dreaming"] > 0, "of the first"
    vase.hold()
    assert [e.held_latents is not None for e in vase.environments] == [True, True]


def test_what_holds_one_holds_the_other_that_it_is_merged_into() -> None:
    one, other = torch.eye(6, dtype=torch.bool)[:2]
    for also, expected in ((None, one), (other, one | other)):
        vase = through(0, 1)
        vase.environments[0].held_latents, vase.environments[1].held_latents = also, one
        vase.merge(1, 0)
        held = vase.environments[0].held_latents
        assert held is not None
        assert torch.equal(held, expected)


def test_what_is_held_is_saved(tmp_path: Path) -> None:
    vase = through(0, 1)
    vase.environments[1].held_latents = torch.arange(6) > 2
    vase.save(tmp_path / "vase.pt")
    first, second = VASE.load(tmp_path / "vase.pt", device="cpu").environments
    assert first.held_latents is None
    assert second.held_latents is not None
    assert second.held_latents.tolist() == [False] * 3 + [True] * 3


def test_a_checkpoint_that_knows_nothing_of_holding_is_read(tmp_path: Path) -> None:
    state = state_of(through(0))
    for environment in state["environments"]:
        del environment["held_latents"]
    torch.save(state, tmp_path / "old.pt")
    back = VASE.load(tmp_path / "old.pt", device="cpu")
    assert [e.held_latents for e in back.environments] == [None]
