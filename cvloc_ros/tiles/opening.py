# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""From the configuration to an open map."""

from __future__ import annotations

import math
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from pyproj import Transformer

from cvloc_ros.errors import GeoError, TileSourceError
from cvloc_ros.tiles.aerial_map import AerialMap
from cvloc_ros.tiles.folder import FolderStore, find_template
from cvloc_ros.tiles.mbtiles import MBTilesStore
from cvloc_ros.tiles.prefetch import Prefetcher
from cvloc_ros.tiles.pyramid import TilePyramid
from cvloc_ros.tiles.raster import RasterMap

if TYPE_CHECKING:
    from cvloc_ros.config import Tiles
    from cvloc_ros.geo.projection import Projection
    from cvloc_ros.tiles.imagery import Imagery
    from cvloc_ros.tiles.store import TileStore

_SQLITE = b"SQLite format 3\0"


def open_map(config: Tiles, projection: Projection) -> AerialMap:
    """Open the map that `tiles.source` names.

    Raises:
        TileSourceError: it cannot be opened or may not be used as asked; the text holds the remedy.
    """
    source = config.source.strip()
    if not source:
        msg = "tiles.source is empty; give an .mbtiles, .tif or tile folder, a template with {z} {x} {y}, or provider:X"
        raise TileSourceError(msg)
    if source.startswith(("http://", "https://", "provider:")):
        return _open_network(source, config, projection)
    imagery = _open_local(source, config)
    _check_reach(imagery, projection)
    return AerialMap(imagery, projection, config)


def describe_local(config: Tiles) -> str:
    """Describe a local map for people: what it is, whom to name, where it lies (degrees of its own datum).

    Raises:
        TileSourceError: it cannot be opened.
    """
    with closing(_open_local(config.source.strip(), config)) as imagery:
        lines = [imagery.description, imagery.attribution or "no attribution stated"]
        bounds = _degrees(imagery)
        if bounds is not None:
            west, south, east, north = bounds
            lines.append(f"longitude {west:.6f} to {east:.6f}, latitude {south:.6f} to {north:.6f}")
        return "\n  ".join(lines)


def bounds_of(config: Tiles) -> tuple[float, float, float, float] | None:
    """Where a local map lies: west, south, east, north in degrees of its own datum; None if it does not say.

    Raises:
        TileSourceError: it cannot be opened.
    """
    with closing(_open_local(config.source.strip(), config)) as imagery:
        return _degrees(imagery)


def _degrees(imagery: Imagery) -> tuple[float, float, float, float] | None:
    if imagery.bounds is None:
        return None
    degrees = Transformer.from_crs(imagery.crs, "EPSG:4326", always_xy=True)
    west, south, east, north = degrees.transform_bounds(*imagery.bounds)
    return west, south, east, north


def _open_local(source: str, config: Tiles) -> Imagery:
    if source.startswith("file://"):
        source = unquote(urlsplit(source.replace("#", "%23").replace("?", "%3F")).path)
    path = Path(source).expanduser()
    if not path.exists() and "{" in source:
        return _pyramid(FolderStore(str(path)), config)
    if not path.exists():
        msg = f"tiles.source = {config.source}: there is no such file or folder; check the path"
        raise TileSourceError(msg)
    if path.is_dir():
        return _pyramid(FolderStore(find_template(path)), config)
    if _starts_with_sqlite(path) and path.suffix.lower() != ".gpkg":
        return _pyramid(MBTilesStore(path), config)
    if path.suffix.lower() == ".mbtiles":
        msg = f"{path}: no SQLite file, so no MBTiles; it may be cut short or another format under this name"
        raise TileSourceError(msg)
    return RasterMap(path, config.crs)


def _open_network(source: str, config: Tiles, projection: Projection) -> AerialMap:
    # requests and its dependencies take 0.1 s to import: local maps need not wait for them.
    from cvloc_ros.tiles.opening_network import open_network_store

    store = open_network_store(source, config)
    imagery = _pyramid(store, config)
    _check_reach(imagery, projection)
    return AerialMap(imagery, projection, config, Prefetcher(imagery, store))


def _pyramid(store: TileStore, config: Tiles) -> TilePyramid:
    if config.crs and config.crs.upper() not in ("EPSG:3857", "EPSG:900913"):
        store.close()
        msg = f"tiles.crs = {config.crs}: tiles are in EPSG:3857; leave it empty, it is for rasters only"
        raise TileSourceError(msg)
    return TilePyramid(store, round(config.memory_mb * 1e6))


def _starts_with_sqlite(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(len(_SQLITE)) == _SQLITE
    except OSError as err:
        msg = f"{path}: cannot be read ({err.strerror}); check its permissions"
        raise TileSourceError(msg) from err


def _check_reach(imagery: Imagery, projection: Projection) -> None:
    """Refuse a map whose CRS cannot express where the datum is: every patch would fail."""
    try:
        affine = projection.local_affine((0.0, 0.0), imagery.crs)
        ok = math.isfinite(float(affine.sum()))
    except GeoError as err:
        imagery.close()
        msg = f"{imagery.name}: its CRS cannot express geo.datum ({err}); check geo.datum and tiles.crs"
        raise TileSourceError(msg) from err
    if not ok:
        imagery.close()
        msg = f"{imagery.name}: its CRS cannot express geo.datum; check geo.datum and tiles.crs"
        raise TileSourceError(msg)
