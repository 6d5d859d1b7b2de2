# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Notices that two nodes send the same transform: its value springs to and fro between two tracks."""

from __future__ import annotations

import math
from collections import deque

from rclpy.node import Node

from cvloc_ros.types import Pose2

APART_M, APART_RAD = 0.3, 0.02
SHARE = 0.3
SPRINGS, WITHIN_S = 3, 20.0


class TwoSenders:
    """Watches one edge. A jump is one step; two senders show as steps that are taken back by the next value."""

    def __init__(self) -> None:
        """Begin without values."""
        self._last: deque[Pose2] = deque(maxlen=3)
        self._springs: deque[float] = deque(maxlen=SPRINGS)

    def add(self, value: Pose2, now_s: float) -> bool:
        """Take the next value at a time of a steady clock; tell whether two senders are at work."""
        self._last.append(value)
        if len(self._last) == 3:
            first, second, third = self._last
            there, back = _apart(first, second), _apart(first, third)
            if there > 1.0 and back < SHARE * there:
                self._springs.append(now_s)
        return len(self._springs) == SPRINGS and now_s - self._springs[0] <= WITHIN_S


def _apart(a: Pose2, b: Pose2) -> float:
    """Distance of two values, 1 where it is worth the name."""
    turn = abs(math.remainder(a.yaw_rad - b.yaw_rad, math.tau))
    return max(math.hypot(a.x_m - b.x_m, a.y_m - b.y_m) / APART_M, turn / APART_RAD)


def other_publishers(node: Node, topic: str) -> str:
    """Names of the nodes that publish on a topic, this one left out: whoever sends too much is among them."""
    own = node.get_fully_qualified_name()
    found = node.get_publishers_info_by_topic(topic)
    names = {f"{info.node_namespace.rstrip('/')}/{info.node_name}" for info in found} - {own}
    return ", ".join(sorted(names)) or "unknown"
