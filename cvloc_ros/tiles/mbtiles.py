# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""MBTiles files of the user: read-only, never written, never opened by a second SQLite library."""

from __future__ import annotations

import os
import sqlite3
import threading
from typing import TYPE_CHECKING
from urllib.parse import quote

from cvloc_ros.errors import TileSourceError
from cvloc_ros.tiles.decode import Tile, decode_tile, tile_id
from cvloc_ros.tiles.mercator import tile_bounds
from cvloc_ros.tiles.places import Places
from cvloc_ros.tiles.store import MISSING, Answer, TileData, TileKey

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

_MERCATOR = ("", "epsg:3857", "epsg:900913", "epsg:3785", "3857", "900913")


class MBTilesStore:
    """Tiles of one MBTiles file. The zoom range and bounds are those of the tiles, not those that it claims."""

    is_network = False

    def __init__(self, path: Path) -> None:
        """Open the file.

        Raises:
            TileSourceError: unreadable, no MBTiles, without tiles, vector tiles, or not in Web Mercator.
        """
        self.name = str(path.resolve())
        self._lock = threading.Lock()
        self._places = Places()
        self._db = _connect(path)
        try:
            metadata = self._read_metadata(path)
            self.min_zoom, self.max_zoom = self._read_zooms(path)
            self.bounds = self._read_bounds()
            self.tile_size = self._read_tile_size(path)
        except sqlite3.DatabaseError as err:
            self._db.close()
            msg = f"{path}: cannot be read as MBTiles ({err}); check it with `sqlite3 FILE 'PRAGMA quick_check'`"
            raise TileSourceError(msg) from err
        except TileSourceError:
            self._db.close()
            raise
        self.attribution = metadata.get("attribution", "")
        title = metadata.get("name", path.name)
        self.description = f"{title} (MBTiles, z{self.min_zoom} to z{self.max_zoom}, {self.tile_size} px)"

    def get(self, keys: Iterable[TileKey], deadline_s: float) -> Mapping[TileKey, TileData]:  # noqa: ARG002
        """Read tiles; all tiles of a zoom come with one range query."""
        answers: dict[TileKey, TileData] = {}
        by_zoom: dict[int, set[TileKey]] = {}
        for key in keys:
            answers[key] = MISSING
            by_zoom.setdefault(key.z, set()).add(key)
        for z, group in by_zoom.items():
            try:
                found = self._range(z, group)
            except sqlite3.Error as err:
                answers.update(dict.fromkeys(group, TileData(Answer.FAILED, reason=f"{self.name}: {err}")))
                continue
            contents = {key: tile_id(data) for key, data in found}
            places = self._places.note_all(contents)
            for key, data in found:
                answers[key] = TileData(Answer.CACHED, data, contents[key], places[key])
        return answers

    def known(self, keys: Iterable[TileKey]) -> int:
        """Count the tiles that the file holds."""
        sql = "SELECT count(*) FROM tiles WHERE zoom_level=? AND tile_column=? AND tile_row=?"
        with self._lock:
            return sum(int(self._db.execute(sql, (k.z, k.x, k.tms_row)).fetchone()[0]) for k in keys)

    def version(self) -> int:
        """Return 0: the file does not change."""
        return 0

    def contents(self) -> Iterator[tuple[TileKey, bytes]]:
        """Yield every tile."""
        with self._lock:
            places = self._db.execute("SELECT zoom_level, tile_column, tile_row FROM tiles").fetchall()
        for z, column, row in places:
            key = TileKey(z, column, (1 << z) - 1 - row)
            yield from self._range(z, {key})

    def trouble(self) -> str:
        """Return "": nothing is written that could fail."""
        return ""

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()

    def _range(self, z: int, group: set[TileKey]) -> list[tuple[TileKey, bytes]]:
        columns = [key.x for key in group]
        rows = [key.tms_row for key in group]
        sql = (
            "SELECT tile_column, tile_row, tile_data FROM tiles WHERE zoom_level=? "
            "AND tile_column BETWEEN ? AND ? AND tile_row BETWEEN ? AND ?"
        )
        last = (1 << z) - 1
        with self._lock:
            found = self._db.execute(sql, (z, min(columns), max(columns), min(rows), max(rows))).fetchall()
        tiles = ((TileKey(z, column, last - row), data) for column, row, data in found)
        return [(key, bytes(data)) for key, data in tiles if key in group and data is not None]

    def _read_metadata(self, path: Path) -> dict[str, str]:
        names = {row[0] for row in self._db.execute("SELECT name FROM sqlite_master WHERE type IN ('table','view')")}
        if "tiles" not in names:
            msg = f"{path}: no table or view `tiles`, so it is no MBTiles; convert it (`gdal_translate -of MBTILES`)"
            raise TileSourceError(msg)
        pairs = self._db.execute("SELECT name, value FROM metadata") if "metadata" in names else ()
        metadata = {str(name): str(value) for name, value in pairs}
        if metadata.get("format", "").lower() == "pbf":
            msg = f"{path}: vector tiles (format pbf); raster tiles (png, jpg, webp) are needed"
            raise TileSourceError(msg)
        crs = metadata.get("crs", metadata.get("srs", "")).lower()
        if crs not in _MERCATOR:
            msg = f"{path}: tiles in {crs}; EPSG:3857 is needed: convert it with `gdalwarp -t_srs EPSG:3857`"
            raise TileSourceError(msg)
        return metadata

    def _read_zooms(self, path: Path) -> tuple[int, int]:
        low, high = self._db.execute("SELECT min(zoom_level), max(zoom_level) FROM tiles").fetchone()
        if low is None:
            msg = f"{path}: it holds no tiles; fill it or choose another file"
            raise TileSourceError(msg)
        return int(low), int(high)

    def _read_bounds(self) -> tuple[float, float, float, float]:
        z = self.max_zoom
        sql = "SELECT min(tile_column), max(tile_column), min(tile_row), max(tile_row) FROM tiles WHERE zoom_level=?"
        left, right, south, north = self._db.execute(sql, (z,)).fetchone()
        last = (1 << z) - 1
        low = tile_bounds(TileKey(z, left, last - south))
        high = tile_bounds(TileKey(z, right, last - north))
        return low[0], low[1], high[2], high[3]

    def _read_tile_size(self, path: Path) -> int:
        sql = "SELECT tile_data FROM tiles WHERE zoom_level=? AND tile_data IS NOT NULL LIMIT 8"
        faults = []
        for (data,) in self._db.execute(sql, (self.max_zoom,)):
            tile = decode_tile(bytes(data))
            if isinstance(tile, Tile):
                return int(tile.rgb.shape[0])
            faults.append(tile)
        msg = f"{path}: its tiles are no pictures: {faults[0] if faults else 'all empty'}; png, jpg or webp are needed"
        raise TileSourceError(msg)


def _connect(path: Path) -> sqlite3.Connection:
    """Open read-only, as immutable unless a write-ahead log says that somebody writes.

    Even mode=ro would leave a -shm and a -wal file beside a file in WAL mode, and fail where the folder is read-only.
    """
    log = path.resolve().with_name(path.resolve().name + "-wal")
    live = log.exists() and log.stat().st_size > 0 and os.access(path.parent, os.W_OK)
    uri = f"file:{quote(str(path.resolve()))}?mode=ro" + ("" if live else "&immutable=1")
    try:
        return sqlite3.connect(uri, uri=True, check_same_thread=False, timeout=5.0)
    except sqlite3.Error as err:
        msg = f"{path}: cannot be opened ({err}); check that it exists and may be read"
        raise TileSourceError(msg) from err
