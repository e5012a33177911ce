"""The configuration: the paper's values, the schedule of C, and what is refused."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch

from vase_rl import VASEConfig
from vase_rl.config import PRESETS
from vase_rl.distributions import capacity_term

PAPER_ROWS = ["ablation", "five-datasets", "celeba-fashion", "dmlab", "imagination"]

# Table 2: γ, C_max, δC, λ, κ, τ of the disentangled model, then λ of the entangled one.
TABLE_2 = {
    "ablation": (100.0, 35.0, 6.3e-6, 0.6, 1.5, 500, 0.6),
    "five-datasets": (100.0, 35.0, 6.3e-6, 0.6, 1.5, 5000, 0.6),
    "celeba-fashion": (200.0, 20.0, 1.7e-5, 0.8, 1.1, 500, 0.8),
    "dmlab": (200.0, 25.0, 1e-5, 2.0, 1.1, 5000, 20.0),
    "imagination": (200.0, 35.0, 0.7e-5, 0.7, 1.5, 500, 0.7),
}


def test_presets_are_compact_and_the_rows_of_table_2():
    assert set(PRESETS) == {"compact", "compact-detail", "dmlab-compact", *PAPER_ROWS}
    assert set(TABLE_2) == set(PAPER_ROWS)


@pytest.mark.parametrize("name", PAPER_ROWS)
def test_a_paper_preset_has_the_values_of_table_2(name):
    config, entangled = (VASEConfig.preset(name, entangled=e) for e in (False, True))
    assert config.capacity_form == "squared"
    assert TABLE_2[name] == (
        config.gamma,
        config.capacity_max,
        config.capacity_rate,
        config.atypicality_threshold,
        config.loss_tolerance,
        config.snapshot_interval,
        entangled.atypicality_threshold,
    )
    for c in (config, entangled):
        assert c.atypicality_lower < c.atypicality_threshold < c.atypicality_upper


@pytest.mark.parametrize("name", PAPER_ROWS)
def test_a_paper_preset_has_the_network_and_optimiser_of_the_appendix(name):
    config = VASEConfig.preset(name)
    assert (config.image_size, config.space_to_depth, config.filters, config.hidden) == (
        64, 1, (64, 64, 128, 128), 256,
    )  # fmt: skip
    assert (config.latents, config.max_environments) == (24, 7)
    assert (config.learning_rate, config.batch_size) == (6e-4, 64)
    colour = name == "dmlab"
    assert config.channels == (3 if colour else 1)
    assert config.likelihood == ("gaussian" if colour else "bernoulli")


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_the_entangled_baseline_is_a_plain_vae_at_every_step(name):
    config = VASEConfig.preset(name, entangled=True)
    for kl in (0.0, 3.0, 80.0):
        for step in (0, 10**4, 10**7):
            beta = config.beta_after(step)
            term = capacity_term(torch.tensor(kl), config.capacity(step), beta, config)
            assert float(term) == pytest.approx(kl)


def test_beta_warms_up():
    config = VASEConfig(beta=3.0, beta_warm_up=200)
    steps = (0, 99, 199, 10**6)
    assert [config.beta_after(step) for step in steps] == pytest.approx([0.015, 1.5, 3.0, 3.0])
    assert VASEConfig(beta=3.0, beta_warm_up=0).beta_after(0) == 3.0


def test_the_recipe_as_printed():
    config = VASEConfig.preset("ablation", as_printed=True)
    assert (config.inference, config.loss_tolerance, config.persistence) == ("algorithm1", 1.5, 1)
    assert (config.snapshot_sync, config.snapshot_interval) == ("interval", 500)
    assert (config.encoder_dreaming_weight, config.decoder_dreaming_weight) == (1000.0, 20.0)
    assert (config.capacity_form, config.gamma, config.capacity_max) == ("squared", 100.0, 35.0)
    assert (config.mask_updates, config.burn_in) == ("hysteresis", 0)
    small, compact = VASEConfig.preset("compact", as_printed=True), VASEConfig.preset("compact")
    sizes = ("image_size", "space_to_depth", "filters", "hidden", "latents")
    paper = {field: getattr(compact, field) for field in sizes}
    assert small == dataclasses.replace(config, **paper)
    entangled = VASEConfig.preset("ablation", as_printed=True, entangled=True)
    assert (entangled.capacity_form, entangled.beta, entangled.gamma) == ("bounded", 1.0, 0.0)


def test_compact_is_small():
    config = VASEConfig.preset("compact")
    assert (config.image_size, config.channels) == (32, 1)
    assert config.capacity_form == "bounded"  # the pilot's other forms collapsed on short schedules


def test_overrides_win_over_the_preset_and_the_baseline():
    config = VASEConfig.preset("celeba-fashion", entangled=True, beta=3.0, latents=10)
    assert (config.beta, config.latents, config.loss_tolerance) == (3.0, 10, 1.1)


def test_capacity_may_start_above_zero():
    config = VASEConfig(capacity_start=6.0, capacity_max=25.0, capacity_rate=1e-3)
    assert [config.capacity(step) for step in (0, 100, 760, 10**6)] == [6.0, 8.5, 25.0, 25.0]


def test_capacity_rises_linearly_and_stays():
    config = VASEConfig.preset("ablation")
    assert config.capacity(0) == 0.0
    assert config.capacity(50_000) == pytest.approx(6.3e-6 * 35.0 * 50_000)
    steps = range(0, 200_000, 1000)
    values = [config.capacity(s) for s in steps]
    assert values == sorted(values)
    # Reached at step 1/δC = 158,730.2, so the last fraction of a step falls on 158,731.
    assert config.capacity(158_730) == pytest.approx(35.0, abs=6.3e-6 * 35.0)
    assert config.capacity(158_730) < config.capacity(158_731) == config.capacity(10**9) == 35.0


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_dictionaries_give_the_same_configuration_back(name):
    config = VASEConfig.preset(name)
    values = config.to_dict()
    assert set(values) == {f.name for f in dataclasses.fields(config)}
    assert VASEConfig.from_dict(values) == config
    # As JSON and the like would store it.
    assert VASEConfig.from_dict({**values, "filters": list(values["filters"])}) == config


def test_a_configuration_is_frozen_and_hashable():
    config = VASEConfig()
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.latents = 3  # type: ignore[misc]
    assert len({config, VASEConfig(), VASEConfig(latents=8)}) == 2


BAD_FIELDS: list[tuple[dict[str, Any], str]] = [
    ({"latents": 0}, r"latents must be a positive integer, got 0"),
    ({"latents": 8.0}, r"latents must be a positive integer, got 8\.0"),
    ({"batch_size": True}, r"batch_size must be a positive integer, got True"),
    ({"max_environments": -1}, r"max_environments must be a positive integer, got -1"),
    ({"persistence": 0}, r"persistence must be a positive integer, got 0"),
    ({"gamma": -1.0}, r"gamma must be a finite number, 0 or above, got -1\.0"),
    ({"gamma": float("nan")}, r"gamma must be a finite number, 0 or above, got nan"),
    ({"capacity_max": float("inf")}, r"capacity_max must be a finite number.*got inf"),
    ({"learning_rate": 0.0}, r"learning_rate must be a finite number above 0, got 0\.0"),
    ({"learning_rate": "fast"}, r"learning_rate must be a finite number above 0, got 'fast'"),
    ({"shift_deviations": None}, r"shift_deviations must be a finite number above 0, got None"),
    ({"encoder_distance": "l2"}, r"encoder_distance must be one of .*wasserstein.*got 'l2'"),
    ({"decoder_distance": "l2"}, r"decoder_distance must be one of .*kl_old_new.*got 'l2'"),
    ({"decoder_reduction": "max"}, r"decoder_reduction must be one of .*got 'max'"),
    ({"encoder_reduction": "max"}, r"encoder_reduction must be one of .*got 'max'"),
    ({"encoder_latents": "spare"}, r"encoder_latents must be one of .*used.*got 'spare'"),
    ({"loss_test": "both"}, r"loss_test must be one of .*two_sided.*got 'both'"),
    ({"loss_deviations": 0}, r"loss_deviations must be a finite number above 0, got 0"),
    ({"block_frames": 0}, r"block_frames must be a positive integer, got 0"),
    ({"reset_optimizer": None}, r"reset_optimizer must be True or False, got None"),
    ({"dreaming": 1}, r"dreaming must be True or False, got 1"),
    ({"likelihood": "poisson"}, r"likelihood must be one of .*bernoulli.*got 'poisson'"),
    ({"capacity_form": "cubic"}, r"capacity_form must be one of .*bounded.*got 'cubic'"),
    ({"inference": []}, r"inference must be one of .*got \[\]"),
    ({"channels": 2}, r"channels must be 1 \(grey\) or 3 \(RGB\), got 2"),
    ({"filters": ()}, r"filters must be a non-empty sequence of positive integers, got \(\)"),
    ({"filters": 64}, r"filters must be a non-empty sequence of positive integers, got 64"),
    ({"filters": (64, 0)}, r"filters must be a non-empty sequence.*got \(64, 0\)"),
    ({"filters": "wide"}, r"filters must be a non-empty sequence.*got 'wide'"),
    ({"image_size": 40}, r"image_size must be a multiple of 16 .*got 40"),
    ({"image_size": 16, "space_to_depth": 2}, r"image_size must be a multiple of 32 .*got 16"),
    ({"minimum_active": 25}, r"minimum_active must be at most the number of latents \(24\), got"),
    (
        {"atypicality_lower": 2.0, "atypicality_upper": 1.0},
        r"atypicality_lower must be below atypicality_upper \(1\.0\), got 2\.0",
    ),
]


@pytest.mark.parametrize(("fields", "message"), BAD_FIELDS)
def test_bad_fields_are_named_with_rule_and_value(fields, message):
    with pytest.raises(ValueError, match=r"VASEConfig\." + message):
        VASEConfig(**fields)


def test_unknown_names_are_refused():
    with pytest.raises(ValueError, match=r"preset must be one of \['ablation'.*got 'big'"):
        VASEConfig.preset("big")
    with pytest.raises(ValueError, match=r"unknown configuration field 'latent'; known: \["):
        VASEConfig.preset("compact", latent=3)
    with pytest.raises(ValueError, match="unknown configuration field 'colour'"):
        VASEConfig.from_dict({"colour": 1})
