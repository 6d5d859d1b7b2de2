# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The imagery that the attempts saw, joined: background of the report, and the answer to "was there a map?"."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from cvloc_ros.types import F64, U8, AerialPatch, Mask, Pose2

CELL_M = 64.0
STREET_HALF_LENGTH_M = 10.0
STREET_HALF_WIDTH_M = 3.0


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """North-up piece of the mosaic: `rgba` (H, W, 4) u8 and its box in map metres."""

    rgba: U8
    x_min_m: float
    y_min_m: float
    x_max_m: float
    y_max_m: float


class PatchMosaic:
    """Square cells of map, each stored once however many patches show it."""

    def __init__(self, resolution_m: float = 0.25) -> None:
        """Keep the imagery at `resolution_m` metres a pixel."""
        self._size = round(CELL_M / resolution_m)
        self._cells: dict[tuple[int, int], U8] = {}
        self._keys: set[tuple[object, ...]] = set()

    def add(self, patch: AerialPatch) -> None:
        """Take over a patch that was not seen yet."""
        if patch.key in self._keys:
            return
        self._keys.add(patch.key)
        height, width = patch.valid.shape
        outline = np.array([[-0.5, -0.5], [width - 0.5, height - 0.5]]) @ patch.map_from_px[:, :2].T
        corners = outline + patch.map_from_px[:, 2]
        low, high = np.floor((corners.min(0) + 1e-6) / CELL_M), np.ceil((corners.max(0) - 1e-6) / CELL_M)
        source = np.dstack([patch.rgb, patch.valid.astype(np.uint8) * 255])
        for column in range(int(low[0]), int(high[0])):
            for row in range(int(low[1]), int(high[1])):
                self._paste(patch, source, (column, row))

    def street_share(self, pose: Pose2) -> float:
        """Share of the street around a pose, 10 m ahead and behind by 3 m to each side, that has imagery."""
        along = np.linspace(-STREET_HALF_LENGTH_M, STREET_HALF_LENGTH_M, 41)
        across = np.linspace(-STREET_HALF_WIDTH_M, STREET_HALF_WIDTH_M, 13)
        points = pose.apply(np.stack(np.meshgrid(along, across), -1).reshape(-1, 2))
        return float(self.valid_at(points).mean())

    def valid_at(self, points: F64) -> Mask:
        """Tell at which map points (N, 2) there is imagery."""
        cells = np.floor(points / CELL_M).astype(int)
        metres = CELL_M / self._size
        px = np.clip(((points - cells * CELL_M) / metres).astype(int), 0, self._size - 1)
        found = np.zeros(len(points), dtype=bool)
        for index, (column, row) in enumerate(cells):
            cell = self._cells.get((int(column), int(row)))
            if cell is not None:
                found[index] = cell[self._size - 1 - px[index, 1], px[index, 0], 3] > 127
        return found

    def picture(self, points: F64, margin_m: float = 25.0, max_px: int = 2400) -> Picture | None:
        """Cut the mosaic around points (N, 2), at most `max_px` wide or high; None if nothing was seen there."""
        if not self._cells or not len(points):
            return None
        low, high = points.min(0) - margin_m, points.max(0) + margin_m
        metres = max(CELL_M / self._size, float((high - low).max()) / max_px)
        width, height = (math.ceil(span / metres) for span in high - low)
        canvas = np.zeros((height, width, 4), np.uint8)
        for (column, row), cell in sorted(self._cells.items()):
            self._draw(canvas, cell, np.array([column, row + 1]) * CELL_M, low[0], high[1], metres)
        return Picture(canvas, float(low[0]), float(high[1] - height * metres), float(low[0] + width * metres),
                       float(high[1]))

    def _paste(self, patch: AerialPatch, source: U8, key: tuple[int, int]) -> None:
        metres = CELL_M / self._size
        map_from_cell = np.array([
            [metres, 0.0, key[0] * CELL_M + metres / 2], [0.0, -metres, (key[1] + 1) * CELL_M - metres / 2], [0, 0, 1]
        ])
        px_from_map = np.linalg.inv(np.vstack([patch.map_from_px, [0.0, 0.0, 1.0]]))
        warp = (px_from_map @ map_from_cell)[:2]
        area = metres > 1.5 * patch.metres_per_px
        blurred = cv2.blur(source, (2, 2)) if area else source
        piece = cv2.warpAffine(blurred, warp, (self._size, self._size),
                               flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderValue=(0, 0, 0, 0))
        kept = self._cells.setdefault(key, np.zeros((self._size, self._size, 4), np.uint8))
        better = piece[..., 3] > kept[..., 3]
        kept[better] = piece[better]

    def _draw(self, canvas: U8, cell: U8, top_left: F64, left_m: float, top_m: float, metres: float) -> None:
        side = CELL_M / metres
        x0, y0 = (top_left[0] - left_m) / metres, (top_m - top_left[1]) / metres
        c0, r0 = round(float(x0)), round(float(y0))
        c1, r1 = round(float(x0 + side)), round(float(y0 + side))
        piece = cv2.resize(cell, (max(c1 - c0, 1), max(r1 - r0, 1)), interpolation=cv2.INTER_AREA)
        rows = slice(max(r0, 0), min(r1, canvas.shape[0]))
        cols = slice(max(c0, 0), min(c1, canvas.shape[1]))
        if rows.start < rows.stop and cols.start < cols.stop:
            canvas[rows, cols] = piece[rows.start - r0 : rows.stop - r0, cols.start - c0 : cols.stop - c0]
