# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Speed of tiles and patches on an MBTiles made here: 40x40 tiles of z19 with the size of real aerial photos."""

from __future__ import annotations

import importlib.util
import os
import sqlite3
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from cvloc_ros.config import Tiles
from cvloc_ros.geo.projection import Projection
from cvloc_ros.tiles import open_map
from cvloc_ros.tiles.cache import CacheRow, TileCache
from cvloc_ros.tiles.decode import decode_tile, tile_id
from cvloc_ros.tiles.imagery import Window
from cvloc_ros.tiles.mbtiles import MBTilesStore
from cvloc_ros.tiles.pyramid import TilePyramid
from cvloc_ros.tiles.store import TileKey

if TYPE_CHECKING:
    from collections.abc import Callable

SIDE = 40
FIRST = TileKey(19, 273740, 185840)
LATITUDE, LONGITUDE = 46.3149, 7.9774
RADIUS_M = 40.0
"""Half side of the search window plus what the cameras see."""


def run() -> list[dict[str, Any]]:
    """Measure; one row {name, unit, p50, p95, n, note} for each operation."""
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        with tempfile.TemporaryDirectory() as folder:
            tiles = _tiles()
            path = _write(Path(folder) / "bench.mbtiles", tiles)
            return [*_mosaic(path), *_patches(path), *_geotiff(Path(folder)), *_cache(Path(folder), tiles)]
    finally:
        cv2.setNumThreads(threads)


def _mosaic(path: Path) -> list[dict[str, Any]]:
    rng = np.random.default_rng(1)
    data = next(iter(_tiles(1).values()))
    kept = TilePyramid(MBTilesStore(path), 10**9)
    level = kept.levels[-1]
    fixed = Window(256 * (FIRST.x + 3), 256 * (FIRST.y + 3), 1280, 1280)

    def elsewhere(*, drop: bool) -> None:
        if drop:
            _drop_from_page_cache(path)
        fresh = TilePyramid(MBTilesStore(path), 10**9)
        x, y = rng.integers(0, SIDE - 5, 2)
        fresh.read(level, Window(256 * (FIRST.x + int(x)), 256 * (FIRST.y + int(y)), 1280, 1280), 0.0)
        fresh.close()

    rows = [
        _row("tile decode", lambda: decode_tile(data, 256), 200, f"256 px JPEG, {len(data) / 1e3:.0f} kB, with checks"),
        _row("mosaic 5x5, decoded tiles in memory", lambda: kept.read(level, fixed, 0.0), 100, "MBTiles, 1280x1280 px"),
        _row("mosaic 5x5, read and decoded", lambda: elsewhere(drop=False), 40, "file in the page cache, random place"),
        _row("mosaic 5x5, cold", lambda: elsewhere(drop=True), 40, "file dropped from the page cache, opened anew"),
    ]
    kept.close()
    return rows


def _patches(path: Path) -> list[dict[str, Any]]:
    place = Projection("utm", LATITUDE, LONGITUDE)
    aerial = open_map(Tiles(source=str(path), memory_mb=500), place)
    rng = np.random.default_rng(2)
    here = np.zeros(2)
    size = aerial.patch(here, RADIUS_M).rgb.shape[0]
    what = f"{size}x{size} px at 0.2 m, from z19"

    def again() -> None:
        aerial._patches.clear()  # noqa: SLF001 (times the cut itself)
        aerial.patch(here, RADIUS_M)

    def elsewhere() -> None:
        other = open_map(Tiles(source=str(path)), place)
        other.patch(rng.uniform(-500, 500, 2), RADIUS_M)
        other.close()

    rows = [
        _row("patch, vehicle still in it", lambda: aerial.patch(here, RADIUS_M), 500, what),
        _row("patch cut, tiles in memory", again, 100, what),
        _row("patch cut, map opened anew", elsewhere, 40, f"{what}, file in the page cache"),
    ]
    aerial.close()
    return rows


def _geotiff(folder: Path) -> list[dict[str, Any]]:
    if importlib.util.find_spec("rasterio") is None:
        return []
    import rasterio
    from rasterio.transform import from_origin

    path = folder / "bench.tif"
    rgb = np.tile(_texture(np.random.default_rng(3), 1000), (5, 5, 1))
    profile = {"driver": "GTiff", "tiled": True, "compress": "jpeg", "photometric": "ycbcr", "crs": "EPSG:2056"}
    with rasterio.open(path, "w", width=5000, height=5000, count=3, dtype="uint8",
                       transform=from_origin(2641500, 1129500, 0.1, 0.1), **profile) as file:
        file.write(np.moveaxis(rgb, 2, 0))
    aerial = open_map(Tiles(source=str(path)), Projection("utm", 46.31, LONGITUDE))
    rng = np.random.default_rng(4)
    box = aerial.bounds_map
    if box is None:
        return []

    def anywhere() -> None:
        aerial._patches.clear()  # noqa: SLF001 (times the cut itself)
        aerial.patch(box.centre + rng.uniform(-100, 100, 2), RADIUS_M)

    rows = [_row("patch cut from GeoTIFF", anywhere, 30, "JPEG-compressed, 0.1 m averaged to 0.2 m, EPSG:2056")]
    aerial.close()
    return rows


def _cache(folder: Path, tiles: dict[TileKey, bytes]) -> list[dict[str, Any]]:
    cache = TileCache(folder / "cache.mbtiles", 10**9)
    rows = [(key, CacheRow(data, tile_id(data), expires_at_s=1e12)) for key, data in tiles.items()]
    stored = iter(rows)
    keys = [TileKey(19, FIRST.x + x, FIRST.y + y) for x in range(5) for y in range(5)]
    result = [_row("cache, store one tile", lambda: cache.put(*next(stored)), 1000, "lock, transaction, LRU")]
    for key, row in rows:
        cache.put(key, row)
    result.append(_row("cache, look up 5x5 tiles", lambda: cache.get_many(keys), 200, f"{len(rows)} tiles stored"))
    cache.close()
    return result


def _row(name: str, action: Callable[[], object], count: int, note: str) -> dict[str, Any]:
    action()
    seconds = []
    for _ in range(count):
        start = time.perf_counter()
        action()
        seconds.append(time.perf_counter() - start)
    p50, p95 = np.percentile(np.array(seconds) * 1e3, (50, 95))
    return {"name": name, "unit": "ms", "p50": float(p50), "p95": float(p95), "n": count, "note": note}


def _tiles(side: int = SIDE) -> dict[TileKey, bytes]:
    rng = np.random.default_rng(0)
    keys = [TileKey(19, FIRST.x + x, FIRST.y + y) for x in range(side) for y in range(side)]
    return {key: cv2.imencode(".jpg", _texture(rng, 256), [cv2.IMWRITE_JPEG_QUALITY, 80])[1].tobytes() for key in keys}


def _texture(rng: np.random.Generator, size: int) -> np.ndarray:
    """Noise over several scales, as roofs, trees and gravel have."""
    total = np.zeros((size, size, 3), np.float32)
    for step, strength in ((64, 40.0), (16, 30.0), (4, 16.0), (1, 4.0)):
        coarse = rng.normal(0.0, strength, (-(-size // step), -(-size // step), 3)).astype(np.float32)
        total += cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC)
    return np.clip(total + 110.0, 2, 248).astype(np.uint8)


def _write(path: Path, tiles: dict[TileKey, bytes]) -> Path:
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE metadata (name TEXT, value TEXT)")
        db.execute("CREATE TABLE tiles (zoom_level INTEGER, tile_column INTEGER, tile_row INTEGER, tile_data BLOB)")
        db.execute("CREATE UNIQUE INDEX tile_index ON tiles (zoom_level, tile_column, tile_row)")
        rows = [(key.z, key.x, key.tms_row, data) for key, data in tiles.items()]
        db.executemany("INSERT INTO tiles VALUES (?, ?, ?, ?)", rows)
    db.close()
    return path


def _drop_from_page_cache(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
