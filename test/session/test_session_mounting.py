# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math

import numpy as np
import pytest

from cvloc_ros.geo import se3
from cvloc_ros.types import GeoFix, Pose2, Status


def drive(vehicle) -> list[Pose2]:
    vehicle.know_heading()
    results = vehicle.run(1.0, 2.0, 3.0)[1:]
    for t, result in zip((2.0, 3.0), results, strict=True):
        assert vehicle.error(result, t)[0] < 0.3
    return [result.estimate.pose for result in results]


@pytest.mark.parametrize("frame_id", ["", "lens"])
def test_mounting_from_configuration_equals_mounting_from_tf(rig, frame_id) -> None:
    given = rig()
    found = rig(cameras={"front": {"frame_id": frame_id}})
    T = given.mountings["front"]
    found.mountings["front"] = T
    found.session.add_transform("base_link", "mast", 0, se3.from_translation((0.5, 0.0, 1.0)), static=True)
    T_mast_lens = se3.inverse(se3.from_translation((0.5, 0.0, 1.0))) @ T
    found.session.add_transform("mast", frame_id or "cam", 0, T_mast_lens, static=True)
    for a, b in zip(drive(given), drive(found), strict=True):
        assert a.xy == pytest.approx(b.xy, abs=1e-3)
        assert a.yaw_rad == pytest.approx(b.yaw_rad, abs=1e-4)


def test_a_camera_that_turns_is_looked_up_at_the_image_stamp(rig) -> None:
    vehicle = rig(cameras={"front": {}})
    before, after = (se3.from_rpy(0.0, 0.0, yaw) @ rig().mountings["front"] for yaw in (-0.2, 0.2))
    for t, T in ((0.0, before), (4.0, after)):
        vehicle.session.add_transform("base_link", "cam", vehicle.ns(t), T, static=False)
    vehicle.know_heading()
    for t in (1.0, 2.0, 3.0):
        vehicle.mountings["front"] = se3.interpolate(before, after, t / 4.0)
        result = vehicle.step(t)
    assert vehicle.error(result, 3.0)[0] < 0.3
    vehicle.feed(6.0)
    late = vehicle.session.localize([vehicle.image(5.0)])
    assert late.status is Status.NO_TRANSFORM
    assert "before the stamp" in late.reasons[0]


def tilted(roll: float, pitch: float) -> np.ndarray:
    """Body seen from the level: pitch lowers the front, roll the right side; written out by hand."""
    cr, sr, cp, sp = math.cos(roll), math.sin(roll), math.cos(pitch), math.sin(pitch)
    T = np.eye(4)
    T[:3, :3] = np.array([[cp, 0, sp], [0, 1, 0], [-sp, 0, cp]]) @ np.array([[1, 0, 0], [0, cr, -sr], [0, sr, cr]])
    return T


def test_pitch_and_roll_of_the_body_are_taken_out(rig) -> None:
    roll, pitch = 0.03, -0.09

    def errors(*, told: bool) -> list[float]:
        vehicle = rig()
        vehicle.mountings["front"] = tilted(roll, pitch) @ vehicle.mountings["front"]
        vehicle.know_heading()
        found = []
        for t in (1.0, 2.0, 3.0, 4.0):
            if told:
                assert vehicle.session.add_attitude(vehicle.ns(t - 0.05), roll, pitch) == ""
            result = vehicle.step(t)
            pose = result.estimate or result.candidate
            if pose is not None:
                found.append(math.dist(pose.pose.xy, vehicle.truth(t).xy))
        return found

    assert max(errors(told=True)) < 0.15
    assert max(errors(told=False)) > 0.3


def test_an_attitude_of_another_moment_is_not_used(rig) -> None:
    vehicle = rig()
    vehicle.know_heading()
    for t in (1.0, 2.0, 3.0):
        assert vehicle.session.add_attitude(vehicle.ns(t - 0.2), 0.3, 0.3) == ""
        result = vehicle.step(t)
    assert vehicle.error(result, 3.0)[0] < 0.3


def test_odometry_from_tf_where_no_topic_is_named(rig) -> None:
    vehicle = rig(inputs={"odom_topic": ""})
    vehicle.odometry = False
    for t in np.arange(0.0, 4.0, 0.05):
        T = se3.from_pose2(vehicle.truth(0.0).inverse() @ vehicle.truth(float(t)))
        vehicle.session.add_transform("odom", "base_link", vehicle.ns(float(t)), T, static=False)
    drive(vehicle)
    assert vehicle.session.ready(vehicle.ns(3.9))


def test_the_lever_of_the_antenna_comes_from_tf(rig) -> None:
    vehicle = rig()
    vehicle.fixes = False
    vehicle.bias = np.zeros(2)
    vehicle.session.add_transform("base_link", "gnss", 0, se3.from_translation((-4.0, 2.0, 1.5)), static=True)
    vehicle.know_heading()
    for t in np.arange(0.0, 3.1, 0.5):
        lat, lon = vehicle.projection.to_geodetic(vehicle.truth(float(t)).apply(np.array([-4.0, 2.0])))
        fix = GeoFix(float(lat), float(lon), vehicle.ns(float(t)), np.eye(2), frame_id="gnss")
        assert vehicle.session.add_fix(fix) == ""
    result = vehicle.run(1.0, 2.0, 3.0)[-1]
    assert result.prior.pose.xy == pytest.approx(vehicle.truth(3.0).xy, abs=0.5)


def test_odometry_from_tf_by_way_of_a_footprint_frame(rig) -> None:
    vehicle = rig(inputs={"odom_topic": ""})
    vehicle.odometry = False
    lift = se3.from_translation((0.0, 0.0, 0.4))
    vehicle.session.add_transform("base_footprint", "base_link", 0, lift, static=True)
    for t in np.arange(0.0, 4.0, 0.05):
        T = se3.from_pose2(vehicle.truth(0.0).inverse() @ vehicle.truth(float(t)))
        vehicle.session.add_transform("odom", "base_footprint", vehicle.ns(float(t)), T, static=False)
    drive(vehicle)


def test_an_antenna_frame_that_comes_late_is_right_for_all_fixes_and_told_until_then(rig) -> None:
    vehicle = rig()
    vehicle.fixes, vehicle.bias = False, np.zeros(2)
    vehicle.know_heading()
    for t in np.arange(0.0, 3.1, 0.5):
        lat, lon = vehicle.projection.to_geodetic(vehicle.truth(float(t)).apply(np.array([-4.0, 2.0])))
        fix = GeoFix(float(lat), float(lon), vehicle.ns(float(t)), np.eye(2), frame_id="gnss")
        assert vehicle.session.add_fix(fix) == ""
    assert np.hypot(*(vehicle.step(1.0).prior.pose.xy - vehicle.truth(1.0).xy)) > 2.0
    assert "gnss" in vehicle.session.troubles()["antenna"]
    vehicle.session.add_transform("base_link", "gnss", 0, se3.from_translation((-4.0, 2.0, 1.5)), static=True)
    assert vehicle.step(2.0).prior.pose.xy == pytest.approx(vehicle.truth(2.0).xy, abs=1.0)
    assert vehicle.session.troubles()["antenna"] == ""


def test_a_configured_imu_that_says_nothing_is_told(rig) -> None:
    vehicle = rig(inputs={"imu_topic": "imu"})
    vehicle.run(0.5)
    assert "imu" in vehicle.session.troubles()["imu"]
    vehicle.session.add_attitude(vehicle.ns(1.0), 0.0, 0.0)
    vehicle.run(1.0)
    assert vehicle.session.troubles()["imu"] == ""
