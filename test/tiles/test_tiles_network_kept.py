# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What is kept of a map over HTTP: expiry, offline, full disks, prefetch, what must not be stored."""

import re
import socket
import threading
import time

import numpy as np
import pytest
from werkzeug import Response

from cvloc_ros.errors import TileSourceError
from cvloc_ros.tiles import network, open_map
from cvloc_ros.tiles.cache import TileCache

HERE = np.zeros(2)
ANY = re.compile(r"/\d+/\d+/\d+\.jpg")


def store_of(aerial):
    return aerial._imagery.store


def test_expired_tiles_are_served_and_revalidated_with_304(server, network_map, tmp_path):
    aerial = network_map(wait_s=20.0)
    patch = aerial.patch(HERE, 5.0)
    store = store_of(aerial)
    disk = store._caches[0]
    disk._write(lambda db: db.execute("UPDATE map SET expires_at=1"))
    aerial._patches.clear()
    conditions = []

    def not_modified(request):
        conditions.append(request.headers.get("If-None-Match"))
        return Response("", 304)

    server.answer = not_modified
    stale = aerial.patch(HERE, 5.0)
    assert stale.tiles.stale == stale.tiles.tiles
    assert stale.key == patch.key
    deadline = time.monotonic() + 20.0
    while disk.stats().expired and time.monotonic() < deadline:
        time.sleep(0.05)
    assert disk.stats().expired == 0
    assert set(conditions) == {'"one"'}


def test_offline_serves_expired_tiles_and_says_so(server, network_map):
    aerial = network_map(wait_s=20.0)
    aerial.patch(HERE, 5.0)
    store_of(aerial)._caches[0]._write(lambda db: db.execute("UPDATE map SET expires_at=1"))
    aerial.close()
    asked = len(server.requests)
    offline = network_map(offline=True, contact="")
    patch = offline.patch(HERE, 5.0)
    assert patch.coverage == 1.0
    assert patch.tiles.stale == patch.tiles.tiles
    assert "expiry" in patch.tiles.message
    elsewhere = offline.patch(np.array([5000.0, 0.0]), 5.0)
    assert elsewhere.tiles.failed == elsewhere.tiles.tiles
    assert "cvloc tiles fetch" in elsewhere.tiles.message
    assert len(server.requests) == asked


def test_full_disk_keeps_the_drive_going(server, network_map):
    aerial = network_map(wait_s=20.0)
    disk = store_of(aerial)._caches[0]
    pages = disk._file.write.execute("PRAGMA page_count").fetchone()[0]
    disk._file.write.execute(f"PRAGMA max_page_count={pages}")
    patch = aerial.patch(HERE, 20.0)
    assert patch.coverage == 1.0
    assert "full" in store_of(aerial).trouble()
    assert "full" in aerial.patch(np.array([400.0, 0.0]), 20.0).tiles.message
    result = aerial.prefetch_radius(np.array([3000.0, 0.0]), 100.0)
    assert result.failed > 0
    assert "full" in result.reason


def test_prefetch_pins_reports_and_can_be_stopped(server, network_map):
    aerial = network_map(zoom=19)
    seen = []
    planned = aerial.plan_route(HERE[None], 60.0)
    result = aerial.prefetch_radius(HERE, 60.0, lambda done, total: seen.append((done, total)))
    assert result.complete
    assert result.fetched == result.tiles == planned == len(seen)
    assert seen[-1] == (planned, planned)
    assert store_of(aerial)._caches[0].stats().pinned == planned
    again = aerial.prefetch_radius(HERE, 60.0)
    assert again.cached == planned
    stopped = aerial.prefetch_radius(np.array([4000.0, 0.0]), 60.0, lambda done, _: done < 3)
    assert stopped.stopped
    assert stopped.fetched == 3


def test_prefetch_along_a_route_covers_every_patch_of_it(server, network_map):
    aerial = network_map(zoom=19)
    route = np.array([[0.0, 0.0], [150.0, 40.0], [200.0, -100.0]])
    assert aerial.prefetch_route(route, 110.0).complete
    aerial.close()
    offline = network_map(offline=True, zoom=19)
    for point in route:
        assert offline.patch(point, 20.0).coverage == 1.0


def test_prefetch_gives_up_when_the_network_is_gone(projection, tiles_config, monkeypatch):
    monkeypatch.setattr(network, "_LOAD_PATIENCE_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    aerial = open_map(tiles_config(f"http://127.0.0.1:{port}/{{z}}/{{x}}/{{y}}.jpg", zoom=19), projection)
    result = aerial.prefetch_radius(HERE, 200.0)
    assert result.stopped
    assert not result.complete
    assert "no connection" in result.reason
    aerial.close()


def test_tiles_that_must_not_be_stored_stay_in_memory(server, network_map, tmp_path):
    catalogue = tmp_path / "own.yaml"
    catalogue.write_text(
        f"providers:\n  strict: {{title: strict, url: '{server.url}', max_zoom: 19, attribution: them, "
        "licence: closed, store: forbidden, rate_per_s: 50}\n"
    )
    aerial = network_map(source="provider:strict", providers_file=str(catalogue), wait_s=20.0)
    assert aerial.patch(HERE, 5.0).coverage == 1.0
    assert "memory only" in aerial.description
    assert not list(tmp_path.glob("cache/*"))
    with pytest.raises(TileSourceError, match="forbid storing"):
        aerial.prefetch_radius(HERE, 100.0)


def test_closing_ends_the_threads(server, network_map):
    aerial = network_map(wait_s=20.0)
    aerial.patch(HERE, 5.0)
    ours = [thread for thread in threading.enumerate() if thread.name.startswith(("cvloc", "Pyrate"))]
    assert len(ours) == 2
    aerial.close()
    assert not any(thread.is_alive() for thread in ours)


def test_key_of_the_user_is_in_no_message(projection, tiles_config, tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("CVLOC_KEYED_KEY", "secret123")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    catalogue = tmp_path / "own.yaml"
    catalogue.write_text(
        f"providers:\n  keyed: {{title: t, url: 'http://127.0.0.1:{port}/{{z}}/{{x}}/{{y}}?k={{key}}', max_zoom: 19, "
        "attribution: me, licence: mine, store: allowed, rate_per_s: 50}\n"
    )
    aerial = open_map(tiles_config("provider:keyed", providers_file=str(catalogue)), projection)
    message = aerial.patch(HERE, 5.0).tiles.message
    assert "no connection" in message
    assert "secret123" not in message + caplog.text + aerial.description
    aerial.close()
    assert b"secret123" not in next(tmp_path.glob("cache/*.mbtiles")).read_bytes()


def test_rate_is_kept(server, network_map, tmp_path):
    catalogue = tmp_path / "own.yaml"
    catalogue.write_text(
        f"providers:\n  slow: {{title: slow, url: '{server.url}', max_zoom: 19, attribution: me, licence: mine, "
        "store: allowed, rate_per_s: 5}\n"
    )
    aerial = network_map(source="provider:slow", providers_file=str(catalogue), wait_s=20.0, zoom=19)
    start = time.monotonic()
    aerial.patch(HERE, 20.0)
    assert len(server.requests) > 6
    assert time.monotonic() - start > (len(server.requests) - 1) // 5 - 0.05


def test_cache_that_cannot_be_used_is_refused_with_a_remedy(server, projection, tiles_config, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(TileSourceError, match="cache_dir"):
        open_map(tiles_config(server.url, cache_dir=str(tmp_path / "file" / "sub")), projection)


def test_cache_file_names_its_source(server, network_map, tmp_path):
    network_map(wait_s=20.0).patch(HERE, 5.0)
    (path,) = tmp_path.glob("cache/*.mbtiles")
    assert TileCache(path, 10**9).metadata()["cvloc_source"] == server.url
