# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Relations between a mounted camera and the ground plane z = 0 of the base frame."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from cvloc_ros.types import F64, CameraModel


def level(T_base_camera: F64, roll_rad: float, pitch_rad: float) -> F64:
    """Return the mounting (4, 4) in the levelled base frame, whose z axis is up.

    `roll_rad` and `pitch_rad` are those of the vehicle body against the ground (REP-103: pitch > 0 lowers the front).
    An IMU measures them against gravity; on a slope the road tilts too, and that part does not belong here.
    """
    cr, sr, cp, sp = math.cos(roll_rad), math.sin(roll_rad), math.cos(pitch_rad), math.sin(pitch_rad)
    T_level_base = np.array(
        [[cp, sp * sr, sp * cr, 0.0], [0.0, cr, -sr, 0.0], [-sp, cp * sr, cp * cr, 0.0], [0.0, 0.0, 0.0, 1.0]]
    )
    mounting: F64 = T_level_base @ T_base_camera
    return mounting


def ground_points(uv: F64, camera: CameraModel, T_base_camera: F64) -> F64:
    """Intersect the rays of pixels (..., 2) with the ground; (..., 2) m in base, NaN at and above the horizon."""
    rays = camera.unproject(uv) @ T_base_camera[:3, :3].T
    height = T_base_camera[2, 3]
    with np.errstate(all="ignore"):
        distance = np.where((rays[..., 2] < 0.0) & (height > 0.0), -height / rays[..., 2], np.nan)
    points: F64 = T_base_camera[:2, 3] + distance[..., None] * rays[..., :2]
    return points


def to_camera(points: F64, T_base_camera: F64) -> F64:
    """Take ground points (..., 2) of base, z = 0, to the optical frame (..., 3)."""
    R = T_base_camera[:3, :3]
    return points @ R[:2] - T_base_camera[:3, 3] @ R
