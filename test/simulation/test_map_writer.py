# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import cv2
import mercantile
import numpy as np
import pytest

from cvloc_ros.geo import webmercator
from cvloc_ros.geo.projection import Projection
from cvloc_ros.simulation.map_writer import aerial_image, write_mbtiles
from cvloc_ros.simulation.raster import Grid
from cvloc_ros.simulation.scene import Scene
from cvloc_ros.simulation.world import World

PLACES = [(0.0, 0.0), (-43.2, 27.9), (61.3, -33.4)]


@pytest.mark.parametrize("kind", ["utm", "local_enu"])
@pytest.mark.parametrize("datum", [(56.0, 5.9), (-41.3, 174.8)])
def test_every_zoom_shows_a_landmark_within_three_centimetres(
    tmp_path: Path, kind: str, datum: tuple[float, float]
) -> None:
    scene = Scene(datum=datum, projection=kind, size_m=(150.0, 100.0), map_format="png")  # type: ignore[arg-type]
    grid = Grid.centred(scene.size_m, 0.1)
    image = np.zeros((grid.rows, grid.columns, 3), np.uint8)
    for place in PLACES:
        grid.disc(image, np.array(place), 2.0, (255, 255, 255))
    projection = Projection(scene.projection, *datum)
    write_mbtiles(tmp_path / "map.mbtiles", scene, projection, grid, image)
    for zoom in scene.map_zooms:
        for place in PLACES:
            found = _bright_spot(tmp_path / "map.mbtiles", projection, place, zoom)
            # The disc itself is drawn to a fraction of its 0.1 m pixels.
            assert np.abs(found - place).max() < 0.03, f"zoom {zoom}"


def _bright_spot(path: Path, projection: Projection, place: tuple[float, float], zoom: int) -> np.ndarray:
    """Find the centre of the bright disc near a place, in map metres, from the tiles alone."""
    lon, lat = projection.map_to_imagery(np.array(place))
    around = webmercator.pixel_from_lonlat(lon, lat, zoom)
    size = webmercator.pixel_size_m(float(lat), zoom)[0]
    reach = int(3.0 / size)
    u, v = np.meshgrid(*(np.arange(int(c) - reach, int(c) + reach) for c in around))
    weight = np.array([[_pixel(path, zoom, x, y) for x, y in zip(*row, strict=True)] for row in zip(u, v, strict=True)])
    centre = np.array([(u * weight).sum(), (v * weight).sum()]) / weight.sum() + 0.5
    lon, lat = webmercator.lonlat_from_pixel(centre, zoom)
    return projection.imagery_to_map(lon, lat)


_TILES: dict[tuple[str, int, int, int], np.ndarray] = {}


def _pixel(path: Path, zoom: int, x: int, y: int) -> float:
    key = (str(path), zoom, int(x) // 256, int(y) // 256)
    if key not in _TILES:
        with closing(sqlite3.connect(path)) as base:
            row = base.execute(
                "SELECT tile_data FROM tiles WHERE zoom_level = ? AND tile_column = ? AND tile_row = ?",
                (zoom, key[2], 2**zoom - 1 - key[3]),
            ).fetchone()
        _TILES[key] = cv2.imdecode(np.frombuffer(row[0], np.uint8), cv2.IMREAD_GRAYSCALE)
    return float(_TILES[key][y % 256, x % 256])


def test_metadata_calls_it_simulated_and_states_bounds(drive: Path, scene: Scene) -> None:
    with closing(sqlite3.connect(drive / "map.mbtiles")) as base:
        metadata = dict(base.execute("SELECT name, value FROM metadata"))
        zooms = [row[0] for row in base.execute("SELECT DISTINCT zoom_level FROM tiles ORDER BY 1")]
    assert metadata["simulated"] == "1"
    assert "imulated" in metadata["description"] and "imulated" in metadata["name"]
    assert metadata["attribution"] == "Simulated by cvloc_ros"
    assert zooms == [18, 19, 20] == list(range(int(metadata["minzoom"]), int(metadata["maxzoom"]) + 1))
    west, south, east, north = map(float, metadata["bounds"].split(","))
    assert west < scene.datum[1] < east and south < scene.datum[0] < north


def test_tiles_cover_the_world_without_holes(drive: Path) -> None:
    with closing(sqlite3.connect(drive / "map.mbtiles")) as base:
        bounds = base.execute("SELECT value FROM metadata WHERE name = 'bounds'").fetchone()[0]
        have = set(base.execute("SELECT zoom_level, tile_column, tile_row FROM tiles"))
        sizes = [len(row[0]) for row in base.execute("SELECT tile_data FROM tiles")]
    for tile in mercantile.tiles(*map(float, bounds.split(",")), [18, 19, 20]):
        assert (tile.z, tile.x, 2**tile.z - 1 - tile.y) in have
    assert min(sizes) > 1000


def test_the_aerial_image_is_softer_than_the_ground(world: World) -> None:
    grid, image = aerial_image(world)
    assert grid.resolution_m == pytest.approx(0.1)
    assert image.shape == (grid.rows, grid.columns, 3)
    edge = np.abs(np.diff(image.astype(float), axis=1)).max(axis=(0, 2))
    assert np.percentile(edge, 50) < 160
