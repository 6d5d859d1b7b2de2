# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Imagery CRS: accuracy, period; real orthophotos are read by the tests of tiles."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from cvloc_ros.errors import GeoError
from cvloc_ros.geo.crs import period
from cvloc_ros.geo.projection import Projection

VIENNA = Path(__file__).parents[3] / "shared" / "data" / "orthophotos" / "vienna_schoenbrunn" / "44_2_op_2023_30cm.tif"


def test_accuracy_of_a_crs_names_the_missing_grid() -> None:
    britain = Projection("utm", 51.5, -1.0).crs_accuracy("EPSG:27700")
    assert britain.metres >= 1.0
    assert "OSTN15" in britain.missing_grid
    germany = Projection("utm", 48.0, 11.0).crs_accuracy("EPSG:25832")
    assert (germany.metres <= 1.0, germany.missing_grid) == (True, "")
    with pytest.raises(GeoError, match=r"tiles\.crs"):
        Projection("utm", 48.0, 11.0).crs_accuracy("EPSG:999999")


@pytest.mark.parametrize(
    ("crs", "expected"),
    [("EPSG:4326", 360.0), ("EPSG:3857", math.tau * 6378137.0), ("EPSG:25832", 0.0), ("EPSG:2992", 0.0)],
)
def test_period_of_a_crs(crs: str, expected: float) -> None:
    assert period(crs) == pytest.approx(expected)


@pytest.mark.parametrize("crs", ["EPSG:5703", "EPSG:4978x"])
def test_a_crs_without_horizontal_axes_is_refused(crs: str) -> None:
    with pytest.raises(GeoError, match=r"tiles\.crs"):
        Projection("utm", 48.0, 11.0).crs_accuracy(crs)


@pytest.mark.skipif(not VIENNA.exists(), reason="the shared orthophotos are not here")
def test_landmark_of_a_real_orthophoto_agrees_with_rasterio_within_1_cm() -> None:
    rasterio = pytest.importorskip("rasterio")
    warp = pytest.importorskip("rasterio.warp")
    with rasterio.open(VIENNA) as picture:
        crs, (x, y) = picture.crs, picture.xy(400, 1100)
    (lon,), (lat,) = warp.transform(crs, "EPSG:4326", [x], [y])
    projection = Projection("utm", 48.18, 16.31)
    assert projection.map_from_crs([x, y], crs.to_wkt()) == pytest.approx(projection.to_map(lat, lon), abs=0.01)
