# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Write a simulated drive: ROS 2 bag, MBTiles map, truth, scene file and a configuration for the node."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import yaml
from rosbags.interfaces import Connection
from rosbags.rosbag2 import StoragePlugin, Writer

from cvloc_ros.errors import ConfigError, CvlocError
from cvloc_ros.geo import se3
from cvloc_ros.geo.projection import Projection
from cvloc_ros.simulation.bag_messages import MessageFactory, qos
from cvloc_ros.simulation.drive import motion_of
from cvloc_ros.simulation.events import Event, make_events, stamp, truth_times
from cvloc_ros.simulation.map_writer import write_mbtiles
from cvloc_ros.simulation.motion import Motion, read_recording
from cvloc_ros.simulation.registration import registration_error
from cvloc_ros.simulation.ride import Ride
from cvloc_ros.simulation.scene import Scene
from cvloc_ros.simulation.view import ground_views, map_image
from cvloc_ros.simulation.world import World
from cvloc_ros.simulation.worlds import make_world
from cvloc_ros.types import F64

BAG, MAP, TRUTH, SCENE, CONFIG = "bag", "map.mbtiles", "truth.tum", "scene.yaml", "cvloc.yaml"
PAIRS, REGISTRATION = "correspondences", "registration.csv"
_PART = "scene.yaml.part"

Progress = Callable[[int, str], AbstractContextManager[Any]]
"""Makes a progress bar of a length with a title; its `update(1)` is called for each step."""


def write_drive(scene: Scene, out: Path, progress: Progress, correspondences: int = 0) -> None:
    """Make the world of a scene and write everything into `out`, which must not hold another drive.

    With `correspondences` that many pixels of each image are written with their places in the map (renderer gl).

    The scene file is written last: where it is, the drive is complete.

    Raises:
        CvlocError: the folder cannot be written, the disk is full, or the scene names what cannot be used.
    """
    cv2.setNumThreads(1)
    if correspondences and scene.renderer != "gl":
        msg = f"correspondences = {correspondences}: they need the renderer gl; the flat one knows no depth"
        raise ConfigError(msg)
    if scene.motion:
        read_recording(scene.motion)
    if scene.renderer == "gl":
        from cvloc_ros.simulation.gl.context import open_context

        open_context()  # before the first file: nothing is left behind where there is no OpenGL
    try:
        out.mkdir(parents=True, exist_ok=True)
        _clear(out)
        with progress(4, "simulated town") as bar:
            world = make_world(scene)
            bar.update(1)
            projection = Projection(scene.projection, *scene.datum)
            grid, image = map_image(world)
            bar.update(1)
            source = world.attribution or scene.imagery
            write_mbtiles(out / MAP, scene, projection, grid, image, source)
            bar.update(1)
            cameras = ground_views(world)
            motion, ride = motion_of(world), Ride(world)
            bar.update(1)
        _write_bag(scene, out / BAG, make_events(scene, projection, motion, ride, cameras), progress)
        _write_truth(out, scene, world, motion, ride)
        for camera in cameras:
            cv2.imwrite(str(out / f"mask_{camera.spec.name}.png"), camera.mask.astype(np.uint8) * 255)
        if correspondences:
            from cvloc_ros.simulation.gl.pairs import write_pairs

            write_pairs(world, out / PAIRS, correspondences, progress)
        (out / CONFIG).write_text(yaml.safe_dump(node_parameters(scene, out), sort_keys=False), encoding="utf-8")
        (out / _PART).write_text(scene.to_yaml(), encoding="utf-8")
        (out / _PART).rename(out / SCENE)
    except (OSError, sqlite3.Error) as err:
        msg = f"{out}: the simulated drive cannot be written: {err}; choose another --out or free some space"
        raise CvlocError(msg) from err


def is_complete(scene: Scene, out: Path) -> bool:
    """Tell whether `out` holds exactly this drive."""
    try:
        return (out / SCENE).read_text(encoding="utf-8") == scene.to_yaml() and (out / BAG / "metadata.yaml").is_file()
    except (OSError, UnicodeDecodeError):
        return False


def node_parameters(scene: Scene, out: Path) -> dict[str, Any]:
    """Return the parameter file with which the node, and `cvloc replay --config`, take this drive."""
    cameras = {
        camera.name: {
            "image_topic": f"/camera/{camera.name}/image",
            "camera_info_topic": f"/camera/{camera.name}/camera_info",
            "transport": "compressed",
            "mask_file": str((out / f"mask_{camera.name}.png").resolve()),
            **({"model": "equirectangular"} if camera.lens == "panorama" else {}),
        }
        for camera in scene.cameras
    }
    parameters = {
        "geo": {"datum": [*scene.datum, 0.0], "projection": scene.projection},
        "camera_names": [camera.name for camera in scene.cameras],
        "cameras": cameras,
        "inputs": {"fix_topic": "/fix", "odom_topic": "/odom"}
        | ({"heading_topic": "/heading"} if scene.heading.rate_hz else {}),
        "tiles": {"source": str((out / MAP).resolve())},
    }
    return {"/**": {"ros__parameters": parameters}}


def _clear(out: Path) -> None:
    """Remove an earlier simulated drive, whole or cut off; nothing else."""
    ours = (out / SCENE).is_file() or (out / _PART).is_file()
    if not ours and ((out / BAG).exists() or (out / MAP).exists()):
        msg = f"{out}: holds {BAG} or {MAP} that no simulation wrote; choose another --out"
        raise CvlocError(msg)
    (out / _PART).touch()
    for name in (SCENE, MAP, TRUTH, REGISTRATION, CONFIG):
        (out / name).unlink(missing_ok=True)
    for name in (BAG, PAIRS):
        if (out / name).is_dir():
            shutil.rmtree(out / name)


def _write_bag(scene: Scene, path: Path, events: list[Event], progress: Progress) -> None:
    plugin = StoragePlugin.MCAP if scene.storage == "mcap" else StoragePlugin.SQLITE3
    types = {
        "/tf_static": ("tf2_msgs/msg/TFMessage", qos(1, latched=True)),
        "/cvloc/datum": ("sensor_msgs/msg/NavSatFix", qos(1, latched=True)),
        "/tf": ("tf2_msgs/msg/TFMessage", qos(100)),
        "/odom": ("nav_msgs/msg/Odometry", qos(50)),
        "/fix": ("sensor_msgs/msg/NavSatFix", qos(10)),
        "/ground_truth/pose": ("geometry_msgs/msg/PoseWithCovarianceStamped", qos(50)),
    }
    if scene.imu.rate_hz:
        types["/imu"] = ("sensor_msgs/msg/Imu", qos(200))
    if scene.heading.rate_hz:
        types["/heading"] = ("sensor_msgs/msg/Imu", qos(20))
    for camera in scene.cameras:
        if camera.lens != "panorama":
            types[f"/camera/{camera.name}/camera_info"] = ("sensor_msgs/msg/CameraInfo", qos(5))
        types[f"/camera/{camera.name}/image/compressed"] = ("sensor_msgs/msg/CompressedImage", qos(5))
    typestore = MessageFactory().typestore
    with Writer(path, version=scene.bag_version, storage_plugin=plugin) as writer:
        writer.set_custom_data("simulated", f"by cvloc_ros, seed {scene.seed}")
        connections: dict[str, Connection] = {
            topic: writer.add_connection(topic, kind, typestore=typestore, offered_qos_profiles=[profile])
            for topic, (kind, profile) in types.items()
        }
        with progress(len(events), "simulated drive") as bar:
            for event in events:
                writer.write(connections[event.topic], event.log_ns, event.make())
                bar.update(1)


def _write_truth(out: Path, scene: Scene, world: World, motion: Motion, ride: Ride) -> None:
    times = truth_times(scene)
    poses = motion.poses(times)
    lines = ["# simulated by cvloc_ros: time x y z qx qy qz qw of base_link in map"]
    if world.replayed is not None:
        share = f"{world.replayed.on_road:.0%} of it on what looks like road"
        lines.append(f"# recorded motion {Path(scene.motion).name}, moved to another place, {share}")
    if scene.map_error_m:
        error = registration_error(scene, poses[:, :2])
        east, north = error.mean(axis=0).tolist()
        lines.append(
            f"# the map is off the truth by a field of {scene.map_error_m:g} m and {scene.map_error_length_m:g} m "
            f"length: along this drive {east:.3f} m east and {north:.3f} m north in the mean, "
            f"at most {np.linalg.norm(error, axis=1).max():.3f} m; see {REGISTRATION}"
        )
        _write_registration(out / REGISTRATION, times, poses, error)
    for time_s, place in zip(times.tolist(), ride.transforms(poses, times), strict=True):
        at = stamp(scene, time_s)
        numbers = " ".join(f"{value:.6f}" for value in place[:3, 3])
        turn = " ".join(f"{value:.9f}" for value in se3.quaternion(place))
        lines.append(f"{at // 10**9}.{at % 10**9:09d} {numbers} {turn}")
    (out / TRUTH).write_text("\n".join(lines) + "\n", encoding="utf-8")


def _write_registration(path: Path, times: F64, poses: F64, error: F64) -> None:
    """Write how far the map lies off at the true places of the drive, once a second."""
    told = "# simulated: what stands at x, y is shown in the map at x + east, y + north"
    rows = [told, "time_s,x_m,y_m,east_m,north_m"]
    for index in np.searchsorted(times, np.arange(0.0, times[-1])):
        values = (times[index], *poses[index, :2], *error[index])
        rows.append(",".join(f"{value:.4f}" for value in values))
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
