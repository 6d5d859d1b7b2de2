# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What tf2_ros, tf_transformations, sensor_msgs_py and cv_bridge do for this package, where they are not installed.

Names and arguments are theirs, so far as they are used; `compat` chooses, and one set of tests checks both sides.
"""

from __future__ import annotations

import array
import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from geometry_msgs.msg import TransformStamped
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile
from sensor_msgs.msg import Image, PointCloud2, PointField
from std_msgs.msg import Header
from tf2_msgs.msg import TFMessage

from cvloc_ros.types import F64

_DTYPES = {
    PointField.INT8: "i1", PointField.UINT8: "u1", PointField.INT16: "i2", PointField.UINT16: "u2",
    PointField.INT32: "i4", PointField.UINT32: "u4", PointField.FLOAT32: "f4", PointField.FLOAT64: "f8",
}  # fmt: skip


class TransformBroadcaster:
    """Sends transforms on /tf (tf2_ros.TransformBroadcaster)."""

    def __init__(self, node: Node) -> None:
        """Create the publisher."""
        self._publisher = node.create_publisher(TFMessage, "/tf", QoSProfile(depth=100))

    def sendTransform(self, transform: TransformStamped | Iterable[TransformStamped]) -> None:
        """Send one transform or several."""
        several = [transform] if isinstance(transform, TransformStamped) else list(transform)
        self._publisher.publish(TFMessage(transforms=several))


class StaticTransformBroadcaster:
    """Sends transforms on /tf_static, all that were ever given in one message (tf2_ros.StaticTransformBroadcaster)."""

    def __init__(self, node: Node) -> None:
        """Create the latched publisher."""
        qos = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL, history=HistoryPolicy.KEEP_LAST)
        self._publisher = node.create_publisher(TFMessage, "/tf_static", qos)
        self._known: dict[str, TransformStamped] = {}

    def sendTransform(self, transform: TransformStamped | Iterable[TransformStamped]) -> None:
        """Add or replace one transform or several."""
        several = [transform] if isinstance(transform, TransformStamped) else list(transform)
        self._known.update((item.child_frame_id, item) for item in several)
        self._publisher.publish(TFMessage(transforms=list(self._known.values())))


def quaternion_from_euler(ai: float, aj: float, ak: float) -> tuple[float, float, float, float]:
    """Return x, y, z, w of roll, pitch, yaw about fixed axes (tf_transformations, axes "sxyz")."""
    ci, si, cj, sj, ck, sk = (f(angle / 2) for angle in (ai, aj, ak) for f in (math.cos, math.sin))
    return (
        si * cj * ck - ci * sj * sk,
        ci * sj * ck + si * cj * sk,
        ci * cj * sk - si * sj * ck,
        ci * cj * ck + si * sj * sk,
    )


def euler_from_quaternion(quaternion: Sequence[float]) -> tuple[float, float, float]:
    """Return roll, pitch, yaw of x, y, z, w (tf_transformations, axes "sxyz")."""
    x, y, z, w = np.asarray(quaternion, dtype=np.float64) / np.linalg.norm(quaternion)
    roll = math.atan2(2 * (w * x + y * z), 1 - 2 * (x * x + y * y))
    pitch = math.asin(max(-1.0, min(1.0, 2 * (w * y - z * x))))
    return roll, pitch, math.atan2(2 * (w * z + x * y), 1 - 2 * (y * y + z * z))


def create_cloud(header: Header, fields: Sequence[PointField], points: F64) -> PointCloud2:
    """Make an unordered cloud of points (N, number of fields) (sensor_msgs_py.point_cloud2)."""
    dtype = _cloud_dtype(fields, 0)
    rows = np.zeros(len(points), dtype)
    for column, item in enumerate(fields):
        rows[item.name] = points[:, column]
    return PointCloud2(
        header=header, height=1, width=len(rows), fields=list(fields), is_bigendian=False, point_step=dtype.itemsize,
        row_step=dtype.itemsize * len(rows), data=byte_array(rows.tobytes()), is_dense=False,
    )  # fmt: skip


def read_points(cloud: PointCloud2, field_names: Sequence[str] | None = None, *, skip_nans: bool = False) -> Any:
    """Return the points as a structured array (N,) (sensor_msgs_py.point_cloud2)."""
    order = ">" if cloud.is_bigendian else "<"
    rows = np.frombuffer(bytes(cloud.data), _cloud_dtype(cloud.fields, cloud.point_step, order))
    chosen = rows[list(field_names)] if field_names is not None else rows
    if skip_nans:
        keep = np.ones(len(chosen), dtype=bool)
        for name in chosen.dtype.names or ():
            keep &= ~np.isnan(chosen[name])
        chosen = chosen[keep]
    return chosen


def _cloud_dtype(fields: Sequence[PointField], step: int, order: str = "<") -> np.dtype[Any]:
    ends = [item.offset + np.dtype(_DTYPES[item.datatype]).itemsize * item.count for item in fields]
    return np.dtype(
        {
            "names": [item.name for item in fields],
            "formats": [order + _DTYPES[item.datatype] for item in fields],
            "offsets": [item.offset for item in fields],
            "itemsize": step or max(ends),
        }
    )


class CvBridge:
    """Makes image messages (cv_bridge.CvBridge)."""

    def cv2_to_imgmsg(self, cvim: Any, encoding: str = "rgb8", header: Header | None = None) -> Image:
        """Make a message of an 8-bit picture (H, W, 3) or (H, W)."""
        picture = np.ascontiguousarray(cvim, dtype=np.uint8)
        rows, columns = picture.shape[:2]
        return Image(
            header=header or Header(), height=rows, width=columns, encoding=encoding, is_bigendian=0,
            step=picture.strides[0], data=byte_array(picture),
        )  # fmt: skip


def byte_array(data: Any) -> array.array[int]:
    """Return bytes in the type that message fields take without a copy for each element."""
    result = array.array("B")
    result.frombytes(memoryview(data).cast("B") if len(data) else b"")
    return result
