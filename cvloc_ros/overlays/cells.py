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

    The points lie on a grid of about `cell_m`, in the square of half side `half_m` around `centre` (2,).
    """
    rows, columns = patch.valid.shape
    scale = patch.metres_per_px / cell_m
    size = max(round(columns * scale), 1), max(round(rows * scale), 1)
    rgb = u8(cv2.resize(patch.rgb, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR))
    valid = u8(cv2.resize(patch.valid.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST))
    row, column = np.nonzero(valid)
    uv = (np.column_stack([column, row]) + 0.5) * [columns / size[0], rows / size[1]] - 0.5
    points = uv @ patch.map_from_px[:, :2].T + patch.map_from_px[:, 2]
    near = (np.abs(points - centre) <= half_m).all(axis=1)
    return np.asarray(points[near], dtype=np.float64), rgb[row[near], column[near]]
