# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Odometry as a track: pose and travelled distance at any stamp that it covers."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from cvloc_ros.buffers import StampBuffer
from cvloc_ros.types import OdomSample, Pose2

JUMP_M = 3.0
JUMP_MPS = 100.0
"""Further than this within the time between two samples, the odometry was restarted or reset."""


@dataclass(frozen=True, slots=True)
class TrackPoint:
    """Base in odom at a stamp, and the distance travelled along the track since it began."""

    stamp_ns: int
    pose: Pose2
    travelled_m: float


class OdometryTrack:
    """Interpolates between samples; never beyond the last one, never across a gap."""

    def __init__(self, history_s: float, max_gap_s: float = 1.0) -> None:
        """Keep `history_s` seconds; neighbours further apart than `max_gap_s` are not joined."""
        self._samples: StampBuffer[TrackPoint] = StampBuffer(history_s)
        self._max_gap_ns = round(max_gap_s * 1e9)
        self.restarts = 0
        """How often the pose jumped; what was carried by the track before is worthless then."""

    def __len__(self) -> int:
        """Return the number of samples that are kept."""
        return len(self._samples)

    def add(self, sample: OdomSample) -> str:
        """Store a sample; return "" or why it was refused (not_finite, clock_jump, too_old).

        A pose that no vehicle can have reached since the last sample begins a new track (`restarts`).
        """
        if not all(math.isfinite(v) for v in (sample.pose.x_m, sample.pose.y_m, sample.pose.yaw_rad)):
            return "not_finite"
        before, after = self._samples.bracket(sample.stamp_ns)
        travelled = 0.0
        if before is not None:
            # A sample that arrives late lies on the way whose length is known already.
            bound = after[1].travelled_m if after is not None else math.inf
            moved = _distance(before[1].pose, sample.pose)
            if after is None and moved > JUMP_M + JUMP_MPS * (sample.stamp_ns - before[0]) * 1e-9:
                self.clear()
                self.restarts += 1
            else:
                travelled = min(before[1].travelled_m + moved, bound)
        return self._samples.add(sample.stamp_ns, TrackPoint(sample.stamp_ns, sample.pose, travelled))

    def at(self, stamp_ns: int) -> TrackPoint | None:
        """Interpolate at the stamp; None outside the track or inside a gap."""
        before, after = self._samples.bracket(stamp_ns)
        if before is None or after is None or after[0] - before[0] > self._max_gap_ns:
            return None
        if after[0] == before[0]:
            return before[1]
        first, second = before[1], after[1]
        share = (stamp_ns - before[0]) / (after[0] - before[0])
        turn = math.remainder(second.pose.yaw_rad - first.pose.yaw_rad, math.tau)
        x, y = first.pose.xy + share * (second.pose.xy - first.pose.xy)
        pose = Pose2(float(x), float(y), math.remainder(first.pose.yaw_rad + share * turn, math.tau))
        return TrackPoint(stamp_ns, pose, float(np.interp(share, [0, 1], [first.travelled_m, second.travelled_m])))

    def nearest(self, stamp_ns: int) -> TrackPoint | None:
        """Point at the stamp, or the end of the track that is closest to it."""
        point = self.at(stamp_ns)
        if point is not None:
            return point
        ends = [pair[1] for pair in self._samples.bracket(stamp_ns) if pair is not None]
        return min(ends, key=lambda end: abs(end.stamp_ns - stamp_ns), default=None)

    @property
    def newest_ns(self) -> int | None:
        """Stamp up to which the track reaches."""
        newest = self._samples.newest
        return newest[0] if newest else None

    def clear(self) -> None:
        """Forget the track."""
        self._samples.clear()


def _distance(a: Pose2, b: Pose2) -> float:
    return math.hypot(b.x_m - a.x_m, b.y_m - a.y_m)
