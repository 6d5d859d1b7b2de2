# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The shipped node with one more timer, whose delay tells how long the executor was busy with something else.

`python -m benchmarks.watched NOTES --ros-args ...` runs it and writes what was noted when it is interrupted.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from array import array
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rclpy.clock import Clock, ClockType

from cvloc_ros.config import Config
from cvloc_ros.ros import main as executable
from cvloc_ros.ros.node import CvlocNode
from cvloc_ros.session import Session

WATCH_S = 0.01
LATE_MS, BUSY_MS, STARVED_MS = array("f"), array("f"), array("f")
"""Delay of each call of the timer while the node is active; between two calls: processor time of the executor's thread,
and the time that it and the worker, which may hold the GIL, were ready to run but had no processor."""


class WatchedNode(CvlocNode):
    """Notes how late its timer comes."""

    def __init__(self, **options: Any) -> None:
        """Start the timer."""
        super().__init__(**options)
        self._due, self._cpu_s, self._starved_ms = time.monotonic() + WATCH_S, 0.0, 0.0
        self._was_active = False
        self.create_timer(WATCH_S, self._watch, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def _watch(self) -> None:
        """Note the delay; a timer of ROS keeps to its grid of periods and leaves out those that it has missed."""
        now, cpu_s, starved_ms = time.monotonic(), time.thread_time(), _starved_ms()
        if self.is_active and self._was_active:  # transitions may take their time
            LATE_MS.append((now - self._due) * 1e3)
            BUSY_MS.append((cpu_s - self._cpu_s) * 1e3)
            STARVED_MS.append(starved_ms - self._starved_ms)
        self._cpu_s, self._starved_ms, self._was_active = cpu_s, starved_ms, self.is_active
        self._due += WATCH_S
        while self._due < now:
            self._due += WATCH_S


def _starved_ms() -> float:
    """Time in the scheduler's queue since their start, of this thread and the worker (second number of schedstat)."""
    threads = [item.native_id for item in threading.enumerate() if item.name == "cvloc-worker"]
    files = [Path(f"/proc/self/task/{number}/schedstat") for number in (threading.get_native_id(), *threads)]
    return sum(int(file.read_text(encoding="ascii").split()[1]) for file in files if file.exists()) * 1e-6


def run(arguments: list[str], open_session: Callable[[Config], Session] | type[Session]) -> tuple[int, dict[str, Any]]:
    """Run the executable until it is interrupted; return its exit code and what was noted."""
    executable.CvlocNode = WatchedNode  # type: ignore[misc]
    code = executable.main(arguments, open_session)
    return code, {"late_ms": list(LATE_MS), "busy_ms": list(BUSY_MS), "starved_ms": list(STARVED_MS)}


if __name__ == "__main__":
    ended, noted = run([sys.argv[0], *sys.argv[2:]], Session.open)
    Path(sys.argv[1]).write_text(json.dumps(noted), encoding="utf-8")
    sys.exit(ended)
