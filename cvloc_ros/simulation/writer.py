# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Write a simulated drive: ROS 2 bag, MBTiles map, truth, scene file and a configuration for the node."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import yaml
from rosbags.interfaces import Connection
from rosbags.rosbag2 import StoragePlugin, Writer

from cvloc_ros.errors import CvlocError
from cvloc_ros.geo import se3
from cvloc_ros.geo.projection import Projection
from cvloc_ros.imaging.models import Equirectangular
from cvloc_ros.simulation import sensors
from cvloc_ros.simulation.bag_messages import MessageFactory, qos
from cvloc_ros.simulation.camera import model, mounting
from cvloc_ros.simulation.drive import Trajectory, make_trajectory
from cvloc_ros.simulation.map_writer import write_mbtiles
from cvloc_ros.simulation.scene import CameraSpec, Scene
from cvloc_ros.simulation.view import DriveCamera, ground_views, map_image
from cvloc_ros.simulation.worlds import make_world
from cvloc_ros.types import F64, Pose2

BAG, MAP, TRUTH, SCENE, CONFIG = "bag", "map.mbtiles", "truth.tum", "scene.yaml", "cvloc.yaml"
_PART = "scene.yaml.part"
IMAGE_OFFSET_S = 0.113
"""The first image comes between two odometry messages, as on a vehicle."""

Progress = Callable[[int, str], AbstractContextManager[Any]]
"""Makes a progress bar of a length with a title; its `update(1)` is called for each step."""


@dataclass(frozen=True, slots=True)
class _Event:
    """A message: log time, topic, and what makes its bytes when it is written."""

    log_ns: int
    topic: str
    make: Callable[[], bytes]


def frame_of(camera: CameraSpec) -> str:
    """Return the optical frame of a camera."""
    return f"camera_{camera.name}_optical_frame"


def write_drive(scene: Scene, out: Path, progress: Progress) -> None:
    """Make the world of a scene and write everything into `out`, which must not hold another drive.

    The scene file is written last: where it is, the drive is complete.

    Raises:
        CvlocError: the folder cannot be written, or the disk is full.
    """
    cv2.setNumThreads(1)
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
            trajectory = make_trajectory(scene, world.layout)
            bar.update(1)
        _write_bag(scene, out / BAG, _events(scene, projection, trajectory, cameras), progress)
        _write_truth(out / TRUTH, scene, trajectory)
        for camera in cameras:
            cv2.imwrite(str(out / f"mask_{camera.spec.name}.png"), camera.mask.astype(np.uint8) * 255)
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
        "inputs": {"fix_topic": "/fix", "odom_topic": "/odom"},
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
    for name in (SCENE, MAP, TRUTH, CONFIG):
        (out / name).unlink(missing_ok=True)
    if (out / BAG).is_dir():
        shutil.rmtree(out / BAG)


def image_times(scene: Scene) -> F64:
    """Return the stamps (N,) of the images in seconds since the start."""
    return np.arange(IMAGE_OFFSET_S, scene.duration_s, 1.0 / scene.image_rate_hz)


def stamp(scene: Scene, time_s: float) -> int:
    """Turn seconds since the start into a stamp in nanoseconds, whole microseconds."""
    return scene.start_s * 10**9 + round(time_s * 1e6) * 1000


def _events(
    scene: Scene, projection: Projection, trajectory: Trajectory, cameras: Sequence[DriveCamera]
) -> list[_Event]:
    factory = MessageFactory()
    events = [
        *_static_events(scene, factory),
        *_odom_events(scene, trajectory, factory),
        *_fix_events(scene, projection, trajectory, factory),
        *_truth_events(scene, trajectory, factory),
    ]
    for camera in cameras:
        events += _camera_events(scene, trajectory, factory, camera)
    return sorted(events, key=lambda event: event.log_ns)


def _static_events(scene: Scene, factory: MessageFactory) -> Iterator[_Event]:
    start = stamp(scene, 0.0)
    edges = {("base_link", frame_of(camera)): mounting(camera) for camera in scene.cameras}
    edges[("base_link", "gnss")] = se3.from_translation(scene.gnss.antenna_m)
    yield _Event(start - 2_000_000, "/tf_static", lambda: factory.transforms(start, edges))
    yield _Event(start - 1_000_000, "/cvloc/datum", lambda: factory.fix(start, *scene.datum, 0.0, 0.0))


def _odom_events(scene: Scene, trajectory: Trajectory, factory: MessageFactory) -> Iterator[_Event]:
    track = sensors.drive_odometry(scene, trajectory)
    travelled = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(track.poses[:, :2], axis=0), axis=1))])
    fate = sensors.deliver(scene, "odom", len(track.time_s))
    for index, (time_s, pose, speed, rate, way) in enumerate(zip(
        track.time_s, track.poses, track.speed_mps.tolist(), track.yaw_rate_radps.tolist(), travelled.tolist(),
        strict=True,
    )):  # fmt: skip
        if not fate.arrives[index]:
            continue
        at = stamp(scene, float(time_s))
        log = at + round((scene.delays.odom_s + float(fate.late_s[index])) * 1e9)
        edge = {("odom", "base_link"): se3.from_pose2(Pose2(*pose.tolist()))}
        odometry = factory.odometry(at, pose, speed, rate, way)
        yield _Event(log, "/odom", lambda data=odometry: data)  # type: ignore[misc]
        yield _Event(log + 100_000, "/tf", lambda at=at, edge=edge: factory.transforms(at, edge))  # type: ignore[misc]


def _fix_events(
    scene: Scene, projection: Projection, trajectory: Trajectory, factory: MessageFactory
) -> Iterator[_Event]:
    track = sensors.drive_gnss(scene, trajectory)
    latitude, longitude = projection.to_geodetic(track.positions)
    fate = sensors.deliver(scene, "fix", len(track.time_s))
    late = (scene.delays.fix_s + track.latency_s + fate.late_s).tolist()
    for index, (time_s, lat, lon) in enumerate(
        zip(track.time_s.tolist(), latitude.tolist(), longitude.tolist(), strict=True)
    ):
        if fate.arrives[index]:
            at = stamp(scene, time_s)
            data = factory.fix(at, lat, lon, scene.altitude_m, float(track.variance_m2[index]))
            yield _Event(at + round(late[index] * 1e9), "/fix", lambda data=data: data)  # type: ignore[misc]


def truth_times(scene: Scene) -> F64:
    """Return the stamps (N,) of the truth in seconds since the start: odometry and images."""
    odom = np.arange(0.0, scene.duration_s + 1e-9, 1.0 / scene.odom.rate_hz)
    return np.union1d(odom, image_times(scene))


def _truth_events(scene: Scene, trajectory: Trajectory, factory: MessageFactory) -> Iterator[_Event]:
    times = truth_times(scene)
    for time_s, pose in zip(times.tolist(), trajectory.poses(times), strict=True):
        at = stamp(scene, time_s)
        data = factory.truth(at, pose)
        log = at + round(scene.delays.truth_s * 1e9)
        yield _Event(log, "/ground_truth/pose", lambda data=data: data)  # type: ignore[misc]


def _camera_events(
    scene: Scene, trajectory: Trajectory, factory: MessageFactory, camera: DriveCamera
) -> Iterator[_Event]:
    name, frame, lens = camera.spec.name, frame_of(camera.spec), model(camera.spec)

    def render(frame_number: int, at: int, time_s: float) -> bytes:
        image = camera.render(trajectory.pose(time_s), frame_number)
        options = [cv2.IMWRITE_JPEG_QUALITY, scene.jpeg_quality]
        jpeg = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), options)[1]
        return factory.image(at, frame, jpeg.tobytes())

    times = image_times(scene).tolist()
    fate = sensors.deliver(scene, f"camera {name}", len(times))
    for number, time_s in enumerate(times):
        if not fate.arrives[number]:
            continue
        at = stamp(scene, time_s + float(fate.stamp_error_s[number]))
        taken = stamp(scene, time_s) + round((scene.delays.image_s + float(fate.late_s[number])) * 1e9)
        log = max(taken, at) + 1_500_000 * scene.cameras.index(camera.spec)
        if not isinstance(lens, Equirectangular):
            info = factory.camera_info(at, frame, lens)
            yield _Event(log - 200_000, f"/camera/{name}/camera_info", lambda info=info: info)  # type: ignore[misc]
        yield _Event(
            log, f"/camera/{name}/image/compressed", lambda n=number, at=at, t=time_s: render(n, at, t)  # type: ignore[misc]
        )


def _write_bag(scene: Scene, path: Path, events: list[_Event], progress: Progress) -> None:
    plugin = StoragePlugin.MCAP if scene.storage == "mcap" else StoragePlugin.SQLITE3
    types = {
        "/tf_static": ("tf2_msgs/msg/TFMessage", qos(1, latched=True)),
        "/cvloc/datum": ("sensor_msgs/msg/NavSatFix", qos(1, latched=True)),
        "/tf": ("tf2_msgs/msg/TFMessage", qos(100)),
        "/odom": ("nav_msgs/msg/Odometry", qos(50)),
        "/fix": ("sensor_msgs/msg/NavSatFix", qos(10)),
        "/ground_truth/pose": ("geometry_msgs/msg/PoseWithCovarianceStamped", qos(50)),
    }
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


def _write_truth(path: Path, scene: Scene, trajectory: Trajectory) -> None:
    times = truth_times(scene)
    lines = ["# simulated by cvloc_ros: time x y z qx qy qz qw of base_link in map"]
    if scene.map_error_m:
        east, north = scene.rng("registration of the map").normal(0.0, 1.0, 2) * scene.map_error_m
        lines.append(f"# registration error of the map: it lies {east:.4f} m east and {north:.4f} m north of the truth")
    for time_s, (x, y, yaw) in zip(times.tolist(), trajectory.poses(times).tolist(), strict=True):
        at = stamp(scene, time_s)
        z, w = np.sin(yaw / 2), np.cos(yaw / 2)
        lines.append(f"{at // 10**9}.{at % 10**9:09d} {x:.6f} {y:.6f} 0 0 0 {z:.9f} {w:.9f}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
