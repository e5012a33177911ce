"""Frames at the learner's door."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from worlds import tiny

from vase_rl.frames import to_frames, to_tensor

CPU = torch.device("cpu")
GREY, COLOUR = tiny(), tiny(channels=3)


def random_frames(channels: int, frames: int = 5) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (frames, 8, 8, channels), dtype=np.uint8)


@pytest.mark.parametrize("config", [GREY, COLOUR])
def test_frames_are_scaled_and_channels_come_first(config):
    frames = random_frames(config.channels)
    x = to_tensor(frames, config, CPU)
    assert x.dtype == torch.float32
    np.testing.assert_allclose(x.numpy(), frames.transpose(0, 3, 1, 2) / 255.0, rtol=1e-6)


@pytest.mark.parametrize("channels", [1, 3])
def test_frames_survive_the_way_there_and_back(channels):
    config = tiny(channels=channels)
    frames = np.arange(4 * 64 * channels).reshape(-1, 8, 8, channels).astype(np.uint8)
    assert len(np.unique(frames)) == 256
    back = to_frames(to_tensor(frames, config, CPU))
    assert back.dtype == np.uint8
    assert np.array_equal(back, frames)


def test_pixels_are_rounded_and_cut_to_the_range():
    images = torch.tensor([-0.2, 0.0, 0.499 / 255, 0.501 / 255, 1.0, 1.7]).reshape(1, 1, 2, 3)
    assert to_frames(images).ravel().tolist() == [0, 0, 0, 1, 255, 255]


def test_any_memory_layout_will_do():
    frames = random_frames(3)
    expected = to_tensor(frames, COLOUR, CPU)
    read_only = frames.copy()
    read_only.flags.writeable = False
    mirrored = np.ascontiguousarray(frames[:, :, ::-1])[:, :, ::-1]
    for layout in (read_only, mirrored, np.asfortranarray(frames)):
        assert torch.equal(to_tensor(layout, COLOUR, CPU), expected)


def test_the_tensor_shares_no_memory_with_the_frames():
    frames = random_frames(1)
    x = to_tensor(frames, GREY, CPU)
    before = x.clone()
    frames[:] = 0
    assert torch.equal(x, before)


BAD_FRAMES: list[tuple[Any, type[Exception], str]] = [
    ([[1, 2]], TypeError, r"frames must be a numpy array of uint8, got list"),
    (torch.zeros(1, 8, 8, 1), TypeError, r"frames must be a numpy array of uint8, got Tensor"),
    (None, TypeError, r"got NoneType"),
    (np.zeros((1, 8, 8, 1)), TypeError, r"frames must be uint8 in \[0, 255\], got float64$"),
    (np.full((1, 8, 8, 1), np.nan), TypeError, r"got float64 with values that are not finite"),
    (np.zeros((1, 8, 8, 1), bool), TypeError, r"got bool"),
    (np.zeros((1, 8, 8, 1), np.int64), TypeError, r"got int64"),
    (np.zeros((8, 8, 1), np.uint8), ValueError, r"shape \(B, H, W, C\), got \(8, 8, 1\)"),
    (np.zeros((0, 8, 8, 1), np.uint8), ValueError, r"at least one frame.*\(0, 8, 8, 1\)"),
    (np.zeros((2, 9, 8, 1), np.uint8), ValueError, r"\(B, 8, 8, 1\).*got \(2, 9, 8, 1\)"),
    (np.zeros((2, 1, 8, 8), np.uint8), ValueError, r"\(B, 8, 8, 1\).*got \(2, 1, 8, 8\)"),
    (np.zeros((2, 8, 8, 3), np.uint8), ValueError, r"\(B, 8, 8, 1\).*got \(2, 8, 8, 3\)"),
]


@pytest.mark.parametrize(("frames", "exception", "message"), BAD_FRAMES)
def test_bad_frames_are_refused(frames, exception, message):
    with pytest.raises(exception, match=message):
        to_tensor(frames, GREY, CPU)
