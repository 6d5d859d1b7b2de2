# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""All messages of a simulated drive in the order of their log times; images are rendered when they are written."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from cvloc_ros.geo import se3
from cvloc_ros.geo.projection import Projection
from cvloc_ros.imaging.models import Equirectangular
from cvloc_ros.simulation import inertial, sensors
from cvloc_ros.simulation.bag_messages import MessageFactory
from cvloc_ros.simulation.camera import model, mounting
from cvloc_ros.simulation.motion import Motion
from cvloc_ros.simulation.ride import Ride
from cvloc_ros.simulation.scene import IMAGE_OFFSET_S, CameraSpec, Scene
from cvloc_ros.simulation.view import DriveCamera
from cvloc_ros.types import F64, Pose2


@dataclass(frozen=True, slots=True)
class Event:
    """A message: log time, topic, and what makes its bytes when it is written."""

    log_ns: int
    topic: str
    make: Callable[[], bytes]


def frame_of(camera: CameraSpec) -> str:
    """Return the optical frame of a camera."""
    return f"camera_{camera.name}_optical_frame"


def image_times(scene: Scene) -> F64:
    """Return the stamps (N,) of the images in seconds since the start."""
    return np.arange(IMAGE_OFFSET_S, scene.duration_s, 1.0 / scene.image_rate_hz)


def stamp(scene: Scene, time_s: float) -> int:
    """Turn seconds since the start into a stamp in nanoseconds, whole microseconds."""
    return scene.start_s * 10**9 + round(time_s * 1e6) * 1000


def make_events(
    scene: Scene, projection: Projection, motion: Motion, ride: Ride, cameras: Sequence[DriveCamera]
) -> list[Event]:
    """Return the messages of all topics."""
    factory = MessageFactory()
    events = [
        *_static_events(scene, factory),
        *_odom_events(scene, motion, factory),
        *_fix_events(scene, projection, motion, factory),
        *_truth_events(scene, motion, ride, factory),
    ]
    if scene.imu.rate_hz:
        events += _imu_events(scene, motion, ride, factory)
    if scene.heading.rate_hz:
        events += _heading_events(scene, motion, factory)
    for camera in cameras:
        events += _camera_events(scene, motion, factory, camera)
    return sorted(events, key=lambda event: event.log_ns)


def _static_events(scene: Scene, factory: MessageFactory) -> Iterator[Event]:
    start = stamp(scene, 0.0)
    edges = {("base_link", frame_of(camera)): mounting(camera) for camera in scene.cameras}
    edges[("base_link", "gnss")] = se3.from_translation(scene.gnss.antenna_m)
    if scene.imu.rate_hz:
        edges[("base_link", "imu")] = se3.from_translation(scene.imu.place_m)
    yield Event(start - 2_000_000, "/tf_static", lambda: factory.transforms(start, edges))
    yield Event(start - 1_000_000, "/cvloc/datum", lambda: factory.fix(start, *scene.datum, 0.0, 0.0))


def _odom_events(scene: Scene, motion: Motion, factory: MessageFactory) -> Iterator[Event]:
    track = sensors.drive_odometry(scene, motion)
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
        yield Event(log, "/odom", lambda data=odometry: data)  # type: ignore[misc]
        yield Event(log + 100_000, "/tf", lambda at=at, edge=edge: factory.transforms(at, edge))  # type: ignore[misc]


def _fix_events(
    scene: Scene, projection: Projection, motion: Motion, factory: MessageFactory
) -> Iterator[Event]:
    track = sensors.drive_gnss(scene, motion)
    latitude, longitude = projection.to_geodetic(track.positions)
    fate = sensors.deliver(scene, "fix", len(track.time_s))
    late = (scene.delays.fix_s + track.latency_s + fate.late_s).tolist()
    for index, (time_s, lat, lon) in enumerate(
        zip(track.time_s.tolist(), latitude.tolist(), longitude.tolist(), strict=True)
    ):
        if fate.arrives[index]:
            at = stamp(scene, time_s)
            data = factory.fix(at, lat, lon, scene.altitude_m, float(track.variance_m2[index]))
            yield Event(at + round(late[index] * 1e9), "/fix", lambda data=data: data)  # type: ignore[misc]


def truth_times(scene: Scene) -> F64:
    """Return the stamps (N,) of the truth in seconds since the start: odometry and images."""
    odom = np.arange(0.0, scene.duration_s + 1e-9, 1.0 / scene.odom.rate_hz)
    return np.union1d(odom, image_times(scene))


def _truth_events(scene: Scene, motion: Motion, ride: Ride, factory: MessageFactory) -> Iterator[Event]:
    times = truth_times(scene)
    for time_s, place in zip(times.tolist(), ride.transforms(motion.poses(times), times), strict=True):
        at = stamp(scene, time_s)
        data = factory.truth(at, place)
        log = at + round(scene.delays.truth_s * 1e9)
        yield Event(log, "/ground_truth/pose", lambda data=data: data)  # type: ignore[misc]


def _imu_events(scene: Scene, motion: Motion, ride: Ride, factory: MessageFactory) -> Iterator[Event]:
    spec, track = scene.imu, inertial.drive_imu(scene, motion, ride)
    spread = np.array([np.radians(spec.attitude_deg) ** 2, spec.gyro_noise_radps**2, spec.force_noise_mps2**2])
    fate = sensors.deliver(scene, "imu", len(track.time_s))
    rows = zip(track.time_s.tolist(), track.attitude, track.rate_radps, track.force_mps2, strict=True)
    for index, (time_s, attitude, rate, force) in enumerate(rows):
        if not fate.arrives[index]:
            continue
        at = stamp(scene, time_s)
        make = lambda at=at, R=attitude, w=rate, f=force: factory.imu(at, R, w, f, spread)  # noqa: E731
        yield Event(at + round((scene.delays.imu_s + float(fate.late_s[index])) * 1e9), "/imu", make)


def _heading_events(scene: Scene, motion: Motion, factory: MessageFactory) -> Iterator[Event]:
    track, sigma = inertial.drive_heading(scene, motion), np.radians(scene.heading.sigma_deg)
    for time_s, yaw in zip(track.time_s.tolist(), track.yaw_rad.tolist(), strict=True):
        at = stamp(scene, time_s)
        data = factory.heading(at, yaw, float(sigma) ** 2)
        yield Event(at + round(scene.delays.fix_s * 1e9), "/heading", lambda data=data: data)  # type: ignore[misc]


def _camera_events(
    scene: Scene, motion: Motion, factory: MessageFactory, camera: DriveCamera
) -> Iterator[Event]:
    name, frame, lens = camera.spec.name, frame_of(camera.spec), model(camera.spec)
    half = scene.look.exposure_s / 2

    def render(frame_number: int, at: int, time_s: float) -> bytes:
        ends = motion.pose(time_s - half), motion.pose(time_s + half)
        image = camera.render(motion.pose(time_s), frame_number, ends)
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
            yield Event(log - 200_000, f"/camera/{name}/camera_info", lambda info=info: info)  # type: ignore[misc]
        yield Event(
            log, f"/camera/{name}/image/compressed", lambda n=number, at=at, t=time_s: render(n, at, t)  # type: ignore[misc]
        )
