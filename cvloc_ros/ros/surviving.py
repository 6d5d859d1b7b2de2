# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Callbacks that a message cannot end."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import Any

from rclpy.node import Node

from cvloc_ros.ros.health import Health

TOLD_S = 5.0


def surviving(node: Node, health: Health, topic: str, callback: Callable[[Any], None]) -> Callable[[Any], None]:
    """Return the callback with its faults shown and counted; rclpy would end the executor, and the node with it."""

    def handle(message: Any) -> None:
        try:
            callback(message)
        except Exception:  # noqa: BLE001  whatever it is, the next message is taken
            health.refuse(topic, "fault")
            text = f"a message on {topic} was not taken:\n{traceback.format_exc()}"
            node.get_logger().error(text, throttle_duration_sec=TOLD_S)

    return handle
