# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What stays is left alone by the garbage collector; memory that is free is given back to the system.

glibc keeps what a thread has freed in the heap of that thread, up to 8 heaps for each core, and large blocks too once
one of their size has been freed. A process that works on images for minutes then comes to be twice as large as what it
holds, by how much differs from minute to minute, and each round of the lifecycle may add 200 MB. Without glibc nothing
of this is done.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # malloc.h
LARGE_BYTES = 4 << 20
"""What is larger, such as a score volume in all yaws, is mapped alone and unmapped when it is freed.

What each frame needs many times is smaller: fresh pages cost more than memory that is used again.
"""
TOP_BYTES = 32 << 20
"""So much may be free at the end of a heap; glibc's 128 kB would be given back and taken again in each frame."""
TRIM_S = 10.0
"""While the node works, free memory is given back this often: 10 ms, and the pages that are then used again."""


def map_large_blocks() -> None:
    """Keep large blocks out of the heaps, from now on."""
    _glibc("mallopt", _MMAP_THRESHOLD, LARGE_BYTES)
    _glibc("mallopt", _TRIM_THRESHOLD, TOP_BYTES)


def trim() -> None:
    """Give free pages of the heaps back."""
    _glibc("malloc_trim", 0)


def settle() -> None:
    """Take all that lives now out of the collector's rounds.

    A full round looks at every object, libraries included, while it holds the interpreter: some 0.1 s in which no
    callback and no match goes on. After this it looks at what has come since.
    """
    gc.unfreeze()
    gc.collect()
    gc.freeze()


def give_back() -> None:
    """Collect cycles, what had settled included, and trim the heaps."""
    gc.unfreeze()
    gc.collect()
    trim()


def _glibc(name: str, *arguments: int) -> None:
    with contextlib.suppress(OSError, AttributeError, TypeError):  # another system, or another C library
        getattr(ctypes.CDLL(None), name)(*arguments)
