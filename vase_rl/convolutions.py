"""4×4 convolutions of stride 2 and their transposes, as fast as a processor has them.

Both are partial derivatives of one form that is linear in frames x, maps y and weights w,
F(x, y, w) = ⟨y, down(x, w)⟩, and so are their gradients: `down` = ∂F/∂y, `up` = ∂F/∂x,
`outer` = ∂F/∂w. torch has fast kernels for all three, but does not use them everywhere: transposed
convolutions learn several times slower than convolutions, and frames of few channels are slow in
both. Here every layer gets the fast ones. Channels lie last in memory.

Layers compute in the dtype of what comes in; their weights are rounded to it. Shape suffixes:
B batch, C channels of x, D channels of y, h and w their height and width, half of those of x.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.nn import functional as F

SIDE, STRIDE, PADDING = 4, 2, 1
# x of up to so many channels is rearranged to maps of four times as many, at half the side, unless
# there are as few frames: then arranging takes longer than it saves.
FEW = 4


class Halving(nn.Conv2d):
    """(B, C, 2h, 2w) to (B, D, h, w).

    Args:
        channels, filters: C and D.
        after_rectifier: what comes in is that of a `Rectifier(deferred=True)`, whose gradient is
            taken here.
    """

    plain = False
    """Whether torch's own layer is used everywhere: `torch.func` knows no other."""

    def __init__(self, channels: int, filters: int, after_rectifier: bool = False) -> None:
        super().__init__(channels, filters, SIDE, stride=STRIDE, padding=PADDING)
        self.after_rectifier = after_rectifier
        self.weight.data = _channels_last(self.weight.data)

    def forward(self, x: Tensor) -> Tensor:
        assert self.bias is not None
        weight, bias = self.weight.to(x.dtype), self.bias.to(x.dtype)
        if self.plain or _plainly(x):
            return F.conv2d(x, weight, bias, STRIDE, PADDING)
        if torch.is_grad_enabled():
            return _apply(_Down, x, weight, bias, self.after_rectifier)
        return _down(x, weight, bias)


class Doubling(nn.ConvTranspose2d):
    """The transpose, (B, D, h, w) to (B, C, 2h, 2w). Arguments as of `Halving`."""

    plain = False
    """As in `Halving`."""

    def __init__(self, filters: int, channels: int, after_rectifier: bool = False) -> None:
        super().__init__(filters, channels, SIDE, stride=STRIDE, padding=PADDING)
        self.after_rectifier = after_rectifier
        self.weight.data = _channels_last(self.weight.data)

    def forward(self, y: Tensor, output_size: list[int] | None = None) -> Tensor:
        assert self.bias is not None
        weight, bias = self.weight.to(y.dtype), self.bias.to(y.dtype)
        if self.plain or _plainly(y):
            return F.conv_transpose2d(y, weight, bias, STRIDE, PADDING)
        if torch.is_grad_enabled():
            return _apply(_Up, y, weight, bias, self.after_rectifier)
        return _up(y, weight, bias)


def _plainly(x: Tensor) -> bool:
    """Whether torch's own layers are to be used: elsewhere they are fast, and what is exported is
    to hold for batches of any size."""
    return x.device.type != "cpu" or torch.compiler.is_compiling()


def _down(x: Tensor, w: Tensor, bias: Tensor | None) -> Tensor:
    """∂F/∂y, with a bias (D,) or None."""
    if x.shape[1] > FEW or len(x) <= FEW:
        return F.conv2d(_channels_last(x), w, bias, STRIDE, PADDING)
    return F.conv2d(_split(x), _split_kernel(w), bias)


def _up(y: Tensor, w: Tensor, bias: Tensor | None) -> Tensor:
    """∂F/∂x, with a bias (C,) or None."""
    y = _channels_last(y)
    if w.shape[1] > FEW:
        return F.conv_transpose2d(y, w, bias, STRIDE, PADDING)
    each = None if bias is None else bias.repeat_interleave(STRIDE**2)
    return _join(F.conv_transpose2d(y, _split_kernel(w), each))


def _outer(x: Tensor, y: Tensor) -> Tensor:
    """∂F/∂w."""
    y = _channels_last(y)
    if x.shape[1] > FEW:
        return _weight_gradient(_channels_last(x), y, SIDE, STRIDE, PADDING)
    return F.pixel_shuffle(_weight_gradient(_split(x), y, SIDE // STRIDE, 1, 0), STRIDE)


class _Down(Function):
    """`_down`, and its gradients: that of x where it is `rectified` (see `Rectifier`)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, w: Tensor, bias: Tensor | None, rectified: bool) -> Tensor:
        ctx.save_for_backward(x, w)
        ctx.rectified = rectified
        return _down(x, w, bias)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        x, w = ctx.saved_tensors
        (g,) = grads
        of_x, of_w, of_bias, _ = ctx.needs_input_grad
        return (
            _passed(_apply(_Up, g, w, None, False), x, ctx.rectified) if of_x else None,
            _apply(_Outer, x, g, ctx.rectified, False) if of_w else None,
            _sum(g) if of_bias else None,
            None,
        )


class _Up(Function):
    """`_up`, and its gradients: that of y where it is `rectified`."""

    @staticmethod
    def forward(ctx: Any, y: Tensor, w: Tensor, bias: Tensor | None, rectified: bool) -> Tensor:
        ctx.save_for_backward(y, w)
        ctx.rectified = rectified
        return _up(y, w, bias)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        y, w = ctx.saved_tensors
        (g,) = grads
        of_y, of_w, of_bias, _ = ctx.needs_input_grad
        return (
            _passed(_apply(_Down, g, w, None, False), y, ctx.rectified) if of_y else None,
            _apply(_Outer, g, y, False, ctx.rectified) if of_w else None,
            _sum(g) if of_bias else None,
            None,
        )


class _Outer(Function):
    """`_outer`, and its gradients: those of x and y where these are rectified."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, y: Tensor, rectified_x: bool, rectified_y: bool) -> Tensor:
        ctx.save_for_backward(x, y)
        ctx.rectified = rectified_x, rectified_y
        return _outer(x, y)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        x, y = ctx.saved_tensors
        (g,) = grads
        of_x, of_y, *_ = ctx.needs_input_grad
        return (
            _passed(_apply(_Up, y, g, None, False), x, ctx.rectified[0]) if of_x else None,
            _passed(_apply(_Down, x, g, None, False), y, ctx.rectified[1]) if of_y else None,
            None,
            None,
        )


class Rectifier(nn.ReLU):
    """ReLU in place: what comes in must be needed by nobody else.

    Args:
        deferred: the layer that follows, and nothing else, takes what comes out, and takes this
            layer's gradient too (`after_rectifier`): in place, on what it has made itself. A
            gradient that comes from elsewhere may not be written to, and memory is what waits.
            By itself, without that layer, such a rectifier's gradient is wrong.
    """

    plain = False
    """As in `Halving`."""

    def __init__(self, deferred: bool = False) -> None:
        super().__init__()
        self.deferred = deferred

    def forward(self, x: Tensor) -> Tensor:
        if self.plain or _plainly(x):
            return F.relu(x, inplace=True)
        if torch.is_grad_enabled():
            return _apply(_Rectify, x, self.deferred)
        return _rectify(x)


class _Rectify(Function):
    """`_rectify`, and its gradient."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, deferred: bool) -> Tensor:
        _rectify(x)
        ctx.mark_dirty(x)
        ctx.deferred = deferred
        if not deferred:
            ctx.save_for_backward(x)
        return x

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        if ctx.deferred:
            return grads[0], None
        (rectified,) = ctx.saved_tensors
        return _apply(_Pass, grads[0], rectified), None


class _Pass(Function):
    """What comes in where `rectified` is positive, else 0."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, rectified: Tensor) -> Tensor:
        ctx.save_for_backward(rectified)
        passed: Tensor = torch.ops.aten.threshold_backward(_bits(x), _bits(rectified), 0)
        return passed.view(x.dtype)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        (rectified,) = ctx.saved_tensors
        return _apply(_Pass, grads[0], rectified), None


def _rectify(x: Tensor) -> Tensor:
    _bits(x).clamp_min_(0)
    return x


def _passed(g: Tensor, x: Tensor, rectified: bool) -> Tensor:
    """`_Pass`, in place where nobody differentiates it, if x is rectified; g as it is if not."""
    if not rectified:
        return g
    if torch.is_grad_enabled():
        return _apply(_Pass, g, x)
    bits = _bits(g)
    torch.ops.aten.threshold_backward(bits, _bits(x), 0, grad_input=bits)
    return g


def _bits(x: Tensor) -> Tensor:
    """bfloat16 numbers as integers of the same bits, which compare with 0 as they do, at the speed
    of memory: as bfloat16 they are converted and back, which takes several times as long. A NaN
    whose sign is set is below 0. Others as they are."""
    return x.view(torch.int16) if x.dtype == torch.bfloat16 else x


def _apply(function: type[Function], *arguments: Tensor | bool | None) -> Tensor:
    # What comes in says in which numbers, here as in the backward pass, which no caller's autocast
    # reaches.
    with torch.autocast("cpu", enabled=False):
        result: Tensor = function.apply(*arguments)  # type: ignore[no-untyped-call]
    return result


def _weight_gradient(x: Tensor, y: Tensor, side: int, stride: int, padding: int) -> Tensor:
    """Of conv2d with square kernels, (D, C, side, side)."""
    weight = x.new_empty(y.shape[1], x.shape[1], side, side)
    gradients = torch.ops.aten.convolution_backward(
        y, x, weight, None, [stride] * 2, [padding] * 2, [1, 1], False, [0, 0], 1,
        [False, True, False],
    )  # fmt: skip
    gradient: Tensor = gradients[1]
    return gradient


def _sum(g: Tensor) -> Tensor:
    """Over frames and places, (C,)."""
    if g.shape[1] <= FEW:
        return g.sum((0, 2, 3))
    # As a product of matrices: torch's sums of channels that lie last take several times as long.
    rows = g.permute(0, 2, 3, 1).flatten(0, 2)
    return (rows.new_ones(1, len(rows)) @ rows)[0]


def _channels_last(x: Tensor) -> Tensor:
    return x.contiguous(memory_format=torch.channels_last)


def _split(x: Tensor) -> Tensor:
    """x with its padding as (B, 4C, h + 1, w + 1): a 4×4 kernel of stride 2 is a 2×2 one of it."""
    padded = F.pad(x, (PADDING,) * 4)
    return _channels_last(F.pixel_unshuffle(padded, STRIDE))


def _split_kernel(w: Tensor) -> Tensor:
    """(D, C, 4, 4) as (D, 4C, 2, 2)."""
    return _channels_last(F.pixel_unshuffle(w, STRIDE))


def _join(x: Tensor) -> Tensor:
    """Inverse of `_split`: (B, C, 2h, 2w)."""
    joined = F.pixel_shuffle(x, STRIDE)[..., PADDING:-PADDING, PADDING:-PADDING]
    return _channels_last(joined)
