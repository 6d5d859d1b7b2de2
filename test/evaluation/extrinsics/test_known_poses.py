# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Poses from fixes of centimetres and odometry that drifts, against the drive that both were made from."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cvloc_ros.errors import BagError
from cvloc_ros.evaluation.extrinsics.frames import as_mounting, from_mounting
from cvloc_ros.evaluation.extrinsics.known_poses import MapFix, from_gnss
from cvloc_ros.types import OdomSample, Pose2

LEVER = np.array([-0.8, 0.3])
SECOND_NS = 1_000_000_000


def true_pose(t: float) -> Pose2:
    """A bend of 40 m radius at 6 m/s."""
    yaw = 0.15 * t
    return Pose2(100.0 + 40.0 * math.sin(yaw), -50.0 + 40.0 * (1.0 - math.cos(yaw)), yaw)


def drive(sigma_m: float, seconds: float = 30.0) -> tuple[list[MapFix], list[OdomSample]]:
    rng = np.random.default_rng(5)
    odometry, pose = [], Pose2(7.0, -3.0, 0.4)
    for t in np.arange(0.0, seconds, 0.05):
        odometry.append(OdomSample(round(t * SECOND_NS), pose))
        step = true_pose(float(t)).inverse() @ true_pose(float(t) + 0.05)
        pose = pose @ Pose2(0.99 * step.x_m, step.y_m, step.yaw_rad + 0.05 * 5e-4)
    fixes = [
        MapFix(round(t * SECOND_NS), true_pose(float(t)).apply(LEVER) + rng.normal(0.0, sigma_m, 2), sigma_m, LEVER)
        for t in np.arange(0.0, seconds, 0.5)
    ]
    return fixes, odometry


def test_poses_from_good_gnss_are_those_of_the_drive() -> None:
    found = from_gnss(*drive(0.02))
    for t in np.arange(6.0, 24.0, 0.31):
        pose, true = found.at(round(t * SECOND_NS)), true_pose(float(t))
        assert pose is not None
        assert math.dist(pose.xy, true.xy) < 0.06
        assert abs(math.remainder(pose.yaw_rad - true.yaw_rad, math.tau)) < math.radians(0.25)
    assert found.source == "GNSS (0.02 m) and odometry"


def test_gnss_of_metres_does_not_stand_for_the_truth() -> None:
    with pytest.raises(BagError, match=r"1\.50 m \(median\): 0\.2 m or better"):
        from_gnss(*drive(1.5))


def test_fixes_without_odometry_and_a_vehicle_that_stands_are_refused() -> None:
    fixes, odometry = drive(0.02)
    with pytest.raises(BagError, match="0 odometry messages"):
        from_gnss(fixes, [])
    standing = [OdomSample(sample.stamp_ns, Pose2(0.0, 0.0, 0.0)) for sample in odometry]
    with pytest.raises(BagError, match="over 4 m"):
        from_gnss(fixes, standing)


angle = st.floats(-1.5, 1.5)


@settings(max_examples=50, deadline=None)
@given(place=st.tuples(*[st.floats(-3, 3)] * 3), roll=st.floats(-3.1, 3.1), pitch=angle, yaw=st.floats(-3.1, 3.1))
def test_a_mounting_survives_the_way_through_the_matrix(
    place: tuple[float, float, float], roll: float, pitch: float, yaw: float
) -> None:
    mounting = (*place, roll, pitch, yaw)
    assert as_mounting(from_mounting(mounting)) == pytest.approx(mounting, abs=1e-9)
