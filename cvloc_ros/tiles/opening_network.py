# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""From the configuration to a network source: catalogue, terms, keys, client and cache."""

from __future__ import annotations

import hashlib
import os
import re
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING

from cvloc_ros.errors import TileSourceError
from cvloc_ros.tiles.cache import TileCache
from cvloc_ros.tiles.client import TileClient
from cvloc_ros.tiles.network import NetworkStore, Policy
from cvloc_ros.tiles.providers import Provider, find_provider, load_providers, terms_of
from cvloc_ros.tiles.url import host_of, prepare

if TYPE_CHECKING:
    from cvloc_ros.config import Tiles

_OWN_SERVER_RATE_PER_S = 10.0
_MEMORY_ONLY_BYTES = 64_000_000


def open_network_store(source: str, config: Tiles) -> NetworkStore:
    """Open `provider:NAME` or an http(s) template; nothing is sent yet.

    Raises:
        TileSourceError: unknown provider, terms that exclude machines, no contact, a missing key, a wrong template,
            or a cache folder that cannot be used.
    """
    name, provider = resolve(source, config)
    if provider.machine_use == "forbidden":
        msg = (
            f"tiles.source = {source}: the terms of {provider.title} exclude analysis by machines "
            f"({provider.licence_url}); choose a national orthophoto or your own imagery"
        )
        raise TileSourceError(msg)
    contact = config.contact.strip()
    if not contact and not config.offline:
        msg = "tiles.contact is empty; servers want to know whom to write to: set it to a URL or mail address of yours"
        raise TileSourceError(msg)
    template = prepare(provider.template, provider.tile_size, _secrets(name, provider))
    disk = _open_cache(name, provider, config) if provider.store == "allowed" else None
    policy = Policy(config.offline, config.cache_max_age_days * 86400.0, _no_prefetch(name, provider))
    client = TileClient(contact, provider.rate_per_s, provider.blank, provider.tile_size)
    return NetworkStore(name, provider, template, client, TileCache(None, _MEMORY_ONLY_BYTES), disk, policy)


def resolve(source: str, config: Tiles) -> tuple[str, Provider]:
    """Return the name (also that of the cache file) and the terms of a network source."""
    providers = load_providers(config.providers_file)
    if source.startswith("provider:"):
        name = source.removeprefix("provider:")
        return name, find_provider(name, providers)
    known = terms_of(source, providers)
    name = f"{host_of(source) or 'tiles'}-{hashlib.blake2b(source.encode(), digest_size=4).hexdigest()}"
    if known is not None:
        return name, known.model_copy(update={"url": source, "scheme": "xyz"})
    return name, Provider(
        title=host_of(source),
        url=source,
        min_zoom=0,
        max_zoom=22,
        tile_size=256,
        attribution=f"imagery: {host_of(source)}",
        licence="your own responsibility",
        store="allowed",
        rate_per_s=_OWN_SERVER_RATE_PER_S,
    )


def cache_folder(config: Tiles) -> Path:
    """Return the folder of the caches."""
    if config.cache_dir:
        return Path(config.cache_dir).expanduser()
    base = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if base else Path.home() / ".cache") / "cvloc_ros"


def cache_path(name: str, config: Tiles) -> Path:
    """Return the cache file of a network source."""
    return cache_folder(config) / f"{re.sub(r'[^A-Za-z0-9._-]', '_', name)}.mbtiles"


def _open_cache(name: str, provider: Provider, config: Tiles) -> TileCache:
    path = cache_path(name, config)
    try:
        cache = TileCache(path, round(config.cache_max_mb * 1e6))
    except (OSError, sqlite3.Error) as err:
        msg = f"{path}: the tile cache cannot be used ({err}); set tiles.cache_dir to a folder with write access"
        raise TileSourceError(msg) from err
    wanted = {
        "name": provider.title,
        "format": provider.format,
        "type": "baselayer",
        "version": "1",
        "minzoom": str(provider.min_zoom),
        "maxzoom": str(provider.max_zoom),
        "attribution": provider.attribution,
        "cvloc_licence": provider.licence,
        "cvloc_source": provider.url.split("?", maxsplit=1)[0],  # what follows may be a key
    }
    if wanted.items() - cache.metadata().items():
        cache.describe(wanted)
    return cache


def _no_prefetch(name: str, provider: Provider) -> str:
    if provider.store == "allowed":
        return ""
    terms = f"({provider.licence}{', ' + provider.licence_url if provider.licence_url else ''})"
    if provider.store == "ask":
        return (
            f"{name}: whether tiles may be stored is not settled {terms}; once you have the permission, copy its entry "
            "into a catalogue of your own (tiles.providers_file) with `store: allowed`"
        )
    return f"{name}: its terms {terms} forbid storing tiles, so there is no prefetch; choose a source that allows it"


def _secrets(name: str, provider: Provider) -> dict[str, str]:
    if "{key}" not in provider.url:
        return {}
    variable = provider.key_env or f"CVLOC_{re.sub(r'[^A-Z0-9]', '_', name.upper())}_KEY"
    key = os.environ.get(variable, "")
    if not key:
        msg = f"provider:{name} needs a key; set the environment variable {variable} to yours"
        raise TileSourceError(msg)
    return {"key": key}
