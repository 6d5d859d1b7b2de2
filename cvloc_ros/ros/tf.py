# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""/tf and /tf_static into the session's tree, and map -> odom or map -> base out of the results."""

from __future__ import annotations

import math
import threading
import time
from collections import defaultdict, deque
from typing import Any

from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from tf2_msgs.msg import TFMessage

from cvloc_ros import messages
from cvloc_ros.config import Config
from cvloc_ros.errors import TransformError
from cvloc_ros.ros import compat, convert
from cvloc_ros.ros.health import Health
from cvloc_ros.ros.image_feed import qos_events
from cvloc_ros.ros.surviving import surviving
from cvloc_ros.ros.tf_senders import WITHIN_S, TwoSenders, other_publishers
from cvloc_ros.session import Session
from cvloc_ros.types import F64, Pose2, PoseEstimate

SENT_KEPT = 1000


class TfOutput:
    """Broadcasts what `output.tf_mode` asks for; silent until the first valid estimate."""

    def __init__(self, node: Node, config: Config, session: Session, health: Health) -> None:
        """Create broadcaster and timer, unless the mode is none: then there is no publisher on /tf at all."""
        self._node, self._config, self._session, self._health = node, config, session, health
        self._lock = threading.Lock()
        self._T_map_odom: Pose2 | None = None
        self._sent: deque[int] = deque(maxlen=SENT_KEPT)
        self._broadcaster = None if config.output.tf_mode == "none" else compat.TransformBroadcaster(node)
        self._timer = None
        if config.output.tf_mode == "map_to_odom":
            self._timer = node.create_timer(1.0 / config.output.tf_rate_hz, self._send_again)

    def close(self) -> None:
        """Stop sending."""
        if self._timer is not None:
            self._node.destroy_timer(self._timer)
        publisher = getattr(self._broadcaster, "publisher", None) or getattr(self._broadcaster, "_publisher", None)
        if publisher is not None:
            self._node.destroy_publisher(publisher)

    def clear(self) -> None:
        """Fall silent until the next valid estimate (after a clock jump or reset)."""
        with self._lock:
            self._T_map_odom = None
            self._sent.clear()

    def update(self, estimate: PoseEstimate, stamp_ns: int) -> None:
        """Take a valid estimate of base in map at a stamp."""
        mode, frames = self._config.output.tf_mode, self._config.frames
        if mode == "map_to_base_link":
            self._send(estimate.pose, stamp_ns, frames.base)
        elif mode == "map_to_odom":
            T_map_odom = self._map_from_odom(estimate.pose, stamp_ns)
            if T_map_odom is not None:
                with self._lock:
                    self._T_map_odom = T_map_odom
                self._send_again()

    def is_own(self, stamp_ns: int) -> bool:
        """Tell whether this node sent a transform with this stamp."""
        with self._lock:
            return stamp_ns in self._sent

    def _map_from_odom(self, T_map_base: Pose2, stamp_ns: int) -> Pose2 | None:
        frames = self._config.frames
        try:
            T = self._session.transforms.lookup(frames.odom, frames.base, stamp_ns)
        except TransformError as err:
            self._health.trouble("tf output", f"map -> odom cannot be sent: {err}")
            return None
        self._health.trouble("tf output", "")
        return T_map_base @ planar(T).inverse()

    def _send_again(self) -> None:
        now_ns = self._node.get_clock().now().nanoseconds
        with self._lock:
            T_map_odom = self._T_map_odom
        if T_map_odom is not None and now_ns > 0:
            ahead_ns = round(self._config.output.tf_tolerance_s * 1e9)
            self._send(T_map_odom, now_ns + ahead_ns, self._config.frames.odom)

    def _send(self, T_map_child: Pose2, stamp_ns: int, child: str) -> None:
        with self._lock:
            if self._sent and stamp_ns <= self._sent[-1]:
                return
            self._sent.append(stamp_ns)
            if self._broadcaster is not None:
                message = convert.transform(T_map_child, stamp_ns, self._config.frames.map, child)
                self._broadcaster.sendTransform([message])


def planar(T: F64) -> Pose2:
    """Return x, y and yaw of a transform (4, 4)."""
    return Pose2(float(T[0, 3]), float(T[1, 3]), math.atan2(T[1, 0], T[0, 0]))


class TfInput:
    """Listens to /tf and /tf_static; own transforms are left out, foreign ones of the same edge are reported."""

    def __init__(self, node: Node, config: Config, session: Session, output: TfOutput, health: Health) -> None:
        """Subscribe."""
        self._node, self._config, self._session, self._output, self._health = node, config, session, output, health
        self._senders: defaultdict[str, TwoSenders] = defaultdict(TwoSenders)
        self._foreign_s = -math.inf
        latched = QoSProfile(depth=100, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self._subscriptions = [
            node.create_subscription(
                TFMessage, "/tf", surviving(node, health, "/tf", self._on_dynamic), QoSProfile(depth=100),
                event_callbacks=qos_events("/tf", health),
            ),
            node.create_subscription(
                TFMessage, "/tf_static", surviving(node, health, "/tf_static", self._on_static), latched,
                event_callbacks=qos_events("/tf_static", health),
            ),
        ]  # fmt: skip

    def close(self) -> None:
        """End the subscriptions."""
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)

    def _on_dynamic(self, message: Any) -> None:
        for edge in messages.transforms(message):
            if edge.parent == self._config.frames.map and self._is_duplicate_or_own(edge):
                continue
            self._watch(edge)
            self._store(edge, static=False)
        if self._foreign_s > -math.inf and time.monotonic() - self._foreign_s > WITHIN_S:
            self._foreign_s = -math.inf
            self._health.trouble("tf duplicate", "")

    def _on_static(self, message: Any) -> None:
        for edge in messages.transforms(message):
            self._store(edge, static=True)

    def _store(self, edge: messages.Transform, *, static: bool) -> None:
        reason = self._session.add_transform(edge.parent, edge.child, edge.stamp_ns, edge.matrix, static=static)
        if reason:
            self._health.refuse(f"tf {edge.parent} -> {edge.child}", reason)

    def _is_duplicate_or_own(self, edge: messages.Transform) -> bool:
        frames = self._config.frames
        ours = {"map_to_odom": frames.odom, "map_to_base_link": frames.base}.get(self._config.output.tf_mode)
        if edge.child != ours:
            return False
        if not self._output.is_own(edge.stamp_ns):
            text = (
                f"another node sends {edge.parent} -> {edge.child} too, one of {self._others()}: set output.tf_mode to "
                "none here, or turn the transform off there (robot_localization: publish_tf: false)"
            )
            self._foreign_s = time.monotonic()
            self._health.trouble("tf duplicate", text)
        return True

    def _watch(self, edge: messages.Transform) -> None:
        """Look for two other nodes that both send an edge of the chain from map to base."""
        frames = self._config.frames
        if edge.child not in (frames.odom, frames.base) or edge.parent not in (frames.map, frames.odom):
            return
        two = self._senders[edge.child].add(planar(edge.matrix), time.monotonic())
        text = (
            f"two nodes send {edge.parent} -> {edge.child}, which springs to and fro; publishers of /tf: "
            f"{self._others()}; turn it off in all but one of them"
        )
        self._health.trouble(f"tf {edge.child} sent twice", text if two else "")

    def _others(self) -> str:
        return other_publishers(self._node, self._subscriptions[0].topic_name)
