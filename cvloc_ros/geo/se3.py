# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Rigid transforms as 4x4 matrices `T_a_b` (coordinates of b to a), metres and radians.

Rotations: quaternions are (x, y, z, w) as in ROS; roll, pitch, yaw are about the fixed x, y, z axes (REP-103),
so that R = Rz(yaw) Ry(pitch) Rx(roll).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from cvloc_ros.types import F64, Pose2

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike

_NORM_TOLERANCE = 0.01
_RIGID_TOLERANCE = 1e-3


def from_quaternion(xyzw: ArrayLike, translation: ArrayLike = (0.0, 0.0, 0.0)) -> F64:
    """Build a (4, 4) transform; a quaternion whose norm is not 1 within 1 % gives NaN, never a guess.

    Zero quaternions mean "no orientation" in many drivers; NaN makes whoever stores the transform refuse it.
    """
    x, y, z, w = (float(value) for value in np.asarray(xyzw, dtype=np.float64))
    norm = math.sqrt(x * x + y * y + z * z + w * w)
    if not abs(norm - 1.0) <= _NORM_TOLERANCE:
        return np.full((4, 4), np.nan)
    x, y, z, w = x / norm, y / norm, z / norm, w / norm
    transform = np.eye(4)
    transform[:3, :3] = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    transform[:3, 3] = translation
    return transform


def from_rpy(roll_rad: float, pitch_rad: float, yaw_rad: float, translation: ArrayLike = (0.0, 0.0, 0.0)) -> F64:
    """Build a (4, 4) transform from fixed-axis roll, pitch, yaw."""
    cr, sr = math.cos(roll_rad), math.sin(roll_rad)
    cp, sp = math.cos(pitch_rad), math.sin(pitch_rad)
    cy, sy = math.cos(yaw_rad), math.sin(yaw_rad)
    transform = np.eye(4)
    transform[:3, :3] = [
        [cy * cp, cy * sp * sr - sy * cr, cy * sp * cr + sy * sr],
        [sy * cp, sy * sp * sr + cy * cr, sy * sp * cr - cy * sr],
        [-sp, cp * sr, cp * cr],
    ]
    transform[:3, 3] = translation
    return transform


def from_translation(translation: ArrayLike) -> F64:
    """Build a (4, 4) transform without rotation."""
    transform = np.eye(4)
    transform[:3, 3] = translation
    return transform


def from_pose2(pose: Pose2, z_m: float = 0.0) -> F64:
    """Lift a planar pose to a (4, 4) transform."""
    return from_rpy(0.0, 0.0, pose.yaw_rad, (pose.x_m, pose.y_m, z_m))


def to_pose2(transform: F64) -> Pose2:
    """Planar part of a (4, 4) transform: x, y and the heading of its x axis on the ground."""
    return Pose2(float(transform[0, 3]), float(transform[1, 3]), math.atan2(transform[1, 0], transform[0, 0]))


def inverse(transform: F64) -> F64:
    """Invert a rigid transform."""
    rotation_t = transform[:3, :3].T
    result = np.eye(4)
    result[:3, :3] = rotation_t
    result[:3, 3] = -rotation_t @ transform[:3, 3]
    return result


def apply(transform: F64, points: F64) -> F64:
    """Take points (..., 3) through a (4, 4) transform."""
    result: F64 = points @ transform[:3, :3].T + transform[:3, 3]
    return result


def rpy(transform: F64) -> tuple[float, float, float]:
    """Fixed-axis roll, pitch, yaw in radians; at pitch = ±90° roll is set to 0."""
    r = transform
    pitch = math.atan2(-r[2, 0], math.hypot(r[0, 0], r[1, 0]))
    if math.hypot(r[0, 0], r[1, 0]) < 1e-9:
        return 0.0, pitch, math.atan2(-r[0, 1], r[1, 1])
    return math.atan2(r[2, 1], r[2, 2]), pitch, math.atan2(r[1, 0], r[0, 0])


def quaternion(transform: F64) -> F64:
    """Quaternion (x, y, z, w) of the rotation, w >= 0."""
    r = transform[:3, :3]
    trace = float(np.trace(r))
    # Shepperd's method: divide by the largest of the four, so that no cancellation occurs.
    squares = np.array([1 + 2 * r[0, 0] - trace, 1 + 2 * r[1, 1] - trace, 1 + 2 * r[2, 2] - trace, 1 + trace])
    largest = int(np.argmax(squares))
    if largest == 3:
        q = np.array([r[2, 1] - r[1, 2], r[0, 2] - r[2, 0], r[1, 0] - r[0, 1], squares[3]])
    else:
        i, j, k = largest, (largest + 1) % 3, (largest + 2) % 3
        q = np.empty(4)
        q[i], q[j], q[k], q[3] = squares[i], r[j, i] + r[i, j], r[k, i] + r[i, k], r[k, j] - r[j, k]
    q /= np.linalg.norm(q)
    return -q if q[3] < 0 else q


def quaternion_from_yaw(yaw_rad: float) -> tuple[float, float, float, float]:
    """Quaternion (x, y, z, w) of a turn about z."""
    return 0.0, 0.0, math.sin(yaw_rad / 2), math.cos(yaw_rad / 2)


def yaw_from_quaternion(xyzw: Sequence[float]) -> float:
    """Yaw in radians of a quaternion (x, y, z, w); NaN where `from_quaternion` gives NaN."""
    return to_pose2(from_quaternion(xyzw)).yaw_rad


def interpolate(first: F64, second: F64, fraction: float) -> F64:
    """Interpolate two transforms: translation linearly, rotation along the shortest turn at constant rate."""
    q0, q1 = quaternion(first), quaternion(second)
    dot = float(q0 @ q1)
    if dot < 0.0:
        q1, dot = -q1, -dot
    angle = math.acos(min(dot, 1.0))
    if angle < 1e-6:
        q = q0 + fraction * (q1 - q0)
    else:
        q = (math.sin((1 - fraction) * angle) * q0 + math.sin(fraction * angle) * q1) / math.sin(angle)
    q /= np.linalg.norm(q)
    return from_quaternion(q, first[:3, 3] + fraction * (second[:3, 3] - first[:3, 3]))


def is_rigid(transform: F64) -> bool:
    """Tell whether a (4, 4) matrix is a rotation (to 1e-3) and a translation, without mirroring."""
    if transform.shape != (4, 4) or not np.array_equal(transform[3], (0.0, 0.0, 0.0, 1.0)):
        return False
    rotation = transform[:3, :3]
    close = float(np.abs(rotation @ rotation.T - np.eye(3)).max()) < _RIGID_TOLERANCE
    return close and float(np.linalg.det(rotation)) > 0
