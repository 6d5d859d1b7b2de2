# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Hands the messages of a bag to a `Session`, as the node's callbacks do."""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cvloc_ros import messages
from cvloc_ros.errors import ImageError, TransformError
from cvloc_ros.evaluation.bag import BagMessage
from cvloc_ros.evaluation.topics import Wiring
from cvloc_ros.evaluation.truth import Trajectory
from cvloc_ros.geo import se3
from cvloc_ros.session import Session
from cvloc_ros.types import F64, CameraImage, GeoFix, OdomSample, Pose2

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class InitialYaw:
    """Yaw at the first usable fix, degrees counter-clockwise from east, and its standard deviation.

    With `truth` the yaw is the true one plus `deg`; fixes before the truth begins are then not taken for the start.
    """

    deg: float
    sigma_deg: float = 5.0
    truth: Trajectory | None = None

    def at(self, stamp_ns: int) -> float | None:
        """Return the yaw in radians at a stamp, if it is known."""
        if self.truth is None:
            return math.radians(self.deg)
        true = self.truth.at(stamp_ns)
        return None if true is None else true.yaw_rad + math.radians(self.deg)


class Feed:
    """Converts and stores; `refused` counts inputs by topic and reason, `fixes` and `odometry` keep what was taken.

    `fixes_at_ns` and `odometry_at_ns` are the log times at which they arrived, `start_ns` that of the first message.
    """

    def __init__(
        self, session: Session, wiring: Wiring, initial_yaw: InitialYaw | None = None,
        gnss_outages: Sequence[tuple[float, float]] = (),
    ) -> None:  # fmt: skip
        """Take over the session; with `initial_yaw` the first usable fix becomes an initial pose.

        No fix is taken in `gnss_outages`: beginnings and lengths, seconds of log time since the first message.
        """
        self.session = session
        self.refused: Counter[tuple[str, str]] = Counter()
        self.fixes: list[GeoFix] = []
        self.odometry: list[OdomSample] = []
        self.fixes_at_ns: list[int] = []
        self.odometry_at_ns: list[int] = []
        self.start_ns: int | None = None
        self._outages = tuple(gnss_outages)
        self._wiring = wiring
        self._initial_yaw = initial_yaw
        self._calibrated: dict[str, bytes] = {}

    def handle(self, item: BagMessage) -> CameraImage | None:
        """Store one message; return the image if it is one of a camera."""
        wiring, topic, message = self._wiring, item.topic, item.message
        self.start_ns = item.log_time_ns if self.start_ns is None else self.start_ns
        if topic in wiring.images:
            return self._image(wiring.images[topic], message)
        if topic in ("/tf", "/tf_static"):
            for edge in messages.transforms(message):
                static = topic == "/tf_static"
                self.session.add_transform(edge.parent, edge.child, edge.stamp_ns, edge.matrix, static=static)
        elif topic in wiring.infos or topic in wiring.depths or topic in wiring.masks:
            self._beside_images(topic, message)
        elif topic == wiring.fix:
            if not self._in_outage((item.log_time_ns - self.start_ns) * 1e-9):
                self._fix(message, item.log_time_ns)
        elif topic in (wiring.odom, wiring.filter):
            self._motion(topic, message, item.log_time_ns)
        if topic == wiring.heading:
            self._heading(message)
        if topic == wiring.imu:
            self._attitude(message)
        return None

    def _image(self, camera: str, message: Any) -> CameraImage:
        config = self._wiring.config.cameras[camera]
        return messages.image(message, camera, config.stamp_offset_s, config.frame_id)

    def _beside_images(self, topic: str, message: Any) -> None:
        if topic in self._wiring.infos:
            self._camera_info(self._wiring.infos[topic], message)
        elif topic in self._wiring.masks:
            self.session.add_mask(messages.image(message, self._wiring.masks[topic]))
        else:
            self._depth(self._wiring.depths[topic], message)

    def _depth(self, camera: str, message: Any) -> None:
        offset_s = self._wiring.config.cameras[camera].stamp_offset_s
        reason = self.session.add_depth(messages.depth_image(message, camera, offset_s))
        if reason:
            self.refused[f"depth of {camera}", reason] += 1

    def _camera_info(self, camera: str, message: Any) -> None:
        content = _calibration(message)
        if self._calibrated.get(camera) == content:
            return
        self._calibrated[camera] = content
        try:
            model = messages.camera_model(message, self._wiring.config.cameras[camera])
        except ImageError as err:
            self.refused[f"camera_info of {camera}", str(err)] += 1
            return
        self.session.set_calibration(camera, model)

    def _fix(self, message: Any, log_time_ns: int) -> None:
        fix = messages.fix(message, self._wiring.config.inputs.fix_stamp_offset_s)
        reason = self.session.add_fix(fix)
        if reason:
            self.refused[self._wiring.fix, reason] += 1
            return
        self.fixes.append(fix)
        self.fixes_at_ns.append(log_time_ns)
        if self._initial_yaw is not None:
            self._set_initial_pose(fix, self._initial_yaw)

    def _set_initial_pose(self, fix: GeoFix, initial: InitialYaw) -> None:
        projection, yaw_rad = self.session.projection, initial.at(fix.stamp_ns)
        if projection is None or yaw_rad is None:
            return
        x, y = map(float, projection.to_map(fix.latitude_deg, fix.longitude_deg))
        antenna = Pose2(0.0, 0.0, yaw_rad).apply(lever_arm(self.session, self._wiring.config.frames.base, fix))
        floor = self._wiring.config.prior.fix_sigma_floor_m ** 2
        covariance = np.diag([*(np.diag(fix.covariance_m2) + floor), math.radians(initial.sigma_deg) ** 2])
        pose = Pose2(x - float(antenna[0]), y - float(antenna[1]), math.remainder(yaw_rad, math.tau))
        reason = self.session.set_initial_pose(fix.stamp_ns, pose, covariance)
        if reason:
            self.refused["initial pose", reason] += 1
        else:
            self._initial_yaw = None

    def _motion(self, topic: str, message: Any, log_time_ns: int) -> None:
        if topic == self._wiring.odom:
            self._odometry(message, log_time_ns)
        else:
            self._filtered(message)

    def _odometry(self, message: Any, log_time_ns: int) -> None:
        sample = self._sample(message, self._wiring.odom, self._wiring.config.inputs.odom_stamp_offset_s)
        if sample is None:
            return
        reason = self.session.add_odom(sample)
        if reason:
            self.refused[self._wiring.odom, reason] += 1
        else:
            self.odometry.append(sample)
            self.odometry_at_ns.append(log_time_ns)

    def _filtered(self, message: Any) -> None:
        topic, frame = self._wiring.filter, messages.frame(message.header.frame_id)
        if frame != self._wiring.config.frames.map:
            self.refused[topic, f"in frame {frame}"] += 1
            return
        sample = self._sample(message, topic, 0.0)
        reason = "" if sample is None else self.session.add_filter_pose(sample)
        if reason:
            self.refused[topic, reason] += 1

    def _sample(self, message: Any, topic: str, offset_s: float) -> OdomSample | None:
        """Convert an Odometry to the pose of base."""
        base, child, T_child_base = self._wiring.config.frames.base, messages.frame(message.child_frame_id), None
        if child and child != base:
            try:
                T_child_base = se3.to_pose2(self.session.transforms.lookup(child, base, messages.stamp_ns(message)))
            except TransformError:
                self.refused[topic, f"no transform {base} to {child}"] += 1
                return None
        return messages.odometry(message, offset_s, T_child_base)

    def _in_outage(self, elapsed_s: float) -> bool:
        return any(start <= elapsed_s < start + length for start, length in self._outages)

    def _imu_mounting(self, message: Any) -> F64 | None:
        frame, base = messages.frame(message.header.frame_id), self._wiring.config.frames.base
        if frame in ("", base):
            return np.eye(3)
        try:
            return self.session.transforms.lookup(base, frame, messages.stamp_ns(message))[:3, :3]
        except TransformError:
            self.refused["imu", f"no transform {frame} to {base}"] += 1
            return None

    def _heading(self, message: Any) -> None:
        mounting = self._imu_mounting(message)
        sigma = math.radians(self._wiring.config.inputs.heading_sigma_deg)
        sample = None if mounting is None else messages.heading(message, sigma, mounting)
        if sample is not None:
            self.session.add_heading(sample)

    def _attitude(self, message: Any) -> None:
        mounting = self._imu_mounting(message)
        sample = None if mounting is None else messages.attitude(message, mounting)
        if sample is not None:
            self.session.add_attitude(*sample)


def lever_arm(session: Session, base: str, fix: GeoFix) -> F64:
    """Return the antenna's place (2,) in base; zero where TF does not know its frame."""
    try:
        return session.transforms.lookup(base, fix.frame_id, fix.stamp_ns)[:2, 3]
    except TransformError:
        return np.zeros(2)


def _calibration(message: Any) -> bytes:
    numbers = [np.asarray(getattr(message, name, getattr(message, name.upper(), ()))).tobytes() for name in "kdrp"]
    return b"|".join([*numbers, f"{message.width} {message.height} {message.distortion_model}".encode()])
