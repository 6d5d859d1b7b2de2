# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Checks of the cameras: images, calibration, mounting."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from cvloc_ros.errors import TransformError
from cvloc_ros.evaluation.doctor.check import Check, fail, ok, warn
from cvloc_ros.evaluation.doctor.survey import CameraSurvey, Survey
from cvloc_ros.geo import se3
from cvloc_ros.types import F64

HEIGHT_M = (0.15, 6.0)
GROUND_RANGE_M = 25.0
BODY_FROM_OPTICAL = np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])


def check_cameras(survey: Survey) -> Iterator[Check]:
    """Check every camera, and that they fire together."""
    for topic, name in survey.wiring.images.items():
        subject = f"camera {name}"
        seen = survey.cameras.get(name)
        if seen is None or topic not in survey.streams:
            yield fail(subject, f"no image on {topic}", "check the driver, or cameras.NAME.image_topic")
            continue
        yield from _image(subject, seen)
        yield from _calibration(subject, name, seen, survey)
        yield from _mounting(subject, name, topic, seen, survey)
    yield from _together(survey)


def _image(subject: str, seen: CameraSurvey) -> Iterator[Check]:
    if seen.image_fault:
        yield fail(subject, f"the first image cannot be decoded: {seen.image_fault}", "mend the driver or the encoding")
    elif seen.image_size and seen.model and seen.image_size != (seen.model.width, seen.model.height):
        yield fail(
            subject, f"image is {seen.image_size}, camera_info says {(seen.model.width, seen.model.height)}",
            "calibrate at the size that is published, or publish camera_info with binning and roi",
        )


def _calibration(subject: str, name: str, seen: CameraSurvey, survey: Survey) -> Iterator[Check]:
    if seen.info is None:
        if survey.wiring.config.cameras[name].model != "equirectangular":
            topic = survey.wiring.config.cameras[name].camera_info_topic or "its topic"
            yield fail(subject, f"no camera_info on {topic}", "publish it beside the image, or set camera_info_topic")
        return
    if seen.info_fault or seen.model is None:
        yield fail(subject, f"calibration refused: {seen.info_fault}", "calibrate the camera (camera_calibration)")
        return
    K = np.asarray(getattr(seen.info, "k", getattr(seen.info, "K", None)), dtype=np.float64).reshape(3, 3)
    D = np.asarray(getattr(seen.info, "d", getattr(seen.info, "D", [])), dtype=np.float64)
    faults = list(_implausible(K, D, seen))
    for fault in faults:
        yield warn(subject, fault, "check the calibration; a wrong one shifts every pose")
    if not faults:
        angle = 2 * math.degrees(math.atan(seen.info.width / 2 / K[0, 0])) if K[0, 0] > 0 else 360.0
        size = f"{seen.info.width}x{seen.info.height}"
        yield ok(subject, f"{size}, {seen.info.distortion_model or 'no distortion'}, about {angle:.0f} deg wide")


def _implausible(K: F64, D: F64, seen: CameraSurvey) -> Iterator[str]:
    width, height, kind = int(seen.info.width), int(seen.info.height), seen.info.distortion_model
    if K[0, 0] <= 0:
        return
    if not 0.8 < K[0, 0] / K[1, 1] < 1.25:
        yield f"fx {K[0, 0]:.0f} and fy {K[1, 1]:.0f} differ by more than 25 %"
    if abs(K[0, 2] - width / 2) > 0.25 * width or abs(K[1, 2] - height / 2) > 0.25 * height:
        yield f"principal point ({K[0, 2]:.0f}, {K[1, 2]:.0f}) is far from the middle of {width}x{height}"
    if not 0.2 < K[0, 0] / width < 10:
        yield f"focal length {K[0, 0]:.0f} px is implausible for {width} columns"
    if kind == "plumb_bob" and not D.any() and K[0, 0] / width < 0.6:
        yield "a wide lens without any distortion: was it calibrated, or is the image already rectified?"


def _mounting(subject: str, name: str, topic: str, seen: CameraSurvey, survey: Survey) -> Iterator[Check]:
    config = survey.wiring.config
    settings, base = config.cameras[name], config.frames.base
    frame = settings.frame_id or seen.frame_id
    if settings.mounting:
        x, y, z, roll, pitch, yaw = settings.mounting
        T_base_camera = se3.from_rpy(roll, pitch, yaw, (x, y, z))
        T_base_camera[:3, :3] = T_base_camera[:3, :3] @ BODY_FROM_OPTICAL
    else:
        stamps = survey.streams[topic].stamps_ns
        try:
            T_base_camera = survey.tree.lookup(base, frame, stamps[len(stamps) // 2])
        except TransformError as err:
            yield fail(
                subject, f"no transform from {base} to {frame or '(empty frame_id)'}: {err}",
                f"publish it on /tf_static, set frames.base, or give cameras.{name}.mounting",
            )
            return
    height = float(T_base_camera[2, 3])
    if not HEIGHT_M[0] <= height <= HEIGHT_M[1]:
        yield warn(subject, f"it hangs {height:.2f} m above {base}", f"{base} must lie on the ground: check it")
    share = ground_share(T_base_camera, seen)
    if share is not None and share < 0.02:
        yield fail(
            subject, f"only {share:.1%} of its pixels see ground within {GROUND_RANGE_M:.0f} m",
            "check the mounting: an optical frame has z forward, x right and y down",
        )
    elif share is not None:
        yield ok(subject, f"{base} to {frame}: {height:.2f} m high, {share:.0%} of its pixels see ground nearby")


def ground_share(T_base_camera: F64, seen: CameraSurvey) -> float | None:
    """Return the share of pixels whose ray meets z = 0 of base within 25 m; None without a model."""
    if seen.model is None:
        return None
    u, v = np.meshgrid(np.linspace(0, seen.model.width - 1, 33), np.linspace(0, seen.model.height - 1, 25))
    rays = seen.model.unproject(np.stack([u, v], -1).reshape(-1, 2)) @ T_base_camera[:3, :3].T
    with np.errstate(divide="ignore", invalid="ignore"):
        reach = np.linalg.norm(rays[:, :2], axis=1) * T_base_camera[2, 3] / -rays[:, 2]
        hit = (rays[:, 2] < 0) & (reach < GROUND_RANGE_M)
    return float(hit.mean())


def _together(survey: Survey) -> Iterator[Check]:
    streams = [survey.streams[topic] for topic in survey.wiring.images if topic in survey.streams]
    if len(streams) < 2:
        return
    tolerance_s = survey.wiring.config.inputs.sync_tolerance_s
    lead = np.sort(np.array(streams[0].stamps_ns, dtype=np.int64))
    worst = 0.0
    for stream in streams[1:]:
        other = np.sort(np.array(stream.stamps_ns, dtype=np.int64))
        place = np.clip(np.searchsorted(other, lead), 1, len(other) - 1) if len(other) > 1 else np.zeros(len(lead), int)
        nearest = np.minimum(np.abs(other[place] - lead), np.abs(other[np.maximum(place - 1, 0)] - lead))
        worst = max(worst, float(np.median(nearest)) * 1e-9)
    if worst > tolerance_s:
        yield warn(
            "cameras together", f"stamps of different cameras are {worst * 1e3:.0f} ms apart in the median",
            f"trigger them together, or raise inputs.sync_tolerance_s ({tolerance_s} s)",
        )
    else:
        yield ok("cameras together", f"{len(streams)} cameras, {worst * 1e3:.1f} ms apart in the median")
