# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The SQLite file of the tile cache: schema, opening, repair, and the lock that all writers share."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from typing import TYPE_CHECKING
from urllib.parse import quote

from filelock import FileLock, Timeout

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SCHEMA_VERSION = "1"
_LOCK_WAIT_S = 10.0
_CREATE = """
CREATE TABLE IF NOT EXISTS images(
  tile_id BLOB PRIMARY KEY, tile_data BLOB NOT NULL, nbytes INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS map(
  zoom_level INTEGER NOT NULL, tile_column INTEGER NOT NULL, tile_row INTEGER NOT NULL,
  tile_id BLOB, status INTEGER NOT NULL, etag TEXT NOT NULL, last_modified TEXT NOT NULL,
  fetched_at REAL NOT NULL, expires_at REAL NOT NULL, last_used REAL NOT NULL, pinned INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY(zoom_level, tile_column, tile_row)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS map_by_image ON map(tile_id) WHERE tile_id IS NOT NULL;
CREATE INDEX IF NOT EXISTS map_by_use ON map(pinned, last_used);
CREATE TABLE IF NOT EXISTS totals(bytes INTEGER NOT NULL);
INSERT INTO totals SELECT 0 WHERE NOT EXISTS (SELECT 1 FROM totals);
CREATE TRIGGER IF NOT EXISTS image_added AFTER INSERT ON images
  BEGIN UPDATE totals SET bytes = bytes + NEW.nbytes; END;
CREATE TRIGGER IF NOT EXISTS image_removed AFTER DELETE ON images
  BEGIN UPDATE totals SET bytes = bytes - OLD.nbytes; END;
CREATE TABLE IF NOT EXISTS metadata(name TEXT PRIMARY KEY, value TEXT);
CREATE VIEW IF NOT EXISTS tiles AS
  SELECT zoom_level, tile_column, tile_row, tile_data FROM map JOIN images USING(tile_id);
"""


class CacheFile:
    """Two connections to one file, for reading and for writing; with `path` None one connection to memory.

    All writes and checkpoints of all processes happen under one lock file: SQLite before 3.51.3 can corrupt a WAL when
    two connections checkpoint and write at the same instant.
    """

    def __init__(self, path: Path | None) -> None:
        """Open or create; a damaged file is renamed to *.corrupt and replaced.

        Raises:
            OSError: the folder cannot be made, or the file cannot be read.
            sqlite3.OperationalError: there is no room for a new file.
        """
        self.path = path
        self.writable = True
        self.repaired = ""
        """Sentence about a damaged file that was set aside, or about one that can only be read; or ""."""
        self._lock: FileLock | None = None
        if path is None:
            self.read = self.write = _connect(":memory:")
            _create(self.write)
            return
        self.writable = _prepare_folder(path)
        if not self.writable:
            self._open_to_read(path)
            return
        lock = FileLock(f"{path}.lock", timeout=_LOCK_WAIT_S)
        try:
            with lock:
                self._open(path)
            self._lock = lock
        except (sqlite3.OperationalError, OSError) as err:
            if not path.exists() or path.stat().st_size == 0:
                raise
            # A full disk has no room for the files that writing needs; what is there can still be used.
            self._open_to_read(path)
            self.repaired = f"tiles are not kept: {err}; free space on the disk of {path}"

    @contextlib.contextmanager
    def exclusive(self) -> Iterator[bool]:
        """Hold the lock of all writers; yields False when another process did not release it in time."""
        if self._lock is None:
            yield self.writable
            return
        try:
            self._lock.acquire()
        except Timeout:
            yield False
            return
        try:
            yield True
        finally:
            self._lock.release()

    def checkpoint(self) -> None:
        """Move the write-ahead log into the file; the caller holds the lock."""
        if self.path is not None and self.writable:
            self.write.execute("PRAGMA wal_checkpoint(PASSIVE)")

    def replace_damaged(self) -> None:
        """Set the file aside and start a new one; the caller holds the lock."""
        if self.path is None or not self.writable:
            return
        self._close_connections()
        self.repaired = _set_aside(self.path)
        self._open(self.path)

    def close(self) -> None:
        """Close; the last connection checkpoints, so this too happens under the lock."""
        with self.exclusive():
            self._close_connections()

    def _open_to_read(self, path: Path) -> None:
        self.writable = False
        self.read = self.write = _connect(f"file:{quote(str(path))}?mode=ro&immutable=1")

    def _open(self, path: Path) -> None:
        try:
            self._open_checked(path)
        except sqlite3.DatabaseError as err:
            if not is_damage(err):
                raise
            self.repaired = _set_aside(path)
            self._open_checked(path)

    def _open_checked(self, path: Path) -> None:
        self.write = _connect(f"file:{quote(str(path))}?mode=rwc")
        try:
            _create(self.write)
            verdict = self.write.execute("PRAGMA quick_check(1)").fetchone()[0]
            if verdict != "ok":
                raise sqlite3.DatabaseError(_MALFORMED + f": {verdict}")
            self.read = _connect(f"file:{quote(str(path))}?mode=rw")
        except sqlite3.Error:
            self.write.close()
            raise

    def _close_connections(self) -> None:
        for connection in {self.read, self.write}:
            connection.close()


_MALFORMED = "database disk image is malformed"


def is_damage(err: sqlite3.Error) -> bool:
    """Tell whether the error means that the file is not sound (and not that the disk is full or it is locked)."""
    text = str(err)
    return "malformed" in text or "not a database" in text or "unsupported file format" in text


def _connect(uri: str) -> sqlite3.Connection:
    connection = sqlite3.connect(uri, uri=uri.startswith("file:"), check_same_thread=False, timeout=_LOCK_WAIT_S,
                                 isolation_level=None)
    connection.execute("PRAGMA busy_timeout=10000")
    connection.execute("PRAGMA synchronous=NORMAL")
    connection.execute("PRAGMA wal_autocheckpoint=0")
    return connection


def _create(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA page_size=8192")
    connection.execute("PRAGMA auto_vacuum=INCREMENTAL")
    try:
        mode = connection.execute("PRAGMA journal_mode=WAL").fetchone()[0]
    except sqlite3.OperationalError as err:
        # Network file systems without shared memory cannot have a WAL.
        if is_damage(err) or "full" in str(err):
            raise
        mode = ""
    if mode not in ("wal", "memory"):
        connection.execute("PRAGMA journal_mode=TRUNCATE")
    present = connection.execute("SELECT count(*) FROM sqlite_master WHERE name='tiles'").fetchone()[0]
    if not present:
        connection.executescript(f"BEGIN IMMEDIATE; {_CREATE} COMMIT;")
        connection.execute("INSERT OR REPLACE INTO metadata VALUES ('cvloc_schema', ?)", (SCHEMA_VERSION,))


def _prepare_folder(path: Path) -> bool:
    """Make the folder; return whether the file can be written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError:
        if not path.exists():
            raise
    if os.access(path.parent, os.W_OK) and (not path.exists() or os.access(path, os.W_OK)):
        return True
    if path.exists():
        return False
    msg = f"{path.parent} is not writable"
    raise PermissionError(msg)


def _set_aside(path: Path) -> str:
    target = path.with_name(f"{path.name}.corrupt")
    if target.exists():
        target = path.with_name(f"{path.name}.corrupt-{time.time_ns()}")
    for suffix in ("-wal", "-shm"):
        with contextlib.suppress(FileNotFoundError):
            path.with_name(path.name + suffix).rename(target.with_name(target.name + suffix))
    path.rename(target)
    return f"{path} was damaged; it is kept as {target.name} and a new cache was started"
