# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The catalogue of imagery providers: addresses, limits, and what their licences allow."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from cvloc_ros import resources
from cvloc_ros.errors import TileSourceError
from cvloc_ros.tiles.url import host_of

Store = Literal["allowed", "forbidden", "ask"]


class Blank(BaseModel):
    """How a server says "no imagery here" with an answer that looks like success."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    status: tuple[int, ...] = ()
    """Further statuses that mean "none here"; 204, 404 and 410 always do."""
    header: dict[str, str] = Field(default_factory=dict)
    """A header with this value, such as X-VE-Tile-Info: no-tile."""
    etag: str = ""
    """Part of the ETag of the placeholder picture."""
    content: tuple[str, ...] = ()
    """Content addresses (hexadecimal, as `cvloc tiles report` prints them) of placeholder pictures."""


class Provider(BaseModel):
    """One entry of providers.yaml."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    title: str
    url: str
    scheme: Literal["xyz", "tms", "quadkey", "wmts", "wms"] = "xyz"
    min_zoom: int = Field(0, ge=0, le=24)
    max_zoom: int = Field(ge=0, le=24)
    tile_size: int = Field(256, ge=128, le=2048)
    crs: Literal["EPSG:3857"] = "EPSG:3857"
    datum: str = ""
    attribution: str
    licence: str
    licence_url: str = ""
    store: Store
    machine_use: Literal["allowed", "forbidden"] = "allowed"
    rate_per_s: float = Field(gt=0, le=50)
    format: Literal["jpg", "png", "webp"] = "jpg"
    key_env: str = ""
    """Environment variable that holds the user's key for {key}."""
    hosts: tuple[str, ...] = ()
    """Other hosts of the same provider: the same terms hold for templates with them."""
    blank: Blank = Field(default_factory=Blank)
    notes: str = ""

    @property
    def template(self) -> str:
        """Address template; in the scheme tms {y} counts from the south."""
        return self.url.replace("{y}", "{-y}") if self.scheme == "tms" else self.url


def load_providers(path: str = "") -> dict[str, Provider]:
    """Read a catalogue; empty takes the shipped one.

    Raises:
        TileSourceError: the file is missing or an entry is wrong; every fault is named.
    """
    file = Path(path).expanduser() if path else resources.find("config/providers.yaml")
    try:
        tree: Any = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as err:
        msg = f"tiles.providers_file = {file}: {err}; give a catalogue like the shipped config/providers.yaml"
        raise TileSourceError(msg) from err
    entries = tree.get("providers") if isinstance(tree, dict) else None
    if not isinstance(entries, dict):
        msg = f"{file}: no mapping `providers`; see the shipped config/providers.yaml"
        raise TileSourceError(msg)
    try:
        return {str(name): Provider.model_validate(entry) for name, entry in entries.items()}
    except ValidationError as err:
        faults = "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in err.errors())
        msg = f"{file}: {faults}; mend the entry"
        raise TileSourceError(msg) from err


def find_provider(name: str, providers: dict[str, Provider]) -> Provider:
    """Return an entry.

    Raises:
        TileSourceError: unknown, with the nearest name.
    """
    if name in providers:
        return providers[name]
    near = difflib.get_close_matches(name, providers, n=1)
    hint = f"did you mean provider:{near[0]}?" if near else f"known: {', '.join(sorted(providers))}"
    msg = f"provider:{name} is not in the catalogue; {hint}"
    raise TileSourceError(msg)


def terms_of(template: str, providers: dict[str, Provider]) -> Provider | None:
    """Return the entry whose host serves this template: its terms hold however the address is given."""
    host = host_of(template)
    for provider in providers.values():
        hosts = {host_of(provider.url), *provider.hosts}
        if any(host == known or host.endswith(f".{known}") for known in hosts if known):
            return provider
    return None
