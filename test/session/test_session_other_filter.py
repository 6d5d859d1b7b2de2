# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The prior of another filter, and what takes its place while it gives none."""

from __future__ import annotations

import numpy as np

from cvloc_ros.types import OdomSample, Pose2

FILTER = {"prior": {"source": "filter"}, "inputs": {"filter_topic": "odometry/global"}}


def filtered(vehicle, begin: float, end: float) -> None:
    """Poses of a filter that is 2.5 m off."""
    for t in np.arange(begin, end, 0.1):
        pose = Pose2(2.0, -1.5, 0.0) @ vehicle.truth(t)
        assert vehicle.session.add_filter_pose(OdomSample(vehicle.ns(t), pose, np.diag([1.0, 1.0, 0.01]))) == ""


def test_filter_by_topic_bounds_the_search_and_needs_no_agreement(rig) -> None:
    vehicle = rig(**FILTER)
    filtered(vehicle, 0.0, 4.0)
    assert vehicle.session.ready(vehicle.ns(3.5))
    assert not vehicle.session.ready(vehicle.ns(4.5))
    results = vehicle.run(0.5, 1.5, 2.5, 3.5)
    assert vehicle.error(results[-1], 3.5)[0] < 0.3
    assert results[-1].prior.source == "filter"


def test_fixes_and_own_poses_take_over_where_the_filter_falls_silent(rig) -> None:
    vehicle = rig(**FILTER)
    filtered(vehicle, 0.0, 4.0)
    vehicle.run(0.5, 1.5, 2.5, 3.5)
    for t in (5.0, 6.0, 7.0):
        result = vehicle.step(t)
        assert vehicle.error(result, t)[0] < 0.3
        assert result.prior.source == "fix+own"
    filtered(vehicle, 7.5, 9.0)
    assert vehicle.step(8.5).prior.source == "filter"


def test_a_filter_that_is_wrong_publishes_nothing_wrong(rig) -> None:
    vehicle = rig(**FILTER)
    true, vehicle.truth = vehicle.truth, lambda t: Pose2(30.0, 25.0, 0.0) @ bend(t)
    bend = true
    filtered(vehicle, 0.0, 6.0)
    vehicle.truth = true
    assert all(result.estimate is None for result in vehicle.run(0.5, 1.5, 2.5, 3.5, 4.5))
