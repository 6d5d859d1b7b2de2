# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""North-up rasters of the ground that are drawn into with metric outlines."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from cvloc_ros.types import F64, U8

_SHIFT = 5


@dataclass(frozen=True, slots=True)
class Grid:
    """Georeference of a raster: west and north edge (m), pixel size (m), columns, rows."""

    west_m: float
    north_m: float
    resolution_m: float
    columns: int
    rows: int

    @classmethod
    def centred(cls, size_m: tuple[float, float], resolution_m: float) -> Grid:
        """Return the grid of a world around the origin."""
        columns, rows = (round(side / resolution_m) for side in size_m)
        return cls(-columns * resolution_m / 2, rows * resolution_m / 2, resolution_m, columns, rows)

    def px(self, points: F64) -> F64:
        """Take points (..., 2) in metres to uv (..., 2) in pixels, integers at pixel centres."""
        scale = np.array([1.0, -1.0]) / self.resolution_m
        px: F64 = (points - np.array([self.west_m, self.north_m])) * scale - 0.5
        return px

    def px_from_map(self) -> F64:
        """Affine (2, 3) from (x, y, 1) in metres to pixels."""
        r = self.resolution_m
        return np.array([[1 / r, 0.0, -self.west_m / r - 0.5], [0.0, -1 / r, self.north_m / r - 0.5]])

    def empty(self, value: int = 0) -> U8:
        """Return a single-channel raster."""
        return np.full((self.rows, self.columns), value, np.uint8)

    def fill(self, raster: U8, outlines: Iterable[F64], value: Any, *, smooth: bool = False) -> None:
        """Fill outlines (N, 2) in metres with a value; `smooth` blends their edges over a pixel."""
        for outline in outlines:
            points = np.rint(self.px(outline) * 2**_SHIFT).astype(np.int32)
            cv2.fillPoly(raster, [points], value, cv2.LINE_AA if smooth else cv2.LINE_8, _SHIFT)

    def disc(self, raster: U8, centre: F64, radius_m: float, value: Any) -> None:
        """Fill a disc, metres."""
        u, v = np.rint(self.px(centre) * 2**_SHIFT).astype(int).tolist()
        radius = round(radius_m / self.resolution_m * 2**_SHIFT)
        cv2.circle(raster, (u, v), radius, value, -1, cv2.LINE_8, _SHIFT)

    def lines(self, raster: U8, lines: Iterable[F64], value: Any, *, smooth: bool = True) -> None:
        """Draw thin open lines (N, 2), metres; `smooth` blends their edges, which numbers of materials must not."""
        points = [np.rint(self.px(line) * 2**_SHIFT).astype(np.int32) for line in lines]
        cv2.polylines(raster, points, False, value, 1, cv2.LINE_AA if smooth else cv2.LINE_8, _SHIFT)
