# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Address templates of tiles: XYZ, TMS, quadkey, WMTS and WMS."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import mercantile

from cvloc_ros.errors import TileSourceError
from cvloc_ros.tiles.mercator import tile_bounds

if TYPE_CHECKING:
    from collections.abc import Callable

    from cvloc_ros.tiles.store import TileKey

_PLACEHOLDER = re.compile(r"\{\{|\}\}|\{([^{}]*)\}")


def _box(key: TileKey) -> str:
    return ",".join(f"{value:.9f}" for value in tile_bounds(key))


_VALUES: dict[str, Callable[[TileKey], str]] = {
    "z": lambda key: str(key.z),
    "x": lambda key: str(key.x),
    "y": lambda key: str(key.y),
    "-y": lambda key: str(key.tms_row),
    "q": lambda key: mercantile.quadkey(key.x, key.y, key.z),
    "bbox": _box,
}
_ALIASES = {
    "zoom": "z",
    "tilematrix": "z",
    "tilecol": "x",
    "tilerow": "y",
    "quadkey": "q",
    "reverse_y": "-y",
}
_FIXED = {"proj": "EPSG:3857", "crs": "EPSG:3857", "srs": "EPSG:3857"}


def expand_tile(template: str, key: TileKey) -> str:
    """Fill in {z} {x} {y} {-y} {q} {bbox}, or their WMTS and WMS names; {{ and }} stand for braces."""

    def value(match: re.Match[str]) -> str:
        name = match.group(1)
        return match.group(0)[0] if name is None else _VALUES[_canonical(name)](key)

    return _PLACEHOLDER.sub(value, template)


def prepare(template: str, tile_size: int, secrets: dict[str, str] | None = None) -> str:
    """Fill in what is the same for all tiles (size, projection, keys) and check that a tile is addressed.

    Raises:
        TileSourceError: an unknown placeholder, or none for the place of the tile.
    """
    fixed = {**_FIXED, "width": str(tile_size), "height": str(tile_size), **(secrets or {})}
    names = set()

    def value(match: re.Match[str]) -> str:
        name = match.group(1)
        if name is None:
            return match.group(0)
        if name.lower() in fixed:
            return fixed[name.lower()]
        if name.startswith("switch:"):
            return name.removeprefix("switch:").split(",")[0]
        if _canonical(name) not in _VALUES:
            known = ", ".join(f"{{{known}}}" for known in (*_VALUES, *fixed))
            msg = f"{template}: unknown placeholder {{{name}}}; known: {known}"
            raise TileSourceError(msg)
        names.add(_canonical(name))
        return match.group(0)

    prepared = _PLACEHOLDER.sub(value, template)
    if not ("q" in names or "bbox" in names or ({"z", "x"} <= names and names & {"y", "-y"})):
        msg = f"{template}: needs {{z}}, {{x}} and {{y}} (or {{-y}}), or {{q}} (quadkey), or {{bbox}} (WMS GetMap)"
        raise TileSourceError(msg)
    return prepared


def host_of(template: str) -> str:
    """Host name of a template, lower case, without port."""
    return (urlsplit(template.split("{", maxsplit=1)[0]).hostname or "").lower()


def _canonical(name: str) -> str:
    lower = name.lower()
    return _ALIASES.get(lower, lower)
