# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Coordinate reference systems of imagery, through PROJ; nothing is fetched from the network."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass

from pyproj import CRS, Transformer
from pyproj.aoi import AreaOfInterest
from pyproj.exceptions import CRSError, ProjError
from pyproj.transformer import TransformerGroup

from cvloc_ros.errors import GeoError

_AROUND_DEG = 0.01
_NAD83_2011 = "EPSG:6318"


@dataclass(frozen=True, slots=True)
class CrsAccuracy:
    """How well PROJ knows a CRS at a place: metres (NaN = not stated), and a missing grid file that would be better."""

    metres: float
    missing_grid: str = ""


def transformer(geographic: str, crs: str | CRS) -> Transformer:
    """Make the transformation from (lon, lat) degrees of a geographic CRS to (x, y) of another CRS, x (east) first.

    Raises:
        GeoError: the CRS is unknown, or has no horizontal axes.
    """
    try:
        target = _horizontal(crs)
        return Transformer.from_crs(_base(geographic, target), target, always_xy=True)
    except (CRSError, ProjError) as err:
        raise _unknown(crs) from err


def period(crs: str | CRS) -> float:
    """Return how far x jumps at the date line, in units of the CRS; 0 where the world does not repeat along x."""
    found = _horizontal(crs)
    if found.is_geographic:
        return math.tau / float(found.axis_info[0].unit_conversion_factor)
    return math.tau * float(found.ellipsoid.semi_major_metre) if found.ellipsoid and found.to_epsg() == 3857 else 0.0


def accuracy(geographic: str, crs: str | CRS, longitude_deg: float, latitude_deg: float) -> CrsAccuracy:
    """State the accuracy of `transformer` at a place. Legacy datums (OSGB36, DHDN) are metres off without their grid.

    Raises:
        GeoError: as `transformer`.
    """
    west, south = longitude_deg - _AROUND_DEG, max(latitude_deg - _AROUND_DEG, -90.0)
    east, north = longitude_deg + _AROUND_DEG, min(latitude_deg + _AROUND_DEG, 90.0)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # the missing grid is returned instead
            target = _horizontal(crs)
            area = AreaOfInterest(max(west, -180.0), south, min(east, 180.0), north)
            group = TransformerGroup(
                _base(geographic, target),
                target,
                always_xy=True,
                area_of_interest=area,  # type: ignore[arg-type]  # pyproj's stub names the private twin of the class
            )
    except (CRSError, ProjError) as err:
        raise _unknown(crs) from err
    metres = group.transformers[0].accuracy if group.transformers else -1.0
    grids = [grid.short_name for grid in group.unavailable_operations[0].grids] if not group.best_available else []
    return CrsAccuracy(metres if metres >= 0.0 else math.nan, ", ".join(grids))


def _base(geographic: str, target: CRS) -> str | CRS:
    """Take the realisations of NAD83 since 1990, which agree within a decimetre, as one.

    PROJ without grids goes from one to another by way of WGS 84, once by 0 and once by a metre.
    """
    own = target.geodetic_crs
    if geographic == _NAD83_2011 and own is not None and own.name.startswith("NAD83("):
        return own.to_2d()
    return geographic


def _horizontal(crs: str | CRS) -> CRS:
    found = CRS.from_user_input(crs)
    if not (found.is_geographic or found.is_projected or found.is_bound or found.is_compound):
        text = f"{found.name} has no horizontal axes on the Earth; set tiles.crs to a code such as EPSG:25832"
        raise GeoError(text)
    return found


def _unknown(crs: str | CRS) -> GeoError:
    name = crs if isinstance(crs, str) else crs.name
    return GeoError(f"CRS {name!r} is unknown to PROJ; set tiles.crs to a code such as EPSG:25832, or to WKT")
