# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Places to prefetch along: a file of positions, or a point."""

from __future__ import annotations

import csv
import json
import math
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from cvloc_ros.errors import TileSourceError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cvloc_ros.types import F64

_LATITUDE = ("latitude", "lat", "latitude_deg", "lat_deg", "y")
_LONGITUDE = ("longitude", "lon", "lng", "long", "longitude_deg", "lon_deg", "x")


def parse_place(text: str) -> F64:
    """Turn "LAT,LON" (degrees) into (1, 2).

    Raises:
        TileSourceError: it is something else.
    """
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) != 2:
        _refuse(f"--at {text}: give LAT,LON in degrees")
    return _checked(numbers, f"--at {text}: LAT,LON")


def read_route(path: Path) -> tuple[F64, bool]:
    """Read positions (N, 2) in their order, and whether they are degrees (lat, lon) or map metres (x, y: TUM).

    Raises:
        TileSourceError: unreadable, an unknown format, or no position in it.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as err:
        _refuse(f"--route {path}: {err}; give a CSV, GeoJSON or TUM file")
    if path.suffix.lower() in (".geojson", ".json"):
        return _from_geojson(path, text), True
    if path.suffix.lower() == ".tum":
        return _from_tum(path, text), False
    return _from_csv(path, text), True


def _from_geojson(path: Path, text: str) -> F64:
    try:
        positions = list(_positions(json.loads(text)))
    except (ValueError, TypeError, KeyError, AttributeError) as err:
        _refuse(f"--route {path}: no GeoJSON ({err})")
    return _checked([value for lon, lat in positions for value in (lat, lon)], f"--route {path}: longitude, latitude")


def _positions(node: Any) -> Iterator[tuple[float, float]]:
    """Yield (lon, lat) of every position of a GeoJSON object."""
    for feature in node.get("features", []):
        yield from _positions(feature)
    for part in (node.get("geometry"), *node.get("geometries", [])):
        if part:
            yield from _positions(part)
    yield from _flat(node.get("coordinates", []))


def _flat(coordinates: Any) -> Iterator[tuple[float, float]]:
    if coordinates and not isinstance(coordinates[0], list):
        yield float(coordinates[0]), float(coordinates[1])
        return
    for part in coordinates:
        yield from _flat(part)


def _from_tum(path: Path, text: str) -> F64:
    rows = [line.split() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    try:
        points = np.array([[float(row[1]), float(row[2])] for row in rows])
    except (ValueError, IndexError) as err:
        _refuse(f"--route {path}: no TUM file, `stamp x y z qx qy qz qw` a line ({err})")
    if not len(points) or not np.isfinite(points).all():
        _refuse(f"--route {path}: no positions in it, or some are not finite")
    return points


def _from_csv(path: Path, text: str) -> F64:
    rows = [row for row in csv.reader(text.splitlines()) if row and not row[0].startswith("#")]
    names = [name.strip().lower() for name in rows[0]] if rows else []
    lat = next((names.index(name) for name in _LATITUDE if name in names), None)
    lon = next((names.index(name) for name in _LONGITUDE if name in names), None)
    if lat is not None and lon is not None:
        rows = rows[1:]
    elif any(any(c.isalpha() for c in name) and name != "nan" for name in names):
        _refuse(f"--route {path}: columns {', '.join(names)}; a latitude and a longitude column are needed")
    else:
        lat, lon = 0, 1
    try:
        numbers = [float(row[column]) for row in rows for column in (lat, lon)]
    except (ValueError, IndexError) as err:
        _refuse(f"--route {path}: {err}; each line needs latitude and longitude in degrees")
    return _checked(numbers, f"--route {path}: latitude, longitude")


def _checked(numbers: list[float], what: str) -> F64:
    if not numbers or len(numbers) % 2:
        _refuse(f"{what}: no positions in it")
    points = np.array(numbers).reshape(-1, 2)
    if not (np.abs(points) <= (90.0, 180.0)).all() or any(map(math.isnan, numbers)):
        _refuse(f"{what}: beyond ±90, ±180 degrees; degrees are needed, latitude first in CSV")
    return points


def _refuse(text: str) -> NoReturn:
    raise TileSourceError(text)
