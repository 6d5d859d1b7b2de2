# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Everything known about where the vehicle was, and the prior that follows from it."""

from __future__ import annotations

import dataclasses
import math
from collections import deque
from dataclasses import dataclass

import numpy as np

from cvloc_ros.buffers import StampBuffer
from cvloc_ros.config import Config
from cvloc_ros.estimation.gates import Refusal, innovation_sigma, largest_sigma
from cvloc_ros.estimation.prior import Anchor, align, drift_covariance
from cvloc_ros.fix_check import APART, ASIDE, Expected, FixCheck, Judged
from cvloc_ros.geo import se2
from cvloc_ros.odometry import OdometryTrack, TrackPoint
from cvloc_ros.types import F64, HeadingSample, Pose2, PoseEstimate, PosePrior, Status

_OWN_POSES = 3
_UNKNOWN = 1e6  # variance of what an anchor does not measure
_COVER = 1.5  # so many times as far as GNSS is, the window reaches: GNSS has errors of its own
_FASTEST_MPS = 70.0  # fixes that want a faster vehicle have jumped


@dataclass(frozen=True, slots=True, eq=False)
class Fix:
    """A GNSS position in map metres (2,), of the antenna at `lever` (2,) in base; covariance (2, 2) in map axes."""

    stamp_ns: int
    position: F64
    covariance: F64
    lever: F64


@dataclass(frozen=True, slots=True, eq=False)
class _KnownPose:
    point: TrackPoint
    pose: Pose2
    covariance: F64
    source: str


class History:
    """Buffers of odometry, fixes and headings, the initial pose, and the last own poses."""

    def __init__(self, config: Config) -> None:
        """Start empty."""
        keep = config.inputs.history_s
        self.odometry = OdometryTrack(keep)
        self.fixes: StampBuffer[Fix] = StampBuffer(keep)
        self.headings: StampBuffer[HeadingSample] = StampBuffer(keep)
        self.check = FixCheck()
        self._own: deque[_KnownPose] = deque(maxlen=_OWN_POSES)
        self._initial: tuple[int, Pose2, F64] | None = None
        self._start: _KnownPose | None = None

    def clear(self) -> None:
        """Forget everything."""
        for buffer in (self.odometry, self.fixes, self.headings, self.check):
            buffer.clear()
        self._own.clear()
        self._initial = self._start = None

    def start_at(self, stamp_ns: int, pose: Pose2, covariance: F64) -> None:
        """Set the initial pose; own poses found before it count no more."""
        self._initial, self._start = (stamp_ns, pose, covariance), None
        self.forget_own()

    def remember(self, point: TrackPoint, estimate: PoseEstimate) -> None:
        """Keep an accepted pose."""
        self._own.append(_KnownPose(point, estimate.pose, estimate.covariance, "own"))

    def forget_own(self) -> None:
        """Drop own poses, which may have been wrong, and what they said about GNSS."""
        self._own.clear()
        self.check.clear()

    def doubt_own(self, stamp_ns: int, config: Config) -> None:
        """Drop own poses that may have been wrong; where GNSS is gone or set aside, only double their sigma."""
        newest = self.fixes.newest
        age_s = math.inf if newest is None else (stamp_ns - newest[0]) * 1e-9
        if age_s <= config.prior.fix_max_age_s and self.check.verdict != ASIDE:
            self.forget_own()
            return
        doubted = [dataclasses.replace(own, covariance=own.covariance * 4.0) for own in self._own]
        self._own.clear()
        self._own.extend(doubted)

    def contradicts_own(self, point: TrackPoint, estimate: PoseEstimate, config: Config) -> bool:
        """Tell whether an accepted pose is another place than the own poses before it lead to."""
        known = self._own_at(point, config)
        if known is None:
            return False
        expected = PosePrior(known[0], known[1], point.stamp_ns, yaw_known=True, source="own")
        return innovation_sigma(estimate.pose, estimate.covariance, expected) > config.prior.gnss_gate_sigma

    def accuse_gnss(self, point: TrackPoint, candidate: PoseEstimate, config: Config) -> bool:
        """Doubt GNSS where a candidate too far from the prior continues own poses; tell whether it is doubted."""
        newest = self.fixes.newest
        then = None if newest is None else self.odometry.at(newest[0])
        if newest is None or then is None or len(self._own) < _OWN_POSES:
            return False
        known = self._own_at(then, config)
        if known is None or self.contradicts_own(point, candidate, config):
            return False
        fix, own = newest[1], _antenna(*known, newest[1].lever)
        if float(np.hypot(*(fix.position - own.position))) > config.search.radius_max_m:
            return False
        self.check.accuse(Judged(fix.stamp_ns, fix.position, fix_covariance(fix.covariance, config)), own)
        return True

    def forget_track(self) -> None:
        """Drop every pose that only the odometry of before could carry on."""
        self.forget_own()
        self._start = self._initial = None

    @property
    def heading_given(self) -> bool:
        """Whether somebody else said which way the vehicle looks."""
        start = self._initial
        told = start is not None and start[2][2, 2] < math.radians(45.0) ** 2
        return told or len(self.headings) > 0

    def prior(self, stamp_ns: int, config: Config) -> PosePrior | Refusal:
        """Make the prior at the stamp from whatever there is."""
        here = self.odometry.at(stamp_ns)
        wanted = config.prior.source
        if here is None and wanted != "fix" and len(self.odometry):
            return Status.STALE_PRIOR, "the odometry does not cover the image stamp"
        if here is None and wanted == "odom_fix":
            return Status.NO_PRIOR, "no odometry arrived; check inputs.odom_topic, or set prior.source to fix"
        if here is None or wanted == "fix":
            return self._checked(self._from_fixes(stamp_ns, config), config)
        self._judge_fixes(here, config)
        anchors, age_s = self._anchors(here, config)
        if not anchors:
            return Status.NO_PRIOR, "no GNSS fix and no initial pose; check inputs.fix_topic"
        if age_s > config.prior.carry_max_s:
            limit = config.prior.carry_max_s
            return Status.STALE_PRIOR, f"newest fix or own pose is {age_s:.1f} s old, limit {limit}"
        return self._checked(self._widened(align(anchors, stamp_ns, config.prior), config), config)

    def _widened(self, prior: PosePrior | None, config: Config) -> PosePrior | None:
        """Let the window cover GNSS as well while it is open whether it is wrong or own poses are."""
        reachable = float(np.hypot(*self.check.offset)) <= config.search.radius_max_m
        if prior is None or self.check.verdict != APART or not reachable:
            return prior
        covariance = prior.covariance.copy()
        reach = _COVER * self.check.offset / config.search.sigma_factor
        covariance[:2, :2] += np.outer(reach, reach)
        return dataclasses.replace(prior, covariance=covariance)

    def _judge_fixes(self, here: TrackPoint, config: Config) -> None:
        """Compare new fixes with own poses and with the fixes before them."""

        def by_own(fix: Judged) -> Expected | None:
            then = self.odometry.at(fix.stamp_ns)
            known = None if then is None else self._own_at(then, config)
            return None if known is None else _antenna(*known, levers[fix.stamp_ns])

        def by_past(fix: Judged) -> Expected | None:
            then = self.odometry.at(fix.stamp_ns)
            before = fix.stamp_ns - round(config.prior.gnss_patience_s * 1e9) - 1
            anchors = [] if then is None else self._fix_anchors(then, before, config)[0]
            if then is not None and anchors:
                anchors += self._heading_anchors(then, then.pose.inverse(), anchors[-1].position, config)
            prior = align(anchors, fix.stamp_ns, config.prior)
            return None if prior is None else _antenna(prior.pose, prior.covariance, levers[fix.stamp_ns])

        if self._own_at(here, config) is None:
            self.check.clear()
            return
        start = here.stamp_ns - round(config.prior.align_window_s * 1e9)
        fixes = [fix for _, fix in self.fixes.between(start, here.stamp_ns)]
        levers = {fix.stamp_ns: fix.lever for fix in fixes}
        judged = [Judged(fix.stamp_ns, fix.position, fix_covariance(fix.covariance, config)) for fix in fixes]
        self.check.update(judged, by_own, by_past, config.prior)

    def _own_at(self, point: TrackPoint, config: Config) -> tuple[Pose2, F64] | None:
        """Carry the own or initial pose that is known best to a point of the track; None where it says too little."""
        found: tuple[Pose2, F64] | None = None
        for known in self._known_poses(config):
            motion = known.point.pose.inverse() @ point.pose
            pose, covariance = se2.compose(known.pose, known.covariance, motion, _drift(point, known.point, config))
            if found is None or np.trace(covariance[:2, :2]) < np.trace(found[1][:2, :2]):
                found = pose, covariance
        return None if found is None or largest_sigma(found[1])[0] > config.prior.max_sigma_m else found

    def _checked(self, prior: PosePrior | Refusal | None, config: Config) -> PosePrior | Refusal:
        if not isinstance(prior, PosePrior):
            return prior or (Status.NO_PRIOR, "no GNSS fix; check inputs.fix_topic")
        sigma_m, _ = largest_sigma(prior.covariance)
        if not math.isfinite(sigma_m) or sigma_m > config.prior.max_sigma_m:
            return Status.WEAK_PRIOR, f"prior sigma {sigma_m:.1f} m, limit {config.prior.max_sigma_m}"
        half = config.search.yaw_half_max_deg
        if not prior.yaw_known and half < 180.0:
            return Status.WEAK_PRIOR, f"yaw not known, and search.yaw_half_max_deg = {half} allows no search all round"
        return prior

    def _anchors(self, here: TrackPoint, config: Config) -> tuple[list[Anchor], float]:
        """All measurements seen from here, and the age of the newest in seconds."""
        back = here.pose.inverse()
        anchors, newest_ns = self._fix_anchors(here, here.stamp_ns, config)
        for known in self._known_poses(config):
            covariance = known.covariance + _drift(here, known.point, config)
            seen, yaw_rad = back @ known.point.pose, known.pose.yaw_rad
            anchors.append(Anchor(seen, known.pose.xy, covariance, yaw_rad, np.zeros(2), known.source))
            newest_ns = max(newest_ns, known.point.stamp_ns)
        if anchors:
            anchors += self._heading_anchors(here, back, anchors[-1].position, config)
        return anchors, (here.stamp_ns - newest_ns) * 1e-9

    def _fix_anchors(self, here: TrackPoint, end_ns: int, config: Config) -> tuple[list[Anchor], int]:
        """Fixes up to a stamp as seen from here, and the stamp of the newest."""
        back = here.pose.inverse()
        anchors, newest_ns = [], -(2**62)
        start = here.stamp_ns - round(config.prior.align_window_s * 1e9)
        fixes = [fix for _, fix in self.fixes.between(start, end_ns) if self.check.uses(fix.stamp_ns)]
        for fix, together in zip(fixes, _crowding(fixes, config.prior.fix_correlation_s), strict=True):
            then = self.odometry.at(fix.stamp_ns)
            if then is not None:
                spread = fix_covariance(fix.covariance, config) * together
                anchors.append(_position_anchor(back @ then.pose, fix, spread + _drift(here, then, config)[:2, :2]))
                newest_ns = max(newest_ns, fix.stamp_ns)
        return anchors, newest_ns

    def _start_pose(self) -> list[_KnownPose]:
        """The initial pose at its place on the track."""
        if self._start is not None:
            return [self._start]
        if self._initial is None:
            return []
        stamp_ns, pose, covariance = self._initial
        point, reach = self.odometry.nearest(stamp_ns), self.odometry.newest_ns
        if point is None or reach is None:
            return []
        start = _KnownPose(point, pose, covariance, "initial")
        if reach >= stamp_ns:
            self._start = start  # the odometry will forget this moment
        return [start]

    def _known_poses(self, config: Config) -> list[_KnownPose]:
        known = self._start_pose()
        if config.prior.use_own_poses:
            floor = np.diag([config.prior.own_sigma_m**2] * 2 + [math.radians(config.prior.own_sigma_deg) ** 2])
            # Errors of successive matches on the same imagery are alike: together they count as one.
            known += [
                _KnownPose(own.point, own.pose, (own.covariance + floor) * len(self._own), "own") for own in self._own
            ]
        return known

    def _heading_anchors(self, here: TrackPoint, back: Pose2, position: F64, config: Config) -> list[Anchor]:
        before, _ = self.headings.bracket(here.stamp_ns)
        then = self.odometry.at(before[0]) if before is not None else None
        if before is None or then is None:
            return []
        covariance = np.diag([_UNKNOWN, _UNKNOWN, before[1].sigma_rad ** 2]) + _drift(here, then, config)
        return [Anchor(back @ then.pose, position, covariance, before[1].yaw_rad, np.zeros(2), "heading")]

    def _from_fixes(self, stamp_ns: int, config: Config) -> PosePrior | Refusal | None:
        """Without odometry: the fixes around the stamp, yaw from heading or course."""
        before, after = self.fixes.bracket(stamp_ns)
        if before is None:
            return None
        recent = self.fixes.between(before[0] - round(3e9), before[0])
        first = recent[0][1]
        last = after[1] if after is not None and after[0] > before[0] else before[1]
        age_s = max(0.0, (stamp_ns - last.stamp_ns) * 1e-9)
        if age_s > config.prior.fix_max_age_s:
            return Status.STALE_PRIOR, f"newest fix is {age_s:.1f} s old, limit {config.prior.fix_max_age_s}"
        seconds = (last.stamp_ns - first.stamp_ns) * 1e-9
        travel = last.position - first.position
        velocity = travel / seconds if seconds > 0 else np.zeros(2)
        speed = float(np.linalg.norm(velocity))
        if speed > _FASTEST_MPS:
            return Status.WEAK_PRIOR, f"fixes jumped by {np.linalg.norm(travel):.0f} m within {seconds:.1f} s"
        position = last.position + velocity * (stamp_ns - last.stamp_ns) * 1e-9
        spread = fix_covariance(last.covariance, config)
        sigma_m = math.sqrt(float(np.trace(spread)) / 2.0)
        heading, _ = self.headings.bracket(stamp_ns)
        if heading is not None and (stamp_ns - heading[0]) * 1e-9 > config.prior.fix_max_age_s:
            heading = None  # without odometry nothing tells how far the vehicle has turned since
        yaw, sigma_yaw, source = 0.0, math.pi, "fix"
        if heading is not None:
            yaw, sigma_yaw, source = heading[1].yaw_rad, heading[1].sigma_rad, "fix+heading"
        elif speed > config.prior.course_min_speed_mps:
            yaw = math.atan2(travel[1], travel[0])
            sigma_yaw = max(math.radians(5.0), math.atan2(sigma_m, float(np.linalg.norm(travel))))
            source = "fix+course"
        covariance = np.zeros((3, 3))
        covariance[:2, :2] = spread + np.eye(2) * (speed * age_s / 2.0) ** 2
        covariance[2, 2] = sigma_yaw**2
        known = sigma_yaw <= math.radians(config.prior.yaw_known_deg)
        lever = Pose2(0.0, 0.0, yaw).apply(last.lever) if known else np.zeros(2)
        return PosePrior(Pose2.at(position - lever, yaw), covariance, stamp_ns, known, source)


def fix_covariance(covariance: F64, config: Config) -> F64:
    """Scale a reported GNSS covariance (2, 2), never below the floor."""
    values, axes = np.linalg.eigh(covariance * config.prior.fix_sigma_scale**2)
    result: F64 = (axes * np.maximum(values, config.prior.fix_sigma_floor_m**2)) @ axes.T
    return result


def _antenna(pose: Pose2, covariance: F64, lever: F64) -> Expected:
    """Where a pose of base with its covariance puts the antenna."""
    by_yaw = Pose2(0.0, 0.0, pose.yaw_rad + math.pi / 2.0).apply(lever)
    jacobian = np.column_stack([np.eye(2), by_yaw])
    return Expected(pose.apply(lever), jacobian @ covariance @ jacobian.T)


def _position_anchor(T_ref_then: Pose2, fix: Fix, covariance: F64) -> Anchor:
    full = np.diag([0.0, 0.0, _UNKNOWN])
    full[:2, :2] = covariance
    return Anchor(T_ref_then, fix.position, full, None, fix.lever, "fix")


def _drift(here: TrackPoint, then: TrackPoint, config: Config) -> F64:
    travelled = abs(here.travelled_m - then.travelled_m)
    return drift_covariance(travelled, abs(here.stamp_ns - then.stamp_ns) * 1e-9, config.prior)


def _crowding(fixes: list[Fix], correlation_s: float) -> list[float]:
    """How many fixes share one error: those within half the correlation time on either side."""
    stamps = np.array([fix.stamp_ns for fix in fixes], dtype=np.int64)
    half = round(correlation_s * 0.5e9)
    first = np.searchsorted(stamps, stamps - half, side="left")
    last = np.searchsorted(stamps, stamps + half, side="right")
    return [float(count) for count in last - first]
