# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The simulated aerial image of a world, written as MBTiles in EPSG:3857."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import cv2
import mercantile
import numpy as np

from cvloc_ros.geo import webmercator
from cvloc_ros.geo.projection import Projection
from cvloc_ros.simulation.appearance import AERIAL_DAY, cast_shadows, paint_cars, paint_crowns, paint_day, paint_roofs
from cvloc_ros.simulation.raster import Grid
from cvloc_ros.simulation.scene import Scene
from cvloc_ros.simulation.world import World
from cvloc_ros.types import F64, U8

ATTRIBUTION = "Simulated by cvloc_ros"
_BLUR_M = 0.16
_SIZE = webmercator.TILE_PX


def aerial_image(world: World) -> tuple[Grid, U8]:
    """Render the world from above, on another day than the drive, as a survey camera of 0.1 m pixels sees it."""
    day, cars = AERIAL_DAY, world.layout.cars_aerial
    image = paint_day(world, day)
    cast_shadows(world, image, day, cars)
    paint_cars(world, image, cars, detailed=True)
    paint_roofs(world, image)
    paint_crowns(world, image, world.layout.trees)
    pixel = max(0.1, world.scene.resolution_m)
    grid = Grid.centred(world.scene.size_m, pixel)
    small = np.asarray(cv2.resize(image, (grid.columns, grid.rows), interpolation=cv2.INTER_AREA), dtype=np.uint8)
    small = np.asarray(cv2.GaussianBlur(small, (0, 0), _BLUR_M / pixel), dtype=np.uint8)
    rng = world.scene.rng("survey camera")
    for top in range(0, grid.rows, 500):
        part = small[top : top + 500]
        noisy = part + rng.normal(0, 2.2, (*part.shape[:2], 1)).astype(np.float32)
        small[top : top + 500] = np.clip(noisy * 0.94 + np.array([8, 11, 16], np.float32), 0, 255).astype(np.uint8)
    return grid, small


def write_mbtiles(
    path: Path, scene: Scene, projection: Projection, grid: Grid, image: U8, source: str = ""
) -> None:
    """Write all zooms of the map; ground beyond the edge of the world is mirrored, as the cameras see it."""
    zooms = sorted(scene.map_zooms)
    bounds = _bounds(projection, grid)
    with closing(sqlite3.connect(path)) as base, base:
        base.execute("CREATE TABLE metadata (name TEXT, value TEXT)")
        base.execute("CREATE TABLE tiles (zoom_level INT, tile_column INT, tile_row INT, tile_data BLOB)")
        base.execute("CREATE UNIQUE INDEX tile_index ON tiles (zoom_level, tile_column, tile_row)")
        base.executemany("INSERT INTO metadata VALUES (?, ?)", _metadata(scene, bounds, zooms, source).items())
        for top in mercantile.tiles(*bounds, zooms[0]):
            for tile, picture in _tree(top, zooms, projection, grid, image):
                row = 2**tile.z - 1 - tile.y
                base.execute("INSERT INTO tiles VALUES (?, ?, ?, ?)", (tile.z, tile.x, row, _encode(scene, picture)))


def _tree(
    top: mercantile.Tile, zooms: list[int], projection: Projection, grid: Grid, image: U8
) -> Iterator[tuple[mercantile.Tile, U8]]:
    """Yield a tile and all finer ones; coarser tiles are averages of the finest, so that all agree."""
    count = 2 ** (zooms[-1] - top.z)
    whole = np.empty((count * _SIZE, count * _SIZE, 3), np.uint8)
    for row in range(count):
        for column in range(count):
            tile = mercantile.Tile(top.x * count + column, top.y * count + row, zooms[-1])
            part = _render(tile, projection, grid, image)
            whole[row * _SIZE : (row + 1) * _SIZE, column * _SIZE : (column + 1) * _SIZE] = part
    for zoom in zooms:
        side = 2 ** (zoom - top.z)
        size = (side * _SIZE, side * _SIZE)
        level = np.asarray(cv2.resize(whole, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
        for row in range(side):
            for column in range(side):
                part = level[row * _SIZE : (row + 1) * _SIZE, column * _SIZE : (column + 1) * _SIZE]
                yield mercantile.Tile(top.x * side + column, top.y * side + row, zoom), part


def _render(tile: mercantile.Tile, projection: Projection, grid: Grid, image: U8) -> U8:
    """Cut one tile (256, 256, 3) by the affine between its corners, exact to a millimetre at zoom 18 and above."""
    local = np.array([[0.0, 0.0], [_SIZE - 1.0, 0.0], [0.0, _SIZE - 1.0]])
    pixels = local + 0.5 + np.array([tile.x, tile.y]) * _SIZE
    source = grid.px(projection.imagery_to_map(*webmercator.lonlat_from_pixel(pixels, tile.z)))
    affine = cv2.getAffineTransform(local.astype(np.float32), source.astype(np.float32))
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpAffine(image, affine, (_SIZE, _SIZE), flags=flags, borderMode=cv2.BORDER_REFLECT))


def _bounds(projection: Projection, grid: Grid) -> tuple[float, float, float, float]:
    corners: F64 = np.array([[x, y] for x in (grid.west_m, -grid.west_m) for y in (grid.north_m, -grid.north_m)])
    longitude, latitude = projection.map_to_imagery(corners)
    return float(longitude.min()), float(latitude.min()), float(longitude.max()), float(latitude.max())


def _metadata(
    scene: Scene, bounds: tuple[float, float, float, float], zooms: list[int], source: str
) -> dict[str, str]:
    middle = ((bounds[0] + bounds[2]) / 2, (bounds[1] + bounds[3]) / 2)
    return {
        "name": f"Simulated town, seed {scene.seed}",
        "format": scene.map_format,
        "bounds": ",".join(f"{value:.8f}" for value in bounds),
        "center": f"{middle[0]:.8f},{middle[1]:.8f},{zooms[-1]}",
        "minzoom": str(zooms[0]),
        "maxzoom": str(zooms[-1]),
        "type": "baselayer",
        "version": "1.0",
        "attribution": f"{ATTRIBUTION}, on imagery: {source}" if source else ATTRIBUTION,
        "description": "Simulated aerial image of a simulated town, made by cvloc_ros. Not a real place."
        if not scene.imagery
        else "Real imagery, changed and rendered anew by cvloc_ros, with invented buildings, trees and vehicles.",
        "simulated": "1",
    }


def _encode(scene: Scene, picture: U8) -> bytes:
    bgr = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
    options = [cv2.IMWRITE_JPEG_QUALITY, 88] if scene.map_format == "jpg" else [cv2.IMWRITE_PNG_COMPRESSION, 6]
    return bytes(cv2.imencode(f".{scene.map_format}", bgr, options)[1])
