"""Memory that is freed stays with the process: on Linux the next step takes it back at no cost."""

from __future__ import annotations

import ctypes
import os
import sys

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""Parameters of `mallopt`, as in <malloc.h>."""
LARGEST_MMAP_THRESHOLD = 32 * 2**20
"""The most that glibc takes on 64 bits; what is larger (replay buffers, data sets) goes back to the
system when it is freed, as ever."""
THEIRS = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "MALLOC_TOP_PAD_", "GLIBC_TUNABLES")
"""Who sets one of these has tuned glibc, and is left alone."""


def keep_freed_memory() -> bool:
    """Tell glibc to keep what is freed in pieces of up to 32 MiB, in place of giving it back.

    A training step frees activations of many megabytes. By default glibc returns them to the
    system, which hands them out again in the next step, cleared page by page. The setting is the
    process's, which then holds what it has used at its peak. Every `VASE` that computes on the
    processor asks for it.

    Returns:
        Whether it is so now: False where the allocator is not glibc's, or the environment sets
        `MALLOC_TRIM_THRESHOLD_`, `MALLOC_MMAP_THRESHOLD_`, `MALLOC_TOP_PAD_` or `GLIBC_TUNABLES`.
    """
    if sys.platform != "linux" or any(name in os.environ for name in THEIRS):
        return False
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "gnu_get_libc_version"):
        return False
    # Set by itself either one switches the other's adaptation off, which is worse than neither.
    return bool(
        libc.mallopt(M_MMAP_THRESHOLD, LARGEST_MMAP_THRESHOLD)
        and libc.mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
    )
