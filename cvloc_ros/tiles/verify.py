# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Checking every tile of a file."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

from cvloc_ros.errors import TileSourceError
from cvloc_ros.tiles.cache import TileCache
from cvloc_ros.tiles.decode import decode_tile, tile_id
from cvloc_ros.tiles.mbtiles import MBTilesStore

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cvloc_ros.config import Tiles
    from cvloc_ros.tiles.store import TileKey


def open_existing(path: Path, tiles: Tiles) -> TileCache:
    """Open a cache file for maintenance.

    Raises:
        TileSourceError: it cannot be opened.
    """
    try:
        return TileCache(path, round(tiles.cache_max_mb * 1e6))
    except (OSError, sqlite3.Error) as err:
        msg = f"{path}: {err}; check its permissions, or delete it"
        raise TileSourceError(msg) from err


def damaged_in_cache(cache: TileCache) -> Iterator[tuple[TileKey, str]]:
    """Yield every tile with its fault, "" if it is sound."""
    for key, content, data in cache.contents():
        picture = decode_tile(data)
        fault = picture if isinstance(picture, str) else ""
        yield key, fault or ("" if tile_id(data) == content else "its bytes are not those that were stored")


def damaged_in_mbtiles(path: Path) -> Iterator[str]:
    """Yield a sentence for every tile of the user's MBTiles that is no picture.

    Raises:
        TileSourceError: the file cannot be opened at all, or it is no MBTiles.
    """
    with closing(MBTilesStore(path)) as store:
        for key, data in store.contents():
            picture = decode_tile(data, store.tile_size)
            if isinstance(picture, str):
                yield f"{key.z}/{key.x}/{key.y}: {picture}"
