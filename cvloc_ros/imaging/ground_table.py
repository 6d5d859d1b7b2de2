# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Which pixels of one camera make up each cell of a ground raster: computed once, used for every image."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from cvloc_ros.imaging.mounting import to_camera

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from cvloc_ros.ground import GroundGrid
    from cvloc_ros.types import F32, F64, U8, CameraModel, Mask

# Each cell is averaged over this many samples a side, each one read from a reduced image with about that spacing.
SAMPLES = 2
MAX_LEVEL = 5
_ROW = 64


@dataclass(frozen=True, slots=True)
class Limits:
    """Where the ground is believed: not too far, not seen too flatly, not sampled too coarsely."""

    max_range_m: float = 60.0
    min_depression_rad: float = math.radians(3.0)
    min_px_per_cell: float = 0.05


@dataclass(frozen=True, slots=True, eq=False)
class LevelMap:
    """Samples of the cells that are read from one level of the image pyramid.

    `cells` (n,) are positions in `GroundTable.cells`; `xy`, `fraction` are cv2's fixed-point maps (samples and rows of
    cells stacked, padded to whole rows) in pixels of the level.
    """

    level: int
    cells: NDArray[np.intp]
    xy: NDArray[np.int16]
    fraction: NDArray[np.uint16]

    def sample(self, image: U8, border: int) -> U8:
        """Read (SAMPLES², n, channels) from the image of this level."""
        flat = cv2.remap(image, self.xy, self.fraction, cv2.INTER_LINEAR, borderMode=border)
        channels = image.shape[2] if image.ndim == 3 else 1
        return np.asarray(flat, np.uint8).reshape(SAMPLES**2, -1, channels)[:, : len(self.cells)]


@dataclass(frozen=True, slots=True, eq=False)
class GroundTable:
    """Cells of the raster that one camera sees.

    `cells` (n,) are flat indices into the raster, `density` (n,) f32 is pixels per cell in the coarser direction.
    """

    cells: NDArray[np.intp]
    density: F32
    levels: tuple[LevelMap, ...]
    border: int

    def colours(self, pyramid: Sequence[U8]) -> F32:
        """Average the image over each cell; (n, 3) in 0..255."""
        out = np.empty((len(self.cells), 3), np.float32)
        for part in self.levels:
            samples = part.sample(pyramid[part.level], self.border)
            out[part.cells] = samples.sum(axis=0, dtype=np.uint16)
        out /= SAMPLES**2
        return out

    def usable(self, pyramid: Sequence[U8]) -> Mask:
        """Tell for which cells the mask (255 = usable, reduced like the image) holds wherever they are sampled."""
        out = np.empty(len(self.cells), np.bool_)
        for part in self.levels:
            out[part.cells] = (part.sample(pyramid[part.level], self.border) == 255).all(axis=(0, 2))
        return out

    @property
    def depth(self) -> int:
        """Number of pyramid levels that are read."""
        return 1 + max((part.level for part in self.levels), default=0)


def build_table(camera: CameraModel, T_base_camera: F64, grid: GroundGrid, limits: Limits) -> GroundTable:
    """Project the cells of the grid into the camera and note where they fall."""
    centres = grid.points().reshape(-1, 2)
    cells = _seen(centres, camera, T_base_camera, limits)
    offsets = ((np.arange(SAMPLES) + 0.5) / SAMPLES - 0.5) * grid.resolution_m
    shifts = np.stack(np.meshgrid(offsets, offsets, indexing="ij"), axis=-1).reshape(-1, 1, 2)
    uv, mask = camera.project(to_camera(centres[cells] + shifts, T_base_camera))
    wraps = camera.kind == "equirectangular"
    if wraps:  # samples of one cell may lie on both sides of the seam
        uv[..., 0] = (
            uv[:1, :, 0] + np.mod(uv[..., 0] - uv[:1, :, 0] + camera.width / 2, camera.width) - camera.width / 2
        )
    finer, coarser = _sampling(uv)
    keep = mask.all(axis=0) & (coarser >= limits.min_px_per_cell)
    cells, uv, finer, coarser = cells[keep], uv[:, keep], finer[keep], coarser[keep]
    spacing = np.sqrt(finer * coarser) / SAMPLES
    level = np.clip(np.rint(np.log2(np.maximum(spacing, 1e-6))), 0, MAX_LEVEL).astype(np.int64)
    level = np.minimum(level, int(math.log2(max(1, min(camera.width, camera.height)))))
    parts = tuple(_level_map(uv, level, number, camera) for number in np.unique(level))
    border = cv2.BORDER_WRAP if wraps else cv2.BORDER_REPLICATE
    return GroundTable(cells, coarser.astype(np.float32), parts, border)


def _seen(centres: F64, camera: CameraModel, T_base_camera: F64, limits: Limits) -> NDArray[np.intp]:
    height = float(T_base_camera[2, 3])
    if height <= 0.0:
        return np.empty(0, np.intp)
    reach = min(limits.max_range_m, height / math.tan(max(limits.min_depression_rad, 1e-6)))
    away = centres - T_base_camera[:2, 3]
    near = np.flatnonzero(np.einsum("ij,ij->i", away, away) <= reach**2)
    return near[camera.project(to_camera(centres[near], T_base_camera))[1]]


def _sampling(uv: F64) -> tuple[F64, F64]:
    """Return pixels per cell in the finer and the coarser direction, from the samples (SAMPLES², n, 2)."""
    corners = uv.reshape(SAMPLES, SAMPLES, -1, 2)
    reach = SAMPLES / (SAMPLES - 1)
    a = (corners[-1, 0] - corners[0, 0]) * reach
    b = (corners[0, -1] - corners[0, 0]) * reach
    area = np.abs(a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0])
    power = np.einsum("ij,ij->i", a, a) + np.einsum("ij,ij->i", b, b)
    finer = np.sqrt(0.5 * (power + np.sqrt(np.maximum(power**2 - 4.0 * area**2, 0.0))))
    return finer, area / np.maximum(finer, 1e-12)


def _level_map(uv: F64, level: NDArray[np.int64], number: int, camera: CameraModel) -> LevelMap:
    cells = np.flatnonzero(level == number)
    size = np.array([camera.width, camera.height])
    scale = np.maximum(1, size >> int(number)) / size
    points = (uv[:, cells] + 0.5) * scale - 0.5
    padded = -(-len(cells) // _ROW) * _ROW
    xy = np.zeros((SAMPLES**2, padded, 2), np.float32)
    xy[:, : len(cells)] = points
    maps = xy.reshape(-1, _ROW, 2)
    fixed, fraction = cv2.convertMaps(maps[..., 0], maps[..., 1], cv2.CV_16SC2)
    return LevelMap(int(number), cells, np.asarray(fixed, np.int16), np.asarray(fraction, np.uint16))


def pyramid(image: U8, depth: int) -> list[U8]:
    """Return the image and its area averages at 1/2, 1/4, ... of the size (rounded down)."""
    out = [image]
    height, width = image.shape[:2]
    for number in range(1, depth):
        size = (max(1, width >> number), max(1, height >> number))
        out.append(np.asarray(cv2.resize(out[-1], size, interpolation=cv2.INTER_AREA), np.uint8))
    return out
