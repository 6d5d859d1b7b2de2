# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Tiles and maps that the tests write themselves."""

from __future__ import annotations

import math
import re
import sqlite3
import threading
from types import SimpleNamespace

import cv2
import mercantile
import numpy as np
import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Response

from cvloc_ros.config import Tiles
from cvloc_ros.geo.projection import Projection
from cvloc_ros.tiles import open_map
from cvloc_ros.tiles.store import TileKey

LAT, LON = 46.3149, 7.9774
CENTRE = mercantile.tile(LON, LAT, 19)


def texture(z, x, y, size=256):
    """A picture without two equal pixels nearby, different for every tile, smooth enough for JPEG."""
    rng = np.random.default_rng([z, x, y])
    coarse = rng.integers(30, 220, (size // 16, size // 16, 3), dtype=np.uint8)
    return cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC)


def encode(rgb, ext=".jpg"):
    channels = cv2.COLOR_RGB2BGR if rgb.shape[2] == 3 else cv2.COLOR_RGBA2BGRA
    ok, data = cv2.imencode(ext, cv2.cvtColor(rgb, channels))
    assert ok
    return data.tobytes()


def around(z=19, radius=2):
    """Keys of the tiles about the place of the tests."""
    shift = 19 - z
    cx, cy = CENTRE.x >> shift, CENTRE.y >> shift
    return [
        TileKey(z, x, y)
        for y in range(cy - radius, cy + radius + 1)
        for x in range(cx - radius, cx + radius + 1)
    ]


def write_mbtiles(path, tiles, **metadata):
    """Write {TileKey: bytes} as the specification says."""
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE metadata (name TEXT, value TEXT)")
        db.execute("CREATE TABLE tiles (zoom_level INTEGER, tile_column INTEGER, tile_row INTEGER, tile_data BLOB)")
        db.execute("CREATE UNIQUE INDEX tile_index ON tiles (zoom_level, tile_column, tile_row)")
        db.executemany("INSERT INTO metadata VALUES (?, ?)", metadata.items())
        rows = [(z, x, (1 << z) - 1 - y, data) for (z, x, y), data in tiles.items()]
        db.executemany("INSERT INTO tiles VALUES (?, ?, ?, ?)", rows)
    db.close()
    return path


def centroid(patch):
    """Map position of the dark blob in a patch, weighted by darkness."""
    dark = 255.0 - patch.rgb.astype(np.float64).mean(axis=2)
    dark = np.where(patch.valid, np.clip(dark - 30.0, 0.0, None), 0.0)
    rows, columns = np.mgrid[0 : dark.shape[0], 0 : dark.shape[1]]
    uv = np.array([(columns * dark).sum(), (rows * dark).sum()]) / dark.sum()
    return patch.map_from_px @ np.array([uv[0], uv[1], 1.0])


def blob(height, width, column, row, sigma):
    """A grey picture with a dark Gaussian blob at (column, row), integers at pixel centres."""
    rows, columns = np.mgrid[0:height, 0:width]
    distance = (columns - column) ** 2 + (rows - row) ** 2
    grey = 230.0 - 200.0 * np.exp(-distance / (2 * sigma * sigma))
    return np.repeat(np.rint(grey).astype(np.uint8)[..., None], 3, axis=2)


def gsd(z, lat=LAT):
    return math.cos(math.radians(lat)) * 40075016.686 / (256 << z)


@pytest.fixture(scope="session")
def kit():
    """The helpers above, under one name."""
    return SimpleNamespace(
        texture=texture, encode=encode, around=around, write_mbtiles=write_mbtiles, centroid=centroid, blob=blob,
        gsd=gsd, lat=LAT, lon=LON, centre=TileKey(19, CENTRE.x, CENTRE.y),
    )


@pytest.fixture(scope="session")
def projection():
    return Projection("local_enu", LAT, LON)


@pytest.fixture
def town(tmp_path, kit):
    """An MBTiles of 5x5 tiles at z19 and their parents at z18 and z17."""
    keys = [*kit.around(19, 2), *kit.around(18, 2), *kit.around(17, 1)]
    tiles = {key: kit.encode(kit.texture(*key)) for key in keys}
    return kit.write_mbtiles(tmp_path / "town.mbtiles", tiles, name="town", format="jpg", attribution="nobody")


@pytest.fixture
def tiles_config(tmp_path):
    """Settings with a cache of the test's own."""

    def make(source, **changes):
        values = {"source": str(source), "cache_dir": str(tmp_path / "cache"), "contact": "test@example.org",
                  "wait_s": 30.0, **changes}
        return Tiles(**values)

    return make


ANY = re.compile(r"/\d+/\d+/\d+\.jpg")


class Server:
    """Serves textures; `answer` may be replaced to misbehave."""

    def __init__(self, httpserver, kit):
        self.kit, self.requests, self.lock = kit, [], threading.Lock()
        self.answer = self.good
        self.url = httpserver.url_for("/{z}/{x}/{y}.jpg")
        httpserver.expect_request(ANY).respond_with_handler(self.handle)

    def handle(self, request):
        with self.lock:
            self.requests.append(request)
        return self.answer(request)

    def good(self, request):
        z, x, y = (int(part) for part in request.path[1:-4].split("/"))
        data = self.kit.encode(self.kit.texture(z, x, y))
        return Response(data, content_type="image/jpeg", headers={"ETag": '"one"'})


@pytest.fixture(scope="module")
def running_server():
    with HTTPServer(threaded=True) as running:
        yield running


@pytest.fixture
def httpserver(running_server):
    running_server.clear()
    return running_server


@pytest.fixture
def server(httpserver, kit, monkeypatch):
    monkeypatch.setattr("cvloc_ros.tiles.opening_network._OWN_SERVER_RATE_PER_S", 50.0)
    return Server(httpserver, kit)


@pytest.fixture
def network_map(server, projection, tiles_config):
    opened = []

    def make(**changes):
        aerial = open_map(tiles_config(changes.pop("source", server.url), **changes), projection)
        opened.append(aerial)
        return aerial

    yield make
    for aerial in opened:
        aerial.close()
