# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`cvloc tiles` against a real server."""

import re
import sqlite3

import cv2
import numpy as np
import pytest
from werkzeug import Response

from cvloc_ros.cli import main as command
from cvloc_ros.cli.tiles import COMMANDS, fetch, purge, report, verify
from cvloc_ros.errors import TileSourceError

AT = "46.3149,7.9774"


@pytest.fixture
def served(httpserver, tmp_path):
    """Address of a tile server, settings with a cache of the test's own, and the requests."""
    seen = []

    def tile(request):
        seen.append(request.path)
        seed = [int(part) for part in request.path[1:-4].split("/")]
        coarse = np.random.default_rng(seed).integers(30, 220, (16, 16, 3), dtype=np.uint8)
        data = cv2.imencode(".jpg", cv2.resize(coarse, (256, 256)))[1].tobytes()
        return Response(data, content_type="image/jpeg")

    httpserver.expect_request(re.compile(r"/\d+/\d+/\d+\.jpg")).respond_with_handler(tile)
    settings = (f"tiles.cache_dir={tmp_path / 'cache'}", "tiles.zoom=17", "tiles.contact=test@example.org")
    return httpserver.url_for("/{z}/{x}/{y}.jpg"), settings, seen


def test_fetch_report_verify_purge(served, capsys, tmp_path):
    url, settings, seen = served
    assert fetch(map_source=url, at=AT, radius=300.0, settings=settings) == 0
    said = capsys.readouterr().out
    assert re.search(r"at most \d+ tiles, about \d+ MB", said)
    assert f"{len(seen)} fetched" in said
    assert fetch(map_source=url, at=AT, radius=300.0, settings=settings) == 0
    assert f"0 fetched (0.0 MB), {len(seen)} were there" in capsys.readouterr().out
    assert report(settings=settings) == 0
    said = capsys.readouterr().out
    assert f"{len(seen)} tiles" in said
    assert f"z17: {len(seen)}" in said
    assert f"{len(seen)} pinned" in said
    assert verify(settings=settings) == 0
    assert purge(settings=settings) == 1
    assert "--yes" in capsys.readouterr().out
    assert purge(settings=settings, older_than_days=5.0) == 0
    assert purge(settings=settings, yes=True) == 0
    assert f"{len(seen)} entries deleted" in capsys.readouterr().out
    assert report(settings=settings, map_source=url) == 0
    assert "0 tiles" in capsys.readouterr().out


def test_fetch_along_a_route_in_degrees_and_in_map_metres(served, capsys, tmp_path):
    url, settings, seen = served
    (tmp_path / "r.csv").write_text("lat,lon\n46.3149,7.9774\n46.3170,7.9900\n")
    assert fetch(map_source=url, route=tmp_path / "r.csv", corridor=50.0, settings=settings) == 0
    by_degrees = set(seen)
    assert len(by_degrees) > 3
    (tmp_path / "r.tum").write_text("0 0 0 0 0 0 0 1\n1 500 0 0 0 0 0 1\n")
    with pytest.raises(Exception, match=r"geo\.datum"):
        fetch(map_source=url, route=tmp_path / "r.tum", settings=settings)
    datum = (*settings, "geo.datum=[46.3149,7.9774,0.0]")
    assert fetch(map_source=url, route=tmp_path / "r.tum", corridor=50.0, settings=datum) == 0


def test_damaged_tiles_leave_the_cache(served, capsys, tmp_path):
    url, settings, _ = served
    fetch(map_source=url, at=AT, radius=300.0, settings=settings)
    (path,) = (tmp_path / "cache").glob("*.mbtiles")
    with sqlite3.connect(path) as db:
        db.execute("UPDATE images SET tile_data=substr(tile_data, 1, 500) WHERE rowid=1")
        db.execute("UPDATE images SET tile_data=(SELECT tile_data FROM images WHERE rowid=3) WHERE rowid=2")
    db.close()
    assert verify(settings=settings) == 1
    assert "2 damaged and removed" in capsys.readouterr().out
    assert verify(settings=settings) == 0


def test_large_regions_need_a_yes_and_room(served, capsys):
    url, settings, seen = served
    assert fetch(map_source=url, at=AT, radius=20000.0, settings=settings) == 1
    assert "--yes" in capsys.readouterr().out
    assert fetch(map_source=url, at=AT, radius=20000.0, settings=(*settings, "tiles.cache_max_mb=5"), yes=True) == 1
    assert "cache_max_mb" in capsys.readouterr().out
    assert not seen


def test_failing_server_gives_exit_code_1_and_the_reason(httpserver, served, capsys, monkeypatch):
    monkeypatch.setattr("cvloc_ros.tiles.network._LOAD_PATIENCE_S", 0.1)
    _, settings, _ = served
    httpserver.expect_request(re.compile(r"/no/.*")).respond_with_data("no", status=403)
    url = httpserver.url_for("/no/{z}/{x}/{y}.jpg")
    assert fetch(map_source=url, at=AT, radius=300.0, settings=settings) == 1
    assert "403" in capsys.readouterr().err


def test_provider_that_forbids_storing_is_refused_and_says_why(tmp_path):
    settings = (f"tiles.cache_dir={tmp_path}", "tiles.contact=a@b.c")
    with pytest.raises(TileSourceError, match=r"Esri Master Agreement.*forbid storing"):
        fetch(map_source="provider:esri", at=AT, radius=50.0, settings=settings)


@pytest.mark.parametrize("where", [{}, {"at": AT, "route": "r.csv"}])
def test_either_place_or_route(served, where):
    url, settings, _ = served
    with pytest.raises(TileSourceError, match="either"):
        fetch(map_source=url, settings=settings, **where)


def test_through_the_command_line(served, capsys):
    url, settings, seen = served
    flags = [part for text in settings[:2] for part in ("--set", text)]
    arguments = ["tiles", "fetch", "--map", url, "--at", AT, "--radius", "200", "--contact", "me@example.org", *flags]
    assert command.main(arguments) == 0
    assert seen
    assert command.main(["tiles", "report", *flags]) == 0
    assert "tiles" in capsys.readouterr().out
    assert command.main(["tiles", "fetch", "--map", url, "--at", AT, *flags]) == 2
    assert "tiles.contact" in capsys.readouterr().err


def test_local_map_is_described_wherever_it_lies(tmp_path, capsys):
    rasterio = pytest.importorskip("rasterio")
    from rasterio.transform import from_origin

    with rasterio.open(tmp_path / "m.tif", "w", width=64, height=64, count=3, dtype="uint8", crs="EPSG:2056",
                       transform=from_origin(2641500, 1129500, 0.1, 0.1)) as file:
        file.write(np.full((3, 64, 64), 90, np.uint8))
    assert report(map_source=str(tmp_path / "m.tif")) == 0
    assert "longitude 7.9" in capsys.readouterr().out
    assert fetch(map_source=str(tmp_path / "m.tif"), at="46.31,7.97") == 0
    assert "nothing to fetch" in capsys.readouterr().out


def test_nothing_cached_is_said(tmp_path, capsys):
    assert report(settings=(f"tiles.cache_dir={tmp_path}",)) == 0
    assert "no tile cache" in capsys.readouterr().out


def test_four_commands():
    assert sorted(COMMANDS) == ["fetch", "purge", "report", "verify"]
