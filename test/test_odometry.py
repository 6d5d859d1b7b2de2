# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math
import threading

import pytest

from cvloc_ros.odometry import OdometryTrack
from cvloc_ros.types import OdomSample, Pose2

S = 1_000_000_000


def track(*samples: tuple[float, float, float, float], history_s: float = 60.0) -> OdometryTrack:
    """Make a track of (seconds, x, y, yaw)."""
    made = OdometryTrack(history_s)
    for t, x, y, yaw in samples:
        assert made.add(OdomSample(round(t * S), Pose2(x, y, yaw))) == ""
    return made


def test_between_samples_pose_and_distance_are_interpolated() -> None:
    point = track((10.0, 0.0, 0.0, 0.0), (10.5, 2.0, 0.0, 0.2)).at(round(10.125 * S))
    assert point is not None
    assert (point.pose.x_m, point.pose.yaw_rad, point.travelled_m) == pytest.approx((0.5, 0.05, 0.5))


def test_yaw_turns_the_shorter_way_round() -> None:
    point = track((0.0, 0.0, 0.0, math.pi - 0.1), (1.0, 0.0, 0.0, -math.pi + 0.1)).at(round(0.75 * S))
    assert point is not None
    assert math.remainder(point.pose.yaw_rad - (math.pi + 0.05), math.tau) == pytest.approx(0.0, abs=1e-12)


def test_at_a_sample_the_sample_itself_is_returned_even_beside_a_gap() -> None:
    made = track((0.0, 0.0, 0.0, 0.0), (5.0, 3.0, 0.0, 0.0))
    assert made.at(5 * S).pose == Pose2(3.0, 0.0, 0.0)


@pytest.mark.parametrize("t", [-0.1, 1.1, 9.9])
def test_nothing_is_extrapolated(t: float) -> None:
    assert track((0.0, 0.0, 0.0, 0.0), (1.0, 1.0, 0.0, 0.0)).at(round(t * S)) is None


def test_nothing_is_interpolated_across_a_gap() -> None:
    made = track((0.0, 0.0, 0.0, 0.0), (1.0, 1.0, 0.0, 0.0), (2.5, 2.0, 0.0, 0.0))
    assert made.at(round(0.5 * S)) is not None
    assert made.at(2 * S) is None


def test_travelled_distance_follows_the_way_not_the_beeline() -> None:
    made = track((0.0, 0.0, 0.0, 0.0), (1.0, 3.0, 0.0, 0.0), (2.0, 3.0, 4.0, 0.0), (3.0, 0.0, 0.0, 0.0))
    assert [made.at(t * S).travelled_m for t in range(4)] == pytest.approx([0.0, 3.0, 7.0, 12.0])


def test_a_late_sample_is_sorted_in_and_never_makes_the_distance_shrink() -> None:
    made = track((0.0, 0.0, 0.0, 0.0), (1.0, 2.0, 0.0, 0.0))
    assert made.add(OdomSample(round(0.5 * S), Pose2(1.0, 5.0, 0.0))) == ""
    assert made.at(round(0.5 * S)).pose == Pose2(1.0, 5.0, 0.0)
    distances = [made.at(round(t * S / 10)).travelled_m for t in range(11)]
    assert distances == sorted(distances)
    assert distances[-1] == pytest.approx(2.0)


def test_distance_goes_on_after_old_samples_are_dropped() -> None:
    made = track(*((t / 2, float(t), 0.0, 0.0) for t in range(60)), history_s=5.0)
    assert len(made) < 60
    assert made.at(round(29.5 * S)).travelled_m == pytest.approx(59.0)


def test_nearest_is_the_end_that_is_closest() -> None:
    made = track((10.0, 1.0, 0.0, 0.0), (11.0, 2.0, 0.0, 0.0), (14.0, 3.0, 0.0, 0.0))
    assert made.nearest(0).pose.x_m == 1.0
    assert made.nearest(100 * S).pose.x_m == 3.0
    assert made.nearest(round(10.5 * S)).pose.x_m == pytest.approx(1.5)
    assert made.nearest(round(11.9 * S)).pose.x_m == 2.0  # inside the gap
    assert made.nearest(round(13.1 * S)).pose.x_m == 3.0


def test_an_empty_track_knows_nothing() -> None:
    empty = OdometryTrack(60.0)
    assert (empty.at(0), empty.nearest(0), empty.newest_ns, len(empty)) == (None, None, None, 0)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("field", [0, 1, 2])
def test_not_finite_is_refused(field: int, bad: float) -> None:
    values = [0.0, 0.0, 0.0]
    values[field] = bad
    made = track((0.0, 0.0, 0.0, 0.0))
    assert made.add(OdomSample(S, Pose2(*values))) == "not_finite"
    assert len(made) == 1


def test_backward_clock_jump_is_told_and_clear_mends_it() -> None:
    made = track((100.0, 50.0, 0.0, 0.0), (101.0, 60.0, 0.0, 0.0))
    early = OdomSample(10 * S, Pose2(0.0, 0.0, 0.0))
    assert made.add(early) == "clock_jump"
    assert made.newest_ns == 101 * S
    made.clear()
    assert made.newest_ns is None
    assert made.add(early) == ""
    assert made.at(10 * S).travelled_m == 0.0


def test_reading_while_another_thread_adds() -> None:
    made = OdometryTrack(5.0)
    done = threading.Event()

    def write() -> None:
        for t in range(2000):
            made.add(OdomSample(t * S // 100, Pose2(t * 0.1, 0.0, 0.0)))
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    while not done.is_set():
        newest = made.newest_ns
        if newest is not None:
            point = made.at(newest)
            # None where the sample has been dropped since; anything else must fit together.
            assert point is None or point.travelled_m == pytest.approx(point.pose.x_m)
    writer.join()


def test_a_jump_no_vehicle_can_make_begins_a_new_track() -> None:
    made = track((0.0, 0.0, 0.0, 0.0), (0.1, 1.0, 0.0, 0.0), (0.2, 50.0, 0.0, 0.0), (0.3, 51.0, 0.0, 0.0))
    assert made.restarts == 1
    assert made.at(round(0.1 * S)) is None
    point = made.at(round(0.25 * S))
    assert point is not None
    assert point.travelled_m == pytest.approx(0.5)


def test_a_fast_vehicle_after_a_gap_is_no_jump() -> None:
    assert track((0.0, 0.0, 0.0, 0.0), (3.0, 150.0, 0.0, 0.0)).restarts == 0
