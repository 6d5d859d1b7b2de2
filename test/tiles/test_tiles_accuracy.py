# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A landmark lies where pyproj, rasterio and mercantile say, within 1 cm, whatever the map's format and CRS.

The georeference of the map is real; its pixels are replaced by a dark spot at a known pixel, so that the place can be
read off the finished patch to a few millimetres. The reference never touches our geometry: file -> CRS -> degrees ->
tangent plane.
"""

import mercantile
import numpy as np
import pytest
from pyproj import CRS, Transformer

from cvloc_ros.config import Tiles
from cvloc_ros.geo.projection import Projection
from cvloc_ros.tiles import open_map
from cvloc_ros.tiles.imagery import Pixels
from cvloc_ros.types import TileState

rasterio = pytest.importorskip("rasterio")
from rasterio.transform import from_origin  # noqa: E402

TOLERANCE_M = 0.01


def tangent_plane(lat0, lon0, lat, lon):
    """Independent of the package: PROJ's own topocentric pipeline at height 0."""
    pipeline = Transformer.from_pipeline(
        "+proj=pipeline +step +proj=unitconvert +xy_in=deg +xy_out=rad +step +proj=cart +ellps=WGS84 "
        f"+step +proj=topocentric +ellps=WGS84 +lat_0={lat0} +lon_0={lon0} +h_0=0"
    )
    east, north, _ = pipeline.transform(lon, lat, 0.0)
    return np.array([east, north])


class Spotted:
    """A map source whose pixels are grey with one dark spot, everything else being that of the source."""

    def __init__(self, source, level, column, row, sigma, kit):
        self._source, self._spot, self._kit = source, (column, row, sigma), kit
        self.levels = [level]

    def __getattr__(self, name):
        return getattr(self._source, name)

    def read(self, level, window, deadline_s):  # noqa: ARG002
        column, row, sigma = self._spot
        rgb = self._kit.blob(window.height, window.width, column - window.column, row - window.row, sigma)
        return Pixels(rgb, np.ones(rgb.shape[:2], bool), TileState(), "spot")


def measure(source, lonlat_of, kit, *, crs="", resolution_m=0.2, datum_shift_m=(30.0, -20.0)):
    """Distance in metres between the spot in the patch and the reference, at several pixels of the finest plane."""
    probe = open_map(Tiles(source=str(source), crs=crs), Projection("local_enu", *DATUM_OF(source, lonlat_of)))
    level = max(probe._imagery.levels, key=lambda plane: -abs(np.linalg.det(plane.crs_from_px[:, :2])))
    probe.close()
    errors = []
    for column, row in lonlat_of.pixels:
        lon, lat = lonlat_of(column, row)
        # The datum lies aside of the landmark, so that a wrong linearisation would show.
        lat0, lon0 = lat + datum_shift_m[1] / 111e3, lon + datum_shift_m[0] / (111e3 * np.cos(np.radians(lat)))
        aerial = open_map(
            Tiles(source=str(source), crs=crs, resolution_m=resolution_m), Projection("local_enu", lat0, lon0)
        )
        truth = tangent_plane(lat0, lon0, lat, lon)
        metres = np.sqrt(abs(np.linalg.det(level.crs_from_px[:, :2]) / np.linalg.det(
            aerial._projection.local_affine(truth, aerial._imagery.crs)[:, :2])))
        sigma = max(0.8 / metres, 2.0)
        aerial._imagery = Spotted(aerial._imagery, level, column, row, sigma, kit)
        errors.append(np.linalg.norm(kit.centroid(aerial.patch(truth, 20.0)) - truth))
        aerial.close()
    return errors


def DATUM_OF(source, lonlat_of):
    lon, lat = lonlat_of(*lonlat_of.pixels[0])
    return float(lat), float(lon)


class RasterPixels:
    """Degrees of raster pixels by rasterio and pyproj."""

    def __init__(self, path, crs=None, count=3):
        with rasterio.open(path) as file:
            self._transform, self._crs = file.transform, crs or file.crs.to_wkt()
            rows, columns = file.shape
        shares = np.linspace(0.3, 0.7, count)
        self.pixels = [(int(share * columns), int((1.1 - share) * rows)) for share in shares]
        self._to_degrees = Transformer.from_crs(CRS.from_user_input(self._crs), "EPSG:4326", always_xy=True)

    def __call__(self, column, row):
        return self._to_degrees.transform(*rasterio.transform.xy(self._transform, row, column, offset="center"))


class TilePixels:
    """Degrees of pixels of a tile pyramid by mercantile."""

    def __init__(self, z, tiles):
        self._z = z
        self.pixels = [(256 * x + 77, 256 * y + 130) for x, y in tiles]

    def __call__(self, column, row):
        side = 2 * np.pi * 6378137.0 / (256 << self._z)
        x, y = (column + 0.5) * side - np.pi * 6378137.0, np.pi * 6378137.0 - (row + 0.5) * side
        return mercantile.lnglat(x, y)


def test_own_mbtiles(town, kit):
    assert max(measure(town, TilePixels(19, [(kit.centre.x, kit.centre.y)]), kit)) < TOLERANCE_M


@pytest.mark.parametrize(
    ("crs", "lon", "lat", "pixel"),
    [
        ("EPSG:32632", 8.9, 60.2, 0.2),
        ("EPSG:3067", 24.9, 60.2, 0.25),
        ("EPSG:2056", 7.98, 46.31, 0.1),
        ("EPSG:31256", 16.31, 48.18, 0.3),
        ("EPSG:2994", -123.07, 44.05, 1.0),
        ("EPSG:4326", -71.0, -33.4, 2e-6),
        ("EPSG:3857", 18.4, -33.9, 0.2),
        ("EPSG:32760", 179.9, -17.0, 0.2),
    ],
)
def test_own_rasters(tmp_path, kit, crs, lon, lat, pixel):
    x, y = Transformer.from_crs("EPSG:4326", crs, always_xy=True).transform(lon, lat)
    with rasterio.open(tmp_path / "m.tif", "w", width=600, height=600, count=3, dtype="uint8", crs=crs,
                       transform=from_origin(x, y, pixel, pixel)) as file:
        file.write(np.full((3, 600, 600), 99, np.uint8))
    assert max(measure(tmp_path / "m.tif", RasterPixels(tmp_path / "m.tif", crs), kit)) < TOLERANCE_M


def test_finer_raster_is_averaged_without_shift(tmp_path, kit):
    with rasterio.open(tmp_path / "m.tif", "w", width=2000, height=2000, count=3, dtype="uint8", crs="EPSG:32632",
                       transform=from_origin(424000, 5130000, 0.03, 0.03)) as file:
        file.write(np.full((3, 2000, 2000), 99, np.uint8))
    errors = measure(tmp_path / "m.tif", RasterPixels(tmp_path / "m.tif"), kit, resolution_m=0.25)
    assert max(errors) < TOLERANCE_M


def test_real_mbtiles_of_brig(shared_data, kit):
    path = shared_data("swissimage_brig/swissimage_brig.mbtiles")
    tiles = [(273750, 185853), (273760, 185860), (273775, 185868)]
    assert max(measure(path, TilePixels(19, tiles), kit)) < TOLERANCE_M


def test_real_tile_folder_of_brig(shared_data, kit):
    path = shared_data("swissimage_brig/xyz_sample")
    assert max(measure(path, TilePixels(19, [(273774, 185859), (273777, 185862)]), kit)) < TOLERANCE_M


@pytest.mark.parametrize(
    ("name", "crs"),
    [
        ("vienna_schoenbrunn/44_2_op_2023_30cm.tif", ""),
        ("brighton_beach/ortho_10cm_epsg32615.tif", ""),
        ("autzen/autzen.jpg", "EPSG:2994"),
        ("autzen/autzen.jpg", "EPSG:2992"),
        ("ortholoc_munich/urban_residential_DOP.tif", "+proj=tmerc +lat_0=48.1 +lon_0=11.5 +ellps=WGS84"),
    ],
)
def test_real_orthophotos(shared_data, kit, name, crs):
    path = shared_data(f"orthophotos/{name}")
    assert max(measure(path, RasterPixels(path, crs or None), kit, crs=crs)) < TOLERANCE_M


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("autzen/autzen.jpg", "set tiles.crs"),
        ("ortholoc_munich/urban_residential_DOP.tif", "seems wrong"),
        ("ortholoc_munich/urban_residential_xDOP.tif", "seems wrong"),
        ("brighton_beach/dsm_10cm_epsg32615.tif", "height model"),
        ("vienna_schoenbrunn/44_2_dgm.tif", "height model"),
    ],
)
def test_real_files_that_must_be_refused(shared_data, name, word):
    from cvloc_ros.errors import TileSourceError

    path = shared_data(f"orthophotos/{name}")
    with pytest.raises(TileSourceError, match=word):
        open_map(Tiles(source=str(path)), Projection("local_enu", 48.1, 11.5))


def test_real_white_tile_is_no_imagery(shared_data):
    path = shared_data("swissimage_brig/xyz_sample")
    lon, lat = mercantile.lnglat(*mercantile.xy(*mercantile.ul(273778, 185863, 19)))
    aerial = open_map(Tiles(source=str(path)), Projection("local_enu", lat, lon))
    east = aerial.patch(np.array([60.0, 0.0]), 20.0)
    assert not east.valid[:, east.valid.shape[1] // 2 :].any()
    aerial.close()


def test_paris_map_is_the_same_as_mbtiles_and_as_geotiff(shared_data):
    place = Projection("local_enu", 48.8503, 2.3346)
    patches = []
    for name in ("map.mbtiles", "map_epsg2154.tif"):
        with_map = open_map(Tiles(source=str(shared_data(f"paris_drive/{name}"))), place)
        patches.append(with_map.patch(np.array([0.0, 10.0]), 20.0))
        with_map.close()
    both = patches[0].valid & patches[1].valid
    assert both.mean() > 0.05
    a, b = (patch.rgb[both].astype(float).mean(axis=1) for patch in patches)
    assert np.corrcoef(a, b)[0, 1] > 0.98
