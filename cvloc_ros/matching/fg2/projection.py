# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Where the points of the volume are in the images: the two published formulas, and any camera model."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from cvloc_ros.matching.fg2.settings import Fg2Settings
from cvloc_ros.matching.layers.views import looking
from cvloc_ros.types import F64, GroundView, Mask

_EPS = 1e-10
_OUTSIDE = -2.0


def panorama_reference(points: Tensor) -> Tensor:
    """Published panorama: points (..., 3), axis 0, axis 1, height above the camera, to u, v (..., 2) in 0..1.

    North is 0.5, east 0.75, south 0 or 1, west 0.25; straight up is 0, the horizon 0.5. Float32 of float64 arithmetic.
    """
    points = points.double()
    x, y, z = points.unbind(-1)
    azimuth = torch.sign(y + _EPS) * torch.arccos((x / (torch.sqrt(x**2 + y**2) + _EPS)).clamp(-1.0, 1.0))
    u = torch.remainder(math.tau - azimuth, math.tau) / math.tau
    v = torch.arccos((z / (torch.linalg.vector_norm(points, dim=-1) + _EPS)).clamp(-1.0, 1.0)) / math.pi
    return torch.stack([u, v], -1).float()


def pinhole_reference(points: Tensor, K: Tensor, size: tuple[int, int]) -> Tensor:
    """Published pinhole: points (..., 3) and K (B, 3, 3) of images of size (height, width) to u, v (B, ..., 2).

    Points in the plane of the camera have no image and get -2. Float32, operation by operation as in the original.
    """
    points, K = points.float(), K.float()
    x, y, depth = points[..., 1], -points[..., 2], -points[..., 0]
    shape = (-1,) + (1,) * x.ndim
    fx, fy, cx, cy = (K[:, i, j].view(shape) for i, j in ((0, 0), (1, 1), (0, 2), (1, 2)))
    u = (fx * x + cx * depth) / depth / size[1]
    v = (fy * y + cy * depth) / depth / size[0]
    uv = torch.stack([u, v], -1)
    return torch.where(torch.isfinite(uv).all(-1, keepdim=True), uv, _OUTSIDE)


def inside(reference: Tensor) -> Tensor:
    """Whether references (..., 2) are in the image; those that are not finite are not."""
    return ((reference >= 0.0) & (reference <= 1.0)).all(-1)


def view_reference(settings: Fg2Settings, view: GroundView) -> tuple[F64, F64]:
    """Reference points (N, heights, 2) of one view, NaN where there is no image, and their pixels (N, heights, 2).

    In published mode the plane lies around this camera, its axis 0 against the direction that the camera looks in; in
    mended mode around the base at the reference stamp, heights above the ground.
    """
    base = volume_in_base(settings, view)
    if not settings.published:
        base[..., :2] = view.T_ref_base.inverse().apply(base[..., :2])
    mounting = view.T_base_camera
    uv, _ = view.camera.project((base - mounting[:3, 3]) @ mounting[:3, :3])
    size = np.array([view.camera.width, view.camera.height], dtype=np.float64)
    half = 0.0 if settings.published and view.camera.kind != "equirectangular" else 0.5
    reference: F64 = (uv + half) / size
    return reference, uv


def volume_in_base(settings: Fg2Settings, view: GroundView) -> F64:
    """Points (N, heights, 3) of the volume in the base frame that they are laid out in, metres."""
    points: F64 = settings.volume().double().numpy()
    base = np.stack([-points[..., 0], -points[..., 1], points[..., 2]], -1)
    if not settings.published:
        return base
    mounting = view.T_base_camera
    yaw = looking(mounting)
    turn = np.array([[math.cos(yaw), -math.sin(yaw)], [math.sin(yaw), math.cos(yaw)]])
    return np.concatenate([base[..., :2] @ turn.T, base[..., 2:]], -1) + mounting[:3, 3]


def usable(view: GroundView, uv: F64) -> Mask:
    """Whether pixels (..., 2) lie in the image and on no masked part of it."""
    columns, rows = view.camera.width, view.camera.height
    with np.errstate(invalid="ignore"):
        low = (uv >= -0.5).all(-1)
        high = (uv[..., 0] <= columns - 0.5) & (uv[..., 1] <= rows - 0.5)
    return low & high & unmasked(view, uv)


def unmasked(view: GroundView, uv: F64) -> Mask:
    """Whether the nearest pixel of the image to each of (..., 2) is usable; False where there is none."""
    finite = np.asarray(np.isfinite(uv).all(-1))
    if view.valid is None:
        return finite
    limits = [view.camera.width - 1, view.camera.height - 1]
    near = np.clip(np.rint(np.where(finite[..., None], uv, 0.0)), 0, limits).astype(np.int64)
    return np.asarray(finite & view.valid[near[..., 1], near[..., 0]])
