# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Subscription to the images, the depth or the masks of one camera. Its QoS follows what the publishers offer.

Fast DDS loses most raw images on best effort with its default buffers, and a reliable reader never matches a
best-effort writer; so neither can be fixed beforehand.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy, qos_policy_name_from_kind
from rclpy.subscription import Subscription
from sensor_msgs.msg import CompressedImage, Image

from cvloc_ros.config import Camera
from cvloc_ros.ros.compat import SubscriptionEventCallbacks
from cvloc_ros.ros.health import Health
from cvloc_ros.ros.surviving import surviving


class ImageFeed:
    """Subscribes best effort while no publisher is known, reliable when every publisher offers that.

    Masks are read latched when every publisher offers that: one that does not change may be sent once.
    """

    def __init__(
        self, node: Node, name: str, camera: Camera, on_image: Callable[[Any], None], health: Health,
        kind: Literal["image", "depth", "mask"] = "image",
    ) -> None:  # fmt: skip
        """Subscribe; call `adapt` at times. Depth and masks are raw; of depth a few wait, as each may be needed."""
        self._node, self._on_image, self._health, self._kind = node, on_image, health, kind
        compressed = camera.transport == "compressed" and kind == "image"
        self._type = CompressedImage if compressed else Image
        self._key = f"cameras.{name}.{'transport' if kind == 'image' else f'{kind}_topic'}"
        self._waiting = 5 if kind == "depth" else 1
        # Remap rules match the full name, so a rule for the image topic must be applied before the suffix is added.
        topic = {"image": camera.image_topic, "depth": camera.depth_topic, "mask": camera.mask_topic}[kind]
        self.topic = node.resolve_topic_name(topic) + ("/compressed" if compressed else "")
        self.reliable = self._latched = False
        self._subscription = self._subscribe()

    def adapt(self) -> None:
        """Look at the publishers and subscribe again if they offer another reliability, or a mask is latched now."""
        offers = self._node.get_publishers_info_by_topic(self.topic)
        wanted = f"sensor_msgs/msg/{self._type.__name__}"
        others = sorted({offer.topic_type for offer in offers} - {wanted})
        hint = f"topic {self.topic} carries {', '.join(others)}, expected {wanted}: set {self._key}"
        self._health.trouble(f"{self.topic} type", hint if others else "")
        offered = [offer.qos_profile for offer in offers if offer.topic_type == wanted]
        reliable = all(qos.reliability == ReliabilityPolicy.RELIABLE for qos in offered)
        latched = self._kind == "mask" and all(qos.durability == DurabilityPolicy.TRANSIENT_LOCAL for qos in offered)
        if offered and (reliable, latched) != (self.reliable, self._latched):
            self.close()
            self.reliable, self._latched = reliable, latched
            self._subscription = self._subscribe()
            self._node.get_logger().info(f"{self.topic}: reading {'reliable' if reliable else 'best effort'}")

    def close(self) -> None:
        """End the subscription."""
        self._node.destroy_subscription(self._subscription)

    def _subscribe(self) -> Subscription:
        reliability = ReliabilityPolicy.RELIABLE if self.reliable else ReliabilityPolicy.BEST_EFFORT
        durability = DurabilityPolicy.TRANSIENT_LOCAL if self._latched else DurabilityPolicy.VOLATILE
        qos = QoSProfile(
            depth=self._waiting, history=HistoryPolicy.KEEP_LAST, reliability=reliability, durability=durability
        )
        self._health.trouble(f"{self.topic} QoS", "")
        events = qos_events(self.topic, self._health)
        safe = surviving(self._node, self._health, self.topic, self._on_image)
        return self._node.create_subscription(self._type, self.topic, safe, qos, event_callbacks=events)


def qos_events(topic: str, health: Health) -> SubscriptionEventCallbacks:
    """Report publishers on a topic that cannot be heard, with the remedy."""

    def incompatible(event: Any) -> None:
        policy = qos_policy_name_from_kind(event.last_policy_kind).lower()
        text = (
            f"{topic}: {event.total_count} publisher(s) offer a QoS that cannot be read ({policy}); "
            f"see `ros2 topic info -v {topic}` and let them offer the {policy} asked for there"
        )
        health.trouble(f"{topic} QoS", text)

    return SubscriptionEventCallbacks(incompatible_qos=incompatible)
