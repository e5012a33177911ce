"""The training objective: its terms, their weights, and where gradients do not go."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.distributions import Normal, kl_divergence
from torch.nn import functional as F
from worlds import tiny

from vase_rl import VASEConfig
from vase_rl.distributions import (
    capacity_term,
    decoder_divergence,
    negative_log_likelihood,
    squared_wasserstein,
)
from vase_rl.dreaming import Dream, draw, dream
from vase_rl.networks import VASENetworks
from vase_rl.objective import LOSS_NAMES, StepLosses, training_losses

CONFIG = tiny(encoder_dreaming_weight=3.0, decoder_dreaming_weight=5.0)
MASK = torch.tensor([True, False, True, True, False, True])
MASKS = torch.stack([torch.ones(6, dtype=torch.bool), MASK, MASK])
ENVIRONMENT, CAPACITY, BETA = 1, 2.5, 0.7


class Step:
    """One call of `training_losses` with everything that went in."""

    def __init__(self, config: VASEConfig = CONFIG, dreaming: bool = True) -> None:
        self.config = config
        self.networks = VASENetworks(config)
        self.x = torch.rand(9, config.channels, 8, 8)
        self.noise = torch.randn(9, config.latents)
        snapshot = VASENetworks(config)
        generator = torch.Generator().manual_seed(0)
        drawn = draw([0, 2], MASKS, MASKS, generator, config) if dreaming else None
        self.memory = None if drawn is None else dream(snapshot, drawn, config)
        self.losses = self.run()

    def run(self, memory: Dream | None = None) -> StepLosses:
        return training_losses(
            self.networks, self.x, ENVIRONMENT, MASK, CAPACITY, BETA,
            memory or self.memory, self.noise, self.config,
        )  # fmt: skip

    def values(self) -> dict[str, float]:
        """Every loss as a number, computed anew."""
        return {name: value.item() for name, value in self.run().by_name.items()}

    def gradients(self, name: str) -> dict[str, Tensor | None]:
        self.networks.zero_grad(set_to_none=True)
        self.losses.by_name[name].backward()  # type: ignore[no-untyped-call]
        return {n: p.grad for n, p in self.networks.named_parameters()}


CONFIGS = {
    "paper": tiny(capacity_form="squared", gamma=100.0),
    "bounded": CONFIG,
    "gaussian in colour": tiny(likelihood="gaussian", gaussian_std=0.3, channels=3),
    "without dreaming": tiny(dreaming=False),
}


@pytest.mark.parametrize("name", CONFIGS)
def test_every_term_by_its_own_definition(name):
    """Each network is called for each term apart; the program shares the calls."""
    step = Step(CONFIGS[name])
    config, networks, memory = step.config, step.networks, step.memory
    assert memory is not None
    mean, std = networks.encoder(step.x)
    z = mean + step.noise * std
    s = torch.full((9,), ENVIRONMENT)
    output = networks.decoder(torch.where(MASK, z, torch.zeros(())), s)
    kl = kl_divergence(Normal(mean, std), Normal(0.0, 1.0))[:, MASK].sum(1).mean()
    new_mean, new_std = networks.encoder(memory.frames)
    new_output = networks.decoder(memory.latents, memory.environments)
    encoder = squared_wasserstein(new_mean, new_std, memory.mean, memory.std).sum(1).mean()
    # Averaged over pixels, by default.
    decoder = decoder_divergence(memory.output, new_output, config).mean() / step.x[0].numel()
    here = networks.classifier(networks.encoder.features(step.x))
    there = networks.classifier(networks.encoder.features(memory.frames))
    expected = {
        "reconstruction": negative_log_likelihood(output, step.x, config).mean(),
        "kl": kl,
        "capacity": capacity_term(kl, CAPACITY, BETA, config),
        "encoder_dreaming": encoder * config.dreaming,
        "decoder_dreaming": decoder * config.dreaming,
        "classification": F.cross_entropy(here, s) + F.cross_entropy(there, memory.environments),
    }
    expected["total"] = (
        expected["reconstruction"]
        + expected["capacity"]
        + config.encoder_dreaming_weight * expected["encoder_dreaming"]
        + config.decoder_dreaming_weight * expected["decoder_dreaming"]
        + expected["classification"]
    )
    assert tuple(expected) == LOSS_NAMES
    for key, value in expected.items():
        torch.testing.assert_close(step.losses.by_name[key], value, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(step.losses.samples, z)


def test_without_a_dream_there_is_nothing_to_hold():
    losses = Step(dreaming=False).values()
    assert losses["encoder_dreaming"] == losses["decoder_dreaming"] == 0.0
    parts = losses["reconstruction"] + losses["capacity"] + losses["classification"]
    assert losses["total"] == pytest.approx(parts)


def test_a_single_frame_is_enough():
    step = Step(dreaming=False)
    step.x, step.noise = step.x[:1], step.noise[:1]
    assert all(value.isfinite() for value in step.run().by_name.values())


def test_masked_latents_get_no_gradient_from_the_current_environment():
    step = Step(dreaming=False)
    gradients = step.gradients("total")
    heads = gradients["encoder.posterior.weight"]
    inputs = gradients["decoder.trunk.0.weight"]
    assert heads is not None
    assert inputs is not None
    for rows in heads.chunk(2):  # means, then log variances
        assert (rows[~MASK] == 0).all()
        assert (rows[MASK] != 0).any(1).all()
    assert (inputs[:, :6][:, ~MASK] == 0).all()
    assert (inputs[:, :6][:, MASK] != 0).any(0).all()


def test_dreams_do_reach_the_masked_latents():
    heads = Step().gradients("encoder_dreaming")["encoder.posterior.weight"]
    assert heads is not None
    assert (heads != 0).any(1).all()


def test_the_decoder_sees_zeros_for_masked_latents_and_the_environment():
    step, seen = Step(dreaming=False), []
    step.networks.decoder.trunk[0].register_forward_pre_hook(
        lambda _, inputs: seen.append(inputs[0])
    )
    step.run()
    latents, one_hot = seen[0].split([6, CONFIG.max_environments], dim=1)
    assert (latents[:, ~MASK] == 0).all()
    assert (latents[:, MASK] != 0).all()
    assert torch.equal(one_hot, torch.eye(CONFIG.max_environments)[[ENVIRONMENT] * 9])


def test_masked_latents_cost_nothing():
    step = Step(dreaming=False)
    before = step.values()
    with torch.no_grad():  # move only the masked posterior means far away
        step.networks.encoder.posterior.bias[:6][~MASK] += 50.0
    assert step.values() == before


def test_the_classifier_teaches_nothing_below_it():
    gradients = Step().gradients("classification")
    taught = {name for name, gradient in gradients.items() if gradient is not None}
    assert taught == {"classifier.weight", "classifier.bias"}


@pytest.mark.parametrize(
    ("term", "untouched"), [("encoder_dreaming", "decoder."), ("decoder_dreaming", "encoder.")]
)
def test_each_proximity_teaches_one_network(term, untouched):
    for name, gradient in Step().gradients(term).items():
        if name.startswith(untouched):
            assert gradient is None or (gradient == 0).all()


def test_the_ablation_of_dreaming_leaves_the_classifier_its_dreams():
    torch.manual_seed(0)
    on = Step(tiny(dreaming=True)).values()
    torch.manual_seed(0)
    off = Step(tiny(dreaming=False)).values()
    for name in ("encoder_dreaming", "decoder_dreaming"):
        assert on[name] > 0.0 == off[name]
    assert on["classification"] == off["classification"]


def test_names_of_losses_are_checked():
    with pytest.raises(AssertionError):
        StepLosses({"reconstruction": torch.zeros(())}, torch.zeros(1, 6))
