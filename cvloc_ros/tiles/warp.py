# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""From a pixel plane in any CRS to a north-up raster in map metres: one reduction, one affine warp."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from cvloc_ros.tiles.imagery import Imagery, Level, Pixels, Window

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cvloc_ros.geo.projection import Projection
    from cvloc_ros.types import F64, U8, Mask

_MARGIN_PX = 2
_AFFINE_ERROR_M = 0.01
_SMALLEST_BLOCK_PX = 64
_COARSER = 1.25
"""A level up to this much coarser than the patch is still taken: finer ones would only be averaged down."""


@dataclass(frozen=True, slots=True)
class Frame:
    """Where a patch lies: left edge, top edge and pixel size in map metres, and its side in pixels."""

    left_m: float
    top_m: float
    size_px: int
    resolution_m: float

    @property
    def map_from_px(self) -> F64:
        """(2, 3): takes (column, row, 1), integers at pixel centres, to map metres."""
        half = self.resolution_m / 2
        return np.array(
            [[self.resolution_m, 0.0, self.left_m + half], [0.0, -self.resolution_m, self.top_m - half]]
        )

    @property
    def centre(self) -> F64:
        """Map point (2,) in the middle."""
        half = self.size_px * self.resolution_m / 2
        return np.array([self.left_m + half, self.top_m - half])

    def outline(self, per_side: int = 5) -> F64:
        """Map points (N, 2) along the border."""
        t = np.linspace(0.0, self.size_px * self.resolution_m, per_side)
        z, e = np.zeros(per_side), np.full(per_side, t[-1])
        ring = np.concatenate([np.stack(pair, -1) for pair in ((t, z), (t, e), (z, t), (e, t))])
        points: F64 = np.array([self.left_m, self.top_m]) + ring * np.array([1.0, -1.0])
        return points


def choose_level(imagery: Imagery, projection: Projection, frame: Frame, number: int = -1) -> Level:
    """Return the coarsest level that is fine enough for the frame, or the one nearest to `number`."""
    if number >= 0:
        return min(imagery.levels, key=lambda level: abs(level.number - number))
    affine = projection.local_affine(frame.centre, imagery.crs)
    fine_enough = [
        level for level in imagery.levels if metres_per_px(level, affine) <= _COARSER * frame.resolution_m
    ]
    by_size = sorted(fine_enough or imagery.levels, key=lambda level: metres_per_px(level, affine))
    return by_size[-1] if fine_enough else by_size[0]


def metres_per_px(level: Level, crs_from_map: F64) -> float:
    """Ground size of a pixel of the level (geometric mean of both axes)."""
    area = np.linalg.det(level.crs_from_px[:, :2]) / np.linalg.det(crs_from_map[:, :2])
    return float(np.sqrt(abs(area)))


def window_of(imagery: Imagery, projection: Projection, frame: Frame, level: Level) -> Window:
    """Return the window of the level that the frame needs, with a margin for interpolation."""
    px = level.px_from_crs(projection.crs_from_map(frame.outline(), imagery.crs))
    low = np.floor(px.min(axis=0)).astype(int) - _MARGIN_PX
    high = np.ceil(px.max(axis=0)).astype(int) + _MARGIN_PX + 1
    return Window(int(low[0]), int(low[1]), int(high[0] - low[0]), int(high[1] - low[1]))


def cut(imagery: Imagery, projection: Projection, frame: Frame, level: Level, deadline_s: float) -> Pixels:
    """Read what the frame needs and warp it.

    The affine map is exact to 1 cm: where one does not reach that for the whole frame, it is split into blocks.
    """
    affine = projection.local_affine(frame.centre, imagery.crs)
    # 1.001: a raster of exactly the resolution divided by whole numbers must not miss its factor by rounding.
    factor = max(int(1.001 * frame.resolution_m / metres_per_px(level, affine)), 1)
    window = _round_up(window_of(imagery, projection, frame, level), factor)
    source = imagery.read(level, window, deadline_s)
    rgb, valid = _reduce(source.rgb, source.valid, factor)
    plane_from_px = _reduced_plane(level, window, factor)
    size = frame.size_px
    out, mask = np.zeros((size, size, 3), np.uint8), np.zeros((size, size), np.bool_)
    for column, row, side in _blocks(imagery, projection, frame, 0, 0, size):
        block = _sub_frame(frame, column, row, side)
        crs_from_px = _compose(projection.local_affine(block.centre, imagery.crs), block.map_from_px)
        source_from_px = _compose(_inverse(plane_from_px), crs_from_px)
        area = np.s_[row : min(row + side, size), column : min(column + side, size)]
        height, width = mask[area].shape
        out[area], mask[area] = _warp(rgb, valid, source_from_px, (width, height))
    return Pixels(out, mask, source.state, source.digest)


def _blocks(
    imagery: Imagery, projection: Projection, frame: Frame, column: int, row: int, side: int
) -> Iterator[tuple[int, int, int]]:
    """Yield (column, row, side) of squares over which one affine is exact to 1 cm."""
    block = _sub_frame(frame, column, row, side)
    affine = projection.local_affine(block.centre, imagery.crs)
    corners = block.outline(2)
    error_crs = projection.crs_from_map(corners, imagery.crs) - (corners @ affine[:, :2].T + affine[:, 2])
    error_m = np.linalg.norm(error_crs @ np.linalg.inv(affine[:, :2]).T, axis=-1).max()
    if error_m <= _AFFINE_ERROR_M or side <= _SMALLEST_BLOCK_PX:
        yield column, row, side
        return
    half = (side + 1) // 2
    for down in (row, row + half):
        for right in (column, column + half):
            yield from _blocks(imagery, projection, frame, right, down, half)


def _sub_frame(frame: Frame, column: int, row: int, side: int) -> Frame:
    metres = frame.resolution_m
    return Frame(frame.left_m + column * metres, frame.top_m - row * metres, side, metres)


def _round_up(window: Window, factor: int) -> Window:
    column, row = window.column // factor * factor, window.row // factor * factor
    width = -(-(window.column + window.width - column) // factor) * factor
    height = -(-(window.row + window.height - row) // factor) * factor
    return Window(column, row, width, height)


def _reduce(rgb: U8, valid: Mask, factor: int) -> tuple[U8, Mask]:
    """Average blocks of factor x factor pixels, invalid ones left out; a block needs half of its pixels."""
    if factor == 1:
        return rgb, valid
    size = (rgb.shape[1] // factor, rgb.shape[0] // factor)
    if valid.all():
        return np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), np.uint8), np.ones(size[::-1], np.bool_)
    weight = cv2.resize(valid.astype(np.float32), size, interpolation=cv2.INTER_AREA)
    total = cv2.resize(np.where(valid[..., None], rgb, 0).astype(np.float32), size, interpolation=cv2.INTER_AREA)
    mean = total / np.maximum(weight, 1e-6)[..., None]
    return np.asarray(np.clip(np.rint(mean), 0, 255), np.uint8), weight >= 0.5


def _reduced_plane(level: Level, window: Window, factor: int) -> F64:
    """crs_from_px (2, 3) of the reduced window."""
    shift = (factor - 1) / 2
    to_level = np.array([[factor, 0.0, window.column + shift], [0.0, factor, window.row + shift]])
    return _compose(level.crs_from_px, to_level)


def _compose(a: F64, b: F64) -> F64:
    """Affine a after affine b, both (2, 3)."""
    return np.column_stack([a[:, :2] @ b[:, :2], a[:, :2] @ b[:, 2] + a[:, 2]])


def _inverse(a: F64) -> F64:
    linear = np.linalg.inv(a[:, :2])
    return np.column_stack([linear, -linear @ a[:, 2]])


def _warp(rgb: U8, valid: Mask, source_from_px: F64, size: tuple[int, int]) -> tuple[U8, Mask]:
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    out = cv2.warpAffine(rgb, source_from_px, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)
    weight = cv2.warpAffine(valid.astype(np.uint8) * np.uint8(255), source_from_px, size, flags=flags)
    # Only pixels of which (almost) nothing comes from outside the imagery count.
    mask: Mask = weight >= 250
    out[~mask] = 0
    return np.asarray(out, np.uint8), mask
