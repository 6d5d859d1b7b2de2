# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math

import numpy as np
import pytest

from cvloc_ros.config import Config
from cvloc_ros.estimation.prior import Anchor, align, drift_covariance
from cvloc_ros.types import Pose2

CONFIG = Config().prior
TRUTH = Pose2(30.0, -20.0, 2.2)


def fix(behind_m: float, error: tuple[float, float] = (0.0, 0.0), lever: tuple[float, float] = (0.0, 0.0)) -> Anchor:
    """A fix taken on a straight way this far behind the true pose."""
    T_ref_then = Pose2(-behind_m, 0.0, 0.0)
    position = (TRUTH @ T_ref_then).apply(np.array(lever)) + np.array(error)
    return Anchor(T_ref_then, position, np.diag([4.0, 4.0, 1e6]), None, np.array(lever), "fix")


def test_nothing_known_is_no_prior() -> None:
    assert align([], 5, CONFIG) is None


def test_one_fix_knows_the_place_but_not_the_heading() -> None:
    prior = align([fix(0.0)], 5, CONFIG)
    assert prior is not None
    assert prior.pose.xy == pytest.approx(TRUTH.xy, abs=1e-6)
    assert not prior.yaw_known
    assert prior.stamp_ns == 5
    assert math.sqrt(prior.covariance[0, 0]) == pytest.approx(2.0, rel=0.05)


def test_a_driven_way_with_fixes_gives_the_heading() -> None:
    rng = np.random.default_rng(0)
    anchors = [fix(float(d), tuple(rng.normal(0, 0.5, 2)), (1.0, 0.5)) for d in range(0, 60, 5)]
    prior = align(anchors, 0, CONFIG)
    assert prior is not None
    assert prior.yaw_known
    assert abs(math.remainder(prior.pose.yaw_rad - TRUTH.yaw_rad, math.tau)) < math.radians(3)
    assert np.hypot(*(prior.pose.xy - TRUTH.xy)) < 1.0


def test_a_multipath_jump_hardly_moves_the_prior() -> None:
    anchors = [fix(float(d)) for d in range(0, 60, 5)] + [fix(2.0, (80.0, 0.0))]
    prior = align(anchors, 0, CONFIG)
    assert prior is not None
    assert np.hypot(*(prior.pose.xy - TRUTH.xy)) < 1.0


def test_a_known_pose_gives_place_and_heading() -> None:
    then = Pose2(-8.0, 1.0, -0.4)
    pose = TRUTH @ then
    anchor = Anchor(then, pose.xy, np.diag([0.25, 0.25, 0.001]), pose.yaw_rad, np.zeros(2), "own")
    prior = align([anchor], 0, CONFIG)
    assert prior is not None
    assert prior.pose.xy == pytest.approx(TRUTH.xy, abs=1e-3)
    assert prior.pose.yaw_rad == pytest.approx(TRUTH.yaw_rad, abs=1e-3)
    assert prior.yaw_known
    assert prior.source == "own"


@pytest.mark.parametrize("yaw", np.linspace(-3.1, 3.1, 9))
def test_any_heading_is_found_from_the_way(yaw: float) -> None:
    pose = Pose2(5.0, 5.0, yaw)
    anchors = []
    for d in range(0, 80, 8):
        then = Pose2(-float(d), 0.002 * d * d, -0.004 * d)
        anchors.append(Anchor(then, (pose @ then).xy, np.diag([4.0, 4.0, 1e6]), None, np.zeros(2), "fix"))
    prior = align(anchors, 0, CONFIG)
    assert prior is not None
    assert abs(math.remainder(prior.pose.yaw_rad - yaw, math.tau)) < 0.01


def test_drift_grows_with_way_and_time() -> None:
    assert drift_covariance(0.0, 0.0, CONFIG) == pytest.approx(np.zeros((3, 3)))
    near, far = drift_covariance(5.0, 1.0, CONFIG), drift_covariance(50.0, 10.0, CONFIG)
    assert (np.diag(far) > np.diag(near)).all()
