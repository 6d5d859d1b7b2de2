# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""MBTiles of the user."""

import contextlib
import hashlib
import os
import sqlite3
import time

import pytest

from cvloc_ros.errors import TileSourceError
from cvloc_ros.tiles.mbtiles import MBTilesStore
from cvloc_ros.tiles.store import Answer, TileKey


def listing(path):
    return sorted(other.name for other in path.parent.iterdir())


def test_rows_are_counted_from_the_south(tmp_path, kit):
    north, south = TileKey(3, 4, 2), TileKey(3, 4, 3)
    tiles = {north: kit.encode(kit.texture(*north)), south: kit.encode(kit.texture(*south))}
    store = MBTilesStore(kit.write_mbtiles(tmp_path / "m.mbtiles", tiles))
    answers = store.get([north, south, TileKey(3, 5, 2)], 0.0)
    assert answers[north].data == tiles[north]
    assert answers[south].data == tiles[south]
    assert answers[TileKey(3, 5, 2)].answer is Answer.MISSING
    assert store.known([north, south, TileKey(3, 5, 2)]) == 2
    store.close()


def test_range_and_bounds_are_those_of_the_tiles_not_of_the_metadata(town):
    with sqlite3.connect(town) as db:
        db.execute("INSERT INTO metadata VALUES ('maxzoom', '22'), ('bounds', '-180,-85,180,85')")
    store = MBTilesStore(town)
    assert (store.min_zoom, store.max_zoom, store.tile_size) == (17, 19, 256)
    assert store.bounds[2] - store.bounds[0] == pytest.approx(5 * 76.437, rel=1e-4)
    assert store.attribution == "nobody"
    store.close()


def test_512_px_tiles_are_noticed(tmp_path, kit):
    path = kit.write_mbtiles(tmp_path / "m.mbtiles", {TileKey(3, 4, 2): kit.encode(kit.texture(3, 4, 2, 512))})
    assert MBTilesStore(path).tile_size == 512


def test_same_picture_at_many_places_is_counted(tmp_path, kit):
    notice = kit.encode(kit.texture(0, 0, 0))
    path = kit.write_mbtiles(tmp_path / "m.mbtiles", dict.fromkeys(kit.around(19, 2), notice))
    answers = MBTilesStore(path).get(kit.around(19, 2), 0.0)
    assert max(answer.places for answer in answers.values()) == 8


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ("DROP TABLE tiles", "tiles"),
        ("DELETE FROM tiles", "no tiles"),
        ("INSERT INTO metadata VALUES ('crs', 'EPSG:2056')", "gdalwarp"),
        ("UPDATE metadata SET value='pbf' WHERE name='format'", "vector"),
        ("UPDATE tiles SET tile_data=x'1f8b0800'", "no pictures"),
    ],
)
def test_what_cannot_serve_is_refused_with_a_remedy(town, change, word):
    with sqlite3.connect(town) as db:
        db.execute(change)
    with pytest.raises(TileSourceError, match=word):
        MBTilesStore(town)


def test_file_cut_short_is_refused(town):
    os.truncate(town, 5000)
    with pytest.raises(TileSourceError, match="quick_check"):
        MBTilesStore(town)


def test_damage_found_while_driving_is_an_answer(tmp_path, kit):
    tiles = {key: kit.encode(kit.texture(*key)) for key in kit.around(19, 4)}
    path = kit.write_mbtiles(tmp_path / "m.mbtiles", tiles)
    size = path.stat().st_size
    store = MBTilesStore(path)
    with path.open("r+b") as file:
        file.seek(size // 4)
        file.write(b"\xff" * (size // 2))
    answers = store.get(kit.around(19, 4), 0.0)
    assert {answer.answer for answer in answers.values()} <= {Answer.FAILED, Answer.CACHED, Answer.MISSING}


def test_file_of_the_user_is_never_touched(town, kit):
    before = hashlib.sha256(town.read_bytes()).hexdigest(), town.stat().st_mtime_ns, listing(town)
    time.sleep(0.01)
    store = MBTilesStore(town)
    store.get(kit.around(19), 0.0)
    with pytest.raises(sqlite3.OperationalError):
        store._db.execute("DELETE FROM tiles")
    store.close()
    assert before == (
        hashlib.sha256(town.read_bytes()).hexdigest(), town.stat().st_mtime_ns, listing(town),
    )


@pytest.mark.parametrize("writable", [True, False])
def test_wal_file_gets_no_company(town, kit, monkeypatch, writable):
    with sqlite3.connect(town) as db:
        db.execute("PRAGMA journal_mode=WAL")
    db.close()
    monkeypatch.setattr(os, "access", lambda *_: writable)  # root may write everywhere
    store = MBTilesStore(town)
    assert all(answer.data is not None for answer in store.get(kit.around(19), 0.0).values())
    assert listing(town) == ["town.mbtiles"]
    store.close()
    assert listing(town) == ["town.mbtiles"]


def test_file_that_another_program_is_writing_is_read_with_its_log(town, kit):
    with contextlib.closing(sqlite3.connect(town, isolation_level=None)) as writer:
        writer.execute("PRAGMA journal_mode=WAL")
        writer.execute("PRAGMA wal_autocheckpoint=0")
        far = TileKey(19, 5, 5)
        data = kit.encode(kit.texture(*far))
        writer.execute("INSERT INTO tiles VALUES (19, 5, ?, ?)", (far.tms_row, data))
        store = MBTilesStore(town)
        assert store.get([far], 0.0)[far].data == data
        store.close()
