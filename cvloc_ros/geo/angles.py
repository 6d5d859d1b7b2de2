# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Angles: wrapping, and the only place where compass bearings become ENU yaw."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, overload

import numpy as np

if TYPE_CHECKING:
    from cvloc_ros.types import F64


@overload
def wrap(angle_rad: float) -> float: ...
@overload
def wrap(angle_rad: F64) -> F64: ...
def wrap(angle_rad: float | F64) -> float | F64:
    """Bring an angle, or an array of angles, into -pi..pi."""
    if isinstance(angle_rad, np.ndarray):
        turns: F64 = np.round(angle_rad / math.tau)
        return angle_rad - turns * math.tau
    return math.remainder(angle_rad, math.tau)


def yaw_from_bearing(bearing_deg: float) -> float:
    """Take a compass bearing (degrees clockwise from north) to ENU yaw (radians counter-clockwise from east)."""
    return wrap(math.radians(90.0 - bearing_deg))


def bearing_from_yaw(yaw_rad: float) -> float:
    """Take ENU yaw (radians) to a compass bearing in 0 <= degrees < 360."""
    bearing = (90.0 - math.degrees(yaw_rad)) % 360.0
    # The remainder of a tiny negative number rounds to 360 itself.
    return 0.0 if bearing >= 360.0 else bearing
