"""The fast layers against torch's own, and against differences of second order."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.autograd import gradcheck, gradgradcheck
from torch.nn import functional as F

from vase_rl.convolutions import Doubling, Halving, Rectifier

SHAPES = [(1, 3, 4), (3, 8, 8), (4, 5, 2), (5, 4, 8), (16, 32, 4), (32, 16, 1)]
"""Channels of frames and of maps, and the maps' side: rearranged frames and others."""


def compared(layer, plain, x):
    """Outputs and gradients of input, weight and bias of both, for one random cotangent."""
    twin = x.detach().clone().requires_grad_()
    out, expected = layer(x), plain(twin, layer.weight, layer.bias, 2, 1)
    cotangent = torch.randn(expected.shape, dtype=x.dtype)
    parameters = (layer.weight, layer.bias)
    ours = torch.autograd.grad(out, (x, *parameters), cotangent)
    theirs = torch.autograd.grad(expected, (twin, *parameters), cotangent)
    return [(out, expected), *zip(ours, theirs, strict=True)]


@pytest.mark.parametrize("channels_last", [True, False])
@pytest.mark.parametrize(("channels", "filters", "side"), SHAPES)
def test_layers_are_torchs_convolutions(channels, filters, side, channels_last):
    torch.manual_seed(0)
    layout = torch.channels_last if channels_last else torch.contiguous_format
    down = Halving(channels, filters).double()
    up = Doubling(filters, channels).double()
    x = torch.randn(3, channels, 2 * side, 2 * side).double().contiguous(memory_format=layout)
    y = torch.randn(3, filters, side, side).double().contiguous(memory_format=layout)
    pairs = compared(down, F.conv2d, x.requires_grad_())
    pairs += compared(up, F.conv_transpose2d, y.requires_grad_())
    for ours, theirs in pairs:
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize(("channels", "filters"), [(2, 3), (5, 2)])
def test_they_can_be_differentiated_twice(channels, filters):
    torch.manual_seed(0)
    down, up = Halving(channels, filters).double(), Doubling(filters, channels).double()
    x = torch.randn(2, channels, 4, 4).double().requires_grad_()
    y = torch.randn(2, filters, 2, 2).double().requires_grad_()
    for layer, argument in ((down, x), (up, y)):

        def function(value, weight, bias, layer=layer):
            arguments = {"weight": weight, "bias": bias}
            return torch.func.functional_call(layer, arguments, (value,)).square()

        arguments = (argument, layer.weight, layer.bias)
        assert gradcheck(function, arguments)
        assert gradgradcheck(function, arguments)


def test_layers_compute_in_the_dtype_of_what_comes_in():
    torch.manual_seed(0)
    for layer, plain, x in [
        (Halving(1, 32), F.conv2d, torch.randn(4, 1, 16, 16)),
        (Halving(32, 8), F.conv2d, torch.randn(4, 32, 8, 8)),
        (Doubling(32, 1), F.conv_transpose2d, torch.randn(4, 32, 8, 8)),
        (Doubling(32, 8), F.conv_transpose2d, torch.randn(4, 32, 8, 8)),
    ]:
        out = layer(x.bfloat16())
        assert out.dtype == torch.bfloat16
        expected = plain(x, layer.weight, layer.bias, 2, 1)
        # Products of numbers rounded to 8 bits, in sums of a few dozen of them.
        torch.testing.assert_close(out.float(), expected, atol=0.03, rtol=0.02)
        out.float().square().mean().backward()
        assert layer.weight.grad.dtype == torch.float32


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_rectifier_is_relu(dtype):
    values = torch.tensor([-torch.inf, -3e38, -1.5, -1e-40, -0.0, 0.0, 1e-40, 0.7, 3e38, torch.inf])
    x = values.to(dtype).reshape(1, 2, 5, 1).contiguous(memory_format=torch.channels_last)
    x.requires_grad_()
    cotangent = torch.arange(1.0, 11.0).to(dtype).reshape(x.shape)
    out = Rectifier()(x.clone())
    (gradient,) = torch.autograd.grad(out, x, cotangent)
    assert torch.equal(out, F.relu(x))
    assert torch.equal(gradient, torch.where(x > 0, cotangent, 0))


def test_the_rectifier_can_be_differentiated_twice():
    weight = torch.tensor([[-1.0, 2.0, 3.0]]).bfloat16().requires_grad_()
    x = torch.tensor([[1.0, 1.0, 0.5]]).bfloat16().requires_grad_()
    out = Rectifier()(weight * x).sum()
    (slope,) = torch.autograd.grad(out, x, create_graph=True)
    assert torch.equal(slope, torch.tensor([[0.0, 2.0, 3.0]]).bfloat16())
    (second,) = torch.autograd.grad(slope.sum(), weight)
    assert torch.equal(second, torch.tensor([[0.0, 1.0, 1.0]]).bfloat16())


def rectified_layers(channels, filters, dtype=torch.float64):
    """Ours, with the rectifiers' gradients left to the layers after them."""
    return nn.Sequential(
        Halving(channels, filters),
        Rectifier(deferred=True),
        Halving(filters, 2 * filters, after_rectifier=True),
        Rectifier(),
        Doubling(2 * filters, filters),
        Rectifier(deferred=True),
        Doubling(filters, channels, after_rectifier=True),
    ).to(dtype)


@pytest.mark.parametrize(("channels", "filters"), [(1, 5), (6, 3)])
def test_layers_take_the_gradient_of_the_rectifier_before_them(channels, filters):
    torch.manual_seed(0)
    ours = rectified_layers(channels, filters)
    torchs = nn.Sequential(
        nn.Conv2d(channels, filters, 4, 2, 1),
        nn.ReLU(),
        nn.Conv2d(filters, 2 * filters, 4, 2, 1),
        nn.ReLU(),
        nn.ConvTranspose2d(2 * filters, filters, 4, 2, 1),
        nn.ReLU(),
        nn.ConvTranspose2d(filters, channels, 4, 2, 1),
    ).double()
    torchs.load_state_dict(ours.state_dict())
    x = torch.randn(6, channels, 8, 8).double().requires_grad_()
    cotangent = torch.randn(6, channels, 8, 8).double()
    kept = cotangent.clone()
    for layers in (ours, torchs):
        layers.out = layers(x)
        layers.gradients = torch.autograd.grad(layers.out, (x, *layers.parameters()), cotangent)
    torch.testing.assert_close(ours.out, torchs.out)
    for mine, theirs in zip(ours.gradients, torchs.gradients, strict=True):
        torch.testing.assert_close(mine, theirs)
    assert torch.equal(cotangent, kept)


def test_in_bfloat16_they_take_it_too():
    torch.manual_seed(0)
    gradients = {}
    for dtype in (torch.float32, torch.bfloat16):
        torch.manual_seed(1)
        layers = rectified_layers(3, 8, torch.float32)
        x = torch.randn(6, 3, 8, 8, generator=torch.Generator().manual_seed(2)).to(dtype)
        layers(x).float().square().sum().backward()
        gradients[dtype] = [p.grad for p in layers.parameters()]
    for exact, rounded in zip(*gradients.values(), strict=True):
        assert float((exact - rounded).norm() / exact.norm()) < 0.05


def test_rectified_layers_can_be_differentiated_twice():
    torch.manual_seed(0)
    layers = rectified_layers(2, 2)
    x = torch.randn(1, 2, 4, 4).double().requires_grad_()
    names = [name for name, _ in layers.named_parameters()]

    def function(x, *weights):
        named = dict(zip(names, weights, strict=True))
        return torch.func.functional_call(layers, named, (x,)).square()

    arguments = (x, *layers.parameters())
    assert gradcheck(function, arguments)
    assert gradgradcheck(function, arguments)


def test_a_trunk_keeps_the_names_of_its_weights():
    ours = nn.Sequential(Halving(1, 4), Rectifier(), Doubling(4, 1)).state_dict()
    torchs = nn.Sequential(
        nn.Conv2d(1, 4, 4, 2, 1), nn.ReLU(), nn.ConvTranspose2d(4, 1, 4, 2, 1)
    ).state_dict()
    assert {name: value.shape for name, value in ours.items()} == {
        name: value.shape for name, value in torchs.items()
    }


def test_without_gradients_the_result_is_the_same():
    torch.manual_seed(0)
    for layer, x in [
        (Halving(1, 16), torch.randn(2, 1, 8, 8)),
        (Halving(1, 16), torch.randn(9, 1, 8, 8)),
        (Doubling(16, 1), torch.randn(9, 16, 4, 4)),
        (nn.Sequential(Halving(5, 8), Rectifier()), torch.randn(3, 5, 8, 8)),
    ]:
        for dtype in (torch.float32, torch.bfloat16):
            with torch.no_grad():
                out = layer(x.to(dtype))
            assert not out.requires_grad
            assert torch.equal(out, layer(x.to(dtype)))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_what_is_exported_holds_for_batches_of_any_size(dtype):
    torch.manual_seed(0)
    layers = nn.Sequential(Halving(1, 8), Rectifier(), Doubling(8, 1))
    many, few = torch.rand(9, 1, 8, 8).to(dtype), torch.rand(2, 1, 8, 8).to(dtype)
    sizes = ({0: torch.export.Dim("frames", min=1, max=64)},)
    exported = torch.export.export(layers, (many,), dynamic_shapes=sizes).module()
    for x in (many, few):
        torch.testing.assert_close(exported(x), layers(x))
