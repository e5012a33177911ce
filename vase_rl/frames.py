"""Frames as Gymnasium gives them, checked once, at the learner's door."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from .config import VASEConfig


def to_tensor(frames: Any, config: VASEConfig, device: torch.device) -> Tensor:
    """Check a batch of frames and scale it to [0, 1].

    Args:
        frames: uint8 array (B, H, W, C), B ≥ 1, H = W = `config.image_size`,
            C = `config.channels`.

    Returns:
        float32 (B, C, H, W) in [0, 1]; the channels lie last in memory.

    Raises:
        TypeError: not an array of uint8.
        ValueError: wrong rank, size or channels, or an empty batch.
    """
    check_frames(frames, config)
    # torch wants memory that it may write to; frames from a replay or a viewer may be read-only.
    writable = np.require(frames, requirements=["C", "W"])
    tensor = torch.from_numpy(writable).to(device)
    return tensor.permute(0, 3, 1, 2).div(255.0)


def check_frames(frames: Any, config: VASEConfig) -> None:
    """Raise what `to_tensor` promises, without converting."""
    if not isinstance(frames, np.ndarray):
        raise TypeError(f"frames must be a numpy array of uint8, got {type(frames).__name__}")
    if frames.dtype != np.uint8:
        bad = np.issubdtype(frames.dtype, np.floating) and not np.isfinite(frames).all()
        note = " with values that are not finite" if bad else ""
        raise TypeError(f"frames must be uint8 in [0, 255], got {frames.dtype}{note}")
    if frames.ndim != 4:
        raise ValueError(f"frames must have shape (B, H, W, C), got {frames.shape}")
    if frames.shape[0] == 0:
        raise ValueError(f"frames must hold at least one frame, got an empty batch {frames.shape}")
    expected = (config.image_size, config.image_size, config.channels)
    if frames.shape[1:] != expected:
        raise ValueError(
            f"frames must have shape (B, {', '.join(map(str, expected))}) as the configuration "
            f"says, got {frames.shape}"
        )


def to_frames(images: Tensor) -> np.ndarray:
    """float (B, C, H, W) in [0, 1] to uint8 frames (B, H, W, C)."""
    return images.mul(255).round().clamp(0, 255).byte().permute(0, 2, 3, 1).cpu().numpy()
