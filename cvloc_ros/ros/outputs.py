# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""All publishers but /tf and /diagnostics: one result in, its messages out."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from geometry_msgs.msg import PolygonStamped, PoseWithCovarianceStamped
from nav_msgs.msg import Odometry
from rclpy.lifecycle import LifecycleNode
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import NavSatFix
from visualization_msgs.msg import MarkerArray

from cvloc_ros.config import Config
from cvloc_ros.errors import GeoError
from cvloc_ros.ros import compat, convert
from cvloc_ros.ros.debug import DebugOutputs
from cvloc_ros.ros.health import Health
from cvloc_ros.ros.status import Circumstances, status_message
from cvloc_ros.ros.tf import TfOutput
from cvloc_ros.session import Session
from cvloc_ros.status_fields import innovation
from cvloc_ros.types import F64, NOT_ATTEMPTED, LocalizationResult, PoseEstimate, Status

RELIABLE = QoSProfile(depth=10)
LATEST = QoSProfile(depth=1)
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)

TOPICS: dict[str, tuple[Any, QoSProfile]] = {
    "~/pose": (PoseWithCovarianceStamped, RELIABLE),
    "~/fix": (NavSatFix, RELIABLE),
    "~/odometry": (Odometry, RELIABLE),
    "~/datum": (NavSatFix, LATCHED),
    "~/markers": (MarkerArray, LATEST),
    "~/search_window": (PolygonStamped, LATEST),
}

OPTIONAL = {
    "~/geopose": ("GeoPoseWithCovarianceStamped", "geographic_msgs is not installed"),
    "~/status": ("LocalizationStatus", "cvloc_ros/msg/LocalizationStatus was not generated"),
}
"""Topics whose message may be absent: its name in `compat`, and what to say then."""


def offered_topics() -> dict[str, tuple[Any, QoSProfile]]:
    """Return type and QoS of every topic whose message is installed; the debug topics are not among them."""
    optional = {name: getattr(compat, message) for name, (message, _) in OPTIONAL.items()}
    return {**TOPICS, **{name: (kind, RELIABLE) for name, kind in optional.items() if kind is not None}}


class Outputs:
    """Publishes results; used by one thread at a time (the worker while the node is active)."""

    def __init__(
        self, node: LifecycleNode, config: Callable[[], Config], session: Session, tf: TfOutput, health: Health,
        dropped: Callable[[], int],
    ) -> None:  # fmt: skip
        """Create the publishers; they are silent until the node is active."""
        self._node, self._config, self._session, self._tf = node, config, session, tf
        self._health, self._dropped = health, dropped
        self._last_pose_ns: int | None = None
        self._last_status: Status | None = None
        self._datum: tuple[float, float] | None = None
        self._publishers = {
            name: node.create_lifecycle_publisher(kind, name, qos) for name, (kind, qos) in offered_topics().items()
        }
        for name in sorted(OPTIONAL.keys() - self._publishers.keys()):
            node.get_logger().info(f"{name} is not published: {OPTIONAL[name][1]}")
        self._debug = DebugOutputs(node, config)

    def close(self) -> None:
        """Destroy the publishers."""
        self._debug.close()
        for publisher in self._publishers.values():
            self._node.destroy_lifecycle_publisher(publisher)

    def clear(self) -> None:
        """Accept earlier stamps again (after a clock jump)."""
        self._last_pose_ns = None

    def publish_datum(self) -> None:
        """Publish the origin of the map once it is known, and again when it changes."""
        projection = self._session.projection
        if projection is None or (projection.latitude_deg, projection.longitude_deg) == self._datum:
            return
        self._datum = (projection.latitude_deg, projection.longitude_deg)
        now_ns = self._node.get_clock().now().nanoseconds
        self._publish("~/datum", convert.datum(projection, now_ns, self._config().frames.map))

    def publish(self, result: LocalizationResult) -> None:
        """Publish one attempt: the pose where there is one, and in any case what became of it.

        Images that were not tried by design come at camera rate; of these only a change is told.
        """
        if result.status in NOT_ATTEMPTED and result.status in (self._last_status, Status.THROTTLED):
            self._health.attempt(result, math.nan, math.nan)
            return
        self._last_status = result.status
        config = self._config()
        self.publish_datum()
        if result.estimate is not None:
            result = self._publish_pose(result, config)
        latency_s = (self._node.get_clock().now().nanoseconds - result.stamp_ns) * 1e-9
        found = result.estimate or result.candidate
        sequence = self._health.attempt(result, latency_s, innovation(found, result.prior))
        if compat.LocalizationStatus is not None:
            around = Circumstances(sequence, latency_s, self._dropped())
            self._publish("~/status", status_message(result, config, around))
        self._publish_shapes(result, config)
        self._debug.offer(result)

    def _publish(self, topic: str, message: Any) -> None:
        self._publishers[topic].publish(message)

    def _heard(self, topic: str) -> bool:
        return self._publishers[topic].get_subscription_count() > 0

    def _publish_pose(self, result: LocalizationResult, config: Config) -> LocalizationResult:
        estimate, stamp_ns, frames = result.estimate, result.stamp_ns, config.frames
        fault = fault_of(result, self._last_pose_ns)
        if estimate is None or fault:
            return convert.refused(result, fault)
        self._last_pose_ns = stamp_ns
        self._publish("~/pose", convert.pose_with_covariance(estimate, stamp_ns, frames.map))
        self._publish("~/odometry", convert.odometry(estimate, stamp_ns, frames.map, frames.base))
        self._tf.update(estimate, stamp_ns)
        self._publish_geographic(estimate, stamp_ns, frames.base)
        return result

    def _publish_geographic(self, estimate: PoseEstimate, stamp_ns: int, frame_id: str) -> None:
        projection = self._session.projection
        if projection is None:
            return
        try:
            self._publish("~/fix", convert.fix(estimate, stamp_ns, frame_id, projection))
            if "~/geopose" in self._publishers:
                self._publish("~/geopose", convert.geopose(estimate, stamp_ns, frame_id, projection))
        except GeoError as err:
            self._health.trouble("fix output", str(err))

    def _publish_shapes(self, result: LocalizationResult, config: Config) -> None:
        if result.status not in NOT_ATTEMPTED and self._heard("~/markers"):
            self._publish("~/markers", convert.markers(result, config.frames.map))
        if result.window is not None and self._heard("~/search_window"):
            self._publish("~/search_window", convert.search_window(result.window, result.stamp_ns, config.frames.map))


def fault_of(result: LocalizationResult, last_pose_ns: int | None) -> str:
    """Return why an estimate must not reach a filter, "" where it may: the last check, whatever came before."""
    if result.estimate is None:
        return "no estimate"
    pose, covariance = result.estimate.pose, result.estimate.covariance
    if not np.isfinite([pose.x_m, pose.y_m, pose.yaw_rad]).all() or not np.isfinite(covariance).all():
        return "pose or covariance is not finite"
    if not _positive_definite(covariance):
        return "covariance is not positive definite"
    if last_pose_ns is not None and result.stamp_ns <= last_pose_ns:
        return f"stamp {result.stamp_ns} is not newer than the last published one, {last_pose_ns}"
    return ""


def _positive_definite(covariance: F64) -> bool:
    try:
        np.linalg.cholesky((covariance + covariance.T) / 2)
    except np.linalg.LinAlgError:
        return False
    return True
