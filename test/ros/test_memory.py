# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest

from cvloc_ros.ros import memory


class Ring:
    """Refers to itself, so that only the collector can free it."""

    def __init__(self) -> None:
        self.itself = self


@pytest.fixture(autouse=True)
def _unfrozen() -> Iterator[None]:
    yield
    gc.unfreeze()


def test_full_round_leaves_alone_what_has_settled() -> None:
    memory.settle()
    assert gc.get_freeze_count() > 10_000
    assert len(gc.get_objects()) < 1_000


def test_what_has_settled_and_is_garbage_by_now_is_freed_with_the_rest() -> None:
    ring = Ring()
    gone = weakref.ref(ring)
    memory.settle()
    del ring
    gc.collect()
    assert gone() is not None
    memory.give_back()
    assert gone() is None
    assert gc.get_freeze_count() == 0


def test_settling_again_frees_what_has_become_garbage_since() -> None:
    ring = Ring()
    gone = weakref.ref(ring)
    memory.settle()
    del ring
    memory.settle()
    assert gone() is None
