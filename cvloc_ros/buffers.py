# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Hand-over between threads: the newest image, and sensor history sorted by stamp."""

from __future__ import annotations

import bisect
import threading
from typing import Generic, TypeVar

T = TypeVar("T")


class NewestSlot(Generic[T]):
    """Holds at most one item; a newer one replaces it and the replaced one is counted as dropped."""

    def __init__(self) -> None:
        """Start empty."""
        self._condition = threading.Condition()
        self._item: T | None = None
        self._full = False
        self._dropped = 0
        self._closed = False

    def put(self, item: T) -> bool:
        """Store an item; return False when an older one, or (after `close`) this one, was dropped."""
        with self._condition:
            if self._closed:
                self._dropped += 1
                return False
            replaced = self._full
            self._dropped += replaced
            self._item, self._full = item, True
            self._condition.notify()
            return not replaced

    def take(self, timeout_s: float | None = None) -> T | None:
        """Wait for an item and remove it; None after the timeout (None waits for ever) or once closed."""
        with self._condition:
            self._condition.wait_for(lambda: self._full or self._closed, timeout_s)
            item, self._item, self._full = self._item, None, False
            return item

    def clear(self) -> None:
        """Forget the item without counting it as dropped."""
        with self._condition:
            self._item, self._full = None, False

    def close(self) -> None:
        """Wake all waiting threads; items are refused from now on, a stored one is forgotten."""
        with self._condition:
            self._item, self._full, self._closed = None, False, True
            self._condition.notify_all()

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        with self._condition:
            return self._closed

    @property
    def dropped(self) -> int:
        """How many items were replaced before anybody took them."""
        with self._condition:
            return self._dropped


class StampBuffer(Generic[T]):
    """History of stamped items, sorted by stamp whatever the order of arrival, bounded by age.

    All methods return (stamp_ns, item) pairs.
    """

    def __init__(self, age_s: float, jump_s: float = 2.0) -> None:
        """Keep items up to `age_s` older than the newest; older than it by over `jump_s` is a backward clock jump."""
        self._lock = threading.Lock()
        self._age_ns = round(age_s * 1e9)
        self._jump_ns = round(jump_s * 1e9)
        self._stamps: list[int] = []
        self._items: list[T] = []

    def add(self, stamp_ns: int, item: T) -> str:
        """Insert; an item of the same stamp is replaced.

        Returns "" or why it was not stored: "clock_jump" (the clock went backwards; `clear` this and whatever else
        depends on it, then add again) or "too_old" (late, but no jump).
        """
        with self._lock:
            if self._stamps and stamp_ns <= self._stamps[-1]:
                late_ns = self._stamps[-1] - stamp_ns
                if late_ns > self._jump_ns:
                    return "clock_jump"
                if late_ns > self._age_ns:
                    return "too_old"
            index = bisect.bisect_left(self._stamps, stamp_ns)
            if index < len(self._stamps) and self._stamps[index] == stamp_ns:
                self._items[index] = item
                return ""
            self._stamps.insert(index, stamp_ns)
            self._items.insert(index, item)
            stale = bisect.bisect_left(self._stamps, self._stamps[-1] - self._age_ns)
            del self._stamps[:stale], self._items[:stale]
            return ""

    def bracket(self, stamp_ns: int) -> tuple[tuple[int, T] | None, tuple[int, T] | None]:
        """Return the last pair at or before the stamp and the first at or after it (the same one when it is exact)."""
        with self._lock:
            before = bisect.bisect_right(self._stamps, stamp_ns) - 1
            after = bisect.bisect_left(self._stamps, stamp_ns)
            return (
                self._pair(before) if before >= 0 else None,
                self._pair(after) if after < len(self._stamps) else None,
            )

    def between(self, start_ns: int, end_ns: int) -> list[tuple[int, T]]:
        """Return all pairs with start_ns <= stamp <= end_ns, oldest first."""
        with self._lock:
            first = bisect.bisect_left(self._stamps, start_ns)
            last = bisect.bisect_right(self._stamps, end_ns)
            return list(zip(self._stamps[first:last], self._items[first:last], strict=True))

    @property
    def newest(self) -> tuple[int, T] | None:
        """The pair with the largest stamp."""
        with self._lock:
            return self._pair(-1) if self._stamps else None

    @property
    def oldest(self) -> tuple[int, T] | None:
        """The pair with the smallest stamp."""
        with self._lock:
            return self._pair(0) if self._stamps else None

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._stamps.clear()
            self._items.clear()

    def __len__(self) -> int:
        """Return the number of stored items."""
        with self._lock:
            return len(self._stamps)

    def _pair(self, index: int) -> tuple[int, T]:
        return self._stamps[index], self._items[index]
