# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Tracks with and without GNSS and poses on a simulated drive, through outages."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest

from cvloc_ros.config import Prior
from cvloc_ros.evaluation.fusion.filter import Absolute
from cvloc_ros.evaluation.fusion.tracks import Drive, run_track
from cvloc_ros.evaluation.truth import Trajectory
from cvloc_ros.types import OdomSample, Pose2

SECONDS = 100.0
ZERO_NS = 1_700_000_000 * 10**9
OUTAGE = (20.0, 60.0)


def at(seconds: float) -> Pose2:
    """East at 10 m/s, in gentle bends."""
    return Pose2(10 * seconds, 20 * math.sin(seconds / 10), math.atan2(0.2 * math.cos(seconds / 10), 1.0))


def ns(seconds: float) -> int:
    return ZERO_NS + round(seconds * 1e9)


@pytest.fixture(scope="module")
def drive() -> Drive:
    """Odometry at 20 Hz that is 2 % long and turns 0.03° a second too much, GNSS good to 2 m, poses to 0.3 m."""
    rng = np.random.default_rng(3)
    stamps = np.arange(0.0, SECONDS, 0.05)
    place, samples = Pose2(0.0, 0.0, 0.0), list[tuple[int, OdomSample]]()
    for first, second in itertools.pairwise(stamps):
        moved = at(first).inverse() @ at(second)
        place = place @ Pose2(moved.x_m * 1.02, moved.y_m, moved.yaw_rad + math.radians(0.03) * 0.05)
        samples.append((ns(second + 0.01), OdomSample(ns(second), place)))
    small, wide = np.diag([0.09, 0.09, 0.0004]), np.eye(2) * 4.0
    measured = []
    for seconds in np.arange(1.2, SECONDS - 1, 0.5):
        x, y, yaw = rng.multivariate_normal([0, 0, 0], small)
        pose = Pose2(at(seconds).x_m + x, at(seconds).y_m + y, at(seconds).yaw_rad + yaw)
        measured.append(Absolute(ns(seconds), ns(seconds + 0.4), "poses", pose, small))
    for seconds in np.arange(1.0, SECONDS - 1, 1.0):
        place = Pose2.at(at(seconds).xy + rng.normal(0, 2.0, 2), 0.0)
        measured.append(Absolute(ns(seconds), ns(seconds + 0.1), "gnss", place, wide))
    truth = Trajectory.of((ns(t), at(t)) for t in np.arange(0.0, SECONDS, 0.05))
    start = Absolute(ns(0.05), ns(0.5), "poses", at(0.05), small)
    return Drive(samples, measured, truth, start, samples[0][1].pose, ZERO_NS, 3.0, Prior())


def test_in_an_outage_odometry_drifts_and_poses_hold(drive: Drive) -> None:
    alone = run_track(drive, ())
    gnss = run_track(drive, ("gnss",), (OUTAGE,))
    both = run_track(drive, ("gnss", "poses"), (OUTAGE,))
    early, late = gnss.within(20.0, 10.0), gnss.within(70.0, 10.0)
    assert late["median"] > 3 * early["median"]
    assert gnss.within(*OUTAGE)["final"] > 8.0
    assert alone.position_m[-1] > 15.0
    assert both.within(*OUTAGE)["max"] < 1.0
    assert gnss.within(90.0)["max"] < 4.0, "GNSS is back"
    assert np.array_equal(alone.t_s, both.t_s), "all tracks are judged on one time base"


def test_outage_withholds_gnss_by_its_arrival(drive: Drive) -> None:
    whole, gap = run_track(drive, ("gnss",)), run_track(drive, ("gnss",), ((20.05, 30.0),))
    assert whole.counts["fused"]["gnss"] - gap.counts["fused"]["gnss"] == 30  # the fix of 20 s arrives at 20.1 s
    assert run_track(drive, ("poses",), (OUTAGE,)).counts == run_track(drive, ("poses",)).counts


def test_nothing_is_known_before_it_arrived(drive: Drive) -> None:
    """A drive that is cut off gives the same track up to the cut: nothing came from later."""
    cut_ns = ns(40.0)
    odometry = [one for one in drive.odometry if one[0] <= cut_ns]
    measured = [one for one in drive.measured if one.arrival_ns <= cut_ns]
    cut = replace(drive, odometry=odometry, measured=measured)
    whole, part = run_track(drive, ("gnss", "poses")), run_track(cut, ("gnss", "poses"))
    assert 380 < len(part.t_s) < 400
    assert np.array_equal(whole.error[: len(part.t_s)], part.error)
    assert part.t_s[0] >= 0.5, "judged from the arrival of the start"


def test_poses_later_than_the_history_are_told(drive: Drive) -> None:
    slow = [Absolute(m.stamp_ns, m.stamp_ns + 3_500_000_000, m.source, m.pose, m.covariance) for m in drive.measured]
    track = run_track(replace(drive, measured=slow), ("poses",))
    assert track.counts["fused"] == {} and track.counts["too_late"]["poses"] > 150
    assert track.within()["final"] == run_track(drive, ()).within()["final"]
