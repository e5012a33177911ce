"""Memory that is freed stays with the process: on Linux the next step takes it back at no cost."""

from __future__ import annotations

import ctypes
import os
import sys

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""Parameters of `mallopt`, as in <malloc.h>."""
MMAP_THRESHOLDS = (256 * 2**20, 32 * 2**20)
"""Pieces below so many bytes are kept: more than a layer's activations, less than a replay buffer.
Older versions of glibc refuse the first."""
TRIM_THRESHOLD = 2**31 - 1
"""Free memory at the heap's end that is not given back: the largest C int, just below 2 GiB."""
TUNED_BY = (
    "MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "MALLOC_MMAP_MAX_", "MALLOC_TOP_PAD_",
    "GLIBC_TUNABLES",
)  # fmt: skip
"""Environment variables of glibc. Who sets one of them has tuned it, and is left alone."""


def keep_freed_memory() -> bool:
    """Tell glibc to keep what is freed, but for pieces of 256 MiB and more.

    A training step frees activations of many megabytes. By default glibc returns them to the
    system, which hands them out again in the next step, cleared page by page. The setting is the
    process's, which then holds what it has used at its peak. Every `VASE` that computes on the
    processor asks for it.

    Returns:
        Whether it is so now: False where the C library is not glibc, or the environment sets one of
        `TUNED_BY`.
    """
    if sys.platform != "linux" or any(name in os.environ for name in TUNED_BY):
        return False
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "gnu_get_libc_version"):
        return False
    # Set by itself either one switches the other's adaptation off, which is worse than neither.
    return any(libc.mallopt(M_MMAP_THRESHOLD, size) for size in MMAP_THRESHOLDS) and bool(
        libc.mallopt(M_TRIM_THRESHOLD, TRIM_THRESHOLD)
    )
