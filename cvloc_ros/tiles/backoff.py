# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""When to try again: nothing is failed for ever, and nobody is hammered."""

from __future__ import annotations

import random
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from cvloc_ros.tiles.store import TileKey

_FIRST_S = 2.0
_LAST_S = 600.0
_LAST_OF_ALL_S = 60.0
"""Longest pause of a provider that does not answer: one question a minute bothers nobody, and the map is back soon
after a long tunnel."""
_JITTER = 0.25
_LONGEST_WISH_S = 3600.0
_REMEMBERED = 20000
_REFUSALS_OF_ALL = 3
"""This many refusals (401, 403) in a row without a success mean all tiles, not one."""
_FAULTS_OF_ALL = 6
"""The same for other faults."""
_REFUSAL_S = 30.0


@dataclass(frozen=True, slots=True)
class Wait:
    """Why and how long something is not asked for."""

    reason: str
    seconds: float
    refused: bool = False
    """The server said that it may not be had: waiting hardly helps."""


@dataclass(slots=True)
class _Fault:
    reason: str
    count: int
    until_s: float
    refused: bool = False


class Backoff:
    """Pauses of single tiles and of the whole provider, doubling with every fault in a row. Thread-safe."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, rng: random.Random | None = None) -> None:
        """Take a clock in seconds and a source of jitter."""
        self._clock, self._rng = clock, rng or random.Random()  # noqa: S311 (no cryptography)
        self._lock = threading.Lock()
        self._tiles: dict[TileKey, _Fault] = {}
        self._all: _Fault | None = None
        self._in_a_row = 0

    def tile_failed(self, key: TileKey, reason: str, *, refused: bool = False) -> None:
        """Note a fault of one tile; `refused`: the server said that it may not be had."""
        with self._lock:
            if len(self._tiles) >= _REMEMBERED:
                self._tiles.clear()
            self._tiles[key] = self._next(self._tiles.get(key), reason, 0.0, refused=refused)
            self._in_a_row += 1
            if self._in_a_row >= (_REFUSALS_OF_ALL if refused else _FAULTS_OF_ALL):
                least_s = _REFUSAL_S if refused else 0.0
                self._all = self._next(self._all, reason, least_s, refused=refused, of_all=True)

    def all_failed(self, reason: str, wish_s: float = 0.0) -> None:
        """Note that the provider cannot be asked now; `wish_s` is its own Retry-After."""
        with self._lock:
            self._all = self._next(self._all, reason, min(wish_s, _LONGEST_WISH_S), of_all=True)

    def succeeded(self, key: TileKey) -> None:
        """Forget faults of the tile and of the provider."""
        with self._lock:
            self._tiles.pop(key, None)
            self._all, self._in_a_row = None, 0

    def wait_for(self, key: TileKey) -> Wait | None:
        """Return why and how long this tile must wait, None if it may be asked for."""
        with self._lock:
            now = self._clock()
            for fault in (self._all, self._tiles.get(key)):
                if fault is not None and fault.until_s > now:
                    return Wait(fault.reason, fault.until_s - now, fault.refused)
            return None

    def _next(
        self, fault: _Fault | None, reason: str, least_s: float, *, refused: bool = False, of_all: bool = False
    ) -> _Fault:
        """Make the next longer pause; a request that was under way when the last pause began does not lengthen it."""
        now = self._clock()
        count = 1 if fault is None else fault.count + (fault.until_s <= now)
        last_s = _LAST_OF_ALL_S if of_all and not refused else _LAST_S
        delay_s = min(_FIRST_S * 2.0 ** (count - 1), last_s) * (1.0 + _JITTER * self._rng.random())
        return _Fault(reason, count, now + max(delay_s, least_s), refused)
