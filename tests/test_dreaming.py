"""The dreaming feedback loop: what is dreamt, and what it holds in place."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch
from scipy import stats
from torch.distributions import Bernoulli, Independent, Normal, kl_divergence
from worlds import tiny

from vase_rl.distributions import expected_pixels
from vase_rl.dreaming import Dream, decoder_proximity, draw, dream, encoder_proximity
from vase_rl.networks import VASENetworks

CONFIG = tiny(dream_batch_size=600, decoder_reduction="sum")
MASKS = torch.tensor(
    [
        [True, True, True, True, True, True],
        [True, False, True, False, True, True],
        [False, False, True, True, False, False],
    ]
)
USED = MASKS & torch.tensor([True, True, False, True, True, False])


@pytest.fixture(name="networks")
def _networks() -> VASENetworks:
    return VASENetworks(CONFIG).requires_grad_(False)


def dreamt(networks: VASENetworks, past: list[int], seed: int = 0) -> Dream:
    drawn = draw(past, MASKS, USED, torch.Generator().manual_seed(seed), CONFIG)
    return dream(networks, drawn, CONFIG)


@pytest.mark.parametrize("past", [[0], [2], [0, 1], [0, 2]])
def test_dreams_are_of_past_environments_only_and_evenly(networks, past):
    environments = dreamt(networks, past).environments
    assert set(environments.tolist()) == set(past)
    for s in past:
        share = stats.binomtest(int((environments == s).sum()), 600, 1 / len(past))
        assert share.pvalue > 0.001


def test_dreamt_latents_follow_the_prior_and_the_mask_of_their_environment(networks):
    memory = dreamt(networks, [0, 1, 2])
    active = MASKS[memory.environments]
    assert (memory.latents[~active] == 0).all()
    assert stats.kstest(memory.latents[active].numpy(), "norm").pvalue > 0.01


@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian"])
def test_a_dream_is_what_the_snapshot_makes_of_its_latents(networks, likelihood):
    config = tiny(likelihood=likelihood)
    drawn = draw([0, 1], MASKS, USED, torch.Generator().manual_seed(0), config)
    memory = dream(networks, drawn, config)
    output = networks.decoder(memory.latents, memory.environments)
    torch.testing.assert_close(memory.output, output)
    torch.testing.assert_close(memory.frames, expected_pixels(output, config))
    mean, std = networks.encoder(memory.frames)
    torch.testing.assert_close((memory.mean, memory.std), (mean, std))
    assert 0.0 <= float(memory.frames.min()) <= float(memory.frames.max()) <= 1.0


def test_a_dream_carries_no_gradient(networks):
    memory = dreamt(networks, [0, 1])
    assert not any(value.requires_grad for value in vars(memory).values())


def test_the_generator_alone_decides(networks):
    first, again, other = (dreamt(networks, [0, 1], seed) for seed in (5, 5, 6))
    assert torch.equal(first.frames, again.frames)
    assert not torch.equal(first.latents, other.latents)


def test_nothing_is_held_against_networks_that_did_not_change(networks):
    memory = dreamt(networks, [0, 1])
    mean, std = networks.encoder(memory.frames)
    output = networks.decoder(memory.latents, memory.environments)
    assert float(encoder_proximity(memory, mean, std, CONFIG)) == 0.0
    assert float(decoder_proximity(memory, output, CONFIG)) == 0.0


def test_each_proximity_sees_its_own_half_change(networks):
    memory = dreamt(networks, [0, 1])
    changed = copy.deepcopy(networks)
    with torch.no_grad():
        changed.encoder.posterior.bias[0] += 0.5
    mean, std = changed.encoder(memory.frames)
    output = changed.decoder(memory.latents, memory.environments)
    # One mean moved by 0.5 for every frame: W₂² is its square.
    assert float(encoder_proximity(memory, mean, std, CONFIG)) == pytest.approx(0.25, rel=1e-4)
    assert float(decoder_proximity(memory, output, CONFIG)) == 0.0


@pytest.mark.parametrize("encoder_latents", ["all", "used"])
def test_of_current_frames_the_held_latents_alone_are_held(networks, encoder_latents):
    config = tiny(dream_batch_size=10, encoder_latents=encoder_latents)
    held = torch.tensor([True, False, False, True, False, False])
    x = torch.rand(7, config.channels, 8, 8)
    drawn = draw([0], MASKS, MASKS, torch.Generator().manual_seed(0), config)
    memory = dream(networks, drawn.holding(x, held), config)
    assert (len(memory.frames), memory.held) == (10, 7)
    mean, std = networks.encoder(torch.cat([x, memory.frames]))
    assert float(encoder_proximity(memory, mean, std, config)) == 0.0
    moved = mean.clone()
    moved[:7] += torch.tensor([0.5, 1.0, 1.0, 0.0, 1.0, 1.0])
    assert float(encoder_proximity(memory, moved, std, config)) == pytest.approx(0.25)
    moved[7:, 2] += 1.0
    assert float(encoder_proximity(memory, moved, std, config)) == pytest.approx(1.25)


def test_proximity_grows_with_the_distance(networks):
    memory = dreamt(networks, [0, 1])
    distances = []
    for step in (0.0, 0.1, 0.2, 0.4):
        output = memory.output + step
        mean, std = memory.mean + step, memory.std + step
        distances.append(
            (
                float(encoder_proximity(memory, mean, std, CONFIG)),
                float(decoder_proximity(memory, output, CONFIG)),
            )
        )
    assert distances == sorted(distances)
    assert distances[0] == (0.0, 0.0) < distances[1]


def test_the_other_distances_against_torch_distributions(networks):
    memory = dreamt(networks, [0, 1])
    mean, std, output = memory.mean + 0.3, 1.2 * memory.std, memory.output + 0.5
    kl = kl_divergence(
        Independent(Normal(memory.mean, memory.std), 1), Independent(Normal(mean, std), 1)
    ).mean()
    reverse = kl_divergence(
        Independent(Bernoulli(logits=output), 3), Independent(Bernoulli(logits=memory.output), 3)
    ).mean()
    config = replace(CONFIG, encoder_distance="kl", decoder_distance="kl_new_old")
    torch.testing.assert_close(encoder_proximity(memory, mean, std, config), kl)
    torch.testing.assert_close(decoder_proximity(memory, output, config), reverse)


def test_a_mean_is_the_sum_shared_out(networks):
    memory = dreamt(networks, [0, 1])
    mean, std, output = memory.mean + 0.3, memory.std, memory.output + 0.5
    shared = replace(CONFIG, encoder_reduction="mean", decoder_reduction="mean")
    torch.testing.assert_close(
        encoder_proximity(memory, mean, std, shared) * CONFIG.latents,
        encoder_proximity(memory, mean, std, CONFIG),
    )
    torch.testing.assert_close(
        decoder_proximity(memory, output, shared) * CONFIG.image_size**2 * CONFIG.channels,
        decoder_proximity(memory, output, CONFIG),
    )


def test_unused_latents_may_be_left_out(networks):
    memory = dreamt(networks, [0, 1])
    moved = memory.mean + torch.tensor([0.0, 0.0, 1.0, 0.0, 0.0, 1.0])
    config = replace(CONFIG, encoder_latents="used")
    assert float(encoder_proximity(memory, moved, memory.std, config)) == 0.0
    assert float(encoder_proximity(memory, moved, memory.std, CONFIG)) == pytest.approx(2.0)
    moved = memory.mean + torch.tensor([0.0, 1.0, 0.0, 0.0, 0.0, 0.0])
    share = float((memory.environments == 0).float().mean())
    assert float(encoder_proximity(memory, moved, memory.std, config)) == pytest.approx(share)
