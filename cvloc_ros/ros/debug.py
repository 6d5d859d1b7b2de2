# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The heavy topics for people. Drawn in a thread of their own, so that being watched does not slow the worker."""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Callable

import numpy as np
from rclpy.lifecycle import LifecycleNode
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image, PointCloud2

from cvloc_ros import overlays
from cvloc_ros.buffers import NewestSlot
from cvloc_ros.config import Config
from cvloc_ros.ros import compat, convert
from cvloc_ros.types import LocalizationResult

HEAVY = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
PICTURES = {"~/debug/overlay": overlays.overlay, "~/debug/aerial": overlays.aerial, "~/debug/score": overlays.score}
POINTS = "~/debug/points"


class DebugOutputs:
    """Publishes pictures and points of the newest result, at most at `output.debug_rate_hz`, for who listens."""

    def __init__(self, node: LifecycleNode, config: Callable[[], Config]) -> None:
        """Create the publishers and start the thread."""
        self._node, self._config = node, config
        self._publishers = {name: node.create_lifecycle_publisher(Image, name, HEAVY) for name in PICTURES}
        self._publishers[POINTS] = node.create_lifecycle_publisher(PointCloud2, POINTS, HEAVY)
        self._bridge = compat.CvBridge()
        self._last_s = float("-inf")
        self._slot: NewestSlot[LocalizationResult] = NewestSlot()
        self._thread = threading.Thread(target=self._run, name="cvloc-debug")
        self._thread.start()

    def close(self) -> None:
        """End the thread and destroy the publishers."""
        self._slot.close()
        self._thread.join()
        for publisher in self._publishers.values():
            self._node.destroy_lifecycle_publisher(publisher)

    def offer(self, result: LocalizationResult) -> None:
        """Take a result; nothing is done with it unless it has imagery, somebody listens and it is time."""
        now_s = time.monotonic()
        early = now_s - self._last_s < 1.0 / self._config().output.debug_rate_hz
        if result.patch is None or early or not self._heard():
            return
        self._last_s = now_s
        self._slot.put(overlays.on_host(result))

    def _heard(self) -> list[str]:
        return [name for name, publisher in self._publishers.items() if publisher.get_subscription_count() > 0]

    def _run(self) -> None:
        while not self._slot.closed:
            result = self._slot.take()
            if result is None:
                continue
            try:
                self._draw(result)
            except Exception:  # noqa: BLE001  a picture that fails must not end the pictures
                if not self._slot.closed and self._node.context.ok():
                    self._node.get_logger().error(f"debug output failed:\n{traceback.format_exc()}")

    def _draw(self, result: LocalizationResult) -> None:
        frame_id = self._config().frames.map
        header = convert.header(result.stamp_ns, frame_id)
        for topic in self._heard():
            if topic in PICTURES:
                message = self._bridge.cv2_to_imgmsg(PICTURES[topic](result), encoding="rgb8", header=header)
            else:
                points = overlays.evidence_points(result)
                rows = np.column_stack([points[:, :2], np.zeros(len(points)), points[:, 2]])
                message = convert.cloud(rows, ("x", "y", "z", "intensity"), result.stamp_ns, frame_id)
            self._publishers[topic].publish(message)
