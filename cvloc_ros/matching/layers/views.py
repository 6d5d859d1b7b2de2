# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Camera views on their way into a network: resized, and panoramas rolled to a direction."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from cvloc_ros.errors import ImageError
from cvloc_ros.types import F64, GroundView


def check_image(view: GroundView) -> None:
    """Refuse an image that is not RGB of its camera's size.

    Raises:
        ImageError: it is not.
    """
    size = (view.camera.height, view.camera.width, 3)
    if view.rgb.shape != size or view.rgb.dtype != np.uint8:
        found = f"{view.rgb.shape} {view.rgb.dtype}"
        msg = f"image of camera {view.camera_name} is {found}; its calibration says {size} uint8"
        raise ImageError(msg)


def same_picture(a: GroundView, b: GroundView) -> bool:
    """Tell whether what a network makes of one view holds for another: image, mask, depth, camera, mounting."""
    same = a.rgb is b.rgb and a.depth is b.depth and a.valid is b.valid and a.camera is b.camera
    return same and np.array_equal(a.T_base_camera, b.T_base_camera)


def to_tensor(rgb: np.ndarray, size: tuple[int, int], device: torch.device) -> Tensor:
    """Image (H, W, 3) u8 as (1, 3, h, w) in 0..1, bilinear with antialias as image libraries resize."""
    image = torch.from_numpy(np.require(rgb, requirements=("C", "W"))).to(device).permute(2, 0, 1)[None].float() / 255.0
    if tuple(image.shape[2:]) == size:
        return image
    return functional.interpolate(image, size, mode="bilinear", align_corners=False, antialias=True)


def looking(T_base_camera: F64) -> float:
    """Direction in base, counter-clockwise from x, that the optical axis points to (its top where it looks down)."""
    axis = T_base_camera[:2, 2]
    if math.hypot(*axis) < 1e-3:
        axis = -T_base_camera[:2, 1]
    return math.atan2(axis[1], axis[0])


def roll_to_north(view: GroundView, base_yaw_rad: float) -> int:
    """Columns to roll a panorama by, so that its middle looks along y of the map; 0 for other cameras."""
    if view.camera.kind != "equirectangular":
        return 0
    to_the_right = base_yaw_rad + looking(view.T_base_camera) - math.pi / 2
    if view.T_base_camera[2, 1] > 0:  # mounted upside down: its right is the left
        to_the_right = -to_the_right
    return round(math.remainder(to_the_right, math.tau) / math.tau * view.camera.width)


def roll(view: GroundView, columns: int) -> GroundView:
    """Turn a panorama's camera to the right by a number of columns."""
    angle = math.tau * columns / view.camera.width
    c, s = math.cos(angle), math.sin(angle)
    turn = np.array([[c, 0.0, s, 0.0], [0.0, 1.0, 0.0, 0.0], [-s, 0.0, c, 0.0], [0.0, 0.0, 0.0, 1.0]])
    valid = None if view.valid is None else np.roll(view.valid, -columns, axis=1)
    rgb = np.roll(view.rgb, -columns, axis=1)
    return dataclasses.replace(view, rgb=rgb, valid=valid, T_base_camera=view.T_base_camera @ turn)


def unrolled(uv: F64, columns: int, width: int) -> F64:
    """Pixels (..., 2) of a rolled panorama in the panorama as it was."""
    moved: F64 = np.stack([(uv[..., 0] + columns + 0.5) % width - 0.5, uv[..., 1]], -1)
    return moved
