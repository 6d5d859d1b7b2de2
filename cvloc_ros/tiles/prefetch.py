# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Loading the tiles of a region ahead of the drive."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

import numpy as np

from cvloc_ros.errors import TileSourceError
from cvloc_ros.tiles import mercator, warp
from cvloc_ros.tiles.store import Answer, TileKey

if TYPE_CHECKING:
    from cvloc_ros.geo.projection import Projection
    from cvloc_ros.tiles.imagery import Imagery
    from cvloc_ros.types import F64

Progress = Callable[[int, int], "bool | None"]
_PARENTS = 2
_FAILURES_IN_A_ROW = 5
"""The rest is not tried after this many: the network is gone or the disk is full."""


@dataclass(frozen=True, slots=True)
class PrefetchResult:
    """What a prefetch did: numbers of tiles, bytes received, and the first reason why some lack."""

    tiles: int = 0
    cached: int = 0
    fetched: int = 0
    missing: int = 0
    failed: int = 0
    received_bytes: int = 0
    stopped: bool = False
    reason: str = ""

    @property
    def complete(self) -> bool:
        """Whether every tile that the server has is in the cache now."""
        return self.failed == 0 and not self.stopped


class Loader(Protocol):
    """The network side of a prefetch."""

    def refusal(self) -> str:
        """Return "" or the sentence why prefetching is not allowed or not possible."""
        ...

    def load(self, key: TileKey, stop: threading.Event) -> tuple[Answer, int, str]:
        """Load one tile into the cache; return (what became of it, bytes received, reason). Blocks."""
        ...

    def pin(self, keys: Sequence[TileKey]) -> None:
        """Keep these tiles when the cache is full."""
        ...


class Prefetcher:
    """Plans and runs prefetches of one network source."""

    def __init__(self, imagery: Imagery, loader: Loader) -> None:
        """Take the source and its loader."""
        self._imagery, self._loader = imagery, loader
        self._stop = threading.Event()

    def check(self) -> None:
        """Raise TileSourceError where the provider does not allow prefetching, or the map is offline."""
        refusal = self._loader.refusal()
        if refusal:
            raise TileSourceError(refusal)

    def plan(
        self, projection: Projection, points: F64, corridor_m: float, resolution_m: float, zoom: int = -1
    ) -> list[TileKey]:
        """List the tiles within `corridor_m` of the line through map points (N, 2), in the order of travel."""
        keys: dict[TileKey, None] = {}
        for point in _along(points, corridor_m):
            side_px = max(round(2 * corridor_m / resolution_m), 1)
            left, top = float(point[0]) - corridor_m, float(point[1]) + corridor_m
            frame = warp.Frame(left, top, side_px, resolution_m)
            level = warp.choose_level(self._imagery, projection, frame, zoom)
            ring = projection.crs_from_map(frame.outline(), self._imagery.crs)
            box = (*ring.min(axis=0), *ring.max(axis=0))
            keys.update(dict.fromkeys(mercator.tiles_of_box(level.number, box)))
        return list(keys)

    def run(self, keys: Iterable[TileKey], progress: Progress | None = None) -> PrefetchResult:
        """Load the tiles, and for those that the server lacks their parents.

        Raises:
            TileSourceError: the provider does not allow it, or the map is offline.
        """
        self.check()
        wanted = list(keys)
        result = PrefetchResult(tiles=len(wanted))
        for _ in range(_PARENTS + 1):
            result, lacking = self._pass(wanted, result, progress)
            wanted = list(dict.fromkeys(key.parent() for key in lacking if key.z > self._imagery.levels[0].number))
            if not wanted or result.stopped:
                break
            result = replace(result, tiles=result.tiles + len(wanted))
        return result

    def stop(self) -> None:
        """End a running prefetch soon."""
        self._stop.set()

    def _pass(
        self, keys: Sequence[TileKey], result: PrefetchResult, progress: Progress | None
    ) -> tuple[PrefetchResult, list[TileKey]]:
        lacking: list[TileKey] = []
        in_a_row = 0
        done = result.cached + result.fetched + result.missing + result.failed
        for key in keys:
            if self._stop.is_set():
                return replace(result, stopped=True, reason=result.reason or "stopped"), lacking
            answer, received, reason = self._loader.load(key, self._stop)
            result = _count(result, answer, received, reason)
            if answer is Answer.MISSING:
                lacking.append(key)
            done += 1
            in_a_row = in_a_row + 1 if answer in (Answer.FAILED, Answer.PENDING) else 0
            if in_a_row >= _FAILURES_IN_A_ROW:
                return replace(result, stopped=True), lacking
            if progress is not None and progress(done, result.tiles) is False:
                return replace(result, stopped=True, reason=result.reason or "stopped"), lacking
        self._loader.pin(keys)
        return result, lacking


def _count(result: PrefetchResult, answer: Answer, received: int, reason: str) -> PrefetchResult:
    return replace(
        result,
        cached=result.cached + (answer in (Answer.CACHED, Answer.STALE)),
        fetched=result.fetched + (answer is Answer.FETCHED),
        missing=result.missing + (answer is Answer.MISSING),
        failed=result.failed + (answer in (Answer.FAILED, Answer.PENDING)),
        received_bytes=result.received_bytes + received,
        reason=result.reason or reason,
    )


def _along(points: F64, step_m: float) -> F64:
    """Points (M, 2) on the line through (N, 2), at most `step_m` apart."""
    dense = [points[:1]]
    for start, end in itertools.pairwise(points):
        count = max(int(np.ceil(np.linalg.norm(end - start) / max(step_m, 1.0))), 1)
        dense.append(start + (end - start) * (np.arange(1, count + 1) / count)[:, None])
    return np.concatenate(dense)
