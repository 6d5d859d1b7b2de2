# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Geodetic datums and the time-dependent shift between them.

PROJ reports 0 between WGS 84 and ETRS89 or NAD83 (an ensemble "ballpark"), while the coordinates differ by about
a metre. The shift therefore goes through ITRF2014, with which WGS 84 agrees within centimetres.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from pyproj import Transformer

from cvloc_ros.errors import GeoError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from cvloc_ros.types import F64

_HUB = "ITRF2014"
# Geographic 3D CRS of the datums whose transformation from ITRF2014 PROJ knows as a function of time.
_CRS: Final = {
    "ITRF2014": "EPSG:7912",
    "ITRF2008": "EPSG:7911",
    "ITRF2020": "EPSG:9989",
    "ETRF2000": "EPSG:7931",
    "NAD83(2011)": "EPSG:6319",
    "GDA2020": "EPSG:7843",
}
# What the CRS of imagery is reached from, so that PROJ's shift to legacy datums starts at the right place and is 0
# to those that differ in name only. ITRF has the role of WGS 84 there.
_GRID_BASE: Final = {"ETRF2000": "EPSG:4258", "NAD83(2011)": "EPSG:6318", "GDA2020": "EPSG:7844"}
_SAME: Final = {"WGS84": "ITRF2014", "ETRS89": "ETRF2000"}


def canonical(name: str) -> str:
    """Return the datum's own name for any spelling of it.

    Raises:
        GeoError: the datum is unknown; the text lists the known ones.
    """
    plain = name.upper().replace(" ", "").replace("_", "")
    plain = _SAME.get(plain, plain)
    if plain not in _CRS:
        text = f"geodetic datum {name!r} is unknown; known: {', '.join((*_SAME, *_CRS))}"
        raise GeoError(text)
    return plain


def grid_base(name: str) -> str:
    """Return the geographic CRS from which the grids of imagery tied to this datum are reached.

    Raises:
        GeoError: the datum is unknown.
    """
    return _GRID_BASE.get(canonical(name), "EPSG:4326")


@dataclass(frozen=True, slots=True)
class DatumShift:
    """Takes longitude and latitude in degrees (height 0) from one datum to another at an epoch, and back."""

    source: str
    target: str
    epoch_year: float
    _to_hub: Transformer | None
    _from_hub: Transformer | None

    @classmethod
    def between(cls, source: str, target: str, epoch_year: float) -> DatumShift:
        """Make the shift; equal datums give the identity.

        Raises:
            GeoError: one of the datums is unknown.
        """
        source, target = canonical(source), canonical(target)
        return cls(
            source,
            target,
            epoch_year,
            None if source in (_HUB, target) else Transformer.from_crs(_CRS[source], _CRS[_HUB], always_xy=True),
            None if target in (_HUB, source) else Transformer.from_crs(_CRS[_HUB], _CRS[target], always_xy=True),
        )

    def forward(self, longitude_deg: ArrayLike, latitude_deg: ArrayLike) -> tuple[F64, F64]:
        """Take (lon, lat) from source to target."""
        return self._run(longitude_deg, latitude_deg, (self._to_hub, "FORWARD"), (self._from_hub, "FORWARD"))

    def backward(self, longitude_deg: ArrayLike, latitude_deg: ArrayLike) -> tuple[F64, F64]:
        """Take (lon, lat) from target to source."""
        return self._run(longitude_deg, latitude_deg, (self._from_hub, "INVERSE"), (self._to_hub, "INVERSE"))

    def _run(
        self, longitude_deg: ArrayLike, latitude_deg: ArrayLike, *steps: tuple[Transformer | None, str]
    ) -> tuple[F64, F64]:
        lon, lat = np.asarray(longitude_deg, dtype=np.float64), np.asarray(latitude_deg, dtype=np.float64)
        for transformer, direction in steps:
            if transformer is not None:
                epoch = np.full(lon.shape, self.epoch_year)
                lon, lat, _, _ = transformer.transform(lon, lat, np.zeros(lon.shape), epoch, direction=direction)
                lon, lat = np.asarray(lon, dtype=np.float64), np.asarray(lat, dtype=np.float64)
        return lon, lat
