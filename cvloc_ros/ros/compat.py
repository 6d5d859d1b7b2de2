# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The helper packages of a ROS 2 installation where they are, stand-ins where they are not (wheels have none).

`INSTALLED` tells which are the real ones. Each is looked for by importing it: a package that is there but broken
(cv_bridge built for another NumPy) counts as absent.
"""

from __future__ import annotations

import contextlib
from typing import Any

from cvloc_ros.ros import standins

INSTALLED: dict[str, bool] = {}

try:
    from tf2_ros import StaticTransformBroadcaster, TransformBroadcaster

    INSTALLED["tf2_ros"] = True
except ImportError:
    TransformBroadcaster = standins.TransformBroadcaster
    StaticTransformBroadcaster = standins.StaticTransformBroadcaster
    INSTALLED["tf2_ros"] = False

try:
    from tf_transformations import euler_from_quaternion, quaternion_from_euler

    INSTALLED["tf_transformations"] = True
except ImportError:
    quaternion_from_euler = standins.quaternion_from_euler
    euler_from_quaternion = standins.euler_from_quaternion
    INSTALLED["tf_transformations"] = False

try:
    from sensor_msgs_py.point_cloud2 import create_cloud, read_points

    INSTALLED["sensor_msgs_py"] = True
except ImportError:
    create_cloud, read_points = standins.create_cloud, standins.read_points
    INSTALLED["sensor_msgs_py"] = False

try:
    from cv_bridge import CvBridge

    INSTALLED["cv_bridge"] = True
except (ImportError, AttributeError):  # AttributeError: _ARRAY_API not found, a build for NumPy 1 under NumPy 2
    CvBridge = standins.CvBridge
    INSTALLED["cv_bridge"] = False

try:
    from rclpy.event_handler import SubscriptionEventCallbacks
except ImportError:  # Humble
    from rclpy.qos_event import SubscriptionEventCallbacks

LocalizationStatus: Any = None
"""The package's own message; None where it was not generated, and then everything else is published all the same."""
with contextlib.suppress(ImportError):
    from cvloc_ros.msg import LocalizationStatus  # type: ignore[no-redef]

GeoPoseWithCovarianceStamped: Any = None
"""Of geographic_msgs, where that is installed; no stand-in would be of use to who listens with the real one."""
with contextlib.suppress(ImportError):
    from geographic_msgs.msg import GeoPoseWithCovarianceStamped  # type: ignore[no-redef]

__all__ = [
    "INSTALLED", "CvBridge", "GeoPoseWithCovarianceStamped", "LocalizationStatus", "StaticTransformBroadcaster",
    "SubscriptionEventCallbacks", "TransformBroadcaster", "create_cloud", "euler_from_quaternion",
    "quaternion_from_euler", "read_points",
]  # fmt: skip
