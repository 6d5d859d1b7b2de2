# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The tile cache: content-addressed MBTiles, bounded by bytes, that remembers misses and survives crashes."""
# ruff: noqa: S608 (queries are put together from constants of this file only)

from __future__ import annotations

import contextlib
import sqlite3
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from cvloc_ros.tiles.cache_file import CacheFile, is_damage
from cvloc_ros.tiles.places import SUSPECT_PLACES
from cvloc_ros.tiles.store import TileKey

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

_T = TypeVar("_T")
_KEEP_SHARE = 0.9
_TOUCH_AFTER_S = 3600.0
_TOUCH_BATCH = 256
_CHECKPOINT_EVERY = 64
_RETRY_S = 60.0


@dataclass(frozen=True, slots=True, eq=False)
class CacheRow:
    """One remembered tile; `data` None means that the server has none there. Times are Unix seconds."""

    data: bytes | None
    content: bytes = b""
    status: int = 200
    etag: str = ""
    last_modified: str = ""
    fetched_at_s: float = 0.0
    expires_at_s: float = 0.0
    places: int = 1


@dataclass(frozen=True, slots=True)
class CacheStats:
    """Numbers of a cache for the report."""

    tiles: int
    misses: int
    pinned: int
    expired: int
    bytes: int
    zooms: Mapping[int, int]


class TileCache:
    """Thread-safe; any number of processes may share the file. With `path` None it lives in memory.

    Nothing here raises for a full disk, a lost lock or a damaged file: `trouble` tells, and tiles are not kept
    until the cause is gone.
    """

    def __init__(self, path: Path | None, max_bytes: int, clock: Callable[[], float] = time.time) -> None:
        """Open or create.

        Raises:
            OSError: the folder cannot be used at all.
            sqlite3.Error: the file cannot be opened or made.
        """
        self._file = CacheFile(path)
        self._max_bytes, self._clock = max_bytes, clock
        self._read_lock = threading.RLock()
        self._write_lock = self._read_lock if self._file.read is self._file.write else threading.RLock()
        self._touched: dict[TileKey, float] = {}
        self._writes = 0
        self._paused_until_s = 0.0
        self.trouble = self._file.repaired

    @property
    def path(self) -> Path | None:
        """The file, None for memory."""
        return self._file.path

    def get_many(self, keys: Iterable[TileKey]) -> dict[TileKey, CacheRow]:
        """Return the rows that there are, expired ones too; one query for each zoom level."""
        by_zoom: dict[int, set[TileKey]] = {}
        for key in keys:
            by_zoom.setdefault(key.z, set()).add(key)
        try:
            with self._read_lock:
                rows = {key: row for z, group in by_zoom.items() for key, row in self._range(z, group)}
        except sqlite3.Error as err:
            self._recover(err)
            return {}
        self._touch(rows)
        return rows

    def put(self, key: TileKey, row: CacheRow) -> bool:
        """Store one tile or miss; return whether it was kept."""
        return self._write(lambda db: self._put(db, key, row)) is not None

    def renew(self, key: TileKey, expires_at_s: float) -> bool:
        """Extend the life of a tile that the server says is unchanged."""
        sql = f"UPDATE map SET expires_at=?, fetched_at=? WHERE {_WHERE}"
        return self._write(lambda db: db.execute(sql, (expires_at_s, self._clock(), *_place(key)))) is not None

    def pin(self, keys: Iterable[TileKey], *, pinned: bool = True) -> None:
        """Protect tiles from eviction, or give them free."""
        sql = f"UPDATE map SET pinned=? WHERE {_WHERE}"
        self._write(lambda db: db.executemany(sql, [(int(pinned), *_place(key)) for key in keys]))

    def remove(self, keys: Iterable[TileKey]) -> None:
        """Forget tiles."""

        def action(db: sqlite3.Connection) -> None:
            db.executemany(f"DELETE FROM map WHERE {_WHERE}", [_place(key) for key in keys])
            db.execute(_DELETE_ORPHANS)

        self._write(action)

    def purge(self, *, older_than_s: float = 0.0, misses_only: bool = False) -> int:
        """Delete rows fetched before `now - older_than_s`, pinned ones too; return how many."""
        condition = "AND tile_id IS NULL" if misses_only else ""

        def action(db: sqlite3.Connection) -> int:
            sql = f"DELETE FROM map WHERE fetched_at <= ? {condition}"
            gone = db.execute(sql, (self._clock() - older_than_s,)).rowcount
            db.execute(_DELETE_ORPHANS)
            return gone

        return self._write(action) or 0

    def compact(self) -> None:
        """Give free pages back to the file system."""
        with self._write_lock, contextlib.suppress(sqlite3.Error), self._file.exclusive() as mine:
            if mine and self._file.writable:
                self._file.write.execute("PRAGMA incremental_vacuum").fetchall()
                self._file.write.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def describe(self, pairs: Mapping[str, str]) -> None:
        """Set rows of the table `metadata` (name, format, attribution, minzoom, maxzoom, ...)."""
        self._write(lambda db: db.executemany("INSERT OR REPLACE INTO metadata VALUES (?, ?)", list(pairs.items())))

    def metadata(self) -> dict[str, str]:
        """Read the table `metadata`."""
        with self._read_lock:
            return {str(name): str(value) for name, value in self._file.read.execute("SELECT * FROM metadata")}

    def stats(self) -> CacheStats:
        """Count."""
        with self._read_lock:
            db = self._file.read
            tiles, misses, pinned, expired = db.execute(
                "SELECT count(tile_id), count(*) - count(tile_id), coalesce(sum(pinned), 0), "
                "coalesce(sum(expires_at < ?), 0) FROM map", (self._clock(),)
            ).fetchone()
            zooms = db.execute("SELECT zoom_level, count(tile_id) FROM map GROUP BY zoom_level").fetchall()
            total = db.execute("SELECT bytes FROM totals").fetchone()[0]
        return CacheStats(tiles, misses, pinned, expired, total, dict(zooms))

    def contents(self) -> Iterator[tuple[TileKey, bytes, bytes]]:
        """Yield (key, content address, data) of every tile, for verification."""
        with self._read_lock:
            places = self._file.read.execute(
                "SELECT zoom_level, tile_column, tile_row FROM map WHERE tile_id IS NOT NULL"
            ).fetchall()
        for z, column, row in places:
            key = TileKey(z, column, (1 << z) - 1 - row)
            with self._read_lock:
                found = self._file.read.execute(
                    f"SELECT tile_id, tile_data FROM map JOIN images USING(tile_id) WHERE {_WHERE}", (z, column, row)
                ).fetchone()
            if found is not None:
                yield key, bytes(found[0]), bytes(found[1])

    def placeholders(self) -> list[tuple[bytes, int]]:
        """Return (content address, number of places) of pictures that are taken as "no imagery"."""
        sql = "SELECT tile_id, count(*) FROM map WHERE tile_id IS NOT NULL GROUP BY tile_id HAVING count(*) >= ?"
        with self._read_lock:
            return [(bytes(content), n) for content, n in self._file.read.execute(sql, (SUSPECT_PLACES,))]

    def sound(self) -> str:
        """Run SQLite's own check; return "ok" or what is wrong."""
        try:
            with self._read_lock:
                return str(self._file.read.execute("PRAGMA integrity_check(1)").fetchone()[0])
        except sqlite3.Error as err:
            return str(err)

    def close(self) -> None:
        """Write what is due and close."""
        self._flush_touched()
        with self._write_lock, self._read_lock, contextlib.suppress(sqlite3.Error):
            self._file.close()

    def _range(self, z: int, group: set[TileKey]) -> list[tuple[TileKey, CacheRow]]:
        columns, rows = [key.x for key in group], [key.tms_row for key in group]
        last = (1 << z) - 1
        bounds = (z, min(columns), max(columns), min(rows), max(rows))
        found = self._file.read.execute(_SELECT_RANGE, bounds).fetchall()
        result = []
        for column, row, content, data, status, etag, modified, fetched, expires, places in found:
            key = TileKey(z, column, last - row)
            if key in group:
                picture = None if data is None else bytes(data)
                result.append(
                    (key, CacheRow(picture, content or b"", status, etag, modified, fetched, expires, places))
                )
        return result

    def _touch(self, rows: Iterable[TileKey]) -> None:
        now = self._clock()
        for key in rows:
            if now - self._touched.get(key, -_TOUCH_AFTER_S) >= _TOUCH_AFTER_S:
                self._touched[key] = now

    def _flush_touched(self) -> None:
        if self._touched:
            self._write(self._write_touched)

    def _write_touched(self, db: sqlite3.Connection) -> None:
        touched, self._touched = self._touched, {}
        rows = [(at, *_place(key), at - _TOUCH_AFTER_S) for key, at in touched.items()]
        db.executemany(f"UPDATE map SET last_used=? WHERE {_WHERE} AND last_used < ?", rows)

    def _put(self, db: sqlite3.Connection, key: TileKey, row: CacheRow) -> bool:
        now = self._clock()
        content = row.content if row.data is not None else None
        old = db.execute(_SELECT_ID, _place(key)).fetchone()
        if row.data is not None:
            db.execute("INSERT OR IGNORE INTO images VALUES (?, ?, ?)", (content, row.data, len(row.data)))
        fetched = row.fetched_at_s or now
        db.execute(
            _UPSERT, (*_place(key), content, row.status, row.etag, row.last_modified, fetched, row.expires_at_s, now)
        )
        if old is not None and old[0] is not None and old[0] != content:
            db.execute(_DELETE_ORPHAN, (old[0], old[0]))
        total = db.execute("SELECT bytes FROM totals").fetchone()[0]
        if total > self._max_bytes or len(self._touched) >= _TOUCH_BATCH:
            # Reading never writes, lest a drive wait for another process: the uses are noted here.
            self._write_touched(db)
        if total > self._max_bytes:
            self._evict(db, total)
        return True

    def _evict(self, db: sqlite3.Connection, total: int) -> None:
        """Delete least recently used tiles down to 90 % of the limit; pinned ones stay."""
        db.execute("DELETE FROM map WHERE tile_id IS NULL AND expires_at < ?", (self._clock(),))
        while total > _KEEP_SHARE * self._max_bytes:
            gone = db.execute(_DELETE_OLDEST).rowcount
            db.execute(_DELETE_ORPHANS)
            total = db.execute("SELECT bytes FROM totals").fetchone()[0]
            if gone == 0:
                self.trouble = "the cache is full of pinned tiles: raise tiles.cache_max_mb or `cvloc tiles purge`"
                break

    def _write(self, action: Callable[[sqlite3.Connection], _T]) -> _T | None:
        """Run one transaction under the lock of all writers; None where it could not be done (see `trouble`)."""
        with self._write_lock:
            if not self._file.writable or self._clock() < self._paused_until_s:
                return None
            try:
                with self._file.exclusive() as mine:
                    if mine:
                        return self._transact(action)
                self._pause("tiles are not kept: another process holds the lock of the cache")
            except (sqlite3.Error, OSError) as err:
                self._recover(err)
            return None

    def _transact(self, action: Callable[[sqlite3.Connection], _T]) -> _T:
        db = self._file.write
        db.execute("BEGIN IMMEDIATE")
        try:
            result = action(db)
            db.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(sqlite3.Error):
                if db.in_transaction:
                    db.execute("ROLLBACK")
            raise
        self._writes += 1
        if self._writes % _CHECKPOINT_EVERY == 0:
            self._file.checkpoint()
        if self._paused_until_s:
            self._paused_until_s, self.trouble = 0.0, self._file.repaired
        return result

    def _pause(self, reason: str) -> None:
        self.trouble = reason
        self._paused_until_s = self._clock() + _RETRY_S

    def _recover(self, err: sqlite3.Error | OSError) -> None:
        """Set a damaged file aside; otherwise stop writing for a while (full disk, I/O error)."""
        if not (isinstance(err, sqlite3.Error) and is_damage(err)):
            self._pause(f"tiles are not kept: {err}; free space on the disk of {self._file.path}")
            return
        with self._write_lock, self._read_lock:
            try:
                with self._file.exclusive() as mine:
                    if mine:
                        self._file.replace_damaged()
                self.trouble = self._file.repaired
            except (sqlite3.Error, OSError) as second:
                self._pause(f"tiles are not kept: the cache is damaged ({err}) and cannot be replaced ({second})")


def _place(key: TileKey) -> tuple[int, int, int]:
    return key.z, key.x, key.tms_row


_WHERE = "zoom_level=? AND tile_column=? AND tile_row=?"
_SELECT_ID = f"SELECT tile_id FROM map WHERE {_WHERE}"
_SELECT_RANGE = f"""
SELECT tile_column, tile_row, map.tile_id, tile_data, status, etag, last_modified, fetched_at, expires_at,
  (SELECT count(*) FROM (SELECT 1 FROM map AS other WHERE other.tile_id = map.tile_id LIMIT {SUSPECT_PLACES}))
FROM map LEFT JOIN images USING(tile_id)
WHERE zoom_level=? AND tile_column BETWEEN ? AND ? AND tile_row BETWEEN ? AND ?
"""
_UPSERT = """
INSERT INTO map(zoom_level, tile_column, tile_row, tile_id, status, etag, last_modified, fetched_at, expires_at,
  last_used) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT(zoom_level, tile_column, tile_row) DO UPDATE SET tile_id=excluded.tile_id, status=excluded.status,
  etag=excluded.etag, last_modified=excluded.last_modified, fetched_at=excluded.fetched_at,
  expires_at=excluded.expires_at, last_used=excluded.last_used
"""
_DELETE_ORPHAN = "DELETE FROM images WHERE tile_id=? AND NOT EXISTS (SELECT 1 FROM map WHERE tile_id=?)"
_DELETE_ORPHANS = "DELETE FROM images WHERE NOT EXISTS (SELECT 1 FROM map WHERE map.tile_id = images.tile_id)"
_DELETE_OLDEST = """
DELETE FROM map WHERE (zoom_level, tile_column, tile_row) IN
  (SELECT zoom_level, tile_column, tile_row FROM map WHERE pinned=0 AND tile_id IS NOT NULL
   ORDER BY last_used LIMIT 64)
"""
