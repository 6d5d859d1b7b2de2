# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from cvloc_ros.config import Matching
from cvloc_ros.keyframes import Keyframes
from cvloc_ros.odometry import TrackPoint
from cvloc_ros.types import GroundView, Pose2

CONFIG = Matching(keyframes=4, keyframes_min=1, keyframe_spacing_m=2.0, keyframe_max_age_m=10.0)


def view(t: float, name: str = "front") -> GroundView:
    return GroundView(name, np.zeros((1, 1, 3), np.uint8), None, np.eye(4), round(t * 1e9))  # type: ignore[arg-type]


def at(travelled: float, pose: Pose2 | None = None) -> TrackPoint:
    return TrackPoint(round(travelled * 1e9), pose or Pose2(travelled, 0.0, 0.0), travelled)


def drive(keyframes: Keyframes, *travelled: float) -> tuple[list[GroundView], int]:
    for metres in travelled:
        result = keyframes.join([view(metres)], at(metres))
    return result


def stamps(views: list[GroundView]) -> list[float]:
    return [v.stamp_ns * 1e-9 for v in views]


def test_a_place_is_kept_every_spacing() -> None:
    views, places = drive(Keyframes(CONFIG), 0.0, 0.5, 1.0, 2.0, 2.5, 3.9, 4.0, 5.5)
    assert stamps(views) == pytest.approx([5.5, 4.0, 2.0, 0.0])
    assert places == 4


def test_no_more_places_than_configured() -> None:
    views, places = drive(Keyframes(CONFIG), *np.arange(0.0, 9.0, 2.0))
    assert places == len(views) == CONFIG.keyframes
    assert stamps(views) == pytest.approx([8.0, 6.0, 4.0, 2.0])


def test_places_too_far_back_are_left_out() -> None:
    views, places = drive(Keyframes(CONFIG), 0.0, 2.0, 4.0, 13.0)
    assert stamps(views) == pytest.approx([13.0, 4.0])
    assert places == 2


def test_the_same_place_is_not_taken_twice() -> None:
    keyframes = Keyframes(CONFIG)
    views, places = drive(keyframes, 0.0, 0.9)
    assert places == len(views) == 1
    views, places = drive(keyframes, 1.1)
    assert stamps(views) == pytest.approx([1.1, 0.0])


def test_a_standing_vehicle_keeps_one_place() -> None:
    keyframes = Keyframes(CONFIG)
    for t in range(20):
        views, places = keyframes.join([view(t)], at(0.0))
    assert places == len(views) == 1
    assert views[0].stamp_ns == 19_000_000_000


def test_all_cameras_of_a_place_are_carried_and_count_once() -> None:
    keyframes = Keyframes(CONFIG)
    keyframes.join([view(0.0, "left"), view(0.0, "right")], at(0.0))
    views, places = keyframes.join([view(3.0, "left"), view(3.0, "right")], at(3.0))
    assert places == 2
    assert [(v.camera_name, v.stamp_ns) for v in views] == [
        ("left", 3 * 10**9), ("right", 3 * 10**9), ("left", 0), ("right", 0),
    ]  # fmt: skip


def test_current_views_stay_where_they_are_and_old_ones_are_seen_from_here() -> None:
    keyframes = Keyframes(CONFIG)
    then, here = Pose2(10.0, 20.0, math.pi / 2), Pose2(10.0, 23.0, math.pi)
    keyframes.join([view(0.0)], at(0.0, then))
    current, old = keyframes.join([view(3.0)], at(3.0, here))[0]
    assert current.T_ref_base == Pose2(0.0, 0.0, 0.0)
    # A point 1 m ahead of the old pose lies in odom at (10, 21): 2 m to the left of a vehicle that looks along -x.
    assert old.T_ref_base.apply(np.array([1.0, 0.0])) == pytest.approx([0.0, 2.0], abs=1e-12)
    points = np.array([[3.0, -1.0]])
    assert here.apply(old.T_ref_base.apply(points)) == pytest.approx(then.apply(points))


def test_a_view_that_was_taken_beside_its_place_is_carried_from_there() -> None:
    keyframes = Keyframes(CONFIG)
    late = dataclasses.replace(view(0.0), T_ref_base=Pose2(0.5, 0.0, 0.0))
    keyframes.join([late], at(0.0))
    assert keyframes.join([view(3.0)], at(3.0))[0][1].T_ref_base.x_m == pytest.approx(-2.5)


def test_old_views_are_carried_anew_for_every_pose() -> None:
    keyframes = Keyframes(CONFIG)
    keyframes.join([view(0.0)], at(0.0))
    for metres in (3.0, 5.0, 7.5):
        oldest = keyframes.join([view(metres)], at(metres))[0][-1]
        assert oldest.T_ref_base.x_m == pytest.approx(-metres)


def test_clear_forgets_all_places() -> None:
    keyframes = Keyframes(CONFIG)
    drive(keyframes, 0.0, 2.0, 4.0)
    keyframes.clear()
    views, places = drive(keyframes, 6.0)
    assert places == len(views) == 1
