# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the node has seen and done, kept for /diagnostics and the status message."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from cvloc_ros.types import F64, NOT_ATTEMPTED, LocalizationResult, Status

RECENT = 50
"""Attempts that the acceptance rate and the timings are taken over."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One result with the time it was finished (monotonic, s) and its age then (ROS clock, s)."""

    result: LocalizationResult
    at_s: float
    latency_s: float
    innovation_sigma: float


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """The state at one moment. Ages are in seconds; an input that never came has none.

    `troubles` holds standing faults by key (QoS, types, calibration), each a sentence with the remedy.
    """

    ages_s: Mapping[str, float]
    received: Mapping[str, int]
    refused: Mapping[str, int]
    troubles: Mapping[str, str]
    attempts: int
    published: int
    rejected_in_a_row: int
    recent: tuple[Attempt, ...]
    clock_jumps: int
    clock_jump_age_s: float | None
    clock_jump: str
    pose_age_s: float | None
    waiting_s: float | None
    """Since the last pose, or since one could be expected: activation, end of a pause. None while none can be."""

    idle: LocalizationResult | None
    """Why the latest image was not tried; None if it was."""


@dataclass(slots=True)
class Health:
    """Thread-safe record of inputs, refusals, standing faults and attempts."""

    clock: Callable[[], float] = time.monotonic
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _seen: dict[str, float] = field(default_factory=dict)
    _received: Counter[str] = field(default_factory=Counter)
    _refused: Counter[str] = field(default_factory=Counter)
    _troubles: dict[str, str] = field(default_factory=dict)
    _recent: deque[Attempt] = field(default_factory=lambda: deque(maxlen=RECENT))
    _attempts: int = 0
    _published: int = 0
    _rejected_in_a_row: int = 0
    _jumps: int = 0
    _jump: tuple[float, str] | None = None
    _pose_at: float | None = None
    _waiting_from: float | None = None
    _idle: LocalizationResult | None = None

    def expect(self, source: str) -> None:
        """Start the age of an input that should come, so that silence from the start is noticed."""
        with self._lock:
            now = self.clock()
            self._seen.setdefault(source, now)
            if self._waiting_from is None:
                self._waiting_from = now

    def seen(self, source: str) -> None:
        """Note that an input arrived."""
        with self._lock:
            self._seen[source] = self.clock()
            self._received[source] += 1

    def refuse(self, source: str, reason: str) -> None:
        """Count an input that was not used."""
        with self._lock:
            self._refused[f"{source}: {reason}"] += 1

    def trouble(self, key: str, text: str) -> None:
        """Set (or with "" clear) a standing fault."""
        with self._lock:
            if text:
                self._troubles[key] = text
            else:
                self._troubles.pop(key, None)

    def jump(self, text: str) -> None:
        """Note a backward jump of the clock."""
        with self._lock:
            self._jumps += 1
            self._jump = (self.clock(), text)

    def attempt(self, result: LocalizationResult, latency_s: float, innovation_sigma: float) -> int:
        """Note one result; return the number of attempts so far."""
        with self._lock:
            now = self.clock()
            if self._idle is not None and self._idle.status is Status.DISABLED:
                self._waiting_from = now
            if result.status in NOT_ATTEMPTED:
                self._idle = result
                return self._attempts
            self._attempts += 1
            self._idle = None
            if result.status is Status.OK:
                self._published += 1
                self._rejected_in_a_row = 0
                self._pose_at = self._waiting_from = now
            elif result.candidate is not None:
                self._rejected_in_a_row += 1
            self._recent.append(Attempt(_without_pictures(result), now, latency_s, innovation_sigma))
            return self._attempts

    def place(self) -> F64 | None:
        """Return the last known map position (2,): of an estimate, or where a search was made."""
        with self._lock:
            for attempt in reversed(self._recent):
                result = attempt.result
                if result.estimate is not None:
                    return result.estimate.pose.xy
                if result.prior is not None:
                    return result.prior.pose.xy
        return None

    def clear_inputs(self) -> None:
        """Forget ages and standing faults (when subscriptions end)."""
        with self._lock:
            self._seen.clear()
            self._troubles.clear()
            self._waiting_from = None

    def snapshot(self) -> Snapshot:
        """Return the state of this moment."""
        with self._lock:
            now = self.clock()
            return Snapshot(
                ages_s={source: now - at for source, at in self._seen.items()},
                received=dict(self._received),
                refused=dict(self._refused),
                troubles=dict(self._troubles),
                attempts=self._attempts,
                published=self._published,
                rejected_in_a_row=self._rejected_in_a_row,
                recent=tuple(self._recent),
                clock_jumps=self._jumps,
                clock_jump_age_s=None if self._jump is None else now - self._jump[0],
                clock_jump="" if self._jump is None else self._jump[1],
                pose_age_s=None if self._pose_at is None else now - self._pose_at,
                waiting_s=None if self._waiting_from is None else now - self._waiting_from,
                idle=self._idle,
            )


def _without_pictures(result: LocalizationResult) -> LocalizationResult:
    """Return what is told of a result: fifty of them with images, imagery and scores would fill the memory."""
    patch = result.patch
    if patch is not None:
        patch = dataclasses.replace(patch, rgb=np.zeros((0, 0, 3), np.uint8), valid=np.zeros((0, 0), np.bool_))
    return dataclasses.replace(result, patch=patch, views=(), volume=None, matches=None)
