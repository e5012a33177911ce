"""Encoder, decoder, classifier: the shapes of A.1 and what depends on what."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import nn
from worlds import tiny

from vase_rl import VASEConfig
from vase_rl.convolutions import Doubling, Halving
from vase_rl.distributions import expected_pixels
from vase_rl.networks import LOG_VARIANCE_LIMIT, VASENetworks, initialise

CONFIGS = {
    "paper": VASEConfig.preset("ablation"),
    "dmlab": VASEConfig.preset("dmlab"),
    "compact": VASEConfig.preset("compact"),
    "compact in colour": VASEConfig.preset("compact", channels=3),
    "one convolution": tiny(filters=(5,), channels=3),
}


@pytest.mark.parametrize("name", CONFIGS)
def test_shapes(name):
    config = CONFIGS[name]
    networks = VASENetworks(config)
    shape = (3, config.channels, config.image_size, config.image_size)
    x = torch.rand(shape)
    features = networks.encoder.features(x)
    mean, std = networks.encoder(x)
    output = networks.decoder(mean, torch.tensor([0, 1, config.max_environments - 1]))
    assert features.shape == (3, config.hidden)
    assert mean.shape == std.shape == (3, config.latents)
    assert (std > 0).all()
    assert output.shape == shape
    assert networks.classifier(features).shape == (3, config.max_environments)


def test_the_paper_preset_is_the_network_of_the_appendix():
    networks = VASENetworks(CONFIGS["paper"])
    convolutions = [m for m in networks.encoder.modules() if isinstance(m, nn.Conv2d)]
    assert [(c.out_channels, c.kernel_size, c.stride) for c in convolutions] == [
        (filters, (4, 4), (2, 2)) for filters in (64, 64, 128, 128)
    ]
    transposed = [m for m in networks.decoder.modules() if isinstance(m, nn.ConvTranspose2d)]
    assert [(c.out_channels, c.kernel_size, c.stride) for c in transposed] == [
        (filters, (4, 4), (2, 2)) for filters in (128, 64, 64, 1)
    ]
    # Counted by hand from A.1: kernels and biases, 128·4·4 → 256 → 2·24, and 24 + 7 → 256 back.
    convolved = (16 * 64 + 64) + (16 * 64 * 64 + 64) + (16 * 64 * 128 + 128) + (16 * 128**2 + 128)
    encoder = convolved + (2048 * 256 + 256) + (256 * 48 + 48)
    up = (16 * 128**2 + 128) + (16 * 128 * 64 + 64) + (16 * 64 * 64 + 64) + (16 * 64 + 1)
    decoder = (31 * 256 + 256) + (256 * 2048 + 2048) + up
    for part, expected in [(networks.encoder, encoder), (networks.decoder, decoder)]:
        assert sum(p.numel() for p in part.parameters()) == expected


def test_the_output_is_not_squashed_and_the_environment_matters():
    torch.manual_seed(1)
    networks = VASENetworks(tiny())
    z = 50 * torch.randn(64, 6)
    here, there = (networks.decoder(z, torch.full((64,), s)) for s in (0, 1))
    assert here.min() < 0.0  # logits, not probabilities
    assert not torch.allclose(here, there)


def test_posterior_widths_stay_finite_for_extreme_heads():
    networks = VASENetworks(tiny())
    with torch.no_grad():
        networks.encoder.posterior.bias[:] = torch.tensor([0.0] * 6 + [1e4, -1e4] * 3)
    _, std = networks.encoder(torch.rand(2, 1, 8, 8))
    widest = math.exp(LOG_VARIANCE_LIMIT / 2)
    expected = torch.tensor([widest, 1 / widest] * 3).expand(2, 6)
    torch.testing.assert_close(std, expected)


def test_blocks_to_channels_see_every_pixel():
    networks = VASENetworks(VASEConfig.preset("compact"))
    x = torch.rand(1, 1, 32, 32, requires_grad=True)
    networks.encoder(x)[0].square().sum().backward()
    assert x.grad is not None
    assert (x.grad != 0).all()


@pytest.mark.parametrize("name", CONFIGS)
def test_fresh_networks_pass_a_signal_on(name):
    """Unit noise stays within a factor of a few through every layer, there and back (He 2015)."""
    torch.manual_seed(0)
    config = replace(CONFIGS[name], initialisation="he")
    networks = VASENetworks(config)
    frames = torch.randn(16, config.channels, config.image_size, config.image_size)
    mean, _ = networks.encoder(frames)
    latents = torch.randn(256, config.latents)
    output = networks.decoder(latents, torch.zeros(256, dtype=torch.long))
    for signal in (mean, output - output.mean(0)):
        assert 0.2 < signal.std().item() < 2.0


def test_biases_start_at_zero():
    biases = [
        p
        for n, p in VASENetworks(tiny(initialisation="he")).named_parameters()
        if n.endswith("bias")
    ]
    assert biases
    assert all((bias == 0).all() for bias in biases)


@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian"])
@pytest.mark.parametrize("blocks", [1, 2])
def test_the_first_frames_set_the_brightness_of_each_colour(likelihood, blocks):
    config = tiny(channels=3, likelihood=likelihood, space_to_depth=blocks)
    decoder = VASENetworks(config).decoder
    colours = torch.tensor([0.2, 0.5, 0.9])
    decoder.centre_on(colours[:, None, None].expand(4, 3, 8, 8), config)
    torch.nn.init.zeros_(decoder.output.weight)
    output = decoder(torch.randn(5, config.latents), torch.zeros(5, dtype=torch.long))
    pixels = expected_pixels(output, config)
    torch.testing.assert_close(pixels, colours[:, None, None].expand(5, 3, 8, 8))


def test_a_black_first_batch_leaves_a_finite_bias():
    config = tiny()
    decoder = VASENetworks(config).decoder
    decoder.centre_on(torch.zeros(2, 1, 8, 8), config)
    assert decoder.output.bias.isfinite().all()


def test_weights_are_drawn_whatever_their_order_in_memory():
    for ours, plain in [
        (Halving(3, 8), nn.Conv2d(3, 8, 4)),
        (Doubling(8, 3), nn.ConvTranspose2d(8, 3, 4, stride=2)),
    ]:
        for layer in (ours, plain):
            torch.manual_seed(0)
            initialise(layer)
        assert torch.equal(ours.weight, plain.weight)
        assert ours.weight.is_contiguous(memory_format=torch.channels_last)
