# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Mosaic of tiles: decode with a memory, placeholders and gaps filled from the parents."""

from __future__ import annotations

import hashlib
from collections import Counter, OrderedDict
from typing import TYPE_CHECKING

import cv2
import numpy as np

from cvloc_ros.tiles import mercator
from cvloc_ros.tiles.decode import Tile, decode_tile
from cvloc_ros.tiles.imagery import Level, Pixels, Window
from cvloc_ros.tiles.places import SUSPECT_PLACES
from cvloc_ros.tiles.store import Answer, TileData, TileKey, TileStore
from cvloc_ros.types import U8, Mask, TileState

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_OVER_ZOOM = 3
"""A gap is filled from at most this many levels above (8 times coarser)."""


class TilePyramid:
    """Tiles of a store as `Imagery`. Not thread-safe; `AerialMap` holds the lock."""

    crs = mercator.CRS

    def __init__(self, store: TileStore, memory_bytes: int) -> None:
        """Take over the store; decoded tiles are kept up to `memory_bytes`."""
        self.store = store
        self.name, self.attribution, self.description = store.name, store.attribution, store.description
        self.is_network, self.bounds = store.is_network, store.bounds
        self.levels = tuple(mercator.level(z, store.tile_size) for z in range(store.min_zoom, store.max_zoom + 1))
        self._decoded = _Decoded(memory_bytes, store.tile_size)

    def read(self, level: Level, window: Window, deadline_s: float) -> Pixels:
        """Compose the window; see `Imagery.read`."""
        placed = mercator.tiles_of(level.number, window, self.store.tile_size)
        keys = [key for key, _ in placed]
        answers = self.store.get(keys, deadline_s)
        faults: dict[TileKey, str] = {}
        tiles = {key: self._usable(key, answers[key], faults) for key in keys}
        gaps = [key for key in keys if tiles[key] is None]
        fill = self._parents(gaps, answers, deadline_s)
        rgb = np.zeros((window.height, window.width, 3), np.uint8)
        valid = np.zeros((window.height, window.width), np.bool_)
        digest = hashlib.blake2b(digest_size=12)
        for key, column in placed:
            tile = tiles[key]
            source = answers[key].content if tile is not None else b""
            if tile is None and key in fill:
                tile, source = fill[key]
            digest.update(b"%d,%d,%d:" % key + source)
            if tile is not None:
                _paste(tile, column, key.y, window, rgb, valid)
        return Pixels(rgb, valid, _state(answers, faults, self.store.trouble()), digest.hexdigest())

    def share(self, level: Level, window: Window) -> float:
        """Return the share of the window's tiles that the store has at this level."""
        keys = [key for key, _ in mercator.tiles_of(level.number, window, self.store.tile_size)]
        return self.store.known(keys) / len(keys) if keys else 0.0

    def version(self) -> int:
        """Return the store's version."""
        return self.store.version()

    def close(self) -> None:
        """Close the store."""
        self.store.close()

    def _usable(self, key: TileKey, answer: TileData, faults: dict[TileKey, str]) -> Tile | None:
        if answer.data is None or answer.places >= SUSPECT_PLACES:
            return None
        tile = self._decoded.get(answer.content, answer.data)
        if isinstance(tile, str):
            faults[key] = f"tile {key.z}/{key.x}/{key.y}: {tile}"
            return None
        return None if tile.blank else tile

    def _parents(
        self, gaps: list[TileKey], answers: Mapping[TileKey, TileData], deadline_s: float
    ) -> dict[TileKey, tuple[Tile, bytes]]:
        """Find the nearest ancestor of each gap; for tiles still under way only what is there already is taken."""
        fill: dict[TileKey, tuple[Tile, bytes]] = {}
        for up in range(1, _OVER_ZOOM + 1):
            left = [key for key in gaps if key not in fill and key.z - up >= self.store.min_zoom]
            if not left:
                break
            waiting = any(answers[key].answer is Answer.MISSING or answers[key].data is not None for key in left)
            parents = self.store.get({key.parent(up) for key in left}, deadline_s if waiting else 0.0)
            for key in left:
                answer = parents[key.parent(up)]
                tile = self._usable(key.parent(up), answer, {})
                if tile is not None:
                    fill[key] = (_enlarge(tile, key, up), answer.content + bytes([up]))
        return fill


class _Decoded:
    """Decoded tiles by content, least recently used out first."""

    def __init__(self, limit_bytes: int, tile_size: int) -> None:
        self._limit, self._size, self._used = limit_bytes, tile_size, 0
        self._tiles: OrderedDict[bytes, Tile | str] = OrderedDict()

    def get(self, content: bytes, data: bytes) -> Tile | str:
        known = self._tiles.get(content)
        if known is not None:
            self._tiles.move_to_end(content)
            return known
        tile = decode_tile(data, self._size)
        self._tiles[content] = tile
        self._used += _cost(tile)
        while self._used > self._limit and len(self._tiles) > 1:
            self._used -= _cost(self._tiles.popitem(last=False)[1])
        return tile


def _cost(tile: Tile | str) -> int:
    return len(tile) if isinstance(tile, str) else tile.nbytes


def _enlarge(tile: Tile, key: TileKey, up: int) -> Tile:
    size = tile.rgb.shape[0]
    part = size >> up
    column = (key.x & ((1 << up) - 1)) * part
    row = (key.y & ((1 << up) - 1)) * part
    area = np.s_[row : row + part, column : column + part]
    rgb = np.asarray(cv2.resize(tile.rgb[area], (size, size), interpolation=cv2.INTER_LINEAR), np.uint8)
    if tile.valid is None:
        return Tile(rgb, None, blank=False)
    valid = cv2.resize(tile.valid[area].astype(np.uint8), (size, size), interpolation=cv2.INTER_NEAREST) > 0
    return Tile(rgb, valid, blank=False)


def _paste(tile: Tile, column: int, y: int, window: Window, rgb: U8, valid: Mask) -> None:
    size = tile.rgb.shape[0]
    left, top = column - window.column, y * size - window.row
    c0, c1 = max(left, 0), min(left + size, window.width)
    r0, r1 = max(top, 0), min(top + size, window.height)
    into, of = np.s_[r0:r1, c0:c1], np.s_[r0 - top : r1 - top, c0 - left : c1 - left]
    rgb[into] = tile.rgb[of]
    valid[into] = True if tile.valid is None else tile.valid[of]


def _state(answers: Mapping[TileKey, TileData], faults: Mapping[TileKey, str], trouble: str) -> TileState:
    counts = Counter(answer.answer for key, answer in answers.items() if key not in faults)
    reasons: Iterable[str] = (*faults.values(), *(answer.reason for answer in answers.values()), trouble)
    return TileState(
        tiles=len(answers),
        cached=counts[Answer.CACHED],
        fetched=counts[Answer.FETCHED],
        pending=counts[Answer.PENDING],
        missing=counts[Answer.MISSING],
        failed=counts[Answer.FAILED] + len(faults),
        stale=counts[Answer.STALE],
        message=next((reason for reason in reasons if reason), ""),
    )
