# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Tile pyramid: against mercantile, PROJ and geodesics."""

from __future__ import annotations

import math

import mercantile
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import Geod, Transformer

from cvloc_ros.errors import GeoError
from cvloc_ros.geo import webmercator
from cvloc_ros.geo.box import Box2

latitudes = st.floats(-85.0, 85.0)
longitudes = st.floats(-180.0, 179.999)
zooms = st.integers(0, 24)


@given(latitudes, longitudes, zooms)
def test_pixels_lie_in_the_tile_that_mercantile_names(lat: float, lon: float, zoom: int) -> None:
    pixel = webmercator.pixel_from_lonlat(lon, lat, zoom)
    west, south, east, north = mercantile.bounds(mercantile.Tile(*(int(v // 256) for v in pixel), zoom))
    assert west - 1e-9 <= lon <= east + 1e-9
    assert south - 1e-9 <= lat <= north + 1e-9


@given(latitudes, longitudes, zooms, st.sampled_from([256, 512]))
def test_pixel_round_trip(lat: float, lon: float, zoom: int, tile_px: int) -> None:
    pixel = webmercator.pixel_from_lonlat([lon], [lat], zoom, tile_px)
    back = webmercator.lonlat_from_pixel(pixel, zoom, tile_px)
    assert (back[0][0], back[1][0]) == pytest.approx((lon, lat), abs=1e-9)


@given(latitudes, longitudes)
def test_pixels_equal_epsg_3857(lat: float, lon: float) -> None:
    x, y = Transformer.from_crs("EPSG:4326", "EPSG:3857", always_xy=True).transform(lon, lat)
    half = math.pi * 6378137.0
    expected = np.array([x + half, half - y]) / (2 * half) * 256 * 2**19
    assert webmercator.pixel_from_lonlat(lon, lat, 19) == pytest.approx(expected, abs=1e-3)


@settings(max_examples=50)
@given(st.floats(-80.0, 80.0), st.integers(15, 21))
def test_pixel_size_is_that_of_the_geodesic(lat: float, zoom: int) -> None:
    corner = webmercator.pixel_from_lonlat(8.0, lat, zoom)
    lon, lats = webmercator.lonlat_from_pixel(corner + np.array([[-50.0, 0], [50, 0], [0, -50], [0, 50]]), zoom)
    geod = Geod(ellps="WGS84")
    east = geod.inv(lon[0], lats[0], lon[1], lats[1])[2] / 100
    north = geod.inv(lon[2], lats[2], lon[3], lats[3])[2] / 100
    assert webmercator.pixel_size_m(lat, zoom) == pytest.approx((east, north), rel=1e-6)


@pytest.mark.parametrize(
    ("lat", "east", "north"),
    [(0.0, 0.14929, 0.14829), (47.4, 0.10124, 0.10092), (52.0, 0.09210, 0.09187), (60.0, 0.07483, 0.07471)],
)
def test_pixel_size_of_known_latitudes(lat: float, east: float, north: float) -> None:
    assert webmercator.pixel_size_m(lat, 20) == pytest.approx((east, north), abs=6e-6)


@pytest.mark.parametrize(
    ("resolution", "lat", "zoom"), [(0.2, 47.4, 19), (0.2, 60.0, 19), (0.1, 47.4, 20), (1e9, 0, 0), (1e-9, 0, 24)]
)
def test_zoom_is_the_nearest(resolution: float, lat: float, zoom: int) -> None:
    assert webmercator.zoom_for(resolution, lat) == zoom


def test_double_sized_tiles_need_one_level_less() -> None:
    assert webmercator.zoom_for(0.2, 47.4, 512) == 18


def test_tiles_of_a_box() -> None:
    assert webmercator.tiles_in(Box2(256, 256, 512, 512), 2) == [mercantile.Tile(1, 1, 2)]
    assert len(webmercator.tiles_in(Box2(255, 255, 513, 513), 2)) == 9
    over = webmercator.tiles_in(Box2(1000, 0, 1100, 10), 2)
    assert over == [mercantile.Tile(3, 0, 2), mercantile.Tile(0, 0, 2)], "past the date line"
    assert webmercator.tiles_in(Box2(0, -100, 10, -1), 2) == [], "north of the pyramid there are none"
    assert webmercator.tiles_in(Box2(-10, 0, -5, 5), 2) == [mercantile.Tile(3, 0, 2)]
    assert webmercator.tiles_in(Box2(10, 10, 10, 10), 2) == [mercantile.Tile(0, 0, 2)], "a point lies in a tile"
    assert webmercator.tiles_in(Box2(256, 256, 256, 256), 2) == [mercantile.Tile(1, 1, 2)]


@pytest.mark.parametrize("lat", [85.06, -90.0, math.nan])
def test_latitudes_beyond_the_pyramid_are_refused(lat: float) -> None:
    with pytest.raises(GeoError, match=r"85\.0511"):
        webmercator.pixel_from_lonlat(0.0, lat, 10)


def test_bad_resolution_is_refused() -> None:
    with pytest.raises(GeoError, match="positive"):
        webmercator.zoom_for(0.0, 47.0)
