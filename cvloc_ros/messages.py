# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""From message objects to the values of `types.py`.

Only attribute names matter, so that the classes of rclpy and those of a bag reader work alike (ROS 1 spelling of
CameraInfo included). Nothing here judges values: NaN, no-fix and impossible quaternions come out as NaN or as they
are, and `Session.add_*` refuses them with a reason.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from cvloc_ros.config import Camera
from cvloc_ros.depth_images import DepthImage
from cvloc_ros.imaging import decode
from cvloc_ros.imaging.camera import from_camera_info
from cvloc_ros.types import F32, F64, U8, CameraImage, CameraModel, GeoFix, HeadingSample, OdomSample, Pose2

UNKNOWN_FIX_SIGMA_M = 5.0
"""Taken where a fix states no covariance (COVARIANCE_TYPE_UNKNOWN, zeros or NaN): a plain receiver in the open."""

PLANAR = (0, 1, 5)
"""Rows and columns of x, y and yaw in a 6x6 covariance over x, y, z and rotations about x, y, z."""

UNOBSERVED_VARIANCE = 1e6
"""Variance of z, roll and pitch, which are not measured: large enough that a filter that fuses them warns."""

NANOSECONDS = 1_000_000_000


class Transform(NamedTuple):
    """One edge of the tree; `matrix` (4, 4) takes coordinates of `child` to `parent`."""

    parent: str
    child: str
    stamp_ns: int
    matrix: F64


class PlanarPose(NamedTuple):
    """A pose in `frame_id` with its covariance (3, 3) over x, y (m), yaw (rad)."""

    frame_id: str
    stamp_ns: int
    pose: Pose2
    covariance: F64


def stamp_ns(message: Any, offset_s: float = 0.0) -> int:
    """Return the header stamp in nanoseconds, with an offset in seconds added."""
    stamp = message.header.stamp
    return int(stamp.sec) * NANOSECONDS + int(stamp.nanosec) + round(offset_s * NANOSECONDS)


def frame(name: str) -> str:
    """Return a frame name without the leading slash of ROS 1."""
    return name.lstrip("/")


def rotation(quaternion: Any) -> F64:
    """Return the rotation matrix (3, 3) of a quaternion message; NaN where its norm is not about 1.

    Norms within 1 % are normalised (single precision drivers); an all-zero quaternion is "not set", not identity.
    """
    x, y, z, w = float(quaternion.x), float(quaternion.y), float(quaternion.z), float(quaternion.w)
    norm = math.sqrt(x * x + y * y + z * z + w * w)
    if not abs(norm - 1.0) < 0.01:
        return np.full((3, 3), np.nan)
    x, y, z, w = x / norm, y / norm, z / norm, w / norm
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )


def matrix(translation: Any, quaternion: Any) -> F64:
    """Return the transform (4, 4) of a translation (or point) and a quaternion message."""
    result = np.eye(4)
    result[:3, :3] = rotation(quaternion)
    result[:3, 3] = translation.x, translation.y, translation.z
    return result


def planar_pose(pose: Any) -> Pose2:
    """Return x, y and yaw of a geometry_msgs/Pose; NaN where it has NaN or no orientation."""
    R = rotation(pose.orientation)
    return Pose2(float(pose.position.x), float(pose.position.y), math.atan2(R[1, 0], R[0, 0]))


def planar_covariance(covariance: Any) -> F64:
    """Return the x, y, yaw part (3, 3) of a 6x6 row-major covariance."""
    full = np.asarray(covariance, dtype=np.float64).reshape(6, 6)
    return full[np.ix_(PLANAR, PLANAR)]


def covariance_36(covariance: F64) -> list[float]:
    """Spread (3, 3) over x, y, yaw to the 36 numbers of ROS: 1e6 for z, roll and pitch, no cross terms with them."""
    full = np.eye(6) * UNOBSERVED_VARIANCE
    full[np.ix_(PLANAR, PLANAR)] = covariance
    return [float(value) for value in full.ravel()]


def fix(message: Any, offset_s: float = 0.0) -> GeoFix:
    """Convert sensor_msgs/NavSatFix. A NaN altitude is no fault: the pose is planar."""
    covariance = np.asarray(message.position_covariance, dtype=np.float64).reshape(3, 3)[:2, :2]
    stated = int(message.position_covariance_type) != 0 and np.isfinite(covariance).all()
    if not stated or np.linalg.eigvalsh((covariance + covariance.T) / 2).min() <= 0:
        covariance = np.eye(2) * UNKNOWN_FIX_SIGMA_M**2
    return GeoFix(
        latitude_deg=float(message.latitude),
        longitude_deg=float(message.longitude),
        stamp_ns=stamp_ns(message, offset_s),
        covariance_m2=covariance,
        quality=int(message.status.status),
        frame_id=frame(message.header.frame_id),
    )


def odometry(message: Any, offset_s: float = 0.0, T_child_base: Pose2 | None = None) -> OdomSample:
    """Convert nav_msgs/Odometry to the pose of base in its frame.

    `T_child_base` takes base to the message's child frame; None where they are the same.
    """
    pose = planar_pose(message.pose.pose)
    covariance = planar_covariance(message.pose.covariance)
    stated = np.isfinite(covariance).all() and covariance.any()
    return OdomSample(
        stamp_ns=stamp_ns(message, offset_s),
        pose=pose if T_child_base is None else pose @ T_child_base,
        covariance=covariance if stated else None,
    )


def imu_rotation(message: Any, R_base_imu: F64 | None = None) -> F64 | None:
    """Return the rotation (3, 3) of base against east-north-up; None where the Imu states no orientation (-1).

    `R_base_imu` (3, 3) takes the Imu's axes to those of base; None where they are the same.
    """
    if float(message.orientation_covariance[0]) == -1.0:
        return None
    R = rotation(message.orientation)
    return R if R_base_imu is None else R @ R_base_imu.T


def heading(message: Any, sigma_rad: float, R_base_imu: F64 | None = None) -> HeadingSample | None:
    """Convert the orientation of sensor_msgs/Imu (ENU, REP-103) to the yaw of base; None where it has none."""
    R = imu_rotation(message, R_base_imu)
    return None if R is None else HeadingSample(stamp_ns(message), math.atan2(R[1, 0], R[0, 0]), sigma_rad)


def attitude(message: Any, R_base_imu: F64 | None = None) -> tuple[int, float, float] | None:
    """Convert sensor_msgs/Imu to (stamp in ns, roll, pitch of base in rad); None where it has no orientation."""
    R = imu_rotation(message, R_base_imu)
    if R is None:
        return None
    return stamp_ns(message), math.atan2(R[2, 1], R[2, 2]), math.atan2(-R[2, 0], math.hypot(R[2, 1], R[2, 2]))


def pose_with_covariance(message: Any) -> PlanarPose:
    """Convert geometry_msgs/PoseWithCovarianceStamped."""
    return PlanarPose(
        frame(message.header.frame_id),
        stamp_ns(message),
        planar_pose(message.pose.pose),
        planar_covariance(message.pose.covariance),
    )


def transforms(message: Any) -> Iterator[Transform]:
    """Yield the edges of a tf2_msgs/TFMessage."""
    for item in message.transforms:
        T = matrix(item.transform.translation, item.transform.rotation)
        yield Transform(frame(item.header.frame_id), frame(item.child_frame_id), stamp_ns(item), T)


def camera_model(message: Any, settings: Camera | None = None) -> CameraModel:
    """Convert sensor_msgs/CameraInfo; `settings` may replace its distortion model, or say that images are rectified.

    Raises:
        ImageError: the calibration is empty or contradicts itself.
    """
    settings, roi = settings or Camera(), message.roi
    return from_camera_info(
        message.distortion_model if settings.model == "auto" else settings.model,
        int(message.width),
        int(message.height),
        _array(message, "k").reshape(3, 3),
        _array(message, "d"),
        R=_array(message, "r").reshape(3, 3),
        P=_array(message, "p").reshape(3, 4),
        binning=(int(message.binning_x), int(message.binning_y)),
        roi=(int(roi.x_offset), int(roi.y_offset), int(roi.width), int(roi.height)),
        rectified=settings.rectified,
    )


def _array(message: Any, name: str) -> F64:
    value = getattr(message, name) if hasattr(message, name) else getattr(message, name.upper())
    return np.asarray(value, dtype=np.float64)


def image(message: Any, camera: str, offset_s: float = 0.0, frame_id: str = "") -> CameraImage:
    """Wrap sensor_msgs/Image or CompressedImage; nothing is decoded until `decode` is called."""
    def decoder() -> U8:
        if hasattr(message, "encoding"):
            return decode.decode_raw(
                message.encoding, int(message.width), int(message.height), int(message.step),
                bool(message.is_bigendian), message.data,
            )  # fmt: skip
        return decode.decode_compressed(message.format, message.data)

    return CameraImage(camera, stamp_ns(message, offset_s), frame_id or frame(message.header.frame_id), decoder)


def depth_image(message: Any, camera: str, offset_s: float = 0.0) -> DepthImage:
    """Wrap a sensor_msgs/Image of depth (REP 118); nothing is decoded until `decode` is called."""
    def decoder() -> F32:
        return decode.decode_depth(
            message.encoding, int(message.width), int(message.height), int(message.step), bool(message.is_bigendian),
            message.data,
        )  # fmt: skip

    return DepthImage(camera, stamp_ns(message, offset_s), frame(message.header.frame_id), decoder)
