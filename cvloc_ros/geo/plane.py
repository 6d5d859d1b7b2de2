# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The two ways to flatten the ellipsoid that navsat_transform has: a fixed UTM zone, and a tangent plane."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Protocol

import numpy as np
from pyproj import Transformer

from cvloc_ros.errors import GeoError

if TYPE_CHECKING:
    from cvloc_ros.types import F64

A_M = 6378137.0
"""Semi-major axis of WGS 84."""
E2 = 0.00669437999014131699
"""First eccentricity squared of WGS 84."""

_UTM_SOUTH_DEG, _UTM_NORTH_DEG = -80.0, 84.0


class Plane(Protocol):
    """Takes longitude and latitude (degrees) to plane metres and back; inf where it cannot."""

    convergence_rad: float
    """Clockwise bearing of the plane's y axis at the datum."""

    def forward(self, longitude_deg: F64, latitude_deg: F64) -> F64:
        """Return plane coordinates (..., 2) relative to the datum."""
        ...

    def backward(self, points: F64) -> tuple[F64, F64]:
        """Return (lon, lat) in degrees of plane points (..., 2)."""
        ...


def utm_zone(latitude_deg: float, longitude_deg: float) -> int:
    """Return the standard zone number, with the exceptions of Norway and Svalbard (as GeographicLib does).

    Raises:
        GeoError: outside 80° S to 84° N there is no UTM.
    """
    if not _UTM_SOUTH_DEG <= latitude_deg < _UTM_NORTH_DEG:
        text = f"latitude {latitude_deg}° is outside UTM (80° S to 84° N); set geo.projection to local_enu"
        raise GeoError(text)
    zone = int((longitude_deg + 180.0) % 360.0 // 6.0) + 1
    if 56.0 <= latitude_deg < 64.0 and 3.0 <= longitude_deg < 6.0:
        return 32
    if latitude_deg >= 72.0 and 0.0 <= longitude_deg < 42.0:
        return 31 + 2 * int((longitude_deg + 3.0) // 12.0)
    return zone


class UtmPlane:
    """UTM of the datum's zone and hemisphere, minus the datum's coordinates: no jump at zone borders or the equator."""

    def __init__(self, latitude_deg: float, longitude_deg: float) -> None:
        """Fix zone and origin at the datum."""
        self.zone = utm_zone(latitude_deg, longitude_deg)
        self.south = latitude_deg < 0.0
        south = " +south" if self.south else ""
        self._transformer = Transformer.from_pipeline(
            "+proj=pipeline +step +proj=unitconvert +xy_in=deg +xy_out=rad "
            f"+step +proj=utm +zone={self.zone}{south} +ellps=WGS84"
        )
        self._origin = np.array(self._transformer.transform(longitude_deg, latitude_deg), dtype=np.float64)
        # Longitude, not latitude, is varied: a meridian cannot be followed past the pole. The image of a parallel
        # meets that of the meridian at a right angle, because the projection is conformal.
        step = 1e-4
        ends = self.forward(np.array([longitude_deg - step, longitude_deg + step]), np.full(2, latitude_deg))
        east = ends[1] - ends[0]
        self.convergence_rad = math.atan2(east[1], east[0])

    def forward(self, longitude_deg: F64, latitude_deg: F64) -> F64:
        """Return UTM easting and northing (..., 2) minus those of the datum."""
        easting, northing = self._transformer.transform(longitude_deg, latitude_deg)
        return np.stack([np.asarray(easting), np.asarray(northing)], axis=-1) - self._origin

    def backward(self, points: F64) -> tuple[F64, F64]:
        """Return (lon, lat) of plane points (..., 2)."""
        absolute = points + self._origin
        lon, lat = self._transformer.transform(absolute[..., 0], absolute[..., 1], direction="INVERSE")
        return np.asarray(lon, dtype=np.float64), np.asarray(lat, dtype=np.float64)


class TangentPlane:
    """East and north on the plane that touches the ellipsoid (height 0) at the datum, seen along its normal."""

    convergence_rad = 0.0

    def __init__(self, latitude_deg: float, longitude_deg: float) -> None:
        """Compute the axes at the datum."""
        phi, lam = math.radians(latitude_deg), math.radians(longitude_deg)
        sp, cp, sl, cl = math.sin(phi), math.cos(phi), math.sin(lam), math.cos(lam)
        self._axes = np.array([[-sl, cl, 0.0], [-sp * cl, -sp * sl, cp], [cp * cl, cp * sl, sp]])
        self._origin = geocentric(np.float64(longitude_deg), np.float64(latitude_deg))

    def forward(self, longitude_deg: F64, latitude_deg: F64) -> F64:
        """Return east and north (..., 2) of points on the ellipsoid; inf beyond the horizon of the plane."""
        position = geocentric(longitude_deg, latitude_deg)
        plane = (position - self._origin) @ self._axes[:2].T
        # The other half of the ellipsoid would fall on the same plane points.
        hidden = (position * [1.0, 1.0, 1.0 / (1.0 - E2)]) @ self._axes[2] <= 0.0
        plane[hidden] = np.inf
        return np.asarray(plane, dtype=np.float64)

    def backward(self, points: F64) -> tuple[F64, F64]:
        """Return (lon, lat) of the ellipsoid points above or below the plane points (..., 2); inf where there are none.

        The line along the normal meets the ellipsoid x² + y² + z²/(1-e²) = a² in the roots of a quadratic equation.
        """
        base = self._origin + points @ self._axes[:2]
        weight = np.array([1.0, 1.0, 1.0 / (1.0 - E2)])
        up = self._axes[2]
        a, b = (weight * up) @ up, (base * weight) @ up
        c = ((base * weight) * base).sum(axis=-1) - A_M**2
        with np.errstate(invalid="ignore"):
            root = np.sqrt(b * b - a * c)
            height = -c / (b + root)
        x, y, z = np.moveaxis(base + height[..., None] * up, -1, 0)
        lon, lat = np.degrees(np.arctan2(y, x)), np.degrees(np.arctan2(z, (1.0 - E2) * np.hypot(x, y)))
        none = ~np.isfinite(height)
        return np.where(none, np.inf, lon), np.where(none, np.inf, lat)


def geocentric(longitude_deg: F64 | np.float64, latitude_deg: F64 | np.float64) -> F64:
    """Return geocentric coordinates (..., 3) in metres of points on the WGS 84 ellipsoid."""
    phi, lam = np.radians(latitude_deg), np.radians(longitude_deg)
    n = A_M / np.sqrt(1.0 - E2 * np.sin(phi) ** 2)
    return np.stack(
        [n * np.cos(phi) * np.cos(lam), n * np.cos(phi) * np.sin(lam), n * (1.0 - E2) * np.sin(phi)], axis=-1
    )
