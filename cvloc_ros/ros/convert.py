# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""From core values to messages. NumPy scalars are turned into Python's: unchecked messages corrupt them silently."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from builtin_interfaces.msg import Time
from geometry_msgs.msg import (
    Point,
    Point32,
    PolygonStamped,
    Pose,
    PoseWithCovarianceStamped,
    Quaternion,
    TransformStamped,
)
from nav_msgs.msg import Odometry
from sensor_msgs.msg import NavSatFix, NavSatStatus, PointCloud2, PointField
from std_msgs.msg import ColorRGBA, Header
from visualization_msgs.msg import Marker, MarkerArray

from cvloc_ros import messages
from cvloc_ros.geo.projection import Projection
from cvloc_ros.ros import compat
from cvloc_ros.types import F32, F64, U8, LocalizationResult, Pose2, PoseEstimate, SearchWindow, Status

ELLIPSE_SIGMA = 2.4477
"""Radius that holds 95 % of a planar normal distribution."""

GOOD_COLOUR, BAD_COLOUR, PRIOR_COLOUR = (0.1, 0.8, 0.2), (0.9, 0.1, 0.1), (0.3, 0.55, 1.0)


def time_message(stamp_ns: int) -> Time:
    """Convert nanoseconds; negative stamps become 0, which messages cannot go below."""
    seconds, nanoseconds = divmod(max(int(stamp_ns), 0), 1_000_000_000)
    return Time(sec=seconds, nanosec=nanoseconds)


def header(stamp_ns: int, frame_id: str) -> Header:
    """Make a header."""
    return Header(stamp=time_message(stamp_ns), frame_id=frame_id)


def pose_message(pose: Pose2) -> Pose:
    """Convert a planar pose; z = 0."""
    return Pose(position=Point(x=float(pose.x_m), y=float(pose.y_m), z=0.0), orientation=quaternion(pose.yaw_rad))


def quaternion(yaw_rad: float) -> Quaternion:
    """Make a rotation about z."""
    x, y, z, w = compat.quaternion_from_euler(0.0, 0.0, float(yaw_rad))
    return Quaternion(x=float(x), y=float(y), z=float(z), w=float(w))


def pose_with_covariance(estimate: PoseEstimate, stamp_ns: int, frame_id: str) -> PoseWithCovarianceStamped:
    """Make the message that filters fuse."""
    result = PoseWithCovarianceStamped(header=header(stamp_ns, frame_id))
    result.pose.pose = pose_message(estimate.pose)
    result.pose.covariance = messages.covariance_36(estimate.covariance)
    return result


def odometry(estimate: PoseEstimate, stamp_ns: int, frame_id: str, child_frame_id: str) -> Odometry:
    """Make the same as Odometry in the map; its twist is unobserved."""
    result = Odometry(header=header(stamp_ns, frame_id), child_frame_id=child_frame_id)
    result.pose.pose = pose_message(estimate.pose)
    result.pose.covariance = messages.covariance_36(estimate.covariance)
    result.twist.covariance = [float(value) for value in (np.eye(6) * messages.UNOBSERVED_VARIANCE).ravel()]
    return result


def fix(estimate: PoseEstimate, stamp_ns: int, frame_id: str, projection: Projection) -> NavSatFix:
    """Make a position on the Earth with its east-north covariance; the altitude is unknown (NaN).

    Raises:
        GeoError: the pose lies outside the projection.
    """
    lat, lon, _, planar = _on_the_earth(estimate, projection)
    covariance = np.diag([0.0, 0.0, messages.UNOBSERVED_VARIANCE])
    covariance[:2, :2] = planar[:2, :2]
    return NavSatFix(
        header=header(stamp_ns, frame_id),
        status=NavSatStatus(status=NavSatStatus.STATUS_FIX, service=0),
        latitude=lat, longitude=lon, altitude=math.nan,
        position_covariance=[float(value) for value in covariance.ravel()],
        position_covariance_type=NavSatFix.COVARIANCE_TYPE_KNOWN,
    )  # fmt: skip


def geopose(estimate: PoseEstimate, stamp_ns: int, frame_id: str, projection: Projection) -> Any:
    """Make a geographic_msgs/GeoPoseWithCovarianceStamped; `compat` tells whether that message is installed.

    Its covariance (m², rad²) is over latitude, longitude, altitude and the rotations about east, north and up: north
    comes before east. The orientation is that in east-north-up; the altitude is unknown (NaN).

    Raises:
        GeoError: the pose lies outside the projection.
    """
    lat, lon, yaw_rad, planar = _on_the_earth(estimate, projection)
    north_first = [1, 0, 2]
    result = compat.GeoPoseWithCovarianceStamped(header=header(stamp_ns, frame_id))
    position = result.pose.pose.position
    position.latitude, position.longitude, position.altitude = lat, lon, math.nan
    result.pose.pose.orientation = quaternion(yaw_rad)
    result.pose.covariance = messages.covariance_36(planar[np.ix_(north_first, north_first)])
    return result


def _on_the_earth(estimate: PoseEstimate, projection: Projection) -> tuple[float, float, float, F64]:
    """Return latitude, longitude (deg), yaw (rad) and covariance (3, 3) of a pose in east-north-up at its place."""
    lat, lon = projection.to_geodetic(estimate.pose.xy)
    east_rad = projection.yaw_of_east(estimate.pose.xy)
    J = np.eye(3)
    J[:2, :2] = Pose2(0.0, 0.0, -east_rad).apply(np.eye(2)).T
    return float(lat), float(lon), estimate.pose.yaw_rad - east_rad, J @ estimate.covariance @ J.T


def datum(projection: Projection, stamp_ns: int, frame_id: str) -> NavSatFix:
    """Make the origin of the map; covariance unknown, as it is a definition."""
    return NavSatFix(
        header=header(stamp_ns, frame_id),
        status=NavSatStatus(status=NavSatStatus.STATUS_FIX, service=0),
        latitude=float(projection.latitude_deg), longitude=float(projection.longitude_deg), altitude=0.0,
    )  # fmt: skip


def transform(T_parent_child: Pose2, stamp_ns: int, parent: str, child: str) -> TransformStamped:
    """Make a planar transform."""
    result = TransformStamped(header=header(stamp_ns, parent), child_frame_id=child)
    result.transform.translation.x = float(T_parent_child.x_m)
    result.transform.translation.y = float(T_parent_child.y_m)
    result.transform.rotation = quaternion(T_parent_child.yaw_rad)
    return result


def search_window(window: SearchWindow, stamp_ns: int, frame_id: str) -> PolygonStamped:
    """Make the square that was searched."""
    result = PolygonStamped(header=header(stamp_ns, frame_id))
    for sx, sy in ((-1, -1), (1, -1), (1, 1), (-1, 1)):
        x, y = window.centre.x_m + sx * window.radius_m, window.centre.y_m + sy * window.radius_m
        result.polygon.points.append(Point32(x=float(x), y=float(y), z=0.0))
    return result


def ellipse_points(pose: Pose2, covariance: F64, sigma: float = ELLIPSE_SIGMA, count: int = 48) -> F64:
    """Return the closed outline (count + 1, 2) of the position ellipse, in metres of the map."""
    values, vectors = np.linalg.eigh(covariance[:2, :2])
    angle = np.linspace(0, math.tau, count + 1)
    circle = np.stack([np.cos(angle), np.sin(angle)])
    return pose.xy + sigma * (vectors @ (np.sqrt(np.maximum(values, 0))[:, None] * circle)).T


def markers(result: LocalizationResult, frame_id: str) -> MarkerArray:
    """Make one attempt visible: pose (green published, red refused) and prior (blue) with 95 % ellipses, and a text.

    What the last attempt left is removed first, so that an old pose does not look like a new one.
    """
    stamped = header(result.stamp_ns, frame_id)
    shown, made = result.estimate or result.candidate, [Marker(header=stamped, action=Marker.DELETEALL)]
    if result.prior is not None:
        made += _placed(stamped, "prior", result.prior.pose, result.prior.covariance, PRIOR_COLOUR)
    if shown is not None:
        colour = GOOD_COLOUR if result.estimate is not None else BAD_COLOUR
        made += _placed(stamped, "pose", shown.pose, shown.covariance, colour)
    place = shown or result.prior
    if place is not None:
        text = Marker(header=stamped, ns="status", type=Marker.TEXT_VIEW_FACING, text=_told(result))
        text.pose.position = Point(x=float(place.pose.x_m), y=float(place.pose.y_m) - 3.0, z=1.0)
        text.pose.orientation.w = 1.0
        text.scale.z, text.color = 1.2, ColorRGBA(r=1.0, g=1.0, b=1.0, a=1.0)
        made.append(text)
    return MarkerArray(markers=made)


def _placed(stamped: Header, name: str, pose: Pose2, covariance: F64, rgb: tuple[float, float, float]) -> list[Marker]:
    """Make the 95 % ellipse of a position and an arrow along the yaw."""
    colour = ColorRGBA(r=rgb[0], g=rgb[1], b=rgb[2], a=1.0)
    outline = Marker(header=stamped, ns=f"{name} ellipse", type=Marker.LINE_STRIP, color=colour)
    outline.pose.orientation.w = 1.0
    outline.scale.x = 0.15
    outline.points = _points(ellipse_points(pose, covariance))
    arrow = Marker(header=stamped, ns=name, type=Marker.ARROW, color=colour, pose=pose_message(pose))
    arrow.scale.x, arrow.scale.y, arrow.scale.z = 4.0, 0.5, 0.5
    return [outline, arrow]


def _told(result: LocalizationResult) -> str:
    shown = result.estimate or result.candidate
    if shown is None:
        return "\n".join([result.status.value, *result.reasons[:1]])
    sigma_m = math.sqrt(max(float(np.linalg.eigvalsh(shown.covariance[:2, :2]).max()), 0.0))
    sigma_deg = math.degrees(math.sqrt(max(float(shown.covariance[2, 2]), 0.0)))
    numbers = f"score {shown.score:.2f}, sigma {sigma_m:.2f} m {sigma_deg:.1f} deg"
    return "\n".join([result.status.value, numbers, *(result.reasons[:1] if result.estimate is None else ())])


def _points(xy: F64) -> list[Point]:
    return [Point(x=float(x), y=float(y), z=0.0) for x, y in xy]


def cloud(points: F64 | F32, names: Sequence[str], stamp_ns: int, frame_id: str) -> PointCloud2:
    """Make a cloud of single-precision points (N, number of names)."""
    fields = [
        PointField(name=name, offset=4 * index, datatype=PointField.FLOAT32, count=1)
        for index, name in enumerate(names)
    ]
    return compat.create_cloud(header(stamp_ns, frame_id), fields, np.asarray(points, dtype=np.float32))


def coloured_cloud(points: F64, rgb: U8, z_m: float, stamp_ns: int, frame_id: str) -> PointCloud2:
    """Make a cloud of map points (N, 2) at one height with colours (N, 3), packed as viewers expect: 0x00RRGGBB."""
    packed = (rgb.astype(np.uint32) @ np.array([1 << 16, 1 << 8, 1], dtype=np.uint32)).view(np.float32)
    rows = np.column_stack([points.astype(np.float32), np.full(len(points), z_m, np.float32), packed])
    return cloud(rows, ("x", "y", "z", "rgb"), stamp_ns, frame_id)


def refused(result: LocalizationResult, fault: str) -> LocalizationResult:
    """Turn an accepted result into an error, its estimate into a candidate."""
    return dataclasses.replace(
        result, status=Status.ERROR, reasons=(*result.reasons, fault), estimate=None, candidate=result.estimate
    )
