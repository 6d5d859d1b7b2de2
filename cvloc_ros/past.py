# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The last attempts that were sure of their place, as far as they help to choose among places that look alike."""

from __future__ import annotations

from collections import deque

from cvloc_ros.config import Estimation
from cvloc_ros.estimation.earlier import Earlier, Outlook, condense
from cvloc_ros.odometry import TrackPoint
from cvloc_ros.types import LocalizationResult

SPACING_M = 10.0
"""Attempts nearer to each other see nearly the same ground."""


class Past:
    """Keeps what attempts said by travelled distance, and carries it to the current pose by odometry."""

    def __init__(self) -> None:
        self._kept: deque[tuple[TrackPoint, Outlook]] = deque()

    def clear(self) -> None:
        """Forget all attempts."""
        self._kept.clear()

    def seen_from(self, here: TrackPoint, config: Estimation) -> Earlier:
        """Return the attempts of the last `earlier_m` metres, but those that see what is seen from here."""
        while self._kept and here.travelled_m - self._kept[0][0].travelled_m > config.earlier_m:
            self._kept.popleft()
        back = here.pose.inverse()
        away = [kept for kept in self._kept if here.travelled_m - kept[0].travelled_m >= SPACING_M]
        return [(outlook, back @ point.pose) for point, outlook in away]

    def add(self, point: TrackPoint, result: LocalizationResult, config: Estimation) -> None:
        """Keep what an attempt said about the places of its window, if it found its own without help.

        Those that were in doubt say nothing: where a matcher leans a little towards the same wrong place in each of
        them, along a motorway, they would make each other sure of it.
        """
        near = self._kept and point.travelled_m - self._kept[-1][0].travelled_m < SPACING_M
        if near or result.volume is None or result.estimate is None or config.earlier_m == 0.0:
            return
        from cvloc_ros.estimation.volume import from_volume  # brings torch

        alone = from_volume(result.volume, config, result.prior)
        outlook = condense(result.volume, config.temperature)
        if alone is not None and outlook is not None and alone.ambiguity <= config.max_ambiguity:
            self._kept.append((point, outlook))
