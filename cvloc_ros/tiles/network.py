# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Tiles over HTTP: cache first, then two threads that fetch what is wanted now."""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cvloc_ros.tiles.backoff import Backoff
from cvloc_ros.tiles.cache import CacheRow, TileCache
from cvloc_ros.tiles.client import CONNECTIONS, Fault, NoTile, Received, Reply, TileClient, Unchanged
from cvloc_ros.tiles.store import MISSING, Answer, TileData, TileKey
from cvloc_ros.tiles.url import expand_tile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from cvloc_ros.tiles.providers import Provider

_QUEUE = 512
_MISS_S = 7 * 86400.0
_LOAD_ATTEMPTS = 3
_LOAD_PATIENCE_S = 120.0
_JOIN_S = 2.0


@dataclass(frozen=True, slots=True)
class Policy:
    """What may be done with the tiles. `no_prefetch` is "" or the sentence why prefetching is refused."""

    offline: bool = False
    max_age_s: float = 30 * 86400.0
    no_prefetch: str = ""


class NetworkStore:
    """Tiles of one provider as `TileStore`, and the loader of its prefetches. Thread-safe.

    `disk` is None where the licence does not allow storing; `memory` holds tiles in that case, and whenever the disk
    cannot.
    """

    is_network = True
    bounds = None

    def __init__(
        self,
        name: str,
        provider: Provider,
        template: str,
        client: TileClient,
        memory: TileCache,
        disk: TileCache | None,
        policy: Policy,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Take over client and caches; threads start with the first tile that is wanted."""
        self.name, self.attribution = name, provider.attribution
        self.min_zoom, self.max_zoom, self.tile_size = provider.min_zoom, provider.max_zoom, provider.tile_size
        kept = "kept on disk" if disk is not None else "memory only"
        self.description = f"{provider.title} ({provider.licence}; {kept}{'; offline' if policy.offline else ''})"
        self._template, self._client, self._policy, self._clock = template, client, policy, clock
        self._caches = [cache for cache in (disk, memory) if cache is not None]
        self._backoff = Backoff()
        self._changed = threading.Condition()
        self._queue: deque[TileKey] = deque()
        self._busy: set[TileKey] = set()
        self._threads: list[threading.Thread] = []
        self._stopped = False
        self._version = 0

    def get(self, keys: Iterable[TileKey], deadline_s: float) -> Mapping[TileKey, TileData]:
        """Answer every key; see `TileStore.get`."""
        keys = list(keys)
        rows = self._look_up(keys)
        answers = {key: self._judge(key, rows.get(key)) for key in keys}
        self._request([key for key, answer in answers.items() if self._wants(key, answer, rows.get(key))])
        waiting = {key for key, answer in answers.items() if answer.answer is Answer.PENDING}
        arrived = self._wait(waiting, deadline_s)
        rows = self._look_up(arrived)
        for key in arrived:
            answers[key] = self._judge(key, rows.get(key), fresh=Answer.FETCHED)
        return answers

    def known(self, keys: Iterable[TileKey]) -> int:
        """Count the tiles that are in the cache."""
        return sum(row.data is not None for row in self._look_up(keys).values())

    def version(self) -> int:
        """Return the number of tiles that arrived."""
        return self._version

    def trouble(self) -> str:
        """Say what is wrong with the cache on disk, "" if nothing."""
        return next((cache.trouble for cache in self._caches if cache.trouble), "")

    def close(self) -> None:
        """Stop the threads, then close client and caches."""
        with self._changed:
            self._stopped = True
            self._queue.clear()
            self._changed.notify_all()
        for thread in self._threads:
            thread.join(_JOIN_S)
        self._client.close()
        for cache in self._caches:
            cache.close()

    def refusal(self) -> str:
        """Return why prefetching is refused, "" if it is not."""
        if self._policy.offline:
            return "tiles.offline is set: nothing can be fetched; unset it for the prefetch"
        return self._policy.no_prefetch

    def load(self, key: TileKey, stop: threading.Event) -> tuple[Answer, int, str]:
        """Load one tile, patiently; see `Loader.load`."""
        row = self._look_up([key]).get(key)
        if row is not None and row.expires_at_s > self._clock():
            return (Answer.CACHED if row.data is not None else Answer.MISSING), 0, ""
        patience_s, reason = _LOAD_PATIENCE_S, ""
        for _ in range(_LOAD_ATTEMPTS):
            wait = self._backoff.wait_for(key)
            while wait is not None:
                reason = wait.reason
                if wait.refused or wait.seconds > patience_s or stop.wait(min(wait.seconds, 1.0)):
                    return Answer.FAILED, 0, reason
                patience_s -= min(wait.seconds, 1.0)
                wait = self._backoff.wait_for(key)
            reply = self._fetch(key)
            if isinstance(reply, NoTile):
                return Answer.MISSING, 0, ""
            if not isinstance(reply, Fault):
                size = len(reply.data) if isinstance(reply, Received) else 0
                lost = self._caches[0].trouble if not self._caches[0].get_many([key]) else ""
                return (Answer.FAILED if lost else Answer.FETCHED), size, lost
            reason = reply.reason
        return Answer.FAILED, 0, reason

    def pin(self, keys: Sequence[TileKey]) -> None:
        """Protect prefetched tiles from eviction."""
        self._caches[0].pin(keys)

    def _look_up(self, keys: Iterable[TileKey]) -> dict[TileKey, CacheRow]:
        rows: dict[TileKey, CacheRow] = {}
        lacking = list(keys)
        for cache in self._caches:
            rows.update(cache.get_many(lacking))
            lacking = [key for key in lacking if key not in rows]
            if not lacking:
                break
        return rows

    def _judge(self, key: TileKey, row: CacheRow | None, fresh: Answer = Answer.CACHED) -> TileData:
        valid = row is not None and row.expires_at_s > self._clock()
        if row is not None and row.data is not None:
            answer = fresh if valid else Answer.STALE
            reason = "" if valid else "tiles past their expiry are served"
            return TileData(answer, row.data, row.content, row.places, reason)
        if row is not None and (valid or self._policy.offline):
            return MISSING
        if self._policy.offline:
            return TileData(Answer.FAILED, reason="offline, and not in the cache: run `cvloc tiles fetch` before")
        wait = self._backoff.wait_for(key)
        if wait is not None:
            return TileData(Answer.FAILED, reason=f"{wait.reason} (again in {wait.seconds:.0f} s)")
        return TileData(Answer.PENDING)

    def _wants(self, key: TileKey, answer: TileData, row: CacheRow | None) -> bool:
        if self._policy.offline:
            return False
        if answer.answer is Answer.STALE:
            return row is not None and self._backoff.wait_for(key) is None
        return answer.answer is Answer.PENDING

    def _request(self, keys: Sequence[TileKey]) -> None:
        """Queue tiles so that those wanted last are fetched first, in their order."""
        if not keys:
            return
        with self._changed:
            if self._stopped:
                return
            wanted = [key for key in keys if key not in self._busy]
            again = set(wanted)
            older = [key for key in self._queue if key not in again]
            self._queue = deque([*wanted, *older][:_QUEUE])
            if not self._threads:
                self._threads = [
                    threading.Thread(target=self._work, name=f"cvloc-tiles-{n}", daemon=True)
                    for n in range(CONNECTIONS)
                ]
                for thread in self._threads:
                    thread.start()
            self._changed.notify_all()

    def _wait(self, keys: set[TileKey], deadline_s: float) -> list[TileKey]:
        """Wait until none of the keys is queued or being fetched, or the deadline; return those that are done."""
        with self._changed:
            while True:
                left = {key for key in keys if key in self._busy} | (keys & set(self._queue))
                remaining_s = deadline_s - time.monotonic()
                if not left or remaining_s <= 0 or self._stopped:
                    return [key for key in keys if key not in left]
                self._changed.wait(remaining_s)

    def _work(self) -> None:
        while True:
            with self._changed:
                while not self._queue and not self._stopped:
                    self._changed.wait()
                if self._stopped:
                    return
                key = self._queue.popleft()
                self._busy.add(key)
            try:
                if self._backoff.wait_for(key) is None:
                    self._fetch(key)
            finally:
                with self._changed:
                    self._busy.discard(key)
                    self._changed.notify_all()

    def _fetch(self, key: TileKey) -> Reply:
        """Ask the server for one tile and keep what it says."""
        row = self._look_up([key]).get(key)
        known = row if row is not None and row.data is not None else None
        reply = self._client.fetch(
            expand_tile(self._template, key),
            known.etag if known is not None else "",
            known.last_modified if known is not None else "",
        )
        now = self._clock()
        if isinstance(reply, Fault):
            if reply.all_tiles:
                self._backoff.all_failed(reply.reason, reply.pause_s)
            else:
                self._backoff.tile_failed(key, reply.reason, refused=reply.refused)
            return reply
        self._backoff.succeeded(key)
        if isinstance(reply, Unchanged):
            for cache in self._caches:
                cache.renew(key, now + max(reply.max_age_s, self._policy.max_age_s))
        elif isinstance(reply, NoTile):
            self._keep(key, CacheRow(None, status=reply.status, fetched_at_s=now, expires_at_s=now + _MISS_S))
        else:
            expires_s = now + max(reply.max_age_s, self._policy.max_age_s)
            self._keep(key, CacheRow(reply.data, reply.content, 200, reply.etag, reply.last_modified, now, expires_s))
        with self._changed:
            self._version += 1
        return reply

    def _keep(self, key: TileKey, row: CacheRow) -> None:
        """Store in the first cache that takes it."""
        for cache in self._caches:
            if cache.put(key, row):
                return
