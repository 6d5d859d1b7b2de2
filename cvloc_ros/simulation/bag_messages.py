# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Serialised ROS 2 messages of a simulated drive, without ROS."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from rosbags.interfaces import Qos, QosDurability, QosHistory, QosLiveliness, QosReliability, QosTime
from rosbags.typesys import Stores, get_typestore

from cvloc_ros.geo import se3
from cvloc_ros.imaging.models import Fisheye, Pinhole
from cvloc_ros.types import F64

_UNKNOWN = 1e3
"""Variance of an angle that is not known, rad²."""
_FOREVER = QosTime(2147483647, 4294967295)


def qos(depth: int, *, latched: bool = False) -> Qos:
    """Return a reliable profile; `latched` keeps the last message for late subscribers."""
    durability = QosDurability.TRANSIENT_LOCAL if latched else QosDurability.VOLATILE
    return Qos(
        QosHistory.KEEP_LAST, depth, QosReliability.RELIABLE, durability, _FOREVER, _FOREVER, QosLiveliness.AUTOMATIC,
        _FOREVER, False,
    )  # fmt: skip


class MessageFactory:
    """Builds and serialises messages of the standard packages."""

    def __init__(self) -> None:
        self.typestore = get_typestore(Stores.ROS2_JAZZY)

    def __getattr__(self, name: str) -> Any:
        """Return a message class by `package_Name`."""
        package, _, kind = name.rpartition("_")
        return self.typestore.types[f"{package}/msg/{kind}"]

    def serialize(self, message: Any) -> bytes:
        """Return the CDR bytes of a message."""
        return bytes(self.typestore.serialize_cdr(message, message.__msgtype__))

    def header(self, stamp_ns: int, frame_id: str) -> Any:
        """Return a std_msgs/Header."""
        time = self.builtin_interfaces_Time(stamp_ns // 10**9, stamp_ns % 10**9)
        return self.std_msgs_Header(time, frame_id)

    def _pose(self, x: float, y: float, yaw: float) -> Any:
        rotation = self.geometry_msgs_Quaternion(0.0, 0.0, math.sin(yaw / 2), math.cos(yaw / 2))
        return self.geometry_msgs_Pose(self.geometry_msgs_Point(x, y, 0.0), rotation)

    def image(self, stamp_ns: int, frame_id: str, jpeg: bytes) -> bytes:
        """Serialise a sensor_msgs/CompressedImage."""
        header = self.header(stamp_ns, frame_id)
        return self.serialize(self.sensor_msgs_CompressedImage(header, "jpeg", np.frombuffer(jpeg, np.uint8)))

    def camera_info(self, stamp_ns: int, frame_id: str, camera: Pinhole | Fisheye) -> bytes:
        """Serialise a sensor_msgs/CameraInfo."""
        distortion = np.array(camera.coefficients[: 4 if isinstance(camera, Fisheye) else 5])
        k = np.array([camera.fx, 0, camera.cx, 0, camera.fy, camera.cy, 0, 0, 1.0])
        p = np.insert(k.reshape(3, 3), 3, 0.0, axis=1).ravel()
        whole = self.sensor_msgs_RegionOfInterest(0, 0, 0, 0, False)
        return self.serialize(
            self.sensor_msgs_CameraInfo(
                self.header(stamp_ns, frame_id), camera.height, camera.width, camera.kind,
                distortion, k, np.eye(3).ravel(), p, 0, 0, whole,
            )
        )

    def fix(self, stamp_ns: int, latitude: float, longitude: float, altitude: float, variance_m2: float) -> bytes:
        """Serialise a sensor_msgs/NavSatFix with the same variance east and north; 0 states no covariance."""
        status = self.sensor_msgs_NavSatStatus(0, 1)
        covariance = np.diag([variance_m2, variance_m2, 6.0 * variance_m2]).ravel()
        header = self.header(stamp_ns, "gnss" if variance_m2 else "map")
        kind = 2 if variance_m2 else 0
        return self.serialize(
            self.sensor_msgs_NavSatFix(header, status, latitude, longitude, altitude, covariance, kind)
        )

    def odometry(self, stamp_ns: int, pose: F64, speed: float, yaw_rate: float, travelled_m: float) -> bytes:
        """Serialise a nav_msgs/Odometry of base_link in odom; its covariance grows with the travelled distance."""
        spread = np.full(6, 1e6)
        drift_m2 = (0.02 + 0.01 * travelled_m) ** 2
        spread[[0, 1, 5]] = drift_m2, drift_m2, 1e-4 + 1e-6 * travelled_m
        twist = self.geometry_msgs_Twist(
            self.geometry_msgs_Vector3(speed, 0.0, 0.0), self.geometry_msgs_Vector3(0.0, 0.0, yaw_rate)
        )
        rates = np.diag([1e-3, 1e-4, 1e6, 1e6, 1e6, 1e-6]).ravel()
        return self.serialize(
            self.nav_msgs_Odometry(
                self.header(stamp_ns, "odom"), "base_link",
                self.geometry_msgs_PoseWithCovariance(self._pose(*pose.tolist()), np.diag(spread).ravel()),
                self.geometry_msgs_TwistWithCovariance(twist, rates),
            )
        )

    def truth(self, stamp_ns: int, place: F64) -> bytes:
        """Serialise the true transform (4, 4) of base_link in map as geometry_msgs/PoseWithCovarianceStamped."""
        point = self.geometry_msgs_Point(*place[:3, 3].tolist())
        pose = self.geometry_msgs_Pose(point, self._turn(place))
        exact = self.geometry_msgs_PoseWithCovariance(pose, np.full(36, 0.0))
        return self.serialize(self.geometry_msgs_PoseWithCovarianceStamped(self.header(stamp_ns, "map"), exact))

    def imu(self, stamp_ns: int, attitude: F64, rate: F64, force: F64, variances: F64) -> bytes:
        """Serialise a sensor_msgs/Imu (REP 145) whose orientation is level and whose yaw is not absolute.

        Args:
            stamp_ns: stamp.
            attitude: (3, 3) rotation from the sensor's axes to a level frame.
            rate: (3,) rad/s.
            force: (3,) m/s², gravity included.
            variances: (3,) of roll and pitch, of the rates and of the forces.
        """
        level, turning, pushing = (np.diag([value] * 3) for value in variances.tolist())
        level[2, 2] = _UNKNOWN
        return self.serialize(
            self.sensor_msgs_Imu(
                self.header(stamp_ns, "imu"), self._turn(attitude), level.ravel(),
                self.geometry_msgs_Vector3(*rate.tolist()), turning.ravel(),
                self.geometry_msgs_Vector3(*force.tolist()), pushing.ravel(),
            )
        )

    def heading(self, stamp_ns: int, yaw: float, variance: float) -> bytes:
        """Serialise a sensor_msgs/Imu that knows the absolute yaw (ENU) and nothing else."""
        nothing = np.zeros(9)
        nothing[0] = -1.0
        spread = np.diag([_UNKNOWN, _UNKNOWN, variance]).ravel()
        zero = self.geometry_msgs_Vector3(0.0, 0.0, 0.0)
        turn = self.geometry_msgs_Quaternion(*se3.quaternion_from_yaw(yaw))
        header = self.header(stamp_ns, "gnss")
        return self.serialize(self.sensor_msgs_Imu(header, turn, spread, zero, nothing, zero, nothing))

    def _turn(self, matrix: F64) -> Any:
        return self.geometry_msgs_Quaternion(*se3.quaternion(matrix).tolist())

    def transforms(self, stamp_ns: int, edges: dict[tuple[str, str], F64]) -> bytes:
        """Serialise a tf2_msgs/TFMessage of (parent, child) and matrices (4, 4)."""
        items = []
        for (parent, child), matrix in edges.items():
            shift = self.geometry_msgs_Vector3(*matrix[:3, 3].tolist())
            turn = self._turn(matrix)
            items.append(
                self.geometry_msgs_TransformStamped(
                    self.header(stamp_ns, parent), child, self.geometry_msgs_Transform(shift, turn)
                )
            )
        return self.serialize(self.tf2_msgs_TFMessage(items))
