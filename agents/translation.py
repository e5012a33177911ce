"""Pictures moved by two-dimensional translations: things on black, which stop at the sides.

Shape suffixes: B batch, C channels, H height, W width.
"""

from __future__ import annotations

import torch
from torch import Tensor

INK = 5 / 255
"""A pixel is part of a thing where a channel is brighter."""


def translated(x_BCHW: Tensor, shift_B2: Tensor) -> Tensor:
    """g·x: pictures moved by kornia's spatial transformer.

    Args:
        x_BCHW: pictures in [0, 1]; black comes in where one ends.
        shift_B2: to the right and downwards, in parts of the picture's width and height. What
            would leave the picture stops at its sides; the gradient is that of the stop, so that
            a policy finds back, less what asks for still farther, which would never be granted.

    Returns:
        (B, C, H, W), differentiable in the shift.
    """
    # kornia takes a while to load, and most users of this package never move a picture.
    from kornia.geometry.transform import translate

    beyond = (shift_B2 - stopped_at_sides(x_BCHW, shift_B2)).detach()
    stopped = shift_B2 - beyond
    if stopped.requires_grad:
        stopped.register_hook(  # type: ignore[no-untyped-call]
            lambda gradient: gradient.masked_fill(gradient * beyond < 0, 0)
        )
    moved: Tensor = translate(x_BCHW, stopped * _sides(x_BCHW))
    return moved


@torch.no_grad()
def carried_out(x_BCHW: Tensor, shift_B2: Tensor) -> tuple[Tensor, Tensor]:
    """Pictures (B, C, H, W) moved by whole pixels, which blurs nothing, and the shifts (B, 2)."""
    sides = _sides(x_BCHW)
    shift = (stopped_at_sides(x_BCHW, shift_B2) * sides).round() / sides
    return translated(x_BCHW, shift), shift


@torch.no_grad()
def stopped_at_sides(x_BCHW: Tensor, shift_B2: Tensor) -> Tensor:
    """Shifts (B, 2) as far as what is not black in a picture stays in it."""
    ink = (x_BCHW > INK).any(1)
    rooms = [_room(ink.any(axis)) for axis in (1, 2)]
    least, most = (torch.stack(ends, 1) / _sides(x_BCHW) for ends in zip(*rooms, strict=True))
    return torch.minimum(torch.maximum(shift_B2, -least), most)


def _room(ink_BL: Tensor) -> tuple[Tensor, Tensor]:
    """Free pixels before and behind the ink of a line; none where there is no ink."""
    ends = (ink_BL.float().argmax(1), ink_BL.flip(1).float().argmax(1))
    before, behind = (torch.where(ink_BL.any(1), end, 0) for end in ends)
    return before, behind


def _sides(x_BCHW: Tensor) -> Tensor:
    height, width = x_BCHW.shape[2:]
    return torch.tensor([width, height], dtype=x_BCHW.dtype, device=x_BCHW.device)
