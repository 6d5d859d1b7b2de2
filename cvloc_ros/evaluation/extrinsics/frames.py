# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Reads from a bag what the refinement needs: pictures at known poses, calibrations, mountings."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from tqdm import tqdm

from cvloc_ros import messages
from cvloc_ros.cameras import BODY_FROM_OPTICAL, Cameras
from cvloc_ros.config import Config, merge
from cvloc_ros.errors import BagError, TransformError
from cvloc_ros.evaluation.bag import Bag
from cvloc_ros.evaluation.extrinsics.known_poses import MapFix, from_gnss
from cvloc_ros.evaluation.topics import Wiring
from cvloc_ros.evaluation.truth import Trajectory
from cvloc_ros.geo import se3
from cvloc_ros.geo.projection import Projection
from cvloc_ros.geo.transforms import TransformTree
from cvloc_ros.tiles import AerialMap
from cvloc_ros.types import F64, CameraImage, GeoFix, GroundView, OdomSample, Pose2

MOST_FRAMES = 60
_SPACING_M = 2.0
_LOOKED_AT_M = 10.0
_COVERED = 0.02  # of some 50 m around: a strip of imagery along the street will do
_RIGID = 1e-3


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One picture. `pose` of base in map; `T_level_base` (4, 4) takes base to the level base frame (IMU)."""

    image: CameraImage
    pose: Pose2
    T_level_base: F64


@dataclass(slots=True)
class Circumstances:
    """All that a bag says besides its pictures."""

    config: Config
    tree: TransformTree = field(default_factory=lambda: TransformTree(history_s=1e6))
    fixes: list[GeoFix] = field(default_factory=list)
    odometry: list[Any] = field(default_factory=list)
    """Messages."""
    cameras: Cameras = field(init=False)

    def __post_init__(self) -> None:
        """Make the node's own path from picture to view, with all of the attitude kept."""
        self.cameras = Cameras(merge(self.config, {"inputs": {"history_s": 3600.0}}), self.tree)

    def mounting(self, camera: str, frame_id: str, stamp_ns: int) -> tuple[float, ...]:
        """Return x, y, z (m), roll, pitch, yaw (rad) of a camera in base, as configured or from TF."""
        settings = self.config.cameras[camera]
        if settings.mounting:
            return tuple(settings.mounting)
        T_base_camera = self.tree.lookup(self.config.frames.base, frame_id, stamp_ns)
        return as_mounting(T_base_camera)

    def view(self, frame: Frame, mounting: Sequence[float]) -> GroundView | None:
        """Decode a picture, seen from another mounting; None if it cannot be used."""
        views, _ = self.cameras.views([frame.image])
        if not views:
            return None
        return replace(views[0], T_base_camera=frame.T_level_base @ from_mounting(mounting), depth=None)


def as_mounting(T_base_camera: F64) -> tuple[float, ...]:
    """Return the six numbers of `cameras.<name>.mounting` for an optical frame in base (4, 4)."""
    T_base_body = T_base_camera @ np.linalg.inv(BODY_FROM_OPTICAL)
    return (*map(float, T_base_body[:3, 3]), *se3.rpy(T_base_body))


def from_mounting(mounting: Sequence[float]) -> F64:
    """Return the optical frame in base (4, 4) of the six numbers of `cameras.<name>.mounting`."""
    x, y, z, roll, pitch, yaw = mounting
    T_base_camera: F64 = se3.from_rpy(roll, pitch, yaw, (x, y, z)) @ BODY_FROM_OPTICAL
    return T_base_camera


def circumstances(bag: Bag, wiring: Wiring) -> Circumstances:
    """Read everything but the pictures."""
    found = Circumstances(wiring.config)
    topics = {*wiring.infos, wiring.fix, wiring.odom, wiring.imu, "/tf", "/tf_static"} & set(bag.topics)
    attitudes = []
    for item in bag.messages(topics):
        message = item.message
        if item.topic in wiring.infos:
            camera = wiring.infos[item.topic]
            found.cameras.set_calibration(camera, messages.camera_model(message, wiring.config.cameras[camera]))
        elif item.topic == wiring.fix:
            found.fixes.append(messages.fix(message, wiring.config.inputs.fix_stamp_offset_s))
        elif item.topic == wiring.odom:
            found.odometry.append(message)
        elif item.topic == wiring.imu:
            attitudes.append(message)
        else:
            for edge in messages.transforms(message):
                static = item.topic == "/tf_static"
                found.tree.add(edge.parent, edge.child, edge.stamp_ns, edge.matrix, static=static)
    for message in attitudes:
        frame, base = messages.frame(message.header.frame_id), wiring.config.frames.base
        stamp_ns = messages.stamp_ns(message)
        R = np.eye(3) if frame in ("", base) else found.tree.lookup(base, frame, stamp_ns)[:3, :3]
        sample = messages.attitude(message, R)
        if sample is not None:
            found.cameras.add_attitude(*sample)
    return found


def gnss_poses(found: Circumstances, projection: Projection) -> Trajectory:
    """Return poses from GNSS and odometry; see `from_gnss`."""
    base, fixes = found.config.frames.base, []
    for fix in found.fixes:
        if fix.quality < 0 or not np.isfinite([fix.latitude_deg, fix.longitude_deg]).all():
            continue
        try:
            lever = found.tree.lookup(base, fix.frame_id, fix.stamp_ns)[:2, 3] if fix.frame_id else np.zeros(2)
        except TransformError as err:
            msg = f"GNSS antenna: {err}; where it sits must be known to some centimetres"
            raise BagError(msg) from err
        sigma_m = math.sqrt(float(np.trace(fix.covariance_m2)) / 2)
        fixes.append(MapFix(fix.stamp_ns, projection.to_map(fix.latitude_deg, fix.longitude_deg), sigma_m, lever))
    return from_gnss(fixes, [_odometry(found, message) for message in found.odometry])


def _odometry(found: Circumstances, message: Any) -> OdomSample:
    base, child, T_child_base = found.config.frames.base, messages.frame(message.child_frame_id), None
    if child not in ("", base):
        T_child_base = se3.to_pose2(found.tree.lookup(child, base, messages.stamp_ns(message)))
    return messages.odometry(message, found.config.inputs.odom_stamp_offset_s, T_child_base)


def frames(
    bag: Bag, wiring: Wiring, found: Circumstances, poses: Trajectory, aerial: AerialMap, cameras: Sequence[str], *,
    progress: bool,
) -> dict[str, list[Frame]]:
    """Choose pictures that lie evenly on the part of the way with imagery, about `MOST_FRAMES` of a camera.

    Raises:
        BagError: no pose lies on the map, or no picture of a camera can be used.
    """
    spacing_m = _spacing(poses, aerial)
    topics = [topic for topic, camera in wiring.images.items() if camera in cameras]
    kept: dict[str, list[Frame]] = {camera: [] for camera in cameras}
    why = dict.fromkeys(cameras, "none was taken where the pose is known and the map has imagery")
    total = sum(bag.topics[topic].count for topic in topics)
    quiet = None if progress else True
    for item in tqdm(bag.messages(topics), total=total, unit="msg", desc="pictures", disable=quiet):
        camera = wiring.images[item.topic]
        settings = wiring.config.cameras[camera]
        image = messages.image(item.message, camera, settings.stamp_offset_s, settings.frame_id)
        pose, last = poses.at(image.stamp_ns), kept[camera][-1:]
        if pose is None or any(math.dist(frame.pose.xy, pose.xy) < spacing_m for frame in last):
            continue
        if aerial.coverage(pose.xy, _LOOKED_AT_M) < _COVERED:
            continue
        level = _levelling(found, image)
        if isinstance(level, str):
            why[camera] = level
        else:
            kept[camera].append(Frame(image, pose, level))
    for camera, chosen in kept.items():
        if not chosen:
            msg = f"camera {camera}: no picture can be used: {why[camera]}"
            raise BagError(msg)
        _check_mounting(found, camera, chosen)
    return kept


def _spacing(poses: Trajectory, aerial: AerialMap) -> float:
    """Metres between pictures, so that the way inside the map yields about `MOST_FRAMES`."""
    steps = np.hypot(*np.diff(poses.xy, axis=0).T) if len(poses) > 1 else np.zeros(0)
    travelled = np.concatenate([[0.0], np.cumsum(steps)])
    marks = np.interp(np.arange(0.0, travelled[-1] + 5.0, 5.0), travelled, np.arange(len(poses)))
    inside = sum(aerial.coverage(poses.xy[round(mark)], _LOOKED_AT_M) >= _COVERED for mark in marks)
    if not inside:
        msg = (
            f"none of the poses ({poses.source}) lies on the map; check --map and --datum: truth is in metres of the "
            "map frame around the datum"
        )
        raise BagError(msg)
    return max(_SPACING_M, 5.0 * inside / MOST_FRAMES)


def _levelling(found: Circumstances, image: CameraImage) -> F64 | str:
    """Return level base from base (4, 4) as the node applies it to this picture, or why the picture cannot be used."""
    views, (_, reason) = found.cameras.views([image])
    if not views or found.cameras.attitude_trouble:
        return reason or found.cameras.attitude_trouble
    mounting = found.mounting(image.camera, image.frame_id, image.stamp_ns)
    level: F64 = views[0].T_base_camera @ se3.inverse(from_mounting(mounting))
    return level


def _check_mounting(found: Circumstances, camera: str, chosen: Sequence[Frame]) -> None:
    mountings = [found.mounting(camera, frame.image.frame_id, frame.image.stamp_ns) for frame in chosen]
    if np.ptp([from_mounting(mounting) for mounting in mountings], axis=0).max() > _RIGID:
        msg = f"camera {camera} turns against {found.config.frames.base}: a mounting in the settings would stop that"
        raise BagError(msg)
