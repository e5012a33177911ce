"""In which numbers the large layers of the networks are computed."""

from __future__ import annotations

from functools import cache
from typing import Literal

import torch

Precision = Literal["float32", "bfloat16", "auto"]


@cache
def dtype_of(precision: Precision, device: torch.device) -> torch.dtype:
    """The dtype of a precision on a device; "auto" is bfloat16 where the hardware multiplies it."""
    if precision == "auto":
        return torch.bfloat16 if multiplies_bfloat16(device) else torch.float32
    return torch.bfloat16 if precision == "bfloat16" else torch.float32


def multiplies_bfloat16(device: torch.device) -> bool:
    """Whether a device has instructions that multiply bfloat16."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type != "cpu" or not hasattr(torch.cpu, "get_capabilities"):
        return False
    able = torch.cpu.get_capabilities()
    return bool(able.get("amx_bf16", False) or able.get("avx512_bf16", False))
