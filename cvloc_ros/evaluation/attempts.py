# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What is kept of every attempt (images and score volumes are not), and its comparison with truth and GNSS."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from cvloc_ros.errors import TransformError
from cvloc_ros.evaluation.feed import lever_arm
from cvloc_ros.evaluation.mosaic import PatchMosaic
from cvloc_ros.evaluation.replay import Outcome
from cvloc_ros.evaluation.truth import Trajectory
from cvloc_ros.geo import se3
from cvloc_ros.session import Session
from cvloc_ros.types import (
    F64,
    NOT_ATTEMPTED,
    GeoFix,
    Pose2,
    PoseEstimate,
    PosePrior,
    SearchWindow,
    Status,
    TileState,
)

INSIDE_SHARE = 0.8
GNSS_GAP_S = 3.0


@dataclass(frozen=True, slots=True, eq=False)
class Attempt:
    """One image set. `estimate` was published, `candidate` is that or the pose that was refused.

    `cameras` are those whose images of this moment were matched.
    """

    number: int
    stamp_ns: int
    log_time_ns: int
    cameras: tuple[str, ...]
    status: Status
    reasons: tuple[str, ...]
    estimate: PoseEstimate | None
    candidate: PoseEstimate | None
    prior: PosePrior | None
    window: SearchWindow | None
    tiles: TileState
    attribution: str
    T_odom_base: Pose2 | None
    timings_s: Mapping[str, float] = field(default_factory=dict)
    wall_s: float = 0.0

    @property
    def tried(self) -> bool:
        """False where localization was not attempted on purpose."""
        return self.status not in NOT_ATTEMPTED


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """An attempt beside the truth. `gnss` (2,) is base in map by GNSS alone, interpolated at the stamp."""

    attempt: Attempt
    truth: Pose2 | None
    gnss: F64 | None
    inside: bool


def record(number: int, outcome: Outcome, session: Session) -> Attempt:
    """Keep what the evaluation needs of an outcome."""
    result = outcome.result
    return Attempt(
        number=number,
        stamp_ns=result.stamp_ns,
        log_time_ns=outcome.log_time_ns,
        cameras=result.cameras,
        status=result.status,
        reasons=result.reasons,
        estimate=result.estimate,
        candidate=result.estimate or result.candidate,
        prior=result.prior,
        window=result.window,
        tiles=result.patch.tiles if result.patch else TileState(),
        attribution=result.patch.attribution if result.patch else "",
        T_odom_base=_odometry(session, result.stamp_ns),
        timings_s=dict(result.timings_s),
        wall_s=outcome.wall_s,
    )


def judge(
    attempts: Sequence[Attempt], truth: Trajectory | None, gnss: Trajectory | None, mosaic: PatchMosaic
) -> list[Judged]:
    """Set every attempt beside truth and GNSS, and tell whether the map covered the place.

    Inside the map means: at least 80 % of the street (10 m ahead and behind, 3 m to each side) around the true pose
    has imagery; around the prior where there is no truth. Without either, an attempt counts as inside, so that a
    failure is never excused for want of knowledge.
    """
    judged = []
    for attempt in attempts:
        true_pose = truth.at(attempt.stamp_ns) if truth else None
        place = true_pose or (attempt.prior.pose if attempt.prior else None)
        inside = place is None or mosaic.street_share(place) >= INSIDE_SHARE
        fix = gnss.at(attempt.stamp_ns, GNSS_GAP_S) if gnss else None
        judged.append(Judged(attempt, true_pose, None if fix is None else fix.xy, inside))
    return judged


def gnss_track(fixes: Sequence[GeoFix], session: Session, truth: Trajectory | None) -> Trajectory | None:
    """Return the GNSS positions of base in map; the antenna's lever arm is taken off with the true yaw."""
    projection = session.projection
    if projection is None or not fixes:
        return None
    points = projection.to_map([fix.latitude_deg for fix in fixes], [fix.longitude_deg for fix in fixes])
    arm = lever_arm(session, session.config.frames.base, fixes[-1])
    samples = []
    for fix, point in zip(fixes, np.asarray(points).reshape(-1, 2), strict=True):
        pose = truth.at(fix.stamp_ns) if truth else None
        offset = Pose2(0.0, 0.0, pose.yaw_rad).apply(arm) if pose else np.zeros(2)
        x, y = map(float, point - offset)
        samples.append((fix.stamp_ns, Pose2(x, y, 0.0)))
    return Trajectory.of(samples, "GNSS")


def _odometry(session: Session, stamp_ns: int) -> Pose2 | None:
    frames = session.config.frames
    try:
        return se3.to_pose2(session.transforms.lookup(frames.odom, frames.base, stamp_ns))
    except TransformError:
        return None
