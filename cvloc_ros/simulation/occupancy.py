# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Which ground of a place is taken already."""

from __future__ import annotations

import cv2
import numpy as np

from cvloc_ros.types import F64, U8

_CELL_M = 0.5


class Occupancy:
    """Coarse raster of the ground that is taken."""

    def __init__(self, size_m: tuple[float, float]) -> None:
        """Begin with a world of this size in which all is free."""
        self._half = np.array(size_m) / 2
        self._cells: U8 = np.zeros((int(size_m[1] / _CELL_M), int(size_m[0] / _CELL_M)), np.uint8)

    def _px(self, outline: F64) -> np.ndarray:
        return np.rint((outline + self._half) / _CELL_M).astype(np.int32)

    def add(self, outline: F64, *, taken: bool = True) -> None:
        """Take the inside of an outline (N, 2), or set it free."""
        cv2.fillPoly(self._cells, [self._px(outline)], int(taken))

    def disc(self, centre: F64, radius_m: float) -> None:
        """Take a disc."""
        angle = np.linspace(0, 2 * np.pi, 40, endpoint=False)
        self.add(centre + radius_m * np.column_stack([np.cos(angle), np.sin(angle)]))

    def inside(self, outline: F64) -> bool:
        """Tell whether an outline (N, 2) lies in the world."""
        return bool((np.abs(outline) < self._half - 1.0).all())

    def free(self, outline: F64) -> bool:
        """Tell whether nothing within an outline (N, 2) is taken; what lies outside of the world is not looked at."""
        points = self._px(outline)
        low, high = np.maximum(points.min(axis=0), 0), points.max(axis=0) + 1
        part = self._cells[low[1] : high[1], low[0] : high[0]]
        if part.size == 0:
            return False
        mask = np.zeros_like(part)
        cv2.fillPoly(mask, [points - low.astype(np.int32)], 1)
        return not bool(np.any(part & mask))
