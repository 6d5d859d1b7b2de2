# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Where the bytes of tiles come from: the answer for each tile is a value, whatever happened."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

from cvloc_ros.tiles.source import Source

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


class TileKey(NamedTuple):
    """Web Mercator tile in XYZ numbering (row 0 is north)."""

    z: int
    x: int
    y: int

    def parent(self, up: int = 1) -> TileKey:
        """Return the tile `up` zoom levels above."""
        return TileKey(self.z - up, self.x >> up, self.y >> up)

    @property
    def tms_row(self) -> int:
        """Row counted from the south, as MBTiles stores it."""
        return (1 << self.z) - 1 - self.y


@enum.unique
class Answer(enum.Enum):
    """What became of a request for a tile."""

    CACHED = "cached"
    FETCHED = "fetched"
    STALE = "stale"
    PENDING = "pending"
    MISSING = "missing"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, eq=False)
class TileData:
    """One answer. `data` is None unless CACHED, FETCHED or STALE; `places` is where else the same bytes were seen."""

    answer: Answer
    data: bytes | None = None
    content: bytes = b""
    places: int = 1
    reason: str = ""


MISSING = TileData(Answer.MISSING)


class TileStore(Source, Protocol):
    """A pyramid of encoded tiles in Web Mercator (EPSG:3857)."""

    @property
    def min_zoom(self) -> int:
        """Coarsest level."""
        ...

    @property
    def max_zoom(self) -> int:
        """Finest level."""
        ...

    @property
    def tile_size(self) -> int:
        """Side of a tile in pixels."""
        ...

    def get(self, keys: Iterable[TileKey], deadline_s: float) -> Mapping[TileKey, TileData]:
        """Answer every key; wait for the network until `deadline_s` of the monotonic clock (0: do not)."""
        ...

    def known(self, keys: Iterable[TileKey]) -> int:
        """Count the keys that can be had without the network."""
        ...

    def trouble(self) -> str:
        """Say what is wrong with the store itself (a full disk, a damaged cache), "" if nothing."""
        ...
