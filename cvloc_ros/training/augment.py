# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Changes of samples while training. Where pixels move, camera, mounting and truth move with them."""

from __future__ import annotations

import dataclasses
import math

import cv2
import numpy as np

from cvloc_ros.datasets.sample import Sample
from cvloc_ros.geo import se3
from cvloc_ros.imaging.models import Pinhole
from cvloc_ros.training.config import Augment
from cvloc_ros.types import F32, F64, U8, AerialPatch, CameraModel, GroundView, Pose2

_BOXES = 3
_WRONG_RAD, _WRONG_M = math.radians(0.2), 0.02


def augment(sample: Sample, settings: Augment, rng: np.random.Generator) -> Sample:
    """Change a sample."""
    views = tuple(_view(view, settings, rng) for view in _some(sample.views, settings.drop_views, rng))
    patch, pose, start = sample.patch, sample.pose, sample.start
    if settings.photometric:
        patch = dataclasses.replace(patch, rgb=recolour(patch.rgb, settings.photometric, rng))
    if settings.turn:
        patch, pose = turn_map(patch, pose, float(rng.uniform(-math.pi, math.pi)))
        start = None if start is None else pose @ sample.pose.inverse() @ start
    return dataclasses.replace(sample, views=views, patch=patch, pose=pose, matches=None, start=start)


def recolour(rgb: U8, size: float, rng: np.random.Generator) -> U8:
    """Change brightness, contrast, gamma, saturation, white balance, sharpness and noise of an image (H, W, 3)."""
    gain = np.exp(rng.normal(0.0, 0.16 * size) + rng.normal(0.0, 0.05 * size, 3))
    lift, contrast, gamma = rng.normal(0.0, [10.0, 0.12, 0.15]) * size
    table = np.arange(256.0)[:, None] * gain
    table = 255.0 * (np.clip(table, 0.0, 255.0) / 255.0) ** math.exp(gamma)
    table = np.clip((table - 118.0) * math.exp(contrast) + 118.0 + lift, 0.0, 255.0)
    image: F32 = np.asarray(cv2.LUT(rgb, table.astype(np.float32)[None]), dtype=np.float32)
    colour = float(np.clip(1.0 + rng.normal(0.0, 0.25 * size), 0.0, 2.0))
    grey = image @ np.array([0.3, 0.59, 0.11], np.float32)
    image = grey[..., None] + (image - grey[..., None]) * np.float32(colour)
    if rng.random() < 0.25 * size:
        image = np.asarray(cv2.GaussianBlur(image, (0, 0), float(rng.uniform(0.4, 1.3))), dtype=np.float32)
    noise = float(rng.uniform(0.0, 5.0 * size))
    few = rng.normal(0.0, noise, (64, 64, 1)).astype(np.float32)
    rows, cols = (-(-side // 64) for side in image.shape[:2])
    image += np.tile(few, (rows, cols, 1))[: image.shape[0], : image.shape[1]]
    return np.clip(image, 0.0, 255.0).astype(np.uint8)


def occlude(view: GroundView, rng: np.random.Generator) -> GroundView:
    """Put boxes of one colour, which the method is not told of, over an image."""
    rgb = view.rgb.copy()
    rows, cols = rgb.shape[:2]
    for _ in range(int(rng.integers(1, _BOXES + 1))):
        height, width = rows * rng.uniform(0.1, 0.5), cols * rng.uniform(0.05, 0.3)
        top, left = rng.uniform(-0.2, 1.0) * rows, rng.uniform(-0.1, 1.0) * cols
        box = slice(max(round(top), 0), round(top + height)), slice(max(round(left), 0), round(left + width))
        rgb[box] = rng.integers(0, 256, 3)
    return dataclasses.replace(view, rgb=rgb)


def reframe(view: GroundView, tilt: F64, factor: float) -> GroundView:
    """Turn a camera about its own place, and zoom it (pinhole); the image is resampled to what it then shows.

    Args:
        view: pixels that nobody has seen are marked as not valid.
        tilt: rotation vector (3,) in the optical frame, radians.
        factor: on the focal length.
    """
    camera = view.camera
    if isinstance(camera, Pinhole) and factor != 1.0:
        camera = dataclasses.replace(camera, fx=camera.fx * factor, fy=camera.fy * factor)
    turn = np.eye(4)
    turn[:3, :3] = cv2.Rodrigues(tilt)[0]
    uv = _source(camera, view.camera, turn[:3, :3])
    wrap = cv2.BORDER_WRAP if camera.kind == "equirectangular" else cv2.BORDER_CONSTANT
    u, v = (np.ascontiguousarray(uv[..., axis], dtype=np.float32) for axis in (0, 1))
    rgb: U8 = np.asarray(cv2.remap(view.rgb, u, v, cv2.INTER_LINEAR, borderMode=wrap), dtype=np.uint8)
    before = np.ones(rgb.shape[:2], np.uint8) if view.valid is None else view.valid.astype(np.uint8)
    valid = np.asarray(cv2.remap(before, u, v, cv2.INTER_NEAREST, borderMode=wrap)) > 0
    return dataclasses.replace(
        view, rgb=rgb, camera=camera, T_base_camera=view.T_base_camera @ turn, valid=valid, depth=None
    )


def turn_map(patch: AerialPatch, pose: Pose2, angle_rad: float) -> tuple[AerialPatch, Pose2]:
    """Turn the world about the middle of its patch: pixels stay, coordinates and the pose turn."""
    height, width = patch.rgb.shape[:2]
    middle = patch.map_from_px @ np.array([(width - 1) / 2, (height - 1) / 2, 1.0])
    c, s = math.cos(angle_rad), math.sin(angle_rad)
    turn = np.array([[c, -s], [s, c]])
    turned = turn @ patch.map_from_px
    turned[:, 2] += middle - turn @ middle
    moved = Pose2.at(turn @ (pose.xy - middle) + middle, math.remainder(pose.yaw_rad + angle_rad, math.tau))
    return dataclasses.replace(patch, map_from_px=turned, key=(*patch.key, angle_rad)), moved


def _view(view: GroundView, settings: Augment, rng: np.random.Generator) -> GroundView:
    if settings.tilt_deg or settings.focal:
        # Depth images are of the camera as it was.
        tilt = rng.normal(0.0, math.radians(settings.tilt_deg), 3) * [1.0, 0.3, 1.0]
        factor = math.exp(float(rng.normal(0.0, settings.focal)))
        view = view if view.depth is not None else reframe(view, tilt, factor)
    if settings.photometric:
        view = dataclasses.replace(view, rgb=recolour(view.rgb, settings.photometric, rng))
    if rng.random() < settings.occlusion:
        view = occlude(view, rng)
    wrong = se3.from_rpy(*(rng.normal(0.0, _WRONG_RAD, 3) * settings.mounting).tolist())
    wrong[:3, 3] = rng.normal(0.0, _WRONG_M, 3) * settings.mounting
    there = view.T_ref_base
    way = math.hypot(there.x_m, there.y_m) * settings.odometry
    x, y, yaw = (rng.normal(0.0, 1.0, 3) * [way, way, 0.1 * way]).tolist()
    moved = there @ Pose2(x, y, yaw)
    return dataclasses.replace(view, T_base_camera=wrong @ view.T_base_camera, T_ref_base=moved)


def _some(views: tuple[GroundView, ...], share: float, rng: np.random.Generator) -> tuple[GroundView, ...]:
    if len(views) < 2 or rng.random() >= share:
        return views
    kept = sorted(rng.permutation(len(views))[: int(rng.integers(1, len(views)))].tolist())
    return tuple(views[index] for index in kept)


def _source(camera: CameraModel, before: CameraModel, rotation: F64) -> F64:
    """Where each pixel (H, W, 2) of the new camera lies in the image of the old one; -9 where nowhere."""
    uv = np.stack(np.meshgrid(np.arange(camera.width), np.arange(camera.height)), -1).astype(np.float64)
    rays = camera.unproject(uv) @ rotation.T
    found, inside = before.project(np.nan_to_num(rays))
    return np.where((inside & np.isfinite(found).all(-1))[..., None], np.nan_to_num(found), -9.0)
