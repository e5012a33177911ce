"""bfloat16 below the heads and above the first layer: the same numbers, within a tolerance."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from worlds import bars, checkers, tiny

from vase_rl import VASE, VASEConfig
from vase_rl.checkpoint import state_of
from vase_rl.dreaming import draw, dream
from vase_rl.networks import VASENetworks
from vase_rl.objective import training_losses
from vase_rl.precision import dtype_of, multiplies_bfloat16
from vase_rl.wrappers.view import PolicyView

CPU = torch.device("cpu")
LOSS_TOLERANCE = 0.02
"""Of every loss of a step, relative; bfloat16 keeps 8 bits, and some losses are squares."""
GRADIENT_TOLERANCE = 0.05
"""Of each parameter's gradient: its distance from that of float32, relative to its length."""


def step(precision: str, config: VASEConfig) -> tuple[dict[str, float], dict[str, torch.Tensor]]:
    """Losses and gradients of a step with dreaming from fixed weights."""
    torch.manual_seed(0)
    networks = VASENetworks(config)
    snapshot = VASENetworks(config)
    for part in (*networks.modules(), *snapshot.modules()):
        if hasattr(part, "precision"):
            part.precision = precision
    x = torch.rand(32, config.channels, config.image_size, config.image_size)
    ones = torch.ones(2, config.latents, dtype=torch.bool)
    drawn = draw([0], ones, ones, torch.Generator().manual_seed(0), config)
    memory = dream(snapshot, drawn, config)
    losses = training_losses(
        networks, x, 1, ones[1], 0.0, 1.0, memory, torch.randn(32, config.latents), config
    ).by_name
    losses["total"].backward()
    gradients = {name: p.grad for name, p in networks.named_parameters()}
    return {name: float(loss.detach()) for name, loss in losses.items()}, gradients


@pytest.mark.parametrize("preset", ["compact", "ablation", "dmlab-compact"])
def test_a_step_costs_the_same_in_bfloat16(preset):
    config = VASEConfig.preset(preset, filters=(16, 32), initialisation="he")
    losses, gradients = step("float32", config)
    rounded_losses, rounded_gradients = step("bfloat16", config)
    for name, loss in losses.items():
        assert rounded_losses[name] == pytest.approx(loss, rel=LOSS_TOLERANCE), name
    assert rounded_losses != losses
    for name, gradient in gradients.items():
        away = (rounded_gradients[name] - gradient).norm() / gradient.norm()
        assert away < GRADIENT_TOLERANCE, name
        assert rounded_gradients[name].dtype == torch.float32


def test_a_learner_learns_and_switches_in_bfloat16():
    costs = {}
    for precision in ("float32", "bfloat16"):
        rng = np.random.default_rng(0)
        vase = VASE(tiny(precision=precision), seed=0, device="cpu")
        bar_costs = [vase.update(bars(rng, 32)).losses["reconstruction"] for _ in range(60)]
        assert bar_costs[-1] < 0.8 * bar_costs[0]
        for _ in range(20):
            report = vase.update(checkers(rng, 32))
        assert len(vase.environments) == 2
        costs[precision] = [bar_costs[-1], report.losses["reconstruction"]]
    assert costs["bfloat16"] == pytest.approx(costs["float32"], rel=0.05)


def test_weights_latents_and_moments_stay_float32():
    rng = np.random.default_rng(0)
    vase = VASE(tiny(precision="bfloat16"), seed=0, device="cpu")
    vase.update(bars(rng, 32))
    mean, std = vase.encode(bars(rng, 4))
    assert mean.dtype == std.dtype == np.float32
    assert {p.dtype for p in vase.networks.parameters()} == {torch.float32}
    moments = [state["exp_avg"] for state in vase.optimizer.state.values()]
    assert {m.dtype for m in moments} == {torch.float32}


@pytest.mark.parametrize("what", ["weight", "gradient"])
@pytest.mark.parametrize("layer", ["encoder.trunk.0", "decoder.trunk.5"])
def test_what_is_no_number_stops_the_training_in_bfloat16(layer, what):
    """ReLU hides it from the losses."""
    rng = np.random.default_rng(0)
    vase = VASE(tiny(filters=(8, 8), precision="bfloat16"), seed=0, device="cpu")
    vase.update(bars(rng, 32))
    weight = vase.networks.get_parameter(f"{layer}.weight")
    if what == "weight":
        weight.data[0, 0, 0, 0] = torch.nan
    else:
        weight.register_hook(lambda gradient: gradient * torch.nan)
    before = copy.deepcopy(vase.networks.state_dict())
    with pytest.raises(FloatingPointError, match=r"diverged: a (weight|gradient) of '.*' is not"):
        vase.update(bars(rng, 32))
    for name, value in vase.networks.state_dict().items():
        assert value.nan_to_num().equal(before[name].nan_to_num())


def test_a_callers_autocast_does_not_reach_the_convolutions():
    losses = []
    for enabled in (False, True):
        rng = np.random.default_rng(0)
        vase = VASE(tiny(), seed=0, device="cpu")
        for _ in range(3):
            with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
                report = vase.update(bars(rng, 32))
        losses.append(report.losses["total"])
    assert losses[1] == pytest.approx(losses[0], rel=LOSS_TOLERANCE)


def test_used_latents_are_estimated_in_bfloat16():
    rng = np.random.default_rng(0)
    vase = VASE(tiny(precision="bfloat16"), seed=0, device="cpu")
    vase.update(bars(rng, 32))
    vase.estimate_used_latents()
    assert vase.environments[0].used_latents.dtype == torch.bool


@pytest.mark.parametrize(
    ("precision", "able", "expected"),
    [
        ("float32", ["amx_bf16", "avx512_bf16"], torch.float32),
        ("bfloat16", [], torch.bfloat16),
        ("auto", ["amx_bf16"], torch.bfloat16),
        ("auto", ["avx512_bf16"], torch.bfloat16),
        ("auto", ["avx2"], torch.float32),
    ],
)
def test_auto_is_bfloat16_where_the_processor_multiplies_it(precision, able, expected, monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: dict.fromkeys(able, True))
    dtype_of.cache_clear()
    assert dtype_of(precision, CPU) == expected
    dtype_of.cache_clear()


def test_torch_of_old_knows_no_capabilities(monkeypatch):
    monkeypatch.delattr(torch.cpu, "get_capabilities")
    assert not multiplies_bfloat16(CPU)


def test_a_checkpoint_from_before_is_one_of_float32(tmp_path):
    vase = VASE(tiny(), seed=0, device="cpu")
    state = state_of(vase)
    del state["config"]["precision"]
    torch.save(state, tmp_path / "old.pt")
    assert VASE.load(tmp_path / "old.pt").config == tiny(precision="float32")


def test_moments_from_before_are_laid_out_as_their_weights(tmp_path):
    rng = np.random.default_rng(0)
    vase = VASE(tiny(filters=(8, 8)), seed=0, device="cpu")
    for _ in range(3):
        vase.update(bars(rng, 32))
    state = copy.deepcopy(state_of(vase))
    moments = [m for p in state["optimizer"]["state"].values() for m in p.values() if m.ndim == 4]
    assert all(m.is_contiguous(memory_format=torch.channels_last) for m in moments)
    for values in (state["networks"], *state["optimizer"]["state"].values()):
        values.update({name: value.contiguous() for name, value in values.items()})
    torch.save(state, tmp_path / "old.pt")
    old = VASE.load(tmp_path / "old.pt", device="cpu")
    for _ in range(3):
        frames = bars(rng, 32)
        assert old.update(frames).losses == vase.update(frames).losses


@pytest.mark.parametrize("kind", ["live", "held", "average"])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_view_computes_as_the_learner_does(kind, precision):
    rng = np.random.default_rng(0)
    vase = VASE(tiny(precision=precision), seed=0, device="cpu")
    for world in (bars, checkers):
        for _ in range(8):
            vase.update(world(rng, 32))
    view = PolicyView(vase, kind)
    frames = checkers(rng, 16)
    # Rounded before or when they are used: the weights are the same.
    np.testing.assert_allclose(view.encode(frames), vase.encode(frames)[0], rtol=1e-5, atol=1e-5)
    for environment, mask in enumerate(view.masks()):
        assert np.array_equal(view.mask(environment), mask)
    assert len(view.masks()) == 2


def test_before_the_first_world_a_view_masks_nothing():
    view = PolicyView(VASE(tiny(), seed=0, device="cpu"))
    assert view.mask(0).all()
