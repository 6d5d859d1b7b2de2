# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Runs the filter over a drive in the order in which everything arrived, and compares what it knew with the truth."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cvloc_ros.config import Prior
from cvloc_ros.evaluation.fusion.filter import Absolute, PlanarFilter, State
from cvloc_ros.evaluation.metrics import mahalanobis_squared, pose_error, statistics
from cvloc_ros.evaluation.truth import Trajectory
from cvloc_ros.types import F64, OdomSample, Pose2

GATE_SIGMA = 4.5
STEP_NS = 95_000_000
"""Odometry is thinned to about 10 Hz; a drive of ten minutes then takes a second or two."""

Outages = Sequence[tuple[float, float]]
"""Beginnings and lengths in seconds, on the clock of arrival since the start of the drive."""


@dataclass(frozen=True, slots=True, eq=False)
class Drive:
    """What arrived in one drive: `odometry` with the log times of arrival, absolute measurements, and the truth.

    All tracks begin with `start`, a pose that was measured. `zero_ns` is the log time that outages count from.
    """

    odometry: Sequence[tuple[int, OdomSample]]
    measured: Sequence[Absolute]
    truth: Trajectory
    start: Absolute
    start_odometry: Pose2
    zero_ns: int
    history_s: float
    prior: Prior

    def seconds(self, arrival_ns: int) -> float:
        """Return seconds since the start of the drive."""
        return (arrival_ns - self.zero_ns) * 1e-9


@dataclass(frozen=True, slots=True, eq=False)
class Track:
    """What one filter knew at each odometry sample: `t_s` (N,), errors (N, 3) m, m, rad, covariances (N, 3, 3)."""

    t_s: F64
    error: F64
    covariance: F64
    counts: dict[str, dict[str, int]]

    @property
    def position_m(self) -> F64:
        """Horizontal error (N,) in metres."""
        return np.hypot(self.error[:, 0], self.error[:, 1])

    def within(self, start_s: float = 0.0, length_s: float = math.inf) -> dict[str, Any]:
        """Return statistics of the position error in metres, the last one of them, and the mean NEES."""
        chosen = (self.t_s >= start_s) & (self.t_s < start_s + length_s)
        position = self.position_m[chosen]
        nees = mahalanobis_squared(self.error[chosen], self.covariance[chosen])
        return {
            **statistics(position),
            "final": round(float(position[-1]), 6) if len(position) else None,
            "nees_mean": statistics(nees)["mean"],
        }


def run_track(drive: Drive, sources: Iterable[str], outages: Outages = ()) -> Track:
    """Fuse odometry with the sources; GNSS that arrives in an outage is withheld.

    The filter is asked whenever odometry arrives, for the stamp of that odometry, with all that had arrived by then.
    """
    used = set(sources)
    fed = sorted(
        (one for one in drive.measured if one.source in used and not _withheld(drive, one, outages)),
        key=lambda one: one.arrival_ns,
    )
    state = State(drive.start.pose, drive.start.covariance)
    fused = PlanarFilter(
        drive.start.stamp_ns, drive.start_odometry, state, drive.prior, drive.history_s, GATE_SIGMA
    )
    times, errors, covariances, done = list[float](), list[F64](), list[F64](), 0
    for arrival_ns, sample in _thinned(drive.odometry, drive.start.stamp_ns):
        while done < len(fed) and fed[done].arrival_ns <= arrival_ns:
            fused.correct(fed[done])
            done += 1
        fused.move(sample)
        true = drive.truth.at(sample.stamp_ns)
        if true is not None and arrival_ns >= drive.start.arrival_ns:
            times.append(drive.seconds(arrival_ns))
            errors.append(pose_error(fused.state.pose, true))
            covariances.append(fused.state.covariance)
    counts = {"fused": fused.fused, "rejected": fused.rejected, "too_late": fused.too_late}
    return Track(
        np.array(times), np.array(errors).reshape(-1, 3), np.array(covariances).reshape(-1, 3, 3),
        {what: dict(sorted(by_source.items())) for what, by_source in counts.items()},
    )


def _withheld(drive: Drive, measured: Absolute, outages: Outages) -> bool:
    elapsed_s = drive.seconds(measured.arrival_ns)
    return measured.source == "gnss" and any(start <= elapsed_s < start + length for start, length in outages)


def _thinned(odometry: Sequence[tuple[int, OdomSample]], after_ns: int) -> Iterable[tuple[int, OdomSample]]:
    last_ns = after_ns
    for arrival_ns, sample in odometry:
        if sample.stamp_ns - last_ns >= STEP_NS or (last_ns == after_ns < sample.stamp_ns):
            last_ns = sample.stamp_ns
            yield arrival_ns, sample
