# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Tile arithmetic of Web Mercator (EPSG:3857): tiles, pixel planes, and the window's tiles."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from cvloc_ros.tiles.imagery import Level, Window
from cvloc_ros.tiles.store import TileKey

if TYPE_CHECKING:
    from collections.abc import Iterator

CRS = "EPSG:3857"
HALF_M = math.pi * 6378137.0
"""Half the side of the world square in Mercator metres."""


def level(zoom: int, tile_size: int) -> Level:
    """Pixel plane of one zoom level; column 0, row 0 is the north-west corner of the world."""
    pixel = 2 * HALF_M / (tile_size << zoom)
    return Level(zoom, np.array([[pixel, 0.0, -HALF_M + pixel / 2], [0.0, -pixel, HALF_M - pixel / 2]]))


def tile_bounds(key: TileKey) -> tuple[float, float, float, float]:
    """Return (min x, min y, max x, max y) of a tile in Mercator metres."""
    side = 2 * HALF_M / (1 << key.z)
    west, north = -HALF_M + key.x * side, HALF_M - key.y * side
    return west, north - side, west + side, north


def tiles_of(zoom: int, window: Window, tile_size: int) -> list[tuple[TileKey, int]]:
    """List the tiles that a window touches with the column at which each begins, row by row.

    Rows beyond the world are left out; columns go on across the date line.
    """
    count = 1 << zoom
    rows = range(max(window.row // tile_size, 0), min((window.row + window.height - 1) // tile_size + 1, count))
    columns = range(window.column // tile_size, (window.column + window.width - 1) // tile_size + 1)
    return [(TileKey(zoom, column % count, row), column * tile_size) for row in rows for column in columns]


def tiles_of_box(zoom: int, box: tuple[float, float, float, float]) -> Iterator[TileKey]:
    """Yield the tiles that touch (min x, min y, max x, max y) in Mercator metres."""
    count = 1 << zoom
    side = 2 * HALF_M / count
    left, right = (int((x + HALF_M) // side) for x in (box[0], box[2]))
    top, bottom = (min(max(int((HALF_M - y) // side), 0), count - 1) for y in (box[3], box[1]))
    for y in range(top, bottom + 1):
        for x in range(left, right + 1):
            yield TileKey(zoom, x % count, y)
