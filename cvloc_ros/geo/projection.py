# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Geographic coordinates to map metres and back, equal to navsat_transform with a manual datum.

With "utm": p_map = Rz(-(yaw + gamma)) (UTM(lat, lon) - UTM(datum)), one fixed zone, gamma the clockwise bearing of
grid north at the datum. With "local_enu": gamma = 0 and UTM is replaced by the tangent plane at height 0. Either way
+y is true north at the datum when yaw is 0.

Two kinds of geographic coordinates meet here. GNSS coordinates are in `gnss_datum`; imagery coordinates (Web
Mercator, national grids) are in `map_datum` and may be off by the constant `map_offset_m`.
"""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from cvloc_ros.errors import ConfigError, GeoError
from cvloc_ros.geo import crs as imagery_crs
from cvloc_ros.geo import datum as datums
from cvloc_ros.geo.plane import Plane, TangentPlane, UtmPlane

if TYPE_CHECKING:
    from numpy.typing import ArrayLike
    from pyproj import CRS, Transformer

    from cvloc_ros.config import Geo
    from cvloc_ros.types import F64

Kind = Literal["utm", "local_enu"]
_STEP_M = 50.0


@dataclass(frozen=True)
class Projection:
    """One fixed map frame on the Earth. Thread-safe, hashable; equal when all settings are.

    `yaw_rad` turns the map counter-clockwise from east at the datum. `map_offset_m` (east, north) is "true minus
    mapped" and is added to imagery positions. `epoch_year` dates the shift between the datums: a year of error
    is 2.5 cm in Europe and 7 cm in Australia.
    """

    kind: Kind
    latitude_deg: float
    longitude_deg: float
    yaw_rad: float = 0.0
    gnss_datum: str = "ITRF2014"
    map_datum: str = ""
    map_offset_m: tuple[float, float] = (0.0, 0.0)
    epoch_year: float = 2026.0
    _plane: Plane = field(init=False, repr=False, compare=False)
    _shift: datums.DatumShift = field(init=False, repr=False, compare=False)
    _map_from_plane: F64 = field(init=False, repr=False, compare=False)
    _map_offset: F64 = field(init=False, repr=False, compare=False)
    _transformers: dict[str, tuple[Transformer, float]] = field(
        init=False, repr=False, compare=False, default_factory=dict
    )
    _lock: Any = field(init=False, repr=False, compare=False, default_factory=threading.Lock)

    def __post_init__(self) -> None:
        """Check the settings and fix plane and datum shift.

        Raises:
            GeoError: bad latitude, longitude, yaw, kind or datum, or a pole in UTM.
        """
        _check_geodetic(np.float64(self.latitude_deg), np.float64(self.longitude_deg))
        if not all(math.isfinite(value) for value in (self.yaw_rad, self.epoch_year, *self.map_offset_m)):
            text = f"yaw {self.yaw_rad}, offset {self.map_offset_m} and epoch {self.epoch_year} must be finite"
            raise GeoError(text)
        planes: dict[str, type[UtmPlane | TangentPlane]] = {"utm": UtmPlane, "local_enu": TangentPlane}
        if self.kind not in planes:
            text = f"projection {self.kind!r} is unknown; choose one of {', '.join(planes)}"
            raise GeoError(text)
        plane = planes[self.kind](self.latitude_deg, self.longitude_deg)
        shift = datums.DatumShift.between(self.gnss_datum, self.map_datum or self.gnss_datum, self.epoch_year)
        object.__setattr__(self, "_plane", plane)
        object.__setattr__(self, "_shift", shift)
        object.__setattr__(self, "_map_from_plane", _rotation(-(self.yaw_rad + plane.convergence_rad)))
        object.__setattr__(self, "_map_offset", _rotation(-self.yaw_rad) @ np.array(self.map_offset_m))

    @classmethod
    def from_config(cls, geo: Geo) -> Projection:
        """Make the projection of a configuration whose datum is given.

        Raises:
            ConfigError: `geo.datum` is empty.
            GeoError: see the constructor.
        """
        if not geo.datum:
            hint = (
                "wait for the first fix and call `at_fix`"
                if geo.datum_source == "first_fix"
                else "set it to [latitude_deg, longitude_deg, yaw_rad], the same as navsat_transform's, "
                "or geo.datum_source to first_fix for a trial"
            )
            text = f"geo.datum is empty: {hint}"
            raise ConfigError(text)
        return cls._make(geo, *geo.datum)

    @classmethod
    def at_fix(cls, geo: Geo, latitude_deg: float, longitude_deg: float) -> Projection:
        """Make the projection whose datum is a first fix; axes are east and north there.

        Raises:
            GeoError: see the constructor.
        """
        return cls._make(geo, latitude_deg, longitude_deg, 0.0)

    @classmethod
    def _make(cls, geo: Geo, latitude_deg: float, longitude_deg: float, yaw_rad: float) -> Projection:
        offset = (geo.map_offset_east_m, geo.map_offset_north_m)
        names = (geo.gnss_datum, geo.map_datum)
        return cls(geo.projection, latitude_deg, longitude_deg, yaw_rad, *names, offset, geo.epoch_year)

    @property
    def convergence_rad(self) -> float:
        """Clockwise bearing of grid north at the datum; 0 for local_enu."""
        return self._plane.convergence_rad

    def to_map(self, latitude_deg: ArrayLike, longitude_deg: ArrayLike) -> F64:
        """Take GNSS coordinates to map points (..., 2) in metres.

        Raises:
            GeoError: a coordinate is not finite, out of range, or too far from the datum for the projection.
        """
        lat, lon = np.broadcast_arrays(
            np.asarray(latitude_deg, dtype=np.float64), np.asarray(longitude_deg, dtype=np.float64)
        )
        _check_geodetic(lat, lon)
        return self._flatten(lat, lon)

    def to_geodetic(self, points: ArrayLike) -> tuple[F64, F64]:
        """Take map points (..., 2) in metres to GNSS (lat, lon) in degrees.

        Raises:
            GeoError: a point is not finite or too far from the datum for the projection.
        """
        plane = np.asarray(points, dtype=np.float64) @ self._map_from_plane
        if not np.isfinite(plane).all():
            text = "a map point is not finite; points must be metres in the map frame"
            raise GeoError(text)
        lon, lat = self._plane.backward(plane)
        if not (np.isfinite(lon).all() and np.isfinite(lat).all()):
            text = f"a map point is {_farthest_km(plane):.0f} km from the datum: outside {self.kind}; move geo.datum"
            raise GeoError(text)
        return lat, _within_180(lon)

    def imagery_to_map(self, longitude_deg: ArrayLike, latitude_deg: ArrayLike) -> F64:
        """Take imagery coordinates (`map_datum`, offset applied) to map points (..., 2).

        Raises:
            GeoError: as `to_map`.
        """
        lat, lon = np.broadcast_arrays(
            np.asarray(latitude_deg, dtype=np.float64), np.asarray(longitude_deg, dtype=np.float64)
        )
        _check_geodetic(lat, lon)
        lon, lat = self._shift.backward(lon, lat)
        return self._flatten(lat, lon) + self._map_offset

    def map_to_imagery(self, points: ArrayLike) -> tuple[F64, F64]:
        """Take map points (..., 2) to imagery (lon, lat) in degrees.

        Raises:
            GeoError: as `to_geodetic`.
        """
        lat, lon = self.to_geodetic(np.asarray(points, dtype=np.float64) - self._map_offset)
        lon, lat = self._shift.forward(lon, lat)
        return _within_180(lon), lat

    def crs_from_map(self, points: ArrayLike, crs: str | CRS) -> F64:
        """Take map points (..., 2) to imagery coordinates (..., 2) of a CRS, x (east, longitude) first, in its units.

        Across the date line x runs on instead of jumping, for geographic CRS and Web Mercator.

        Raises:
            GeoError: the CRS is unknown or a point is outside of it.
        """
        transformer, period = self._transformer(crs)
        lon, lat = self.map_to_imagery(points)
        there = _finite(transformer.transform(lon, lat), crs)
        if period:
            x_datum = transformer.transform(self.longitude_deg, self.latitude_deg)[0]
            there[..., 0] -= period * np.round((there[..., 0] - x_datum) / period)
        return there

    def map_from_crs(self, points: ArrayLike, crs: str | CRS) -> F64:
        """Take imagery coordinates (..., 2) of a CRS, x first, in its units, to map points (..., 2).

        Raises:
            GeoError: the CRS is unknown or a point is outside of it.
        """
        xy = np.asarray(points, dtype=np.float64)
        transformer, _ = self._transformer(crs)
        lonlat = _finite(transformer.transform(xy[..., 0], xy[..., 1], direction="INVERSE"), crs)
        return self.imagery_to_map(_within_180(lonlat[..., 0]), lonlat[..., 1])

    def crs_accuracy(self, crs: str | CRS) -> imagery_crs.CrsAccuracy:
        """State how well PROJ knows the CRS at the datum, and which missing grid file would improve it.

        Raises:
            GeoError: the CRS is unknown.
        """
        return imagery_crs.accuracy(self._grid_base, crs, self.longitude_deg, self.latitude_deg)

    def local_affine(self, point: ArrayLike, crs: str | CRS) -> F64:
        """Linearise `crs_from_map` at a map point (2,): A (2, 3) with crs = A @ (x, y, 1).

        Central differences at ±50 m; within ±100 m the affine is off by less than 3 mm up to 60° latitude.

        Raises:
            GeoError: as `crs_from_map`.
        """
        centre = np.asarray(point, dtype=np.float64)
        offsets = np.array([[0, 0], [_STEP_M, 0], [-_STEP_M, 0], [0, _STEP_M], [0, -_STEP_M]])
        at, east, west, north, south = self.crs_from_map(centre + offsets, crs)
        jacobian = np.stack([east - west, north - south], axis=-1) / (2 * _STEP_M)
        return np.column_stack([jacobian, at - jacobian @ centre])

    def yaw_of_east(self, point: ArrayLike = (0.0, 0.0)) -> float:
        """Return the map yaw of true east at a map point (2,): map yaw = ENU yaw + this.

        It is -yaw_rad at the datum and differs elsewhere by the change of the meridian convergence.
        """
        lat, lon = self.to_geodetic(point)
        step = 1e-4
        west, east = self._flatten(np.stack([lat, lat]), np.stack([lon - step, lon + step]))
        return math.atan2(east[1] - west[1], east[0] - west[0])

    @property
    def _grid_base(self) -> str:
        return datums.grid_base(self.map_datum or self.gnss_datum)

    def _flatten(self, lat: F64, lon: F64) -> F64:
        plane = self._plane.forward(lon, lat)
        if not np.isfinite(plane).all():
            text = f"a position is too far from the datum {self.latitude_deg}, {self.longitude_deg} for {self.kind}"
            raise GeoError(text)
        rotated: F64 = plane @ self._map_from_plane.T
        return rotated

    def _transformer(self, crs: str | CRS) -> tuple[Transformer, float]:
        key = crs if isinstance(crs, str) else crs.to_wkt()
        with self._lock:
            known = self._transformers.get(key)
            if known is None:
                known = imagery_crs.transformer(self._grid_base, crs), imagery_crs.period(crs)
                self._transformers[key] = known
            return known


def metres_apart(a: Projection, b: Projection, distance_m: float = 1000.0) -> float:
    """Return the largest distance between two maps for the same ground, at the datum of `a` and around it.

    Raises:
        GeoError: the datum of one is out of reach of the other.
    """
    points = np.array([[0.0, 0.0], [distance_m, 0.0], [-distance_m, 0.0], [0.0, distance_m], [0.0, -distance_m]])
    return float(np.linalg.norm(b.to_map(*a.to_geodetic(points)) - points, axis=-1).max())


def _finite(xy: tuple[Any, Any], crs: str | CRS) -> F64:
    points = np.stack([np.asarray(xy[0], dtype=np.float64), np.asarray(xy[1], dtype=np.float64)], axis=-1)
    if not np.isfinite(points).all():
        name = crs if isinstance(crs, str) else crs.name
        text = f"a point lies outside the CRS {name}; check tiles.crs and geo.datum"
        raise GeoError(text)
    return points


def _check_geodetic(lat: F64 | np.float64, lon: F64 | np.float64) -> None:
    good = (np.abs(lat) <= 90.0) & (np.abs(lon) <= 180.0)
    if not np.all(good):
        index = np.argmin(good)
        text = (
            f"latitude {np.ravel(lat)[index]}, longitude {np.ravel(lon)[index]}: must be finite, "
            "within ±90 and ±180 degrees"
        )
        raise GeoError(text)


def _within_180(lon: F64) -> F64:
    """Bring back what rounding or the date line took beyond ±180°; all else stays untouched."""
    return np.where(lon > 180.0, lon - 360.0, np.where(lon < -180.0, lon + 360.0, lon))


def _rotation(angle_rad: float) -> F64:
    c, s = math.cos(angle_rad), math.sin(angle_rad)
    return np.array([[c, -s], [s, c]])


def _farthest_km(points: F64) -> float:
    return float(np.linalg.norm(points, axis=-1).max()) / 1000.0
