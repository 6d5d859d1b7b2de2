# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`cvloc tiles`: fetch imagery for a region ahead of the drive; report on, verify and purge the cache."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from cvloc_ros.cli.settings import build
from cvloc_ros.errors import TileSourceError

if TYPE_CHECKING:
    from cvloc_ros.config import Config, Tiles
    from cvloc_ros.geo.projection import Projection
    from cvloc_ros.tiles.cache import TileCache
    from cvloc_ros.tiles.prefetch import PrefetchResult
    from cvloc_ros.types import F64

MapArg = Annotated[str, tyro.conf.arg(name="map", metavar="MAP")]
Settings = Annotated[tyro.conf.UseAppendAction[tuple[str, ...]], tyro.conf.arg(name="set", metavar="KEY=VALUE")]

_FREE_TILES = 2000
_TILE_BYTES = 14_000
"""Typical JPEG of 256 px; larger tiles in proportion to their area."""


def fetch(
    *,
    map_source: MapArg = "",
    at: str = "",
    radius: float = 500.0,
    route: Path | None = None,
    corridor: float = 150.0,
    contact: str = "",
    config: Path | None = None,
    settings: Settings = (),
    yes: bool = False,
) -> int:
    """Load the imagery around a place or along a route into the cache, for a drive without network.

    Args:
        map_source: provider:NAME or an http(s) template (tiles.source).
        at: LAT,LON in degrees.
        radius: Metres around the place.
        route: CSV with latitude and longitude, GeoJSON, or TUM (map metres; needs geo.datum).
        corridor: Metres to each side of the route: search radius plus the range of the cameras.
        contact: URL or mail address sent to the server (tiles.contact).
        config: YAML file with settings, bare or in ROS 2 form.
        settings: Any configuration key, such as tiles.zoom=19; may be repeated.
        yes: Do not stop at more than 2000 tiles.
    """
    from cvloc_ros.tiles import open_map

    tree = _settings(config, map_source, contact, settings)
    projection, points = _where(tree, at, route)
    with closing(open_map(tree.tiles, projection)) as aerial:
        if not aerial.is_network:
            print(f"{aerial.description}: a local map, nothing to fetch")
            return 0
        reach = corridor if route else radius
        count = aerial.plan_route(points, reach)
        print(f"{aerial.description}\n{aerial.attribution}")
        if not _affordable(count, tree.tiles, yes=yes):
            return 1
        from tqdm import tqdm

        with tqdm(total=count, unit="tile", desc="fetch") as bar:

            def progress(done: int, total: int) -> bool:
                bar.total = total
                bar.update(done - bar.n)
                return True

            result = aerial.prefetch_route(points, reach, progress)
    return _tell(result)


def report(*, map_source: MapArg = "", config: Path | None = None, settings: Settings = ()) -> int:
    """Tell what is in the cache: tiles by zoom level, size, age, licence.

    Args:
        map_source: One source only; empty takes all caches in the folder. A local map is described.
        config: YAML file with settings, bare or in ROS 2 form.
        settings: Any configuration key, such as tiles.cache_dir=/data/tiles; may be repeated.
    """
    tree = _settings(config, map_source, "", settings)
    if tree.tiles.source and not _is_network(tree.tiles.source):
        from cvloc_ros.tiles.opening import describe_local

        print(describe_local(tree.tiles))
        return 0
    for path, cache in _caches(tree.tiles):
        with closing(cache):
            stats, about = cache.stats(), cache.metadata()
            terms = (about.get(name, "") for name in ("name", "attribution", "cvloc_licence"))
            print(f"{path}\n  {'; '.join(terms)}")
            print(
                f"  {stats.tiles} tiles, {stats.bytes / 1e6:.1f} MB (file {path.stat().st_size / 1e6:.1f} MB), "
                f"{stats.pinned} pinned, {stats.expired} past their expiry, {stats.misses} places without imagery"
            )
            for zoom, number in stats.zooms.items():
                print(f"  z{zoom}: {number}")
            for content, places in cache.placeholders():
                print(f"  {content.hex()}: the same picture at {places} places, taken as no imagery")
    return 0


def verify(*, map_source: MapArg = "", config: Path | None = None, settings: Settings = ()) -> int:
    """Check every tile: whole file, right content, decodable. Damaged ones leave the cache; exit code 1 if any.

    Args:
        map_source: One source only; empty takes all caches in the folder. Of a local MBTiles nothing is changed.
        config: YAML file with settings, bare or in ROS 2 form.
        settings: Any configuration key, such as tiles.cache_dir=/data/tiles; may be repeated.
    """
    from tqdm import tqdm

    from cvloc_ros.tiles.verify import damaged_in_cache, damaged_in_mbtiles

    tree = _settings(config, map_source, "", settings)
    source = tree.tiles.source
    if source and not _is_network(source):
        faults = list(damaged_in_mbtiles(Path(source.removeprefix("file://"))))
        print("".join(f"{fault}\n" for fault in faults) + f"{source}: {len(faults)} damaged tiles")
        return int(bool(faults))
    found = 0
    for path, cache in _caches(tree.tiles):
        with closing(cache):
            if cache.trouble:
                print(cache.trouble)
            total = cache.stats().tiles
            bad = [key for key, fault in tqdm(damaged_in_cache(cache), total=total, unit="tile") if fault]
            sound = cache.sound()
            cache.remove(bad)
            print(f"{path}: {total} tiles, {len(bad)} damaged and removed; SQLite says {sound}")
            found += len(bad) + (sound != "ok") + bool(cache.trouble)
    return int(found > 0)


def purge(
    *,
    map_source: MapArg = "",
    older_than_days: float = 0.0,
    misses: bool = False,
    config: Path | None = None,
    settings: Settings = (),
    yes: bool = False,
) -> int:
    """Delete tiles from the cache, pinned ones too.

    Args:
        map_source: One source only; empty takes all caches in the folder.
        older_than_days: Only those fetched before; 0 takes all.
        misses: Only what is remembered as "no imagery here".
        config: YAML file with settings, bare or in ROS 2 form.
        settings: Any configuration key, such as tiles.cache_dir=/data/tiles; may be repeated.
        yes: Needed to delete everything.
    """
    tree = _settings(config, map_source, "", settings)
    if older_than_days <= 0 and not misses and not yes:
        print("this deletes every tile; say --yes, or choose with --older-than-days or --misses")
        return 1
    for path, cache in _caches(tree.tiles):
        with closing(cache):
            gone = cache.purge(older_than_s=older_than_days * 86400.0, misses_only=misses)
            cache.compact()
            print(f"{path}: {gone} entries deleted{'; ' + cache.trouble if cache.trouble else ''}")
    return 0


COMMANDS: dict[str, Callable[..., int]] = {"fetch": fetch, "report": report, "verify": verify, "purge": purge}


def _settings(file: Path | None, map_source: str, contact: str, assignments: tuple[str, ...]) -> Config:
    extra = (f'tiles.contact="{contact}"',) if contact else ()
    return build(file, map_source, "", (*assignments, *extra))[0]


def _where(tree: Config, at: str, route: Path | None) -> tuple[Projection, F64]:
    """Projection and map points of what is to be fetched."""
    from cvloc_ros.geo.projection import Projection
    from cvloc_ros.tiles.route import parse_place, read_route

    if bool(at) == bool(route):
        msg = "give either --at LAT,LON or --route FILE"
        raise TileSourceError(msg)
    points, degrees = (parse_place(at), True) if route is None else read_route(route)
    if not degrees:
        return Projection.from_config(tree.geo), points
    projection = Projection.at_fix(tree.geo, float(points[0, 0]), float(points[0, 1]))
    return projection, projection.to_map(points[:, 0], points[:, 1])


def _affordable(count: int, tiles: Tiles, *, yes: bool) -> bool:
    """Print the estimate; tell whether it may start."""
    from cvloc_ros.tiles.opening_network import resolve

    _, provider = resolve(tiles.source, tiles)
    megabytes = count * _TILE_BYTES * (provider.tile_size / 256) ** 2 / 1e6
    minutes = count / provider.rate_per_s / 60
    print(f"at most {count} tiles, about {megabytes:.0f} MB and {minutes:.1f} min at {provider.rate_per_s:g} a second")
    if megabytes > tiles.cache_max_mb:
        print(f"that is more than tiles.cache_max_mb = {tiles.cache_max_mb:g}: raise it, or choose a smaller region")
        return False
    if count > _FREE_TILES and not yes:
        print(f"more than {_FREE_TILES} tiles: say --yes if the terms of the provider allow it")
        return False
    return True


def _tell(result: PrefetchResult) -> int:
    print(
        f"{result.fetched} fetched ({result.received_bytes / 1e6:.1f} MB), {result.cached} were there, "
        f"{result.missing} without imagery, {result.failed} failed"
    )
    if result.complete:
        return 0
    print(f"incomplete: {result.reason or 'stopped'}; run the same command again to go on", file=sys.stderr)
    return 1


def _is_network(source: str) -> bool:
    return source.startswith(("http://", "https://", "provider:"))


def _caches(tiles: Tiles) -> list[tuple[Path, TileCache]]:
    from cvloc_ros.tiles.opening_network import cache_folder, cache_path, resolve
    from cvloc_ros.tiles.verify import open_existing

    if tiles.source:
        paths = [cache_path(resolve(tiles.source, tiles)[0], tiles)]
    else:
        paths = sorted(cache_folder(tiles).glob("*.mbtiles"))
    found = [path for path in paths if path.exists()]
    if not found:
        print(f"no tile cache in {cache_folder(tiles)}{' for ' + tiles.source if tiles.source else ''}")
    return [(path, open_existing(path, tiles)) for path in found]
