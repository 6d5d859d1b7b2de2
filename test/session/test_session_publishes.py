# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math

import numpy as np
import pytest

from cvloc_ros.geo import se3
from cvloc_ros.types import HeadingSample, OdomSample, Pose2, Status

TWO = {
    "front": {"mounting": [1.0, 0.2, 4.0, 0.02, 0.8, 0.1]},
    "rear": {"mounting": [-1.0, 0.0, 4.0, 0.0, 0.8, math.pi]},
}


def test_poses_within_decimetres_from_gnss_metres_off(rig) -> None:
    vehicle = rig()
    vehicle.know_heading()
    first, *results = vehicle.run(1.0, 2.0, 3.0, 4.0, 5.0)
    assert first.status is Status.WAITING_KEYFRAMES
    for t, result in zip((2.0, 3.0, 4.0, 5.0), results, strict=True):
        metres, degrees = vehicle.error(result, t)
        assert metres < 0.3
        assert degrees < 1.0
        assert result.stamp_ns == vehicle.ns(t)
        assert {"decode", "prior", "patch", "match", "solve", "total"} <= set(result.timings_s)
        assert np.linalg.eigvalsh(result.estimate.covariance)[0] > 0
    assert math.dist(results[0].prior.pose.xy, vehicle.truth(2.0).xy) > 3.0


def test_the_same_inputs_give_the_same_poses(rig) -> None:
    def drive():
        vehicle = rig()
        vehicle.know_heading()
        return [result.estimate.pose for result in vehicle.run(1.0, 2.0, 3.0)[1:]]

    assert drive() == drive()


def test_datum_with_a_yaw_turns_everything_alike(rig) -> None:
    turn = 0.7
    vehicle = rig(geo={"datum": [47.0, 8.0, turn]})
    east_north = vehicle.truth

    def in_map(t: float) -> Pose2:
        return Pose2(0.0, 0.0, -turn) @ east_north(t)

    for t in np.arange(0.0, 3.2, 0.05):
        vehicle.session.add_odom(OdomSample(vehicle.ns(t), east_north(t)))
        if round(t * 20) % 10 == 0:
            vehicle.session.add_fix(vehicle.fix(t))
    heading = HeadingSample(vehicle.ns(1.0), east_north(1.0).yaw_rad, 0.1)
    assert vehicle.session.add_heading(heading) == ""
    vehicle.session.localize([vehicle.image(1.0)])
    result = vehicle.session.localize([vehicle.image(3.0)])
    assert result.status is Status.OK, result.reasons
    assert result.estimate.pose.xy == pytest.approx(in_map(3.0).xy, abs=0.3)
    assert math.remainder(result.estimate.pose.yaw_rad - in_map(3.0).yaw_rad, math.tau) == pytest.approx(0.0, abs=0.02)


def test_without_odometry_single_frames_with_a_heading_are_enough(rig) -> None:
    vehicle = rig(prior={"source": "fix"})
    vehicle.odometry = False
    vehicle.feed(3.0)
    vehicle.session.add_heading(HeadingSample(vehicle.ns(2.9), vehicle.truth(2.9).yaw_rad, 0.05))
    assert vehicle.error(vehicle.step(3.0), 3.0)[0] < 0.3


def test_prior_from_the_transform_of_another_filter(rig) -> None:
    vehicle = rig(prior={"source": "tf"}, inputs={"odom_topic": "", "fix_topic": ""})
    add = vehicle.session.add_transform
    for t in np.arange(0.0, 5.0, 0.1):
        shifted = Pose2(2.0, -1.5, 0.0) @ vehicle.truth(t)
        T_map_odom = Pose2(5.0, 5.0, 0.3)
        assert add("map", "odom", vehicle.ns(t), se3.from_pose2(T_map_odom), static=False) == ""
        T_odom_base = se3.from_pose2(T_map_odom.inverse() @ shifted)
        assert add("odom", "base_link", vehicle.ns(t), T_odom_base, static=False) == ""
    assert vehicle.session.ready(vehicle.ns(4.8))
    assert not vehicle.session.ready(vehicle.ns(5.8))
    results = [vehicle.session.localize([vehicle.image(t)]) for t in (0.5, 1.5, 2.5, 3.5, 4.5)]
    assert vehicle.error(results[-1], 4.5)[0] < 0.3
    assert results[-1].prior.source == "tf"
    late = vehicle.session.localize([vehicle.image(7.0)])
    assert late.status is Status.NO_PRIOR
    assert "before the stamp" in late.reasons[0]


def test_two_cameras_of_different_stamps_are_put_where_each_was(rig, truth) -> None:
    vehicle = rig(camera_names=["front", "rear"], cameras=TWO, matcher={"keyframes": 1, "keyframes_min": 1})
    vehicle.truth = lambda t: truth(4.0 * t)  # 16 m/s
    vehicle.know_heading()
    for t in (0.5, 1.0, 1.5):
        vehicle.feed(t + 0.2)
        result = vehicle.session.localize([vehicle.image(t), vehicle.image(t + 0.05, "rear")])
        assert vehicle.error(result, t)[0] < 0.15
    front, rear = result.views[:2]
    assert front.T_ref_base == Pose2(0.0, 0.0, 0.0)
    moved = vehicle.truth(1.5).inverse() @ vehicle.truth(1.55)
    assert rear.T_ref_base.xy == pytest.approx(moved.xy, abs=1e-6)
    assert moved.x_m > 0.7


def test_keyframes_of_two_cameras_of_different_stamps_are_carried_whole(rig, truth) -> None:
    vehicle = rig(camera_names=["front", "rear"], cameras=TWO)
    vehicle.truth = lambda t: truth(4.0 * t)
    vehicle.know_heading()
    for t in (0.5, 1.0):
        vehicle.feed(t + 0.2)
        result = vehicle.session.localize([vehicle.image(t), vehicle.image(t + 0.05, "rear")])
    assert vehicle.error(result, 1.0)[0] < 0.15
    back = vehicle.truth(1.0).inverse()
    carried = {view.camera_name: view.T_ref_base.xy for view in result.views[2:]}
    assert carried["front"] == pytest.approx((back @ vehicle.truth(0.5)).xy, abs=1e-6)
    assert carried["rear"] == pytest.approx((back @ vehicle.truth(0.55)).xy, abs=1e-6)
