# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Real heights of a place from a GeoTIFF: the ground, and what stands on it if the file is a surface model."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from scipy.ndimage import distance_transform_edt, gaussian_filter, grey_opening

from cvloc_ros.errors import ConfigError
from cvloc_ros.geo.projection import Projection
from cvloc_ros.simulation.raster import Grid
from cvloc_ros.simulation.scene import Scene
from cvloc_ros.types import F64, Mask

CELL_M = 1.0
_WIDEST_HOUSE_M = 31
"""What is narrower than this and rises from its surroundings stands on the ground."""
_SMOOTH_M = 3.0
_COVERED = 0.3


@dataclass(frozen=True, slots=True, eq=False)
class HeightField:
    """Heights on a grid of 1 m (rows, columns): the smooth ground (0 in the middle), and what rises above it."""

    grid: Grid
    ground: F64
    above: F64
    known: Mask

    def height(self, points: F64) -> F64:
        """Height (...,) of the ground at points (..., 2), metres; beyond the edge that of the edge."""
        px = self.grid.px(points)
        u = np.clip(px[..., 0], 0, self.grid.columns - 1.001)
        v = np.clip(px[..., 1], 0, self.grid.rows - 1.001)
        column, row = u.astype(int), v.astype(int)
        a, b = u - column, v - row
        z = self.ground
        upper = z[row, column] * (1 - a) + z[row, column + 1] * a
        lower = z[row + 1, column] * (1 - a) + z[row + 1, column + 1] * a
        return np.asarray(upper * (1 - b) + lower * b)

    def slope(self, points: F64) -> F64:
        """Rise per metre (..., 2) east and north."""
        east, north = np.array([1.0, 0.0]), np.array([0.0, 1.0])
        return np.stack(
            [(self.height(points + way) - self.height(points - way)) / 2 for way in (east, north)], axis=-1
        )


@lru_cache(maxsize=2)
def heights_of(scene: Scene) -> HeightField | None:
    """Read the heights of a scene; None where it names no file.

    Raises:
        ConfigError: the file cannot be read, or knows too little of the place.
    """
    if not scene.heights:
        return None
    grid = Grid.centred(scene.size_m, CELL_M)
    projection = Projection(scene.projection, *scene.datum)
    raw = _sampled(scene.heights, grid, projection)
    known = np.isfinite(raw)
    if known.mean() < _COVERED:
        msg = (
            f"heights = {scene.heights}: it knows {known.mean():.0%} of the {scene.size_m[0]:.0f} m x "
            f"{scene.size_m[1]:.0f} m around {scene.datum}, at least {_COVERED:.0%} are needed"
        )
        raise ConfigError(msg)
    nearest = distance_transform_edt(~known, return_distances=False, return_indices=True)
    surface = raw[tuple(nearest)]
    ground = gaussian_filter(grey_opening(surface, (_WIDEST_HOUSE_M, _WIDEST_HOUSE_M)), _SMOOTH_M)
    ground = np.minimum(ground, gaussian_filter(surface, _SMOOTH_M))
    middle = float(ground[grid.rows // 2, grid.columns // 2])
    return HeightField(grid, ground - middle, np.where(known, surface - ground, 0.0), known)


def _sampled(file: str, grid: Grid, projection: Projection) -> F64:
    """Heights (rows, columns) at the cells of a grid, NaN where the file has none."""
    try:
        import rasterio
        from rasterio.errors import RasterioError
    except ImportError as err:
        msg = f"heights = {file}: height models need the package rasterio; `pip install cvloc_ros[geo]`"
        raise ConfigError(msg) from err
    rows, columns = np.mgrid[0 : grid.rows, 0 : grid.columns]
    points = np.stack([grid.west_m + (columns + 0.5) * CELL_M, grid.north_m - (rows + 0.5) * CELL_M], axis=-1)
    try:
        with rasterio.open(file) as model:
            if model.crs is None:
                msg = f"heights = {file}: it names no coordinate system; export it with one"
                raise ConfigError(msg)
            place = projection.crs_from_map(points.reshape(-1, 2), model.crs.to_wkt())
            u, v = ~model.transform * (place[:, 0], place[:, 1])
            return _read(model, np.asarray(u) - 0.5, np.asarray(v) - 0.5).reshape(grid.rows, grid.columns)
    except (OSError, RasterioError) as err:
        msg = f"heights = {file}: cannot be read as a height model ({err}); give a GeoTIFF"
        raise ConfigError(msg) from err


def _read(model: Any, u: F64, v: F64) -> F64:
    """Interpolate a band at pixels (N,); a window around them is read."""
    from rasterio.windows import Window

    left, top = max(int(u.min()) - 2, 0), max(int(v.min()) - 2, 0)
    right, bottom = min(int(u.max()) + 3, model.width), min(int(v.max()) + 3, model.height)
    if right - left < 2 or bottom - top < 2:
        return np.full(len(u), np.nan)
    band = model.read(1, window=Window(left, top, right - left, bottom - top)).astype(np.float64)
    if model.nodata is not None:
        band[band == model.nodata] = np.nan
    missing = ~np.isfinite(band)
    step = max(1, round(float(np.abs(np.diff(u[:2]))[0])))
    if step > 1:  # finer than the grid: the mean of a cell
        band = cv2.blur(np.where(missing, np.nanmedian(band), band), (step, step))
    band[missing] = np.nan
    map_u, map_v = ((axis - low).astype(np.float32)[None] for axis, low in ((u, left), (v, top)))
    # Pieces, because OpenCV takes at most 32767 points a row.
    parts = [
        cv2.remap(band, map_u[:, k : k + 30000], map_v[:, k : k + 30000], cv2.INTER_LINEAR,
                  borderMode=cv2.BORDER_CONSTANT, borderValue=float("nan"))
        for k in range(0, map_u.shape[1], 30000)
    ]  # fmt: skip
    return np.asarray(np.concatenate(parts, axis=1)[0], dtype=np.float64)
