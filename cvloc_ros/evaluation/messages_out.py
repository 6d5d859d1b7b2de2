# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Builds the messages that a replay writes; the same fields as the node's."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

from cvloc_ros import messages
from cvloc_ros.config import Config
from cvloc_ros.evaluation.attempts import Attempt
from cvloc_ros.status_fields import evidence, without_secrets
from cvloc_ros.types import Pose2, PoseEstimate

POSE = "geometry_msgs/msg/PoseWithCovarianceStamped"
TF = "tf2_msgs/msg/TFMessage"
STATUS = "cvloc_ros/msg/LocalizationStatus"


class MessageMaker:
    """Makes messages with every field given, as rosbags wants them."""

    def __init__(self, config: Config, status_definition: str) -> None:
        """Register our own message from the text of its .msg file."""
        self.store: Typestore = get_typestore(Stores.ROS2_JAZZY)
        self.store.register(get_types_from_msg(status_definition, STATUS))
        self._config = config

    def new(self, kind: str, **fields: Any) -> Any:
        """Make a message of a type."""
        return self.store.types[kind](**fields)

    def header(self, stamp_ns: int, frame_id: str) -> Any:
        """Make a header."""
        stamp = self.new("builtin_interfaces/msg/Time", sec=stamp_ns // 10**9, nanosec=stamp_ns % 10**9)
        return self.new("std_msgs/msg/Header", stamp=stamp, frame_id=frame_id)

    def pose(self, estimate: PoseEstimate, stamp_ns: int) -> Any:
        """Make the published pose: planar, other variances 1e6 and no cross terms with them."""
        pose = estimate.pose
        point = self.new("geometry_msgs/msg/Point", x=pose.x_m, y=pose.y_m, z=0.0)
        full = self.new("geometry_msgs/msg/Pose", position=point, orientation=self._turn(pose.yaw_rad))
        covariance = np.array(messages.covariance_36(estimate.covariance))
        body = self.new("geometry_msgs/msg/PoseWithCovariance", pose=full, covariance=covariance)
        return self.new(POSE, header=self.header(stamp_ns, self._config.frames.map), pose=body)

    def transform(self, T_parent_child: Pose2, stamp_ns: int, child: str) -> Any:
        """Make a TFMessage with the transform of `child` in the map."""
        move = self.new("geometry_msgs/msg/Vector3", x=T_parent_child.x_m, y=T_parent_child.y_m, z=0.0)
        item = self.new(
            "geometry_msgs/msg/TransformStamped",
            header=self.header(stamp_ns, self._config.frames.map),
            child_frame_id=child,
            transform=self.new(
                "geometry_msgs/msg/Transform", translation=move, rotation=self._turn(T_parent_child.yaw_rad)
            ),
        )
        return self.new(TF, transforms=[item])

    def status(self, attempt: Attempt) -> Any:
        """Make the status. Times of the wall clock are left out, so that equal replays write equal bags."""
        risk = self._config.estimation.integrity_risk
        filled = evidence(attempt.candidate, attempt.prior, attempt.window, attempt.tiles, risk)
        for name in ("covariance", "prior_covariance"):
            filled[name] = np.array(filled[name])
        return self.new(
            STATUS,
            header=self.header(attempt.stamp_ns, self._config.frames.map),
            sequence=attempt.number,
            status=attempt.status.value,
            reasons=list(attempt.reasons),
            accepted=attempt.estimate is not None,
            cameras=list(attempt.cameras),
            latency_s=math.nan,
            stages=list(attempt.timings_s),
            stage_s=np.full(len(attempt.timings_s), math.nan, np.float32),
            dropped_images=0,
            matcher=self._config.matcher.name,
            map_source=without_secrets(self._config.tiles.source),
            attribution=attempt.attribution,
            **filled,
        )

    def _turn(self, yaw_rad: float) -> Any:
        return self.new(
            "geometry_msgs/msg/Quaternion", x=0.0, y=0.0, z=math.sin(yaw_rad / 2), w=math.cos(yaw_rad / 2)
        )
