# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The last places whose views are matched together with the current ones."""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from cvloc_ros.config import Matching
from cvloc_ros.odometry import TrackPoint
from cvloc_ros.types import GroundView


@dataclass(frozen=True, slots=True, eq=False)
class _Keyframe:
    point: TrackPoint
    views: tuple[GroundView, ...]


class Keyframes:
    """Keeps views by travelled distance and carries them to the current pose by odometry."""

    def __init__(self, config: Matching) -> None:
        self._config = config
        self._kept: deque[_Keyframe] = deque(maxlen=config.keyframes)

    def clear(self) -> None:
        """Forget all places."""
        self._kept.clear()

    def join(self, views: Sequence[GroundView], here: TrackPoint) -> tuple[list[GroundView], int]:
        """Return the current views with those of earlier places, seen from here, and how many places that are.

        The current place is kept for later if it is far enough from the last one.
        """
        config = self._config
        back = here.pose.inverse()
        joined, places = list(views), 1
        for kept in reversed(self._kept):
            travelled = here.travelled_m - kept.point.travelled_m
            if travelled < config.keyframe_spacing_m / 2 or places >= config.keyframes:
                continue  # the same place again: nothing new, and its odometry is correlated
            if travelled > config.keyframe_max_age_m:
                break
            T_here_then = back @ kept.point.pose
            joined += [dataclasses.replace(view, T_ref_base=T_here_then @ view.T_ref_base) for view in kept.views]
            places += 1
        last = self._kept[-1].point.travelled_m if self._kept else -float("inf")
        if here.travelled_m - last >= config.keyframe_spacing_m:
            self._kept.append(_Keyframe(here, tuple(views)))
        return joined, places
