# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Rasters in any CRS; files are written by rasterio itself."""

import numpy as np
import pytest

from cvloc_ros.errors import TileSourceError
from cvloc_ros.tiles.imagery import Window
from cvloc_ros.tiles.raster import RasterMap

rasterio = pytest.importorskip("rasterio")
from rasterio.transform import from_origin  # noqa: E402

UTM32 = (424000.0, 5130000.0)


@pytest.fixture
def write(tmp_path):
    def to(name="m.tif", rgb=None, crs="EPSG:32632", origin=UTM32, pixel=0.2, dtype="uint8", **profile):
        bands = np.moveaxis(rgb, 2, 0) if rgb is not None else np.full((3, 64, 64), 90, dtype)
        path = tmp_path / name
        with rasterio.open(path, "w", height=bands.shape[1], width=bands.shape[2], count=bands.shape[0], dtype=dtype,
                           crs=crs, transform=from_origin(*origin, pixel, pixel), **profile) as file:
            file.write(bands.astype(dtype))
        return path

    return to


def test_window_reaching_outside_is_invalid_there(write, kit):
    rgb = kit.texture(1, 1, 1)
    source = RasterMap(write(rgb=rgb))
    pixels = source.read(source.levels[0], Window(-10, -20, 100, 100), 0.0)
    assert not pixels.valid[:20].any()
    assert not pixels.valid[:, :10].any()
    assert pixels.valid[20:, 10:].all()
    assert np.array_equal(pixels.rgb[20:, 10:], rgb[:80, :90])
    assert source.share(source.levels[0], Window(-50, 0, 100, 100)) == pytest.approx(0.5)
    assert source.read(source.levels[0], Window(5000, 0, 10, 10), 0.0).state.missing == 1


def test_copyright_and_description_of_the_file_are_shown(write):
    path = write(name="c.tif")
    with rasterio.open(path, "r+") as file:
        file.update_tags(TIFFTAG_COPYRIGHT="(c) Town", TIFFTAG_IMAGEDESCRIPTION="flown in May")
    source = RasterMap(path)
    assert source.attribution == "(c) Town"
    assert source.description.startswith("flown in May: c.tif (GTiff")
    assert RasterMap(write(name="d.tif")).attribution == ""


def test_transparent_and_nodata_pixels_are_invalid(write, kit):
    rgb = kit.texture(1, 1, 1)
    alpha = np.full((256, 256, 1), 255, np.uint8)
    alpha[:50] = 0
    source = RasterMap(write(name="a.tif", rgb=np.dstack([rgb, alpha])))
    valid = source.read(source.levels[0], Window(0, 0, 256, 256), 0.0).valid
    assert not valid[:50].any()
    assert valid[50:].all()
    rgb[:, :30] = 7
    source = RasterMap(write(name="n.tif", rgb=rgb, nodata=7))
    assert not source.read(source.levels[0], Window(0, 0, 256, 256), 0.0).valid[:, :30].any()


def test_white_collar_without_any_tag_is_invalid(write, kit):
    rgb = kit.texture(1, 1, 1)
    rgb[200:] = 255
    source = RasterMap(write(rgb=rgb))
    valid = source.read(source.levels[0], Window(0, 0, 256, 256), 0.0).valid
    assert not valid[200:].any()
    assert valid[:190].all()


def test_coarse_planes_cover_the_same_ground(write, kit):
    source = RasterMap(write(rgb=kit.texture(1, 1, 1, 1024)))
    full, coarse = source.levels[0], source.levels[1]
    assert coarse.px_from_crs(full.crs_from_px @ [3.5, 3.5, 1.0]) == pytest.approx([0, 0], abs=1e-6)
    a = source.read(full, Window(0, 0, 1024, 1024), 0.0).rgb.reshape(128, 8, 128, 8, 3).mean(axis=(1, 3))
    b = source.read(coarse, Window(0, 0, 128, 128), 0.0).rgb
    assert np.abs(a - b).max() <= 1.0


def test_one_band_becomes_grey(write):
    source = RasterMap(write(rgb=np.full((64, 64, 1), 77, np.uint8)))
    assert (source.read(source.levels[0], Window(0, 0, 64, 64), 0.0).rgb == 77).all()


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"crs": None}, "set tiles.crs"),
        ({"dtype": "float32"}, "height model"),
        ({"dtype": "uint16"}, "8-bit"),
        ({"crs": "EPSG:4326", "origin": (-92.8, 92.8), "pixel": 0.18}, "90 degrees"),
        ({"crs": "EPSG:4326", "origin": (10.0, 40.0), "pixel": 0.18}, "plausible"),
        ({"crs": "EPSG:32632", "origin": (5e9, 5e9)}, "no place on the Earth"),
    ],
)
def test_what_cannot_be_placed_is_refused_with_a_remedy(write, changes, word):
    with pytest.raises(TileSourceError, match=word):
        RasterMap(write(**changes))


def test_wrong_tag_can_be_overridden(write):
    path = write(crs="EPSG:4326", origin=(-92.8, 92.8), pixel=0.18)
    local = RasterMap(path, "+proj=tmerc +lat_0=48.1 +lon_0=11.5 +ellps=WGS84")
    assert local.bounds == pytest.approx((-92.8, 92.8 - 64 * 0.18, -92.8 + 64 * 0.18, 92.8))


def test_given_crs_that_does_not_exist(write):
    with pytest.raises(TileSourceError, match="not known to PROJ"):
        RasterMap(write(crs=None), "EPSG:999999")


def test_picture_without_georeference(tmp_path, kit):
    (tmp_path / "photo.jpg").write_bytes(kit.encode(kit.texture(1, 1, 1)))
    with pytest.raises(TileSourceError, match="world file"):
        RasterMap(tmp_path / "photo.jpg", "EPSG:2994")


def test_file_cut_short_is_a_state_of_the_patch_not_a_crash(write, kit):
    path = write(rgb=np.tile(kit.texture(1, 1, 1), (4, 4, 1)), compress="deflate", tiled=True)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    try:
        source = RasterMap(path)
    except TileSourceError:
        return
    pixels = source.read(source.levels[0], Window(0, 0, 1024, 1024), 0.0)
    assert pixels.state.failed == 1
    assert "m.tif" in pixels.state.message


def test_file_that_is_no_raster(tmp_path):
    (tmp_path / "map.tif").write_bytes(b"nothing")
    with pytest.raises(TileSourceError, match="cannot be read as a raster"):
        RasterMap(tmp_path / "map.tif")
