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
from cvloc_ros.types import F64, AerialPatch, LocalizationResult

HEAVY = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
WHOLE = QoSProfile(depth=1)
"""For the map: large and seldom, so that a lost part would be missed for long."""

PICTURES = {"~/debug/overlay": overlays.overlay, "~/debug/aerial": overlays.aerial, "~/debug/score": overlays.score}
POINTS, MAP = "~/debug/points", "~/debug/map"
MAP_AGAIN_S = 5.0
"""The map is not latched; who looks later, or lost it, has it after this time."""

MAP_Z_M = -0.1
"""Below everything else that is drawn."""

IDLE_S = 0.5


class DebugOutputs:
    """Publishes pictures and points of the newest result, at most at `output.debug_rate_hz`, for who listens."""

    def __init__(self, node: LifecycleNode, config: Callable[[], Config]) -> None:
        """Create the publishers and start the thread."""
        self._node, self._config = node, config
        self._publishers = {name: node.create_lifecycle_publisher(Image, name, HEAVY) for name in PICTURES}
        self._publishers[POINTS] = node.create_lifecycle_publisher(PointCloud2, POINTS, HEAVY)
        self._publishers[MAP] = node.create_lifecycle_publisher(PointCloud2, MAP, WHOLE)
        self._bridge = compat.CvBridge()
        self._around: tuple[AerialPatch, F64, int] | None = None
        self._map_sent: tuple[object, int, float] = (None, 0, float("-inf"))
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
        if result.patch is None:
            return
        self._around = result.patch, _middle(result, result.patch), result.stamp_ns
        now_s = time.monotonic()
        early = now_s - self._last_s < 1.0 / self._config().output.debug_rate_hz
        if early or not set(self._heard()) - {MAP}:
            return
        self._last_s = now_s
        self._slot.put(overlays.on_host(result))

    def _heard(self) -> list[str]:
        return [name for name, publisher in self._publishers.items() if publisher.get_subscription_count() > 0]

    def _run(self) -> None:
        while not self._slot.closed:
            result = self._slot.take(IDLE_S)
            try:
                if result is not None:
                    self._draw(result)
                self._draw_map()
            except Exception:  # noqa: BLE001  a picture that fails must not end the pictures
                if not self._slot.closed and self._node.context.ok():
                    self._node.get_logger().error(f"debug output failed:\n{traceback.format_exc()}")

    def _draw(self, result: LocalizationResult) -> None:
        frame_id = self._config().frames.map
        header = convert.header(result.stamp_ns, frame_id)
        for topic in self._heard():
            if topic in PICTURES:
                message = self._bridge.cv2_to_imgmsg(PICTURES[topic](result), encoding="rgb8", header=header)
                self._publishers[topic].publish(message)
            elif topic == POINTS:
                points = overlays.evidence_points(result)
                rows = np.column_stack([points[:, :2], np.zeros(len(points)), points[:, 2]])
                message = convert.cloud(rows, ("x", "y", "z", "intensity"), result.stamp_ns, frame_id)
                self._publishers[topic].publish(message)

    def _draw_map(self) -> None:
        """Publish the imagery around the vehicle where it changed, somebody came, or some time passed."""
        around, listeners, now_s = self._around, self._publishers[MAP].get_subscription_count(), time.monotonic()
        if around is None or not listeners:
            return
        patch, centre, stamp_ns = around
        key, before, sent_s = self._map_sent
        if key == patch.key and listeners <= before and now_s - sent_s < MAP_AGAIN_S:
            return
        self._map_sent = (patch.key, listeners, now_s)
        points, rgb = overlays.cells(patch, centre)
        frame_id = self._config().frames.map
        self._publishers[MAP].publish(convert.coloured_cloud(points, rgb, MAP_Z_M, stamp_ns, frame_id))


def _middle(result: LocalizationResult, patch: AerialPatch) -> F64:
    """Return where the search was made (2,), map metres, or the middle of the patch."""
    if result.window is not None:
        return result.window.centre.xy
    rows, columns = patch.valid.shape
    return patch.map_from_px @ np.array([columns / 2, rows / 2, 1.0])
