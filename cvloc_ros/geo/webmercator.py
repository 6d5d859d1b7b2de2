# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The XYZ tile pyramid of Web Mercator (EPSG:3857).

Global pixels are fractional (column, row) counted from the north-west corner of the world, row down; whole numbers are
pixel *edges* here, so the centre of pixel (c, r) is (c + 0.5, r + 0.5). Mercator metres are never used as metres.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import mercantile
import numpy as np

from cvloc_ros.errors import GeoError
from cvloc_ros.geo.plane import A_M, E2

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from cvloc_ros.geo.box import Box2
    from cvloc_ros.types import F64

TILE_PX = 256
MAX_LATITUDE_DEG = math.degrees(math.atan(math.sinh(math.pi)))
"""The pyramid ends here: 85.05°."""
MAX_ZOOM = 24


def pixel_from_lonlat(longitude_deg: ArrayLike, latitude_deg: ArrayLike, zoom: int, tile_px: int = TILE_PX) -> F64:
    """Take imagery (lon, lat) to global pixels (..., 2).

    Raises:
        GeoError: a coordinate is not finite or beyond ±85.05° of latitude.
    """
    lon, lat = np.asarray(longitude_deg, dtype=np.float64), np.asarray(latitude_deg, dtype=np.float64)
    if not (np.all(np.abs(lat) <= MAX_LATITUDE_DEG) and np.isfinite(lon).all()):
        text = f"latitude {lat}, longitude {lon}: Web Mercator ends at ±{MAX_LATITUDE_DEG:.4f}° of latitude"
        raise GeoError(text)
    column = (lon + 180.0) / 360.0
    row = 0.5 - np.arctanh(np.sin(np.radians(lat))) / math.tau
    return np.stack(np.broadcast_arrays(column, row), axis=-1) * (tile_px * 2.0**zoom)


def lonlat_from_pixel(pixels: ArrayLike, zoom: int, tile_px: int = TILE_PX) -> tuple[F64, F64]:
    """Take global pixels (..., 2) to imagery (lon, lat) in degrees."""
    share = np.asarray(pixels, dtype=np.float64) / (tile_px * 2.0**zoom)
    return share[..., 0] * 360.0 - 180.0, np.degrees(np.arctan(np.sinh((0.5 - share[..., 1]) * math.tau)))


def pixel_size_m(latitude_deg: float, zoom: int, tile_px: int = TILE_PX) -> tuple[float, float]:
    """Return the ground size (east, north) of a pixel in metres on the ellipsoid.

    With N and M the radii of curvature: east N cos φ / a, north M cos φ / a times the pixel in Mercator units. The
    usual cos φ alone is off by up to 0.67 %.
    """
    phi = math.radians(latitude_deg)
    unit = math.tau / (tile_px * 2.0**zoom) * math.cos(phi)
    w2 = 1.0 - E2 * math.sin(phi) ** 2
    return unit * A_M / math.sqrt(w2), unit * A_M * (1.0 - E2) / w2**1.5


def zoom_for(resolution_m: float, latitude_deg: float, tile_px: int = TILE_PX) -> int:
    """Return the zoom level whose pixel is nearest to the resolution, in 0..24.

    The nearest in ratio: its pixel is at most √2 times larger or smaller (0.2 m at 47° is level 19, of 0.202 m).
    """
    if not resolution_m > 0.0:
        text = f"resolution {resolution_m} m must be positive"
        raise GeoError(text)
    level = math.log2(pixel_size_m(latitude_deg, 0, tile_px)[0] / resolution_m)
    return min(max(round(level), 0), MAX_ZOOM)


def tiles_in(box_px: Box2, zoom: int, tile_px: int = TILE_PX) -> list[mercantile.Tile]:
    """List the tiles that a box of global pixels touches, row by row; beyond the date line they continue east."""
    count = 2**zoom
    left, top = math.floor(box_px.x_min / tile_px), math.floor(box_px.y_min / tile_px)
    columns = range(left, max(math.ceil(box_px.x_max / tile_px), left + 1))
    rows = range(max(top, 0), min(max(math.ceil(box_px.y_max / tile_px), top + 1), count))
    return [mercantile.Tile(column % count, row, zoom) for row in rows for column in columns]
