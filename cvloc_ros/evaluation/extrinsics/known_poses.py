# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Poses of base in map from GNSS that is good enough to stand for the truth, with the odometry between the fixes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from cvloc_ros.errors import BagError
from cvloc_ros.estimation.procrustes import procrustes
from cvloc_ros.evaluation.truth import Trajectory
from cvloc_ros.odometry import OdometryTrack
from cvloc_ros.types import F64, OdomSample, Pose2

GOOD_SIGMA_M = 0.2
"""Largest median standard deviation (per axis, as reported) of fixes that stand for the truth."""
_WINDOW_NS = 5_000_000_000
_SPREAD_M = 4.0  # the yaw is as good as a fix over this length
_STEP_NS = 45_000_000
_FEWEST = 4


class MapFix(NamedTuple):
    """A fix in map metres; `lever` (2,) is the antenna in base, `sigma_m` the reported deviation of an axis."""

    stamp_ns: int
    xy: F64
    sigma_m: float
    lever: F64


def from_gnss(fixes: Sequence[MapFix], odometry: Sequence[OdomSample]) -> Trajectory:
    """Lay the odometry of ten seconds onto the fixes of these seconds, at each of its samples; lever arms removed.

    Raises:
        BagError: the fixes are too few, or too poor to say where a camera looks.
    """
    if len(fixes) < _FEWEST or not odometry:
        msg = (
            f"{len(fixes)} usable fixes and {len(odometry)} odometry messages: without truth at least {_FEWEST} fixes "
            "and odometry are needed; give --truth FILE.tum or --truth-topic"
        )
        raise BagError(msg)
    sigma_m = float(np.median([fix.sigma_m for fix in fixes]))
    if sigma_m > GOOD_SIGMA_M:
        msg = (
            f"no truth, and GNSS reports {sigma_m:.2f} m (median): {GOOD_SIGMA_M} m or better is needed, such as RTK; "
            "give --truth FILE.tum or --truth-topic"
        )
        raise BagError(msg)
    track = OdometryTrack(history_s=1e6)
    for sample in odometry:
        track.add(sample)
    known = [(fix, point.pose) for fix in fixes if (point := track.at(fix.stamp_ns)) is not None]
    stamps = np.array([fix.stamp_ns for fix, _ in known])
    samples, last_ns = list[tuple[int, Pose2]](), 0
    for sample in odometry:
        if sample.stamp_ns - last_ns < _STEP_NS:
            continue
        last_ns = sample.stamp_ns
        first, end = np.searchsorted(stamps, (last_ns - _WINDOW_NS, last_ns + _WINDOW_NS))
        pose = _laid(known[first:end], sample.pose)
        if pose is not None:
            samples.append((last_ns, pose))
    found = Trajectory.of(samples, f"GNSS ({sigma_m:.2f} m) and odometry")
    if not len(found):
        msg = f"no ten seconds with {_FEWEST} fixes over {_SPREAD_M:g} m; give --truth FILE.tum or --truth-topic"
        raise BagError(msg)
    return found


def _laid(known: Sequence[tuple[MapFix, Pose2]], now: Pose2) -> Pose2 | None:
    """Pose of base in map, from antenna places seen from base now and the fixes there."""
    if len(known) < _FEWEST:
        return None
    T_now_odom = now.inverse()
    seen = np.array([(T_now_odom @ then).apply(fix.lever) for fix, then in known])
    if math.hypot(*np.ptp(seen, axis=0)) < _SPREAD_M:
        return None
    weights = np.array([fix.sigma_m**-2 for fix, _ in known])
    return procrustes(seen, np.array([fix.xy for fix, _ in known]), weights)
