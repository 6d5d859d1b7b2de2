# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import ctypes
import gc
import json
import subprocess
import sys
import weakref
from collections.abc import Iterator
from pathlib import Path

import pytest
from rig import stamp_now, wait_for

from cvloc_ros.ros import memory

GLIBC = pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallinfo2"), reason="the heap is not glibc's")
GOOD = ["-p", "geo.datum:=[47.0, 8.0, 0.0]", "-p", "tiles.source:=stripes"]


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


HEAP = """
import ctypes, json, sys, threading
sys.path.insert(0, sys.argv.pop(1))
import numpy as np
from cvloc_ros.ros import main, memory
from fake_session import FakeSession

class Info(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in
                "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost".split()]

libc = ctypes.CDLL(None)
libc.mallinfo2.restype = Info

def mapped():
    return libc.mallinfo2().hblkhd

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4096

def probe(_executor=None):
    np.ones(8 << 20, np.uint8)  # after it, glibc would hold the size for common
    before, large = mapped(), np.ones(8 << 20, np.uint8)
    found = {"mapped": mapped() - before}
    kept = []
    thread = threading.Thread(target=lambda: kept.extend(np.ones(1 << 20, np.uint8) for _ in range(60)))
    thread.start()
    thread.join()
    del kept[:-1]  # the last one holds the end of the heap
    before = resident()
    memory.trim()
    found["given back"] = before - resident()
    print(json.dumps(found))

main.SingleThreadedExecutor.spin = probe
sys.exit(main.main(sys.argv, FakeSession))
"""


@GLIBC
def test_node_maps_large_blocks_alone_and_gives_free_ones_back():
    """Of 8 MB made for the second time, and of 59 MB that a thread made once freed."""
    here = str(Path(__file__).parent)
    command = [sys.executable, "-c", HEAP, here, "--ros-args", "-r", "__ns:=/heap", *GOOD]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    found = {name: value / 2**20 for name, value in json.loads(done.stdout.splitlines()[-1]).items()}
    assert 8 <= found["mapped"] < 9
    assert found["given back"] > 55


def test_other_c_library_is_left_alone(monkeypatch):
    monkeypatch.setattr(ctypes, "CDLL", lambda _: object())
    memory.map_large_blocks()
    memory.trim()


def test_free_memory_is_given_back_while_the_node_works(rig, monkeypatch):
    trimmed = []
    monkeypatch.setattr(memory, "trim", lambda: trimmed.append(1))
    monkeypatch.setattr(memory, "TRIM_S", 0.0)
    made = rig()
    made.ready_to_drive()
    assert not trimmed
    made.send_image(stamp_now())
    wait_for(lambda: trimmed, what="trimming")
