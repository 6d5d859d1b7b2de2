# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Tiles as files: a folder z/x/y.ext or a template with {z} {x} {y}."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from cvloc_ros.errors import TileSourceError
from cvloc_ros.tiles import mercator
from cvloc_ros.tiles.decode import Tile, decode_tile, tile_id
from cvloc_ros.tiles.places import Places
from cvloc_ros.tiles.store import MISSING, Answer, TileData, TileKey
from cvloc_ros.tiles.url import expand_tile

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_EXTENSIONS = ("jpg", "jpeg", "png", "webp")
_METADATA = "metadata.json"
"""What MBTiles tools (mb-util, tippecanoe) write beside the tiles."""


class FolderStore:
    """Tiles of a local file template, such as /maps/{z}/{x}/{y}.jpg."""

    is_network = False

    def __init__(self, template: str) -> None:
        """Look which tiles there are.

        Raises:
            TileSourceError: a placeholder is missing, or there is no tile that can be decoded.
        """
        self._template = template
        self._places = Places()
        tiles = _list_tiles(template)
        if not tiles:
            msg = f"{template}: no tile there; check the path and that the names are z/x/y as in the template"
            raise TileSourceError(msg)
        self.name, self.attribution = template, _attribution(template)
        self.min_zoom, self.max_zoom = min(key.z for key in tiles), max(key.z for key in tiles)
        finest = [mercator.tile_bounds(key) for key in tiles if key.z == self.max_zoom]
        west, south, east, north = zip(*finest, strict=True)
        self.bounds = (min(west), min(south), max(east), max(north))
        self.tile_size = self._read_tile_size(tiles)
        self.description = f"{template} (tile folder, z{self.min_zoom} to z{self.max_zoom}, {self.tile_size} px)"

    def get(self, keys: Iterable[TileKey], deadline_s: float) -> Mapping[TileKey, TileData]:  # noqa: ARG002
        """Read tiles."""
        answers = {key: self._one(key) for key in keys}
        contents = {key: answer.content for key, answer in answers.items() if answer.data is not None}
        for key, places in self._places.note_all(contents).items():
            answers[key] = replace(answers[key], places=places)
        return answers

    def known(self, keys: Iterable[TileKey]) -> int:
        """Count the files."""
        return sum(self._path(key).is_file() for key in keys)

    def version(self) -> int:
        """Return 0: files are taken not to change while the map is open."""
        return 0

    def trouble(self) -> str:
        """Return "": nothing is written that could fail."""
        return ""

    def close(self) -> None:
        """Do nothing: no file stays open."""

    def _path(self, key: TileKey) -> Path:
        return Path(expand_tile(self._template, key))

    def _one(self, key: TileKey) -> TileData:
        try:
            data = self._path(key).read_bytes()
        except FileNotFoundError:
            return MISSING
        except OSError as err:
            return TileData(Answer.FAILED, reason=str(err))
        return TileData(Answer.CACHED, data, tile_id(data))

    def _read_tile_size(self, tiles: list[TileKey]) -> int:
        faults = []
        for key in sorted(tiles, reverse=True)[:8]:
            data = self._one(key).data
            tile = decode_tile(data) if data is not None else "unreadable"
            if isinstance(tile, Tile):
                return int(tile.rgb.shape[0])
            faults.append(f"{self._path(key)}: {tile}")
        msg = f"{self._template}: its tiles are no pictures: {faults[0]}; png, jpg or webp are needed"
        raise TileSourceError(msg)


def find_template(folder: Path) -> str:
    """Return the template of a folder z/x/y.ext.

    Raises:
        TileSourceError: the folder has no such files.
    """
    for zoom in sorted(folder.iterdir(), reverse=True):
        if not (zoom.is_dir() and zoom.name.isdigit()):
            continue
        for tile in zoom.glob("*/*"):
            if tile.stem.isdigit() and tile.suffix[1:].lower() in _EXTENSIONS:
                return f"{_escape(folder)}/{{z}}/{{x}}/{{y}}{tile.suffix}"
    msg = (
        f"{folder}: no tiles z/x/y.jpg, .png or .webp in this folder; give a folder of tiles, or one file "
        "(.mbtiles, .tif; join several rasters with `gdalbuildvrt map.vrt *.tif`)"
    )
    raise TileSourceError(msg)


def _escape(folder: Path) -> str:
    return str(folder.resolve()).replace("{", "{{").replace("}", "}}")


def _list_tiles(template: str) -> list[TileKey]:
    """All tiles that match the template, by its placeholders."""
    parts = re.split(r"(\{\{|\}\}|\{[^{}]*\})", template)
    names = {"{z}": r"(?P<z>\d+)", "{x}": r"(?P<x>\d+)", "{y}": r"(?P<y>\d+)", "{-y}": r"(?P<t>\d+)"}
    fixed = [part for part in parts if part in names]
    if set(fixed) not in ({"{z}", "{x}", "{y}"}, {"{z}", "{x}", "{-y}"}):
        msg = f"{template}: placeholders {fixed or 'none'}; {{z}}, {{x}} and {{y}} (or {{-y}}) are needed, each once"
        raise TileSourceError(msg)
    pattern = re.compile("".join(names.get(part, re.escape(_plain(part))) for part in parts))
    folder = "".join(parts[: min(parts.index(part) for part in fixed)]).rpartition("/")[0]
    root, depth = Path(_plain(folder) or "/"), template.count("/", len(folder) + 1)
    found = (pattern.fullmatch(str(path)) for path in root.glob("/".join(["*"] * (depth + 1))))
    keys = []
    for match in found:
        if match is None:
            continue
        group = match.groupdict()
        z, x = int(group["z"]), int(group["x"])
        y = int(group["y"]) if "y" in group else (1 << z) - 1 - int(group["t"])
        keys.append(TileKey(z, x, y))
    return keys


def _plain(part: str) -> str:
    return part.replace("{{", "{").replace("}}", "}")


def _attribution(template: str) -> str:
    """Return the attribution stated beside the tiles; empty where there is none."""
    path = Path(template.split("{", 1)[0]) / _METADATA
    try:
        tree = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return ""
    return str(tree.get("attribution", "")) if isinstance(tree, dict) else ""
