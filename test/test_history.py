# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from cvloc_ros.config import Config, merge
from cvloc_ros.history import Fix, History, fix_covariance
from cvloc_ros.types import HeadingSample, OdomSample, Pose2, PoseEstimate, PosePrior, Status

S = 1_000_000_000
CONFIG = Config()
GOOD = np.diag([0.2**2, 0.2**2, math.radians(1.0) ** 2])
ANYWHERE = np.diag([1e6, 1e6, math.radians(1.0) ** 2])


def with_prior(**values: object) -> Config:
    return merge(CONFIG, {"prior": values})


def straight(t: float, speed: float = 5.0, yaw: float = 0.7) -> Pose2:
    return Pose2(100.0 + speed * t * math.cos(yaw), 50.0 + speed * t * math.sin(yaw), yaw)


def bend(t: float) -> Pose2:
    yaw = 0.1 * t
    return Pose2(50.0 * math.sin(yaw), 50.0 * (1.0 - math.cos(yaw)), yaw)


def drive(
    truth: Callable[[float], Pose2] = straight,
    until: float = 20.0,
    fixes: Callable[[float], np.ndarray | None] = lambda _t: np.zeros(2),
    *,
    odometry: bool = True,
    sigma: float = 1.0,
    lever: tuple[float, float] = (0.0, 0.0),
    begin: float = 0.0,
) -> History:
    """A history with exact odometry at 10 Hz (begun at its own origin) and fixes at 1 Hz with the given error."""
    history = History(CONFIG)
    origin = truth(begin).inverse()
    for tick in range(round(begin * 10), round(until * 10) + 1):
        t = tick / 10
        if odometry:
            assert history.odometry.add(OdomSample(round(t * S), origin @ truth(t))) == ""
        error = fixes(t) if tick % 10 == 0 else None
        if error is not None:
            antenna = truth(t).apply(np.array(lever))
            fix = Fix(round(t * S), antenna + error, np.eye(2) * sigma**2, np.array(lever))
            assert history.fixes.add(fix.stamp_ns, fix) == ""
    return history


def none(_t: float) -> None:
    return None


def prior(history: History, t: float, config: Config = CONFIG) -> PosePrior:
    made = history.prior(round(t * S), config)
    assert isinstance(made, PosePrior), made
    return made


def refusal(history: History, t: float, config: Config = CONFIG) -> tuple[Status, str]:
    made = history.prior(round(t * S), config)
    assert not isinstance(made, PosePrior)
    return made


def error(made: PosePrior, truth: Pose2) -> tuple[float, float]:
    distance = math.hypot(made.pose.x_m - truth.x_m, made.pose.y_m - truth.y_m)
    return distance, abs(math.degrees(math.remainder(made.pose.yaw_rad - truth.yaw_rad, math.tau)))


# --- odometry and fixes


@pytest.mark.parametrize("truth", [straight, bend])
def test_odometry_aligned_with_fixes_gives_position_and_yaw(truth: Callable[[float], Pose2]) -> None:
    made = prior(drive(truth), 19.93)
    assert error(made, truth(19.93)) == pytest.approx((0.0, 0.0), abs=0.01)
    assert made.yaw_known
    assert made.source == "fix"
    assert made.stamp_ns == round(19.93 * S)


def test_antenna_beside_the_vehicle_is_taken_into_account() -> None:
    made = prior(drive(bend, lever=(1.5, -0.8)), 20.0)
    assert error(made, bend(20.0)) == pytest.approx((0.0, 0.0), abs=0.01)


def test_before_the_vehicle_moved_the_yaw_is_not_known() -> None:
    made = prior(drive(lambda _t: Pose2(3.0, 4.0, 1.0)), 20.0)
    assert error(made, Pose2(3.0, 4.0, 1.0))[0] < 0.01
    assert not made.yaw_known
    assert math.sqrt(made.covariance[2, 2]) > 1.5


def test_a_multipath_jump_of_the_last_fixes_stays_within_the_search_window() -> None:
    made = prior(drive(fixes=lambda t: np.array([30.0, -20.0]) if t >= 18 else np.zeros(2)), 20.0)
    position, yaw = error(made, straight(20.0))
    assert position < 6.0  # an unweighted fit would be 17 m off
    assert yaw < 5.0
    assert position < CONFIG.search.radius_min_m


def test_constant_bias_of_the_fixes_stays_within_the_stated_uncertainty() -> None:
    made = prior(drive(fixes=lambda _t: np.array([2.0, 1.0])), 20.0)
    delta = made.pose.xy - straight(20.0).xy
    assert delta == pytest.approx([2.0, 1.0], abs=0.05)
    assert delta @ np.linalg.solve(made.covariance[:2, :2], delta) < 3.0**2


def test_many_fixes_a_second_are_not_believed_more_than_few() -> None:
    few, many = drive(until=10.0), drive(until=10.0)
    for tick in range(1, 100):
        if tick % 10:
            t = tick / 10
            many.fixes.add(round(t * S), Fix(round(t * S), straight(t).xy, np.eye(2), np.zeros(2)))
    ratio = np.diag(prior(many, 10.0).covariance) / np.diag(prior(few, 10.0).covariance)
    assert (ratio > 0.5).all()
    assert (ratio < 2.0).all()


def test_uncorrelated_fixes_add_up_when_the_configuration_says_so() -> None:
    history = drive()
    alone = prior(history, 20.0, with_prior(fix_correlation_s=0.0)).covariance
    together = prior(history, 20.0, with_prior(fix_correlation_s=30.0)).covariance
    assert together[0, 0] > 3.0 * alone[0, 0]


def test_fixes_are_never_believed_better_than_the_floor() -> None:
    covariance = fix_covariance(np.diag([0.01**2, 9.0**2]), CONFIG)
    assert np.sqrt(np.diag(covariance)) == pytest.approx([2.0, 9.0])
    scaled = fix_covariance(np.diag([0.01**2, 9.0**2]), with_prior(fix_sigma_scale=2.0))
    assert np.sqrt(np.diag(scaled)) == pytest.approx([2.0, 18.0])


def test_fixes_out_of_the_window_do_not_count() -> None:
    history = drive(fixes=lambda t: np.array([40.0, 0.0]) if t < 10 else np.zeros(2))
    made = prior(history, 20.0, with_prior(align_window_s=9.0))
    assert error(made, straight(20.0)) == pytest.approx((0.0, 0.0), abs=0.01)


def test_fix_source_leaves_odometry_alone() -> None:
    assert prior(drive(), 20.0, with_prior(source="fix")).source == "fix+course"


# --- what is missing or old


def test_nothing_at_all_is_no_prior_with_the_topic_to_check() -> None:
    status, text = refusal(History(CONFIG), 1.0)
    assert status is Status.NO_PRIOR
    assert "fix_topic" in text


def test_odometry_alone_is_no_prior() -> None:
    status, text = refusal(drive(fixes=none), 20.0)
    assert status is Status.NO_PRIOR
    assert "initial pose" in text


def test_without_odometry_where_it_is_demanded_there_is_no_prior() -> None:
    status, text = refusal(drive(odometry=False), 20.0, with_prior(source="odom_fix"))
    assert status is Status.NO_PRIOR
    assert "odom_topic" in text


@pytest.mark.parametrize("t", [20.5, -0.1])
def test_odometry_that_does_not_reach_the_image_is_a_stale_prior(t: float) -> None:
    assert refusal(drive(), t)[0] is Status.STALE_PRIOR


def test_stale_fixes_are_refused_with_their_age() -> None:
    history = drive(fixes=lambda t: np.zeros(2) if t <= 12 else None)
    short = with_prior(carry_max_s=5.0)
    assert error(prior(history, 16.9, short), straight(16.9))[0] < 0.1
    status, text = refusal(history, 17.6, short)
    assert status is Status.STALE_PRIOR
    assert "5.6 s old" in text
    assert "limit 5.0" in text


def test_odometry_carries_the_last_fix_and_the_window_grows_with_its_drift() -> None:
    history = drive(until=40.0, fixes=lambda t: np.zeros(2) if t <= 12 else None)
    sigmas = [math.sqrt(np.trace(prior(history, t).covariance[:2, :2])) for t in (12.0, 20.0, 30.0, 35.0)]
    assert sigmas == sorted(sigmas)
    assert sigmas[-1] > 3.0 * sigmas[0]
    assert refusal(history, 40.0)[0] is Status.WEAK_PRIOR


def test_own_poses_bridge_a_gap_of_the_fixes() -> None:
    history = drive(fixes=lambda t: np.zeros(2) if t <= 12 else None)
    remember(history, 16.0, straight(16.0))
    short = with_prior(carry_max_s=5.0)
    assert error(prior(history, 20.0, short), straight(20.0))[0] < 0.3
    history.forget_own()
    assert refusal(history, 20.0, short)[0] is Status.STALE_PRIOR


def test_fixes_of_tens_of_metres_are_a_weak_prior() -> None:
    status, text = refusal(drive(sigma=80.0), 20.0)
    assert status is Status.WEAK_PRIOR
    assert "limit 30.0" in text


# --- initial pose


def initial(history: History, t: float, pose: Pose2, covariance: np.ndarray = GOOD) -> History:
    history.start_at(round(t * S), pose, covariance)
    return history


def test_initial_pose_alone_is_carried_by_odometry() -> None:
    made = prior(initial(drive(fixes=none), 16.0, straight(16.0)), 20.0)
    assert error(made, straight(20.0)) == pytest.approx((0.0, 0.0), abs=0.01)
    assert made.source == "initial"
    assert made.yaw_known


def test_initial_heading_with_fixes_settles_the_yaw_of_a_standing_vehicle() -> None:
    here = Pose2(3.0, 4.0, 1.0)
    history = initial(drive(lambda _t: here), 0.0, Pose2(0.0, 0.0, 1.05), ANYWHERE)
    made = prior(history, 20.0)
    assert error(made, here) == pytest.approx((0.0, math.degrees(0.05)), abs=0.2)
    assert made.yaw_known
    assert history.heading_given


def test_initial_pose_of_unknown_yaw_gives_no_heading() -> None:
    history = initial(drive(), 0.0, straight(0.0), np.diag([1.0, 1.0, 1e6]))
    assert not history.heading_given


@pytest.mark.parametrize("stamp", [0.0, 95.0])
def test_initial_pose_before_the_first_odometry_counts_where_odometry_begins(stamp: float) -> None:
    history = initial(drive(begin=100.0, until=104.0, fixes=none), stamp, straight(100.0))
    assert error(prior(history, 104.0), straight(104.0)) == pytest.approx((0.0, 0.0), abs=0.01)


def test_initial_pose_ahead_of_odometry_is_settled_once_odometry_is_there() -> None:
    history = initial(drive(until=10.0, fixes=none), 10.4, straight(10.4))
    prior(history, 10.0)
    for tick in range(101, 131):
        history.odometry.add(OdomSample(round(tick * S / 10), straight(0.0).inverse() @ straight(tick / 10)))
    assert error(prior(history, 13.0), straight(13.0)) == pytest.approx((0.0, 0.0), abs=0.01)


def test_initial_pose_does_not_wander_when_odometry_forgets_its_moment() -> None:
    history = initial(drive(until=5.0, fixes=none), 1.0, straight(1.0))
    prior(history, 5.0)
    origin = straight(0.0).inverse()
    for tick in range(51, 1001):  # the history of odometry is 60 s
        history.odometry.add(OdomSample(round(tick * S / 10), origin @ straight(tick / 10)))
        if tick % 100 == 0:
            history.prior(round(tick * S / 10), CONFIG)
    history.fixes.add(99 * S, Fix(99 * S, straight(99.0).xy, np.eye(2), np.zeros(2)))
    assert error(prior(history, 100.0), straight(100.0)) == pytest.approx((0.0, 0.0), abs=0.05)


def test_a_new_initial_pose_replaces_the_old_one_and_own_poses() -> None:
    history = initial(drive(fixes=none), 18.0, Pose2(0.0, 0.0, 0.0))
    remember(history, 19.0, Pose2(0.0, 0.0, 0.0))
    prior(history, 19.5)
    initial(history, 19.0, straight(19.0))
    assert error(prior(history, 20.0), straight(20.0)) == pytest.approx((0.0, 0.0), abs=0.01)


# --- own poses


def remember(history: History, t: float, pose: Pose2, covariance: np.ndarray = GOOD) -> None:
    point = history.odometry.at(round(t * S))
    assert point is not None
    history.remember(point, PoseEstimate(pose, covariance, 0.5, 0.0))


def test_own_poses_pull_the_prior_away_from_the_bias_of_gnss() -> None:
    history = drive(fixes=lambda _t: np.array([6.0, -5.0]))
    for t in (17.0, 18.0, 19.0):
        remember(history, t, straight(t))
    assert error(prior(history, 20.0), straight(20.0))[0] < 3.5
    assert error(prior(history, 20.0, with_prior(use_own_poses=False)), straight(20.0))[0] > 7.0


def test_own_poses_are_never_believed_better_than_their_floor() -> None:
    history = drive(fixes=none)
    for t in (19.0, 19.5, 20.0):
        remember(history, t, straight(t), np.diag([1e-6, 1e-6, 1e-8]))
    sigma = np.sqrt(np.diag(prior(history, 20.0).covariance))
    assert (sigma[:2] > CONFIG.prior.own_sigma_m).all()
    assert math.degrees(sigma[2]) > CONFIG.prior.own_sigma_deg * 0.95


def test_forgetting_own_poses_returns_to_gnss() -> None:
    history = drive()
    for t in (17.0, 18.0, 19.0):
        remember(history, t, straight(t) @ Pose2(0.0, 8.0, 0.0))
    assert error(prior(history, 20.0), straight(20.0))[0] > 4.0
    history.forget_own()
    assert error(prior(history, 20.0), straight(20.0))[0] < 0.1


# --- heading


def test_heading_settles_the_yaw_of_a_standing_vehicle() -> None:
    here = Pose2(3.0, 4.0, 1.0)
    history = drive(lambda _t: here)
    history.headings.add(19 * S, HeadingSample(19 * S, 1.0, math.radians(3.0)))
    made = prior(history, 20.0)
    assert error(made, here) == pytest.approx((0.0, 0.0), abs=0.1)
    assert made.source == "fix+heading"
    assert made.yaw_known
    assert history.heading_given


def test_heading_is_carried_by_odometry_through_a_bend() -> None:
    history = drive(bend, fixes=lambda t: np.zeros(2) if t >= 20 else None)
    history.headings.add(10 * S, HeadingSample(10 * S, bend(10.0).yaw_rad, math.radians(1.0)))
    assert error(prior(history, 20.0), bend(20.0)) == pytest.approx((0.0, 0.0), abs=0.1)


def test_heading_alone_is_no_prior() -> None:
    history = drive(fixes=none)
    history.headings.add(19 * S, HeadingSample(19 * S, 1.0, 0.05))
    assert refusal(history, 20.0)[0] is Status.NO_PRIOR


def test_clear_forgets_everything() -> None:
    history = initial(drive(), 0.0, straight(0.0))
    remember(history, 20.0, straight(20.0))
    history.headings.add(20 * S, HeadingSample(20 * S, 0.0, 0.1))
    history.clear()
    assert not history.heading_given
    assert refusal(history, 20.0)[0] is Status.NO_PRIOR
    assert history.odometry.add(OdomSample(0, Pose2(0.0, 0.0, 0.0))) == ""
