"""Pictures made of pixels: strips of frames as PNG, and animations."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image

Images = npt.NDArray[np.uint8]

PAUSE = 5
"""Times that the last picture of an episode is shown again."""


def strip(images: Images, gap: int = 2, shade: int = 255) -> Images:
    """Images (n, H, W, C) side by side, RGB, with `gap` pixels of grey level `shade` between."""
    count, height, width = images.shape[:3]
    canvas = np.full((height, count * (width + gap) - gap, 3), shade, dtype=np.uint8)
    for place, image in enumerate(images):
        left = place * (width + gap)
        canvas[:, left : left + width] = image
    return canvas


def stack(strips: Sequence[Images], gap: int = 2, shade: int = 255) -> Images:
    """Strips (H, W, 3) of equal width one above the other."""
    columns = [np.swapaxes(part, 0, 1) for part in strips]
    return np.swapaxes(strip(np.stack(columns), gap, shade), 0, 1)


def png(image: Images, scale: int = 1) -> bytes:
    """An image (H, W, 3) as a PNG file, every pixel `scale` pixels wide."""
    content = io.BytesIO()
    large = image.repeat(scale, axis=0).repeat(scale, axis=1)
    Image.fromarray(large).save(content, format="PNG", optimize=True)
    return content.getvalue()


def data_uri(content: bytes, kind: str = "image/png") -> str:
    """A file's content as an address that a page can hold."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def together(*worlds: Sequence[Images]) -> list[Images]:
    """Episodes of several worlds side by side: each pair ends when its longer one has ended.

    Args:
        worlds: per world, episodes; per episode, pictures (T, H, W, 3).
    """
    pictures = []
    for episodes in zip(*worlds, strict=False):
        length = max(len(episode) for episode in episodes) + PAUSE
        for moment in range(length):
            row = [episode[min(moment, len(episode) - 1)] for episode in episodes]
            pictures.append(strip(np.stack(row), gap=12))
    return pictures


def gif(pictures: Sequence[Images], milliseconds: int = 180) -> bytes:
    """An animation that repeats for ever, of pictures (H, W, 3), in 64 colours of their own."""
    palette = Image.fromarray(np.concatenate(pictures[:: max(1, len(pictures) // 24)])).quantize(64)
    frames = [
        Image.fromarray(picture).quantize(palette=palette, dither=Image.Dither.NONE)
        for picture in pictures
    ]
    content = io.BytesIO()
    frames[0].save(
        content,
        format="GIF",
        save_all=True,
        append_images=frames[1:],
        duration=milliseconds,
        loop=0,
        optimize=True,
    )
    return content.getvalue()
