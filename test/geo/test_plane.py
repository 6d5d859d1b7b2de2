# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Flattening of the ellipsoid: zones, reach."""

from __future__ import annotations

import numpy as np
import pytest

from cvloc_ros.geo.plane import TangentPlane, UtmPlane, geocentric, utm_zone


@pytest.mark.parametrize(
    ("lat", "lon", "zone"),
    [
        (48, 11.9, 32),
        (60.4, 5.3, 32),
        (60.4, 2.9, 31),
        (78.2, 15.6, 33),
        (78.2, 8.9, 31),
        (78.2, 41.9, 37),
        (0, -180, 1),
        (0, 180, 1),
        (0, 179.99, 60),
        (-33.9, 18.4, 34),
        (63.99, 5, 32),
        (64, 5, 31),
    ],
)
def test_utm_zone_has_the_norwegian_exceptions(lat: float, lon: float, zone: int) -> None:
    assert utm_zone(lat, lon) == zone


def test_tangent_plane_has_no_points_off_the_ellipsoid_or_on_its_far_side() -> None:
    plane = TangentPlane(48.0, 11.9)
    lon, lat = plane.backward(np.array([[0.0, 0.0], [7e6, 0.0]]))
    assert (lon[0], lat[0]) == pytest.approx((11.9, 48.0))
    assert np.isinf([lon[1], lat[1]]).all()
    assert np.isinf(plane.forward(np.array([-168.0]), np.array([-48.0]))).all()


def test_utm_plane_of_the_south_starts_at_the_datum() -> None:
    plane = UtmPlane(-38.0, 145.0)
    assert (plane.zone, plane.south) == (55, True)
    assert plane.forward(np.array(145.0), np.array(-38.0)) == pytest.approx([0.0, 0.0])


def test_geocentric_of_pole_and_equator() -> None:
    assert geocentric(np.array(0.0), np.array(90.0)) == pytest.approx([0.0, 0.0, 6356752.314245], abs=1e-5)
    assert geocentric(np.array(90.0), np.array(0.0)) == pytest.approx([0.0, 6378137.0, 0.0], abs=1e-5)
