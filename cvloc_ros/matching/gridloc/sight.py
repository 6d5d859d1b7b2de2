# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What GridLoc sees of a view, and where on the road its tokens lie."""

from __future__ import annotations

import dataclasses
import math

import cv2
import numpy as np

from cvloc_ros.matching.depth.flat_ground import distance_to_ground
from cvloc_ros.matching.gridloc.settings import GridLocSettings
from cvloc_ros.matching.layers.views import looking
from cvloc_ros.types import F32, F64, U8, GroundView

TOKEN_PX = 4
"""Side of the patches of the extractor that votes: the road ahead is a few rows of the image."""

_WIDE = ("equirectangular", "equidistant")
_AHEAD_RAD = math.radians(80.0)  # between the cameras that small models are trained on (65 to 90 degrees)


def visible_part(view: GroundView, settings: GridLocSettings) -> U8:
    """Cut the part of the image out that the network sees, grey where the view is masked."""
    rgb = view.rgb if view.valid is None else np.where(view.valid[..., None], view.rgb, np.uint8(128))
    if view.camera.kind in _WIDE and not settings.panorama:
        return _ahead(rgb, view, settings)
    rows, cols = rgb.shape[:2]
    top, bottom, left, right = settings.ground_crop
    return rgb[round(top * rows) : round(bottom * rows), round(left * cols) : round(right * cols)]


def road_places(view: GroundView, settings: GridLocSettings) -> F32:
    """Where the tokens (N, 2) of `visible_part` meet the road: metres ahead of the camera and to its right.

    The road is the plane z = 0 of base. NaN for tokens that do not see it, see it masked, or further than `sight_m`.

    Raises:
        ImageError: the camera is not above the road.
    """
    rows, cols = (side // TOKEN_PX for side in settings.ground_size)
    v, u = np.meshgrid((np.arange(rows) + 0.5) / rows, (np.arange(cols) + 0.5) / cols, indexing="ij")
    if view.camera.kind in _WIDE and not settings.panorama:
        rays = _rays_ahead(u * settings.ground_size[1] - 0.5, v * settings.ground_size[0] - 0.5, settings)
        uv, inside = view.camera.project(rays)
        uv = np.where(inside[..., None], uv, 0.0)
    else:
        top, bottom, left, right = settings.ground_crop
        width, height = view.camera.width, view.camera.height
        uv = np.stack([(left + u * (right - left)) * width, (top + v * (bottom - top)) * height], -1) - 0.5
        inside = np.ones(uv.shape[:2], bool)
    flat = (view.camera.unproject(uv) @ view.T_base_camera[:2, :3].T) * distance_to_ground(view, uv)[..., None]
    facing = looking(view.T_base_camera)
    c, s = math.cos(facing), math.sin(facing)
    where = np.stack([c * flat[..., 0] + s * flat[..., 1], s * flat[..., 0] - c * flat[..., 1]], -1)
    with np.errstate(invalid="ignore"):
        known = inside & (np.hypot(where[..., 0], where[..., 1]) < settings.sight_m)
    if view.valid is not None:
        at = np.clip(uv.round().astype(np.intp), 0, [view.camera.width - 1, view.camera.height - 1])
        known &= view.valid[at[..., 1], at[..., 0]].astype(bool)
    return np.where(known[..., None], where, np.nan).reshape(-1, 2).astype(np.float32)


def _rays_ahead(u: F64, v: F64, settings: GridLocSettings) -> F64:
    """Rays (..., 3) in the optical frame of the pixels of a perspective camera that looks along its axis."""
    rows, cols = settings.ground_size
    focal = 0.5 * cols / math.tan(0.5 * _AHEAD_RAD)
    return np.stack([(u - (cols - 1) / 2) / focal, (v - (rows - 1) / 2) / focal, np.ones_like(u)], -1)


def _ahead(rgb: U8, view: GroundView, settings: GridLocSettings) -> U8:
    """See along the axis of a panorama or fisheye camera as a perspective camera does, grey where it sees nothing."""
    rows, cols = settings.ground_size
    v, u = np.mgrid[0:rows, 0:cols].astype(np.float64)
    uv, inside = view.camera.project(_rays_ahead(u, v, settings))
    place = np.where(inside[..., None], uv, -9.0).astype(np.float32)
    seen = cv2.remap(rgb, place[..., 0], place[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.where(inside[..., None], seen, np.uint8(128))


def upright(view: GroundView) -> GroundView:
    """Turn the picture of a camera that is mounted upside down."""
    if view.T_base_camera[2, 1] <= 0.0:
        return view
    return dataclasses.replace(
        view, rgb=view.rgb[::-1, ::-1], valid=None if view.valid is None else view.valid[::-1, ::-1],
        T_base_camera=view.T_base_camera @ np.diag([-1.0, -1.0, 1.0, 1.0]),
    )  # fmt: skip
