"""PNG and JPEG, checked first: decoders fill what is missing of a damaged image in silence."""

from __future__ import annotations

import zlib

import cv2
import numpy as np

from .reader import Images

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
JPEG_SIGNATURE, JPEG_END = b"\xff\xd8", b"\xff\xd9"


def decode_image(content: bytes, *, swapped: bool = False) -> Images:
    """An image uint8 (H, W, C), C 1 (grey) or 3 (RGB); an alpha channel is dropped.

    Args:
        content: a PNG or JPEG file's bytes.
        swapped: the writer took RGB for BGR, so that the file has red and blue exchanged.

    Raises:
        ValueError: it is neither, is cut off or damaged, or has more than 8 bits per colour.
    """
    if content.startswith(PNG_SIGNATURE):
        _check_png(memoryview(content))
    elif content.startswith(JPEG_SIGNATURE):
        _check_jpeg(content)
    else:
        raise ValueError(f"an image must be PNG or JPEG, got bytes that start with {content[:8]!r}")
    image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    if image is None:
        raise ValueError("the image cannot be decoded")
    if image.dtype != np.uint8:
        raise ValueError(f"an image must have 8 bits per colour, got {image.dtype}")
    if image.ndim == 2:
        return np.asarray(image[:, :, None], np.uint8)
    if swapped:
        return np.ascontiguousarray(image[:, :, :3], np.uint8)
    change = cv2.COLOR_BGR2RGB if image.shape[2] == 3 else cv2.COLOR_BGRA2RGB
    return np.asarray(cv2.cvtColor(image, change), np.uint8)


def _check_png(content: memoryview) -> None:
    """Each chunk is length, type, content, checksum of type and content; IEND is the last one."""
    position, kind = len(PNG_SIGNATURE), b""
    while kind != b"IEND":
        length = int.from_bytes(content[position : position + 4], "big")
        end = position + 12 + length
        if end > len(content):
            raise ValueError(f"the PNG is cut off: its chunk at byte {position} ends at byte "
                             f"{end} of {len(content)}")  # fmt: skip
        kind = bytes(content[position + 4 : position + 8])
        stored = int.from_bytes(content[end - 4 : end], "big")
        if zlib.crc32(content[position + 4 : end - 4]) != stored:
            raise ValueError(f"the PNG is damaged: the checksum of its chunk at byte {position} "
                             "is wrong")  # fmt: skip
        position = end


def _check_jpeg(content: bytes) -> None:
    if not content.rstrip(b"\0").endswith(JPEG_END):
        raise ValueError(f"the JPEG is cut off: its {len(content)} bytes end without an end mark")
