# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What stays is left alone by the garbage collector; memory that is free is given back to the system."""

from __future__ import annotations

import contextlib
import ctypes
import gc


def settle() -> None:
    """Take all that lives now out of the collector's rounds.

    A full round looks at every object, libraries included, while it holds the interpreter: some 0.1 s in which no
    callback and no match goes on. After this it looks at what has come since.
    """
    gc.unfreeze()
    gc.collect()
    gc.freeze()


def give_back() -> None:
    """Collect cycles, what had settled included, and trim the heaps of glibc; elsewhere only the first.

    glibc keeps what a thread has freed in the heap of that thread, and the next worker may get another heap: without
    this the process grows by some 200 MB with each round of the lifecycle, up to the number of heaps (8 for each core).
    """
    gc.unfreeze()
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
