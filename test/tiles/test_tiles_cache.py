# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The tile cache against real SQLite files: bounds, misses, several processes, kill -9, damage, full disk."""

import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
import time

import pytest
from filelock import FileLock

from cvloc_ros.tiles import cache_file
from cvloc_ros.tiles.cache import CacheRow, TileCache
from cvloc_ros.tiles.decode import tile_id
from cvloc_ros.tiles.store import TileKey

DAY = 86400.0


def key(n):
    return TileKey(19, 1000 + n % 100, 2000 + n // 100)


def row(data, **changes):
    return CacheRow(**{"data": data, "content": tile_id(data), "expires_at_s": 1e12, **changes})


def blob(n, size=1000):
    return n.to_bytes(8, "little") * (size // 8)


@pytest.fixture
def clock():
    class Clock:
        now = 1.7e9

        def __call__(self):
            return self.now

    return Clock()


@pytest.fixture
def open_cache(tmp_path, clock):
    with contextlib.ExitStack() as stack:
        yield lambda size=10**9, name="c.mbtiles": stack.enter_context(
            contextlib.closing(TileCache(tmp_path / name, size, clock))
        )


def test_what_is_put_comes_back_after_reopening(open_cache):
    cache = open_cache()
    assert cache.put(key(1), row(b"tile one", etag='"e"', last_modified="yesterday"))
    cache.close()
    found = open_cache().get_many([key(1), key(2)])
    assert list(found) == [key(1)]
    assert (found[key(1)].data, found[key(1)].etag, found[key(1)].last_modified) == (b"tile one", '"e"', "yesterday")


def test_equal_pictures_are_stored_once_and_their_places_counted(open_cache):
    cache = open_cache()
    for n in range(1000):
        cache.put(key(n), row(b"blank" * 100))
    assert cache.stats().bytes == 500
    assert cache.stats().tiles == 1000
    assert cache.get_many([key(5)])[key(5)].places == 8


def test_misses_are_remembered(open_cache):
    cache = open_cache()
    cache.put(key(1), CacheRow(None, status=404, expires_at_s=5e9))
    found = cache.get_many([key(1)])[key(1)]
    assert found.data is None
    assert found.status == 404
    assert (cache.stats().tiles, cache.stats().misses) == (0, 1)


def test_replaced_and_removed_pictures_leave_no_orphans(open_cache):
    cache = open_cache()
    for n in range(20):
        cache.put(key(0), row(blob(n)))
    assert cache.stats().bytes == 1000
    cache.put(key(0), CacheRow(None, status=404))
    assert cache.stats().bytes == 0
    cache.put(key(1), row(blob(1)))
    cache.remove([key(1)])
    assert cache.stats().bytes == 0


def test_least_recently_used_goes_first_down_to_90_percent(open_cache, clock):
    cache = open_cache(size=100_000)
    for n in range(100):
        clock.now += 1
        cache.put(key(n), row(blob(n)))
    clock.now += 2 * 3600
    cache.get_many([key(n) for n in range(10)])  # used again
    cache._flush_touched()
    clock.now += 1
    cache.put(key(100), row(blob(100)))
    kept = cache.get_many([key(n) for n in range(101)])
    assert cache.stats().bytes <= 90_000
    assert all(key(n) in kept for n in range(10))
    assert key(100) in kept
    assert key(11) not in kept


def test_pinned_tiles_stay_and_a_cache_full_of_them_says_so(open_cache, clock):
    cache = open_cache(size=100_000)
    for n in range(95):
        cache.put(key(n), row(blob(n)))
    cache.pin([key(n) for n in range(95)])
    for n in range(200, 300):
        clock.now += 1
        cache.put(key(n), row(blob(n)))
    assert all(key(n) in cache.get_many([key(n)]) for n in range(95))
    assert "pinned" in cache.trouble
    assert cache.stats().pinned == 95


def test_replacing_a_pinned_tile_keeps_the_pin(open_cache):
    cache = open_cache()
    cache.put(key(1), row(blob(1)))
    cache.pin([key(1)])
    cache.put(key(1), row(blob(2)))
    assert cache.stats().pinned == 1


def test_renewal_changes_only_the_expiry(open_cache, clock):
    cache = open_cache()
    cache.put(key(1), row(b"a tile", expires_at_s=clock.now - 1, etag="e"))
    assert cache.renew(key(1), clock.now + DAY)
    found = cache.get_many([key(1)])[key(1)]
    assert (found.data, found.etag, found.expires_at_s) == (b"a tile", "e", clock.now + DAY)


def test_purge_by_age_and_of_misses(open_cache, clock):
    cache = open_cache()
    cache.put(key(1), row(b"old"))
    cache.put(key(2), CacheRow(None, status=404))
    clock.now += 10 * DAY
    cache.put(key(3), row(b"new"))
    assert cache.purge(misses_only=True) == 1
    assert cache.purge(older_than_s=5 * DAY) == 1
    assert list(cache.get_many([key(1), key(2), key(3)])) == [key(3)]
    cache.compact()


def test_other_programs_read_it_as_mbtiles(open_cache, kit, tmp_path):
    cache = open_cache()
    for place in kit.around(19, 1):
        data = kit.encode(kit.texture(*place))
        cache.put(place, row(data))
    cache.describe({"name": "t", "format": "jpg", "minzoom": "19", "maxzoom": "19"})
    cache.close()
    # In a process of its own: rasterio brings an SQLite of its own, and two in one process undo each other's locks.
    code = f"import rasterio; f = rasterio.open({str(tmp_path / 'c.mbtiles')!r}); print(f.driver, f.crs)"
    pytest.importorskip("rasterio")
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.split() == ["MBTiles", "EPSG:3857"]


@pytest.mark.parametrize("damage", ["cut short", "overwritten", "no SQLite", "empty"])
def test_damaged_file_is_set_aside_and_a_new_one_started(open_cache, tmp_path, damage):
    cache = open_cache()
    for n in range(300):
        cache.put(key(n), row(blob(n, 4000)))
    cache.close()
    path = tmp_path / "c.mbtiles"
    size = path.stat().st_size
    if damage == "cut short":
        os.truncate(path, size // 2)
    elif damage == "overwritten":
        with path.open("r+b") as file:
            file.seek(size // 3)
            file.write(os.urandom(size // 3))
    else:
        path.write_bytes(b"hello" * 1000 if damage == "no SQLite" else b"")
    cache = open_cache()
    assert cache.put(key(1), row(b"again"))
    assert cache.get_many([key(1)])[key(1)].data == b"again"
    if damage != "empty":
        assert "was damaged" in cache.trouble
        assert (tmp_path / "c.mbtiles.corrupt").exists()


def test_damage_while_in_use_is_survived(open_cache, tmp_path):
    cache = open_cache()
    for n in range(300):
        cache.put(key(n), row(blob(n, 4000)))
    cache.compact()
    path = tmp_path / "c.mbtiles"
    with path.open("r+b") as file:
        file.seek(0)
        file.write(os.urandom(path.stat().st_size))
    for connection in (cache._file.read, cache._file.write):
        connection.execute("PRAGMA shrink_memory")
    for n in range(300):
        cache.get_many([key(n)])
        cache.put(key(n), row(blob(n)))
    assert cache.get_many([key(299)])[key(299)].data == blob(299)


WRITER = """
import sys, time
from pathlib import Path
from cvloc_ros.tiles.cache import CacheRow, TileCache
from cvloc_ros.tiles.decode import tile_id
from cvloc_ros.tiles.store import TileKey
cache = TileCache(Path(sys.argv[1]), 10**9)
first, count = int(sys.argv[2]), int(sys.argv[3])
for n in range(first, first + count):
    data = n.to_bytes(8, "little") * 500
    assert cache.put(TileKey(19, 1000 + n % 100, 2000 + n // 100), CacheRow(data, tile_id(data), expires_at_s=1e12))
    print(n, flush=True)
cache.close()
"""


def spawn(path, first, count):
    return subprocess.Popen([sys.executable, "-c", WRITER, str(path), str(first), str(count)], stdout=subprocess.PIPE,
                            text=True)


def test_kill_9_while_writing_loses_nothing_but_the_write_in_flight(open_cache, tmp_path):
    path = tmp_path / "c.mbtiles"
    stored = -1
    for _ in range(3):
        child = spawn(path, stored + 1, 100000)
        for line in child.stdout:
            stored = int(line)
            if stored % 150 == 149:
                break
        child.send_signal(signal.SIGKILL)
        stored = max([stored, *(int(line) for line in child.stdout.read().split("\n")[:-1] if line)])
        child.wait()
        cache = open_cache()
        assert cache.trouble == ""
        assert cache.sound() == "ok"
        keys = [key(n) for n in range(stored + 1)]
        found = cache.get_many(keys)
        assert all(found[key(n)].data == n.to_bytes(8, "little") * 500 for n in range(stored + 1))
        assert len(cache.get_many([key(n) for n in range(stored + 50)])) <= stored + 2
        cache.close()
    assert stored >= 400


def test_two_processes_write_and_a_third_reads(open_cache, tmp_path):
    path = tmp_path / "c.mbtiles"
    cache = open_cache()
    writers = [spawn(path, first, 300) for first in (0, 300)]
    while any(writer.poll() is None for writer in writers):
        for place, found in cache.get_many([key(n) for n in range(600)]).items():
            n = place.x - 1000 + 100 * (place.y - 2000)
            assert found.data == n.to_bytes(8, "little") * 500
        time.sleep(0.02)
    assert [writer.wait() for writer in writers] == [0, 0]
    for writer in writers:
        writer.stdout.close()
    assert len(cache.get_many([key(n) for n in range(600)])) == 600
    assert cache.stats().bytes == 600 * 4000
    assert cache.sound() == "ok"


def test_full_disk_stops_storing_says_so_and_recovers(open_cache, clock):
    cache = open_cache()
    pages = cache._file.write.execute("PRAGMA page_count").fetchone()[0]
    cache._file.write.execute(f"PRAGMA max_page_count={pages + 10}")
    kept = [cache.put(key(n), row(blob(n, 4000))) for n in range(100)]
    assert kept[0]
    assert not kept[-1]
    assert "full" in cache.trouble
    assert cache.get_many([key(0)])[key(0)].data == blob(0, 4000)
    cache._file.write.execute("PRAGMA max_page_count=1000000")
    assert not cache.put(key(50), row(blob(50)))  # not tried again at once
    clock.now += 61
    assert cache.put(key(50), row(blob(50)))
    assert cache.trouble == ""


def test_file_size_limit_of_the_process(tmp_path):
    """A write that the kernel refuses (EFBIG here, ENOSPC alike) ends storing, not the program."""
    code = textwrap.dedent("""
        import resource, sys
        from pathlib import Path
        from cvloc_ros.tiles.cache import CacheRow, TileCache
        from cvloc_ros.tiles.decode import tile_id
        from cvloc_ros.tiles.store import TileKey
        cache = TileCache(Path(sys.argv[1]), 10**9)
        resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
        kept = 0
        for n in range(300):
            data = n.to_bytes(8, "little") * 500
            kept += cache.put(TileKey(19, n, 5), CacheRow(data, tile_id(data), expires_at_s=1e12))
        assert 0 < kept < 300, kept
        assert "not kept" in cache.trouble, cache.trouble
        assert len(cache.get_many([TileKey(19, n, 5) for n in range(300)])) == kept
    """)
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "c.mbtiles")], check=True)
    cache = TileCache(tmp_path / "c.mbtiles", 10**9)
    assert cache.sound() == "ok"
    cache.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small file system needs root")
def test_real_full_file_system(tmp_path):
    folder = tmp_path / "small"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400k", "none", str(folder)], check=False).returncode:
        pytest.skip("mount is not allowed here")
    try:
        cache = TileCache(folder / "c.mbtiles", 10**9)
        kept = sum(cache.put(key(n), row(blob(n, 4000))) for n in range(200))
        assert 0 < kept < 200
        assert "not kept" in cache.trouble
        assert cache.get_many([key(0)])[key(0)].data == blob(0, 4000)
        cache.close()
        with contextlib.suppress(OSError), (folder / "filler").open("wb", buffering=0) as filler:
            while filler.write(bytes(512)):
                pass
        cache = TileCache(folder / "c.mbtiles", 10**9)
        assert cache.get_many([key(0)])[key(0)].data == blob(0, 4000)
        assert not cache.put(key(500), row(blob(500)))
        assert "not kept" in cache.trouble
        cache.close()
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_cache_without_write_access_is_read(open_cache, tmp_path, monkeypatch, clock):
    cache = open_cache()
    cache.put(key(1), row(b"there"))
    cache.close()
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may write everywhere
    cache = TileCache(tmp_path / "c.mbtiles", 10**9, clock)
    assert cache.get_many([key(1)])[key(1)].data == b"there"
    assert not cache.put(key(2), row(b"no"))
    cache.close()


def test_file_system_without_shared_memory_gets_another_journal(open_cache, monkeypatch, tmp_path):
    """As on network file systems: this VFS of SQLite cannot have a WAL either."""
    plain = cache_file._connect
    monkeypatch.setattr(cache_file, "_connect", lambda uri: plain(f"{uri}&vfs=unix-none"))
    cache = open_cache()
    assert cache._file.write.execute("PRAGMA journal_mode").fetchone()[0] == "truncate"
    assert cache.put(key(1), row(b"kept"))
    assert cache.get_many([key(1)])[key(1)].data == b"kept"


def test_reading_never_writes(open_cache, clock, tmp_path):
    cache = open_cache()
    for n in range(400):
        cache.put(key(n), row(blob(n)))
    clock.now += 1e6
    with FileLock(f"{tmp_path / 'c.mbtiles'}.lock"):
        start = time.monotonic()
        assert len(cache.get_many([key(n) for n in range(400)])) == 400
        assert time.monotonic() - start < 5.0


def test_lock_held_by_another_process_does_not_stop_the_drive(open_cache, tmp_path):
    cache = open_cache()
    cache._file._lock = FileLock(f"{tmp_path / 'c.mbtiles'}.lock", timeout=0.05)
    with FileLock(f"{tmp_path / 'c.mbtiles'}.lock"):
        assert not cache.put(key(1), row(b"late"))
        assert "lock" in cache.trouble


def test_old_triggers_keep_the_total_exact(open_cache, tmp_path):
    cache = open_cache(size=50_000)
    for n in range(300):
        cache.put(key(n % 120), row(blob(n)))
    with contextlib.closing(sqlite3.connect(tmp_path / "c.mbtiles")) as db:
        real = db.execute("SELECT coalesce(sum(nbytes), 0) FROM images").fetchone()[0]
        orphans = db.execute("SELECT count(*) FROM images WHERE tile_id NOT IN (SELECT tile_id FROM map)").fetchone()[0]
    assert cache.stats().bytes == real
    assert orphans == 0
