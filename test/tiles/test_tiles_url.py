# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Address templates."""

import mercantile
import pytest

from cvloc_ros.errors import TileSourceError
from cvloc_ros.tiles.store import TileKey
from cvloc_ros.tiles.url import expand_tile, host_of, prepare

KEY = TileKey(5, 17, 11)


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("http://a/{z}/{x}/{y}.jpg", "http://a/5/17/11.jpg"),
        ("http://a/{z}/{y}/{x}", "http://a/5/11/17"),
        ("http://a/{z}/{x}/{-y}.png", "http://a/5/17/20.png"),
        ("http://a/{TileMatrix}/{TileRow}/{TileCol}", "http://a/5/11/17"),
        ("http://a/{q}", "http://a/" + mercantile.quadkey(17, 11, 5)),
        ("http://{switch:b,c}.a/{z}/{x}/{y}", "http://b.a/5/17/11"),
        ("http://a?W={width}&H={height}&CRS={proj}&T={z}{x}{y}", "http://a?W=256&H=256&CRS=EPSG:3857&T=51711"),
        ("http://a/{{not}}/{z}/{x}/{y}", "http://a/{not}/5/17/11"),
    ],
)
def test_placeholders(template, expected):
    assert expand_tile(prepare(template, 256), KEY) == expected


def test_wms_box_is_that_of_the_tile():
    url = expand_tile(prepare("http://a?BBOX={bbox}", 512), KEY)
    box = mercantile.xy_bounds(17, 11, 5)
    assert [float(part) for part in url.split("=")[1].split(",")] == pytest.approx(list(box), abs=1e-6)


@pytest.mark.parametrize(
    ("template", "word"), [("http://a/{z}/{x}/{why}", "unknown placeholder"), ("http://a/{z}", "needs")]
)
def test_bad_template_is_refused(template, word):
    with pytest.raises(TileSourceError, match=word):
        prepare(template, 256)


def test_host_of_a_template():
    assert host_of("https://Tiles.Example.org:8080/{z}/{x}") == "tiles.example.org"
