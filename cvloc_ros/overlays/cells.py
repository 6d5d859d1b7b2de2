# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The imagery of a patch as coloured points: the form that every 3D viewer shows without a plugin."""

from __future__ import annotations

import cv2
import numpy as np

from cvloc_ros.overlays.canvas import u8
from cvloc_ros.types import F64, U8, AerialPatch

CELL_M = 0.3
"""Distance of the points; the layout of RViz draws squares of this side."""

HALF_M = 75.0


def cells(patch: AerialPatch, centre: F64, cell_m: float = CELL_M, half_m: float = HALF_M) -> tuple[F64, U8]:
    """Return map points (N, 2), metres, and their colours (N, 3), RGB, where a patch has imagery.

    The points lie on a grid of about `cell_m`, in the square of half side `half_m` around `centre` (2,), which is
    widened to whole pixels.
    """
    corners = patch.px_from_map(centre + half_m * np.array([[-1.0, -1.0], [-1.0, 1.0], [1.0, 1.0], [1.0, -1.0]]))
    rows, columns = patch.valid.shape
    left, top = np.clip(np.floor(corners.min(axis=0)), 0, [columns, rows]).astype(int)
    right, bottom = np.clip(np.ceil(corners.max(axis=0)) + 1, 0, [columns, rows]).astype(int)
    if left >= right or top >= bottom:
        return np.zeros((0, 2)), np.zeros((0, 3), np.uint8)
    scale = patch.metres_per_px / cell_m
    size = max(round((right - left) * scale), 1), max(round((bottom - top) * scale), 1)
    flags = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    rgb = u8(cv2.resize(patch.rgb[top:bottom, left:right], size, interpolation=flags))
    known = patch.valid[top:bottom, left:right].astype(np.uint8)
    valid = u8(cv2.resize(known, size, interpolation=cv2.INTER_NEAREST)) > 0
    u = left + (np.arange(size[0]) + 0.5) * (right - left) / size[0] - 0.5
    v = top + (np.arange(size[1]) + 0.5) * (bottom - top) / size[1] - 0.5
    across, down, origin = patch.map_from_px.T
    points = (u[:, None] * across + origin)[None] + (v[:, None] * down)[:, None]
    return np.asarray(points[valid], dtype=np.float64), rgb[valid]
