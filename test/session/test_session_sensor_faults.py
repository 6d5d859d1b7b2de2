# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math

import numpy as np
import pytest

from cvloc_ros.geo import se3
from cvloc_ros.types import HeadingSample, OdomSample, Pose2, Status

# --- GNSS


def test_no_gnss_and_no_initial_pose(rig, silent) -> None:
    vehicle = rig()
    vehicle.fixes = False
    for result in vehicle.run(1.0, 2.0, 3.0):
        silent(result, Status.NO_PRIOR, "inputs.fix_topic")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"latitude_deg": math.nan}, "not_finite"),
        ({"longitude_deg": math.inf}, "not_finite"),
        ({"covariance_m2": np.full((2, 2), math.nan)}, "not_finite"),
        ({"quality": -1}, "no_fix"),
        ({"quality": -1, "latitude_deg": math.nan}, "no_fix"),
        ({"latitude_deg": 97.0}, "out_of_range"),
        ({"longitude_deg": -200.0}, "out_of_range"),
    ],
)
def test_bad_fixes_are_refused_by_name_and_make_no_prior(rig, changes, reason, silent) -> None:
    vehicle = rig()
    vehicle.fixes = False
    for t in (0.5, 1.0, 1.5):
        assert vehicle.session.add_fix(vehicle.fix(t, **changes)) == reason
    silent(vehicle.step(2.0), Status.NO_PRIOR)


def test_stale_gnss_without_own_poses(rig, silent) -> None:
    vehicle = rig(prior={"carry_max_s": 5.0})
    vehicle.feed(2.0)
    vehicle.fixes = False
    silent(vehicle.run(3.0, 8.0)[-1], Status.STALE_PRIOR, "6.0 s old")


def test_own_poses_carry_on_where_gnss_stops(driving) -> None:
    driving.fixes = False
    for t in (4.0, 6.0, 8.0, 10.0):
        assert driving.error(driving.step(t), t)[0] < 0.3


def test_gnss_far_away_from_the_map_has_no_tiles(rig, silent) -> None:
    vehicle = rig()
    vehicle.bias = np.array([5000.0, 0.0])
    vehicle.know_heading()
    silent(vehicle.run(1.0, 2.0)[-1], Status.NO_TILES, "no imagery")


def test_a_multipath_jump_publishes_nothing_wrong(driving) -> None:
    driving.bias = np.array([25.0, -18.0])
    published = 0
    for t in np.arange(3.0, 8.0, 0.5):
        result = driving.step(float(t))
        if result.status is Status.OK:
            published += 1
            assert driving.error(result, float(t))[0] < 0.3
    assert published > 5


@pytest.mark.parametrize("heading", [True, False])
def test_gnss_surer_of_itself_than_it_is_right_publishes_nothing_wrong(rig, heading) -> None:
    vehicle = rig()
    vehicle.bias = np.array([18.0, -14.0])  # the truth lies outside of the search window
    if heading:
        vehicle.know_heading()
    results = vehicle.run(*np.arange(1.0, 6.0))
    assert all(result.estimate is None for result in results)
    assert all(result.candidate is not None for result in results[1:])


# --- odometry


def test_odometry_that_stops_makes_the_prior_stale(driving, silent) -> None:
    driving.odometry = False
    silent(driving.step(3.0), Status.STALE_PRIOR, "odometry does not cover")


def test_odometry_of_nan_is_refused_and_harmless(driving) -> None:
    assert driving.session.add_odom(OdomSample(driving.ns(2.05), Pose2(math.nan, 0.0, 0.0))) == "not_finite"
    assert driving.error(driving.step(3.0), 3.0)[0] < 0.3


def test_inputs_out_of_order_give_the_same_pose(rig) -> None:
    def last(order) -> Pose2:
        vehicle = rig()
        vehicle.know_heading()
        vehicle.run(1.0, 2.0)
        vehicle.odometry = vehicle.fixes = False
        start = vehicle.truth(0.0).inverse()
        for tick in order(list(range(43, 63))):
            pose = Pose2(7.0, 9.0, -1.0) @ start @ vehicle.truth(tick / 20)
            assert vehicle.session.add_odom(OdomSample(vehicle.ns(tick / 20), pose)) == ""
        for t in order([2.5, 3.0]):
            assert vehicle.session.add_fix(vehicle.fix(t)) == ""
        result = vehicle.step(3.0)
        assert vehicle.error(result, 3.0)[0] < 0.3
        return result.estimate.pose

    assert last(lambda items: items[::2] + items[1::2]) == last(lambda items: items)


# --- clock


def test_old_images_are_refused_and_change_nothing(driving, silent) -> None:
    for t in (2.0, 1.5, -300.0):
        silent(driving.session.localize([driving.image(t)]), Status.OLD_STAMP, "before the last one")
    assert driving.error(driving.step(3.0), 3.0)[0] < 0.3


def test_after_the_clock_went_back_a_reset_recovers(driving, silent) -> None:
    driving.rewind(10.0)
    session = driving.session
    assert session.add_odom(OdomSample(driving.ns(0.0), driving.truth(0.0))) == "clock_jump"
    assert session.add_fix(driving.fix(0.0)) == "clock_jump"
    silent(session.localize([driving.image(1.0)]), Status.OLD_STAMP)
    session.reset()
    silent(session.localize([driving.image(0.1)]), Status.NO_PRIOR)
    driving.know_heading()
    assert driving.run(1.0, 2.0)[-1].status is Status.OK
    assert driving.error(driving.step(3.0), 3.0)[0] < 0.3


def test_after_a_reset_the_heading_has_to_be_told_or_confirmed_again(driving) -> None:
    driving.session.reset()
    driving.rewind(2000.0)
    results = driving.run(1.0, 2.0)
    assert all(result.status is not Status.OK for result in results)


# --- samples that cannot be used


def test_headings_and_attitudes_that_are_not_numbers(rig) -> None:
    session = rig().session
    assert session.add_heading(HeadingSample(1, math.nan, 0.1)) == "not_finite"
    assert session.add_heading(HeadingSample(1, 0.0, math.nan)) == "not_finite"
    assert session.add_heading(HeadingSample(1, 0.0, 0.0)) == "not_finite"
    assert session.add_attitude(1, math.nan, 0.0) == "not_finite"


def test_initial_poses_that_cannot_be_used(rig) -> None:
    session = rig().session
    good = np.eye(3)
    assert session.set_initial_pose(1, Pose2(math.nan, 0.0, 0.0), good) == "not_finite"
    assert session.set_initial_pose(1, Pose2(0.0, 0.0, 0.0), np.full((3, 3), math.inf)) == "not_finite"
    assert session.set_initial_pose(1, Pose2(0.0, 0.0, 0.0), np.zeros((3, 3))) == "covariance_not_positive"


def test_transforms_that_cannot_be_used(rig) -> None:
    add = rig(inputs={"odom_topic": ""}).session.add_transform
    assert add("odom", "base_link", 1, np.full((4, 4), math.nan), static=False) == "not_finite"
    assert add("odom", "odom", 1, np.eye(4), static=False) == "self_parent"
    assert add("odom", "base_link", 10**10, se3.from_pose2(Pose2(1.0, 0.0, 0.0)), static=False) == ""
    assert add("odom", "base_link", 10**9, np.eye(4), static=False) == "clock_jump"


def test_odometry_that_starts_again_elsewhere_is_not_carried_over(rig) -> None:
    vehicle = rig()
    vehicle.know_heading()
    assert vehicle.run(1.0, 2.0, 3.0)[-1].status is Status.OK
    vehicle.odometry = False
    vehicle.feed(9.0)
    for tick in range(63, 180):  # the same motion from here on, counted from another origin
        t = tick / 20
        moved = vehicle.truth(3.1).inverse() @ vehicle.truth(t)
        assert vehicle.session.add_odom(OdomSample(vehicle.ns(t), Pose2(-80.0, 5.0, 2.0) @ moved)) == ""
    results = [vehicle.session.localize([vehicle.image(t)]) for t in (4.0, 5.0, 6.0, 7.0, 8.0)]
    assert "own" not in results[0].prior.source
    published = [(t, r) for t, r in zip((4.0, 5.0, 6.0, 7.0, 8.0), results, strict=True) if r.estimate is not None]
    assert published, [r.status for r in results]
    assert all(vehicle.error(result, t)[0] < 0.5 for t, result in published)
