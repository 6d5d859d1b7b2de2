# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Files of positions."""

import json

import numpy as np
import pytest

from cvloc_ros.errors import TileSourceError
from cvloc_ros.tiles.route import parse_place, read_route


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("r.csv", "46.1,7.2\n46.2,7.3\n"),
        ("r.csv", "# comment\ntime,Longitude,Latitude\n1,7.2,46.1\n2,7.3,46.2\n"),
        ("r.txt", "\ufefflat,lon\n46.1,7.2\n46.2,7.3\n"),
        ("r.geojson", json.dumps({"type": "LineString", "coordinates": [[7.2, 46.1], [7.3, 46.2, 500]]})),
        ("r.json", json.dumps({"features": [{"geometry": {"type": "Point", "coordinates": [7.2, 46.1]}},
                                            {"geometry": {"coordinates": [[[7.3, 46.2]]]}}, {"geometry": None}]})),
    ],
)
def test_degrees_in_every_form(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    points, degrees = read_route(tmp_path / name)
    assert degrees
    assert np.allclose(points, [[46.1, 7.2], [46.2, 7.3]])


def test_tum_is_in_map_metres(tmp_path):
    (tmp_path / "r.tum").write_text("# t x y z\n1.5 10 -20 0 0 0 0 1\n2.5 11 -21 0 0 0 0 1\n")
    points, degrees = read_route(tmp_path / "r.tum")
    assert not degrees
    assert np.array_equal(points, [[10, -20], [11, -21]])


@pytest.mark.parametrize(
    ("name", "text", "word"),
    [
        ("r.csv", "", "no positions"),
        ("r.csv", "lat,lon\n", "no positions"),
        ("r.csv", "name,age\na,1\n", "latitude and a longitude"),
        ("r.csv", "46.1,7.2\nx,7.3\n", "degrees"),
        ("r.csv", "746.1,7.2\n", "beyond"),
        ("r.csv", "nan,7.2\n", "beyond"),
        ("r.geojson", "{", "no GeoJSON"),
        ("r.geojson", "[]", "no GeoJSON"),
        ("r.geojson", "{}", "no positions"),
        ("r.tum", "1 2\n", "no TUM"),
        ("r.tum", "", "no positions"),
    ],
)
def test_bad_files_are_refused_with_the_reason(tmp_path, name, text, word):
    (tmp_path / name).write_text(text)
    with pytest.raises(TileSourceError, match=word):
        read_route(tmp_path / name)


def test_missing_file(tmp_path):
    with pytest.raises(TileSourceError, match="No such file"):
        read_route(tmp_path / "r.csv")


def test_place():
    assert np.array_equal(parse_place("46.5, -7"), [[46.5, -7.0]])
    for text in ("", "46.5", "a,b", "1,2,3", "95,0"):
        with pytest.raises(TileSourceError):
            parse_place(text)
