# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""From tokens of an image to points on the ground plane, by depth."""

from __future__ import annotations

import numpy as np

from cvloc_ros.matching.depth.depth_map import Along, DepthMap, depth_axis
from cvloc_ros.types import F64, CameraModel, GroundView, Mask

_LEVEL = 0.05
"""Least part of a ray along the optical axis for which depth along that axis says where the point is."""


def token_pixels(camera: CameraModel, rows: int, cols: int, *, published: bool = False) -> F64:
    """Pixels uv (rows cols, 2) that the tokens of an image stand for, by rows.

    The centres of the cells; the published geometry runs from one edge of the image to the other instead.
    """
    if not published:
        u = (np.arange(cols) + 0.5) * (camera.width / cols) - 0.5
        v = (np.arange(rows) + 0.5) * (camera.height / rows) - 0.5
    else:
        shift = 0.5 if camera.kind == "equirectangular" else 0.0
        u, v = np.linspace(0, camera.width, cols) - shift, np.linspace(0, camera.height, rows) - shift
    return np.stack(np.meshgrid(u, v), axis=-1).reshape(-1, 2).astype(np.float64)


def token_rays(view: GroundView, uv: F64, along: Along) -> F64:
    """Displacements (N, 3) in base axes for one metre of depth at pixels (N, 2); NaN where the model has none."""
    rays = view.camera.unproject(uv)
    if along == "axis":
        with np.errstate(divide="ignore", invalid="ignore"):
            part = (rays @ depth_axis(view.camera))[..., None]
            rays = np.where(part > _LEVEL, rays / part, np.nan)
    turned: F64 = rays @ view.T_base_camera[:3, :3].T
    return turned


def token_depth(depth: DepthMap, rows: int, cols: int, max_m: float, *, published: bool = False) -> tuple[F64, Mask]:
    """Depth (rows cols,) of tokens and which of them may match.

    Depth at or beyond `max_m` is too far; for relative depth, whose unit is unknown, nothing is. The published
    geometry takes zero for a depth like any other.
    """
    values = depth.cells(rows, cols, nearest=published).ravel().astype(np.float64)
    known = np.isfinite(values) & ((values > 0) | published)
    near = known & (values < max_m) if depth.metric else known
    return np.where(near, values, 0.0), near
