# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""All subscriptions of the node. The callbacks only store: no decoding, no waiting, no lookup at a moving stamp."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from geometry_msgs.msg import PoseWithCovarianceStamped
from nav_msgs.msg import Odometry
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, Imu, NavSatFix

from cvloc_ros import messages
from cvloc_ros.buffers import NewestSlot
from cvloc_ros.config import Config
from cvloc_ros.errors import CvlocError, ImageError, TransformError
from cvloc_ros.image_sets import ImageSet, ImageSets
from cvloc_ros.ros.health import Health
from cvloc_ros.ros.image_feed import ImageFeed, qos_events
from cvloc_ros.ros.surviving import surviving
from cvloc_ros.session import Session
from cvloc_ros.stamps import WHY, StampGuard
from cvloc_ros.types import F64, LocalizationResult, OdomSample, Pose2, Status

ADAPT_PERIOD_S = 0.2
OnRefused = Callable[[LocalizationResult], None]


class Inputs:
    """Feeds session and slot from the topics of the configuration while it is open.

    `on_refused` gets a result for each image that is not even tried, `on_jump` a sentence when stamps go back.
    """

    def __init__(
        self, node: Node, config: Config, session: Session, slot: NewestSlot[ImageSet], health: Health,
        on_refused: OnRefused, on_jump: Callable[[str], None],
    ) -> None:  # fmt: skip
        """Subscribe to everything that the configuration names."""
        self._node, self._config, self._session, self._slot, self._health = node, config, session, slot, health
        self._on_refused, self._on_jump = on_refused, on_jump
        self._guard = StampGuard()
        self._sets = ImageSets(
            config.camera_names, round(config.inputs.sync_tolerance_s * 1e9), config.inputs.wait_s,
            on_late=lambda name: health.refuse(f"image {name}", "late"),
        )  # fmt: skip
        self._calibrations: dict[str, tuple[Any, ...]] = {}
        self.wanted: Callable[[], bool] = lambda: True
        """Whether images are wanted now; others are let go undecoded."""
        self.patience_s: Callable[[], float] = lambda: config.inputs.wait_s
        """How long a set waits for its cameras; may change at run time."""
        self.feeds = [
            ImageFeed(node, name, camera, partial(self.on_image, name), health)
            for name, camera in config.cameras.items()
        ]
        self.depth_feeds = [
            ImageFeed(node, name, camera, partial(self._on_depth, name), health, "depth")
            for name, camera in config.cameras.items() if camera.depth_topic
        ]  # fmt: skip
        self.mask_feeds = [
            ImageFeed(node, name, camera, partial(self._on_mask, name), health, "mask")
            for name, camera in config.cameras.items() if camera.mask_topic
        ]  # fmt: skip
        for name in config.cameras:
            health.expect(f"image {name}")
        self._subscriptions = [self._subscribe(*what) for what in self._topics() if what[1]]
        # Of wall time: publishers come and go, and images stay out, also while the simulated clock stands still.
        self._timers = [node.create_timer(ADAPT_PERIOD_S, self._adapt, clock=Clock(clock_type=ClockType.STEADY_TIME))]
        if len(config.cameras) > 1:
            self._timers.append(node.create_timer(0.02, self._release, clock=Clock(clock_type=ClockType.STEADY_TIME)))
        self._adapt()

    def close(self) -> None:
        """End all subscriptions."""
        for timer in self._timers:
            self._node.destroy_timer(timer)
        for feed in self._all_feeds:
            feed.close()
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)
        self._health.clear_inputs()

    def clear(self) -> None:
        """Forget the order of stamps and unfinished image sets (after a clock jump)."""
        self._guard.clear()
        self._sets.clear()

    @property
    def _all_feeds(self) -> list[ImageFeed]:
        return [*self.feeds, *self.depth_feeds, *self.mask_feeds]

    @property
    def incomplete_sets(self) -> int:
        """Image sets without all cameras."""
        return self._sets.incomplete

    def on_image(self, name: str, message: Any) -> None:
        """Store an image; a set of all cameras goes to the worker, the newest one wins."""
        camera = self._config.cameras[name]
        source = f"image {name}"
        self._health.seen(source)
        verdict = self._guard.check(source, messages.stamp_ns(message))
        if verdict == "clock_jump":
            self.clear()  # also where a reset is under way already: a straggler may have come in between
            self._jumped(source)
            self._guard.check(source, messages.stamp_ns(message))
        elif verdict:
            self._health.refuse(source, verdict)
            text = WHY[verdict]
            stamp_ns = messages.stamp_ns(message, camera.stamp_offset_s)
            self._on_refused(LocalizationResult(Status.OLD_STAMP, stamp_ns, (f"{source}: {text}",)))
            return
        if not self.wanted():
            return
        image = messages.image(message, name, camera.stamp_offset_s, camera.frame_id)
        self._hand_on(self._sets.add(image, time.monotonic()))

    def _topics(self) -> list[tuple[Any, str, Callable[[Any], None], QoSProfile]]:
        inputs = self._config.inputs
        return [
            *(
                (CameraInfo, camera.camera_info_topic, partial(self._on_camera_info, name), _best_effort(1))
                for name, camera in self._config.cameras.items()
            ),
            (NavSatFix, inputs.fix_topic, self._on_fix, _best_effort(10)),
            (Odometry, inputs.odom_topic, self._on_odom, _best_effort(100)),
            (Odometry, inputs.filter_topic, self._on_filter, _best_effort(100)),
            (Imu, inputs.imu_topic, self._on_attitude, _best_effort(10)),
            (Imu, inputs.heading_topic, self._on_heading, _best_effort(10)),
            (PoseWithCovarianceStamped, "initialpose", self._on_initial_pose, QoSProfile(depth=1)),
        ]

    def _subscribe(self, kind: Any, topic: str, callback: Callable[[Any], None], qos: QoSProfile) -> Any:
        name = self._node.resolve_topic_name(topic)
        events = qos_events(name, self._health)
        safe = surviving(self._node, self._health, name, callback)
        return self._node.create_subscription(kind, topic, safe, qos, event_callbacks=events)

    def _adapt(self) -> None:
        for feed in self._all_feeds:
            feed.adapt()

    def _release(self) -> None:
        self._sets.patience_s = self.patience_s()
        self._hand_on(self._sets.due(time.monotonic()))

    def _hand_on(self, sets: list[ImageSet]) -> None:
        if sets:
            self._slot.put(sets[-1])  # the newest wins

    def _jumped(self, source: str) -> None:
        self._on_jump(f"the stamps of {source} went back")

    def _store(self, source: str, reason: str) -> None:
        """Note what the session said about a sample."""
        self._health.seen(source)
        if reason == "clock_jump":
            self._jumped(source)
        elif reason:
            self._health.refuse(source, reason)

    def _on_camera_info(self, name: str, message: Any) -> None:
        source = f"camera_info {name}"
        self._health.seen(source)
        seen = (message.width, message.height, message.distortion_model, message.binning_x, message.binning_y,
                bytes(np.asarray([*message.k, *message.d, *message.r, *message.p])), str(message.roi))  # fmt: skip
        if self._calibrations.get(name) == seen:
            return
        self._calibrations[name] = seen
        try:
            model = messages.camera_model(message, self._config.cameras[name])
        except ImageError as err:
            self._health.trouble(source, f"{source}: {err}")
            return
        self._health.trouble(source, "")
        self._session.set_calibration(name, model)

    def _on_depth(self, name: str, message: Any) -> None:
        if self.wanted():
            offset_s = self._config.cameras[name].stamp_offset_s
            self._store(f"depth {name}", self._session.add_depth(messages.depth_image(message, name, offset_s)))

    def _on_mask(self, name: str, message: Any) -> None:
        self._store(f"mask {name}", self._session.add_mask(messages.image(message, name)))

    def _on_fix(self, message: Any) -> None:
        try:
            reason = self._session.add_fix(messages.fix(message, self._config.inputs.fix_stamp_offset_s))
        except CvlocError as err:  # with datum_source first_fix the map is opened now
            self._health.trouble("fix", f"fix cannot be used: {err}")
            reason = "no_map"
        else:
            self._health.trouble("fix", "")
        self._store("fix", reason)

    def _on_odom(self, message: Any) -> None:
        self._in_frame(message, "odom", "frames.odom", self._config.frames.odom)
        sample = self._odometry(message, "odom", self._config.inputs.odom_stamp_offset_s)
        if sample is not None:
            self._store("odom", self._session.add_odom(sample))

    def _on_filter(self, message: Any) -> None:
        if not self._in_frame(message, "filter", "frames.map", self._config.frames.map):
            self._health.refuse("filter", "wrong_frame")
            return
        sample = self._odometry(message, "filter", 0.0)
        if sample is not None:
            self._store("filter", self._session.add_filter_pose(sample))

    def _in_frame(self, message: Any, source: str, key: str, expected: str) -> bool:
        """Tell whether an Odometry is in the expected frame, and people where it is not."""
        parent = messages.frame(message.header.frame_id)
        hint = f"{source} is in frame {parent}, {key} is {expected}: set {key}, or take another topic"
        self._health.trouble(f"{source} frame", hint if parent != expected else "")
        return parent == expected

    def _odometry(self, message: Any, source: str, offset_s: float) -> OdomSample | None:
        """Convert to the pose of base; None where its child frame cannot be related to base."""
        child, T_child_base = messages.frame(message.child_frame_id), None
        if child not in ("", self._config.frames.base):
            T = self._fixed_transform(child, self._config.frames.base, source)
            if T is None:
                return None
            T_child_base = Pose2(float(T[0, 3]), float(T[1, 3]), math.atan2(T[1, 0], T[0, 0]))
        return messages.odometry(message, offset_s, T_child_base)

    def _on_heading(self, message: Any) -> None:
        R = self._imu_mounting(message, "heading")
        if R is not None:
            sample = messages.heading(message, math.radians(self._config.inputs.heading_sigma_deg), R)
            self._store("heading", "no_orientation" if sample is None else self._session.add_heading(sample))

    def _on_attitude(self, message: Any) -> None:
        R = self._imu_mounting(message, "imu")
        if R is not None:
            sample = messages.attitude(message, R)
            self._store("imu", "no_orientation" if sample is None else self._session.add_attitude(*sample))

    def _imu_mounting(self, message: Any, source: str) -> F64 | None:
        frame = messages.frame(message.header.frame_id)
        if frame in ("", self._config.frames.base):
            return np.eye(3)
        T = self._fixed_transform(self._config.frames.base, frame, source)
        return None if T is None else T[:3, :3]

    def _fixed_transform(self, target: str, source_frame: str, topic: str) -> F64 | None:
        """Look a mounting up; it is taken as constant, so that its newest value holds at every stamp."""
        tree = self._session.transforms
        try:
            T = tree.lookup(target, source_frame, tree.latest_stamp(target, source_frame) or 0)
        except TransformError as err:
            self._health.refuse(topic, "no_transform")
            self._health.trouble(f"{topic} mounting", f"{topic} cannot be used: {err}")
            return None
        self._health.trouble(f"{topic} mounting", "")
        return T

    def _on_initial_pose(self, message: Any) -> None:
        frame_id, stamp_ns, pose, covariance = messages.pose_with_covariance(message)
        if frame_id != self._config.frames.map:
            reason = f"its frame is {frame_id!r}; give it in {self._config.frames.map!r}"
        elif not np.isfinite([pose.x_m, pose.y_m, pose.yaw_rad]).all() or not np.isfinite(covariance).all():
            reason = "it is not finite"
        else:
            now_ns = self._node.get_clock().now().nanoseconds
            reason = self._session.set_initial_pose(stamp_ns or now_ns, pose, covariance)
        if reason:
            self._health.refuse("initialpose", reason)
            self._node.get_logger().error(f"initial pose refused: {reason}")
        else:
            shown = f"x {pose.x_m:.2f} m, y {pose.y_m:.2f} m, yaw {pose.yaw_rad:.3f} rad"
            self._node.get_logger().info(f"initial pose: {shown}")


def _best_effort(depth: int) -> QoSProfile:
    return QoSProfile(depth=depth, reliability=ReliabilityPolicy.BEST_EFFORT)
