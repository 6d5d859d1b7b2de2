# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Planar Kalman filter; late measurements at their stamp, as robot_localization has them with `smooth_lagged_data`.

State: pose of base in map. Odometry moves it, absolute measurements correct it. Nothing else is estimated, neither
the scale of the odometry nor the bias of its gyro nor that of GNSS: robot_localization has no such states either.
"""

from __future__ import annotations

import bisect
import math
from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from cvloc_ros.config import Prior
from cvloc_ros.geo import se2
from cvloc_ros.types import F64, OdomSample, Pose2

PERSISTENCE_M = 100.0
PERSISTENCE_S = 10.0
"""The drift of `prior.odom_drift_*` grows with the way, as a wrong scale does; a filter without a state for it takes it
as noise. The noise amounts to that drift after this way and this time: it is too large before, too small after."""


@dataclass(frozen=True, slots=True, eq=False)
class Absolute:
    """A measurement in the map: a pose (`covariance` (3, 3)), or the position of `lever` (2,) in base ((2, 2))."""

    stamp_ns: int
    arrival_ns: int
    source: str
    pose: Pose2
    covariance: F64
    lever: F64 = field(default_factory=lambda: np.zeros(2))


@dataclass(frozen=True, slots=True, eq=False)
class State:
    """Pose of base in map with covariance (3, 3) over x, y (m), yaw (rad)."""

    pose: Pose2
    covariance: F64


@dataclass(slots=True, eq=False)
class _Step:
    stamp_ns: int
    odometry: Pose2
    measured: Absolute | None
    state: State


class PlanarFilter:
    """Keeps the states of the last `history_s` seconds, to start again from the one before a late measurement.

    A measurement further than `gate_sigma` (Mahalanobis distance of the innovation) from the prediction is rejected,
    one older than the history is left out. `rejected`, `too_late` and `fused` count them by source; a measurement
    counts by what became of it the last time it was applied.
    """

    def __init__(
        self, stamp_ns: int, odometry: Pose2, start: State, prior: Prior, history_s: float, gate_sigma: float
    ) -> None:
        """Start at a stamp with the pose of base in odom then, and the state then."""
        self._prior, self._history_ns, self._gate = prior, round(history_s * 1e9), gate_sigma
        self._steps = [_Step(stamp_ns, odometry, None, start)]
        self._start_ns = stamp_ns
        self._waiting: list[Absolute] = []
        self._refused: set[Absolute] = set()
        self._applied: Counter[str] = Counter()
        self.too_late: Counter[str] = Counter()

    @property
    def state(self) -> State:
        """The state at the newest odometry."""
        return self._steps[-1].state

    @property
    def rejected(self) -> Counter[str]:
        """Measurements that lay outside the gate."""
        return Counter(measured.source for measured in self._refused)

    @property
    def fused(self) -> Counter[str]:
        """Measurements that the state rests on."""
        return self._applied - self.rejected

    def move(self, sample: OdomSample) -> None:
        """Go on to a sample; one that is not newer than the last is left out. Measurements that waited are applied."""
        if sample.stamp_ns <= self._steps[-1].stamp_ns:
            return
        self._insert(sample.stamp_ns, sample.pose, None)
        waiting, self._waiting = self._waiting, []
        for measured in waiting:
            self.correct(measured)
        oldest_ns = self._steps[-1].stamp_ns - self._history_ns
        del self._steps[: max(0, self._after(oldest_ns) - 1)]  # the step before the limit stays, to start from

    def correct(self, measured: Absolute) -> None:
        """Apply a measurement at its stamp; one that is ahead of the odometry waits for it."""
        newest_ns = self._steps[-1].stamp_ns
        if measured.stamp_ns > newest_ns:
            self._waiting.append(measured)
        elif measured.stamp_ns < max(self._start_ns, newest_ns - self._history_ns):
            self.too_late[measured.source] += 1
        else:
            self._applied[measured.source] += 1
            self._insert(measured.stamp_ns, self._odometry_at(measured.stamp_ns), measured)

    def _after(self, stamp_ns: int) -> int:
        return bisect.bisect_right(self._steps, stamp_ns, key=lambda step: step.stamp_ns)

    def _odometry_at(self, stamp_ns: int) -> Pose2:
        index = self._after(stamp_ns)
        before = self._steps[index - 1]
        if before.stamp_ns == stamp_ns or index == len(self._steps):
            return before.odometry
        after = self._steps[index]
        share = (stamp_ns - before.stamp_ns) / (after.stamp_ns - before.stamp_ns)
        return se2.interpolate(before.odometry, after.odometry, share)

    def _insert(self, stamp_ns: int, odometry: Pose2, measured: Absolute | None) -> None:
        """Add a step and work out it and all later ones again."""
        first = self._after(stamp_ns)
        self._steps.insert(first, _Step(stamp_ns, odometry, measured, self._steps[first - 1].state))
        for before, step in zip(self._steps[first - 1 :], self._steps[first:], strict=False):
            step.state = self._predict(before, step)
            if step.measured is not None:
                step.state = self._update(step.state, step.measured)

    def _predict(self, before: _Step, step: _Step) -> State:
        if before.stamp_ns == step.stamp_ns:
            return before.state
        moved = se2.relative(before.odometry, step.odometry)
        noise = drift_noise(math.hypot(moved.x_m, moved.y_m), (step.stamp_ns - before.stamp_ns) * 1e-9, self._prior)
        return State(*se2.compose(before.state.pose, before.state.covariance, moved, noise))

    def _update(self, state: State, measured: Absolute) -> State:
        size = len(measured.covariance)
        by_state = np.eye(size, 3)
        seen = state.pose
        if size == 2:
            offset = Pose2(0.0, 0.0, state.pose.yaw_rad).apply(measured.lever)
            seen = Pose2.at(state.pose.xy + offset, 0.0)
            by_state[:, 2] = -offset[1], offset[0]
        innovation = se2.difference(measured.pose, seen)[:size]
        spread = by_state @ state.covariance @ by_state.T + measured.covariance
        if innovation @ np.linalg.solve(spread, innovation) > self._gate**2:
            self._refused.add(measured)
            return state
        self._refused.discard(measured)
        gain = np.linalg.solve(spread, by_state @ state.covariance).T
        step = gain @ innovation
        pose = Pose2.at(state.pose.xy + step[:2], math.remainder(state.pose.yaw_rad + float(step[2]), math.tau))
        left = np.eye(3) - gain @ by_state
        # Joseph's form stays positive definite whatever the rounding of the gain.
        return State(pose, se2.symmetric(left @ state.covariance @ left.T + gain @ measured.covariance @ gain.T))


def drift_noise(travelled_m: float, elapsed_s: float, prior: Prior) -> F64:
    """Return the covariance (3, 3) that odometry adds, white: it grows with the way and the time, not their square."""
    along = prior.odom_drift_m_per_m**2 * PERSISTENCE_M * travelled_m
    by_way = math.radians(prior.odom_drift_deg_per_m) ** 2 * PERSISTENCE_M * travelled_m
    by_time = math.radians(prior.odom_drift_deg_per_s) ** 2 * PERSISTENCE_S * elapsed_s
    return np.diag([along, along, by_way + by_time])
