# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Keeps what a running node publishes: its poses and its status messages, in the order of arrival."""

from __future__ import annotations

import threading
import time
from types import TracebackType
from typing import Any

from geometry_msgs.msg import PoseWithCovarianceStamped
from rclpy.context import Context
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import QoSProfile

from cvloc_ros.errors import CvlocError
from cvloc_ros.ros.compat import LocalizationStatus


class Recorder:
    """Subscribes to `~/pose` and `~/status` of one node and spins in a thread of its own. A context manager."""

    def __init__(self, context: Context, node_name: str = "cvloc") -> None:
        """Subscribe; nothing is kept before the context is entered.

        Raises:
            CvlocError: the package's status message was not generated.
        """
        if LocalizationStatus is None:
            msg = "cvloc_ros/msg/LocalizationStatus is not built; run `make setup`, or colcon build with ROS 2"
            raise CvlocError(msg)
        self.node: Node = Node("cvloc_recorder", context=context)
        self.poses: list[Any] = []
        self.statuses: list[Any] = []
        self.last_heard = time.monotonic()
        deep = QoSProfile(depth=200)
        self._subscriptions = [
            self.node.create_subscription(PoseWithCovarianceStamped, f"/{node_name}/pose", self._on_pose, deep),
            self.node.create_subscription(LocalizationStatus, f"/{node_name}/status", self._on_status, deep),
        ]
        self._executor = SingleThreadedExecutor(context=context)
        self._executor.add_node(self.node)
        self._thread = threading.Thread(target=self._spin, name="recorder", daemon=True)

    def connected(self) -> bool:
        """Tell whether both topics have a publisher."""
        return all(self.node.count_publishers(s.topic_name) > 0 for s in self._subscriptions)

    def quiet_for(self, seconds: float) -> bool:
        """Tell whether nothing has arrived for so long (wall clock)."""
        return time.monotonic() - self.last_heard >= seconds

    def __enter__(self) -> Recorder:
        """Start to record."""
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, err: BaseException | None, tb: TracebackType | None) -> None:
        """Stop and free the node."""
        self._executor.shutdown()
        self._thread.join(timeout=5.0)
        self.node.destroy_node()

    def _spin(self) -> None:
        try:
            self._executor.spin()
        except ExternalShutdownException:
            pass

    def _on_pose(self, message: Any) -> None:
        self.poses.append(message)
        self.last_heard = time.monotonic()

    def _on_status(self, message: Any) -> None:
        self.statuses.append(message)
        self.last_heard = time.monotonic()
