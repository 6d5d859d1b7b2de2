# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Patches: grid, content, validity, over-zoom, memory."""

import mercantile
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cvloc_ros.config import Tiles
from cvloc_ros.geo.projection import Projection
from cvloc_ros.tiles import open_map, warp
from cvloc_ros.tiles.aerial_map import AerialMap
from cvloc_ros.tiles.store import TileKey

HERE = np.zeros(2)


@pytest.fixture
def town_map(town, projection):
    aerial = open_map(Tiles(source=str(town)), projection)
    yield aerial
    aerial.close()


@settings(max_examples=200, deadline=None)
@given(
    x=st.floats(-1e5, 1e5), y=st.floats(-1e5, 1e5), radius=st.floats(1, 300),
    grid=st.sampled_from([1.0, 7.3, 32.0, 100.0]), metres=st.sampled_from([0.05, 0.2, 0.3, 1.0]),
)
def test_patch_holds_the_window_and_lies_on_the_grid(x, y, radius, grid, metres):
    aerial = AerialMap.__new__(AerialMap)
    aerial._config = Tiles(resolution_m=metres, patch_grid_m=grid)
    frame = aerial.frame(np.array([x, y]), radius)
    side = frame.size_px * metres
    assert frame.left_m <= x - radius + 1e-6
    assert frame.left_m + side >= x + radius - 1e-6
    assert frame.top_m >= y + radius - 1e-6
    assert frame.top_m - side <= y - radius + 1e-6
    step = max(round(grid / metres), 1) * metres
    for edge in (frame.left_m, frame.top_m - side):
        assert abs(edge / step - round(edge / step)) < 1e-6
    assert side <= 2 * radius + 2 * step + 2 * metres


def test_nearby_centres_share_one_patch(town_map):
    patch = town_map.patch(np.array([1.0, 1.0]), 30.0)
    for centre, radius in (([1.5, 20.0], 30.0), ([30.0, 3.0], 28.0), ([1.0, 1.0], 30.5)):
        assert town_map.patch(np.array(centre), radius) is patch
    other = town_map.patch(np.array([-20.0, 1.0]), 30.0)
    assert other.key != patch.key
    assert town_map.patch(np.array([1.0, 1.0]), 30.0) is patch


def test_patch_is_metric_north_up_and_read_only(town_map):
    patch = town_map.patch(HERE, 30.0)
    assert patch.metres_per_px == 0.2
    assert patch.map_from_px[0, 0] == 0.2
    assert patch.map_from_px[1, 1] == -0.2
    assert patch.map_from_px[0, 1] == patch.map_from_px[1, 0] == 0
    assert patch.rgb.shape == (*patch.valid.shape, 3)
    assert patch.rgb.shape[0] == patch.rgb.shape[1]
    assert patch.coverage == 1.0
    assert patch.attribution == "nobody"
    with pytest.raises(ValueError, match="read-only"):
        patch.rgb[0, 0] = 0


def test_content_is_that_of_the_tile(town_map, kit, projection):
    patch = town_map.patch(HERE, 60.0)
    rgb = kit.texture(*kit.centre)
    plane = next(level for level in town_map._imagery.levels if level.number == 19)
    for column, row in ((40, 50), (200, 128), (128, 220)):
        crs = plane.crs_from_px @ [256 * kit.centre.x + column, 256 * kit.centre.y + row, 1.0]
        u, v = patch.px_from_map(projection.map_from_crs(crs, "EPSG:3857"))
        assert np.abs(patch.rgb[round(v), round(u)].astype(int) - rgb[row, column]).max() < 30


def test_two_maps_of_one_file_give_equal_patches(town, projection):
    twin = Projection("local_enu", projection.latitude_deg, projection.longitude_deg)
    maps = [open_map(Tiles(source=str(town)), place) for place in (projection, twin)]
    first, second = (aerial.patch(HERE, 30.0) for aerial in maps)
    assert first.key == second.key
    assert np.array_equal(first.rgb, second.rgb)


def test_other_projection_or_resolution_gives_another_key(town, projection):
    keys = {
        open_map(Tiles(source=str(town), resolution_m=metres), place).patch(HERE, 30.0).key
        for metres in (0.2, 0.25)
        for place in (projection, Projection("local_enu", projection.latitude_deg, projection.longitude_deg + 1e-5))
    }
    assert len(keys) == 4


def test_missing_tile_comes_from_its_parent(tmp_path, kit, projection):
    tiles = {key: kit.encode(kit.texture(*key)) for key in kit.around(18, 2)}
    tiles |= {key: kit.encode(kit.texture(*key)) for key in kit.around(19, 2) if key != kit.centre}
    aerial = open_map(Tiles(source=str(kit.write_mbtiles(tmp_path / "m.mbtiles", tiles))), projection)
    patch = aerial.patch(HERE, 10.0)
    assert patch.coverage == 1.0
    assert patch.tiles.missing == 1
    parent = kit.texture(*kit.centre.parent())
    child = np.array([256 * (kit.centre.x & 1) + 100, 256 * (kit.centre.y & 1) + 100])
    plane = next(level for level in aerial._imagery.levels if level.number == 19)
    crs = plane.crs_from_px @ [256 * kit.centre.x + 100, 256 * kit.centre.y + 100, 1.0]
    u, v = np.rint(patch.px_from_map(projection.map_from_crs(crs, "EPSG:3857"))).astype(int)
    expected = parent[child[1] // 2, child[0] // 2]
    assert np.abs(patch.rgb[v, u].astype(int) - expected).max() < 30


def test_nothing_there_is_a_value_not_an_error(town_map):
    patch = town_map.patch(np.array([50000.0, 0.0]), 30.0)
    assert patch.coverage == 0.0
    assert not patch.valid.any()
    assert patch.tiles.missing == patch.tiles.tiles > 0
    assert town_map.coverage(np.array([50000.0, 0.0]), 30.0) == 0.0


def test_edge_of_the_map_is_invalid_beyond(town_map):
    east = town_map.bounds_map.x_max
    patch = town_map.patch(np.array([east, 0.0]), 10.0)
    columns = patch.map_from_px[0, 0] * np.arange(patch.valid.shape[1]) + patch.map_from_px[0, 2]
    parents_reach = town_map.bounds_map.x_max + 200
    assert columns[-1] < parents_reach
    assert 0.3 < patch.coverage <= 1.0


@pytest.mark.parametrize("content", ["white", "notice"])
def test_placeholder_pictures_are_no_imagery(tmp_path, kit, projection, content):
    tiles = {key: kit.encode(kit.texture(*key)) for key in kit.around(19, 3)}
    picture = kit.encode(np.full((256, 256, 3), 255, np.uint8) if content == "white" else kit.texture(9, 9, 9))
    tiles |= dict.fromkeys(kit.around(19, 1), picture)
    aerial = open_map(Tiles(source=str(kit.write_mbtiles(tmp_path / "m.mbtiles", tiles))), projection)
    patch = aerial.patch(HERE, 60.0)
    u, v = np.rint(patch.px_from_map(HERE)).astype(int)
    assert not patch.valid[v, u]
    assert 0.0 < patch.coverage < 1.0


def test_damaged_tile_is_counted_and_named(tmp_path, kit, projection):
    tiles = {key: kit.encode(kit.texture(*key)) for key in kit.around(19, 2)}
    tiles[kit.centre] = tiles[kit.centre][:2000]
    aerial = open_map(Tiles(source=str(kit.write_mbtiles(tmp_path / "m.mbtiles", tiles))), projection)
    patch = aerial.patch(HERE, 10.0)
    assert patch.tiles.failed == 1
    assert "truncated" in patch.tiles.message
    assert patch.coverage < 1.0


def test_zoom_can_be_chosen(town, projection):
    maps = [open_map(Tiles(source=str(town), zoom=zoom), projection) for zoom in (17, 18, 22)]
    assert [aerial.patch(HERE, 20.0).key[1] for aerial in maps] == [17, 18, 19]


def test_coverage_without_decoding(town_map):
    assert town_map.coverage(HERE, 20.0) == 1.0
    assert not town_map._imagery._decoded._tiles


def test_memory_of_decoded_tiles_is_bounded(town, projection):
    aerial = open_map(Tiles(source=str(town), memory_mb=1.0), projection)
    aerial.patch(HERE, 80.0)
    assert aerial._imagery._decoded._used <= 1e6
    assert len(aerial._imagery._decoded._tiles) <= 5


def test_date_line_is_crossed(tmp_path, kit):
    last = (1 << 18) - 1
    place = Projection("local_enu", -17.0, 180.0)
    y = mercantile.tile(179.9999, -17.0, 18).y
    keys = [TileKey(18, x, row) for x in (last - 1, last, 0, 1) for row in range(y - 2, y + 3)]
    path = kit.write_mbtiles(tmp_path / "m.mbtiles", {key: kit.encode(kit.texture(*key)) for key in keys})
    aerial = open_map(Tiles(source=str(path), resolution_m=0.5), place)
    assert aerial.patch(HERE, 60.0).coverage == 1.0


def test_block_split_keeps_large_patches_exact(tmp_path, kit):
    """At 70° a patch of 3 km cannot be one affine; the grid of blocks must not show."""
    place = Projection("local_enu", 69.9, 20.0)

    class Everywhere:
        crs, levels = "EPSG:3857", ()

    frame = warp.Frame(-1500.0, 1500.0, 3000, 1.0)
    blocks = list(warp._blocks(Everywhere(), place, frame, 0, 0, frame.size_px))
    assert len(blocks) > 4
    covered = np.zeros((3000, 3000), int)
    for column, row, side in blocks:
        covered[row : row + side, column : column + side] += 1
        block = warp._sub_frame(frame, column, row, side)
        affine = place.local_affine(block.centre, "EPSG:3857")
        points = block.outline(3)
        error = place.crs_from_map(points, "EPSG:3857") - (points @ affine[:, :2].T + affine[:, 2])
        assert np.linalg.norm(error @ np.linalg.inv(affine[:, :2]).T, axis=1).max() <= 0.01
    assert (covered >= 1).all()
