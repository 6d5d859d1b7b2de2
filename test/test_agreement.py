# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math

import numpy as np
import pytest

from cvloc_ros.agreement import Agreement
from cvloc_ros.config import Config, merge
from cvloc_ros.odometry import TrackPoint
from cvloc_ros.types import Pose2, PoseEstimate

CONFIG = merge(Config(), {"estimation": {"agreement": 3}})
COVARIANCE = np.diag([0.3**2, 0.3**2, math.radians(1.0) ** 2])
T_MAP_ODOM = Pose2(100.0, -50.0, 2.0)


def point(metres: float) -> TrackPoint:
    """Odometry of a drive along a gentle bend."""
    yaw = metres * 0.01
    return TrackPoint(round(metres * 1e9), Pose2(math.sin(yaw) / 0.01, (1 - math.cos(yaw)) / 0.01, yaw), metres)


def estimate(at: TrackPoint, error: Pose2 | None = None) -> PoseEstimate:
    return PoseEstimate(T_MAP_ODOM @ at.pose @ (error or Pose2(0.0, 0.0, 0.0)), COVARIANCE, 0.5, 0.0)


def verdicts(agreement: Agreement, metres: list[float], errors: list[Pose2 | None]) -> list[str]:
    points = [point(m) for m in metres]
    return [agreement.add(p, estimate(p, error), CONFIG) for p, error in zip(points, errors, strict=True)]


def test_the_third_candidate_that_agrees_is_believed_and_so_are_the_next() -> None:
    first, second, *rest = verdicts(Agreement(), [0.0, 3.0, 6.0, 9.0], [None] * 4)
    assert first.startswith("1 of 3")
    assert second.startswith("2 of 3")
    assert rest == ["", ""]


def test_small_errors_do_agree() -> None:
    errors = [Pose2(0.3, 0.0, 0.01), Pose2(-0.3, 0.2, -0.01), Pose2(0.0, -0.3, 0.0)]
    assert verdicts(Agreement(), [0.0, 3.0, 6.0], errors)[-1] == ""


@pytest.mark.parametrize("error", [Pose2(5.0, 0.0, 0.0), Pose2(0.0, -5.0, 0.0), Pose2(0.0, 0.0, math.radians(20))])
def test_a_candidate_that_contradicts_begins_the_count_anew(error: Pose2) -> None:
    texts = verdicts(Agreement(), [0.0, 3.0, 6.0, 9.0, 12.0], [None, None, error, error, error])
    assert [text[:6] for text in texts] == ["1 of 3", "2 of 3", "1 of 3", "2 of 3", ""]


def test_candidates_stuck_to_one_place_of_the_map_do_not_agree() -> None:
    agreement = Agreement()
    here = estimate(point(0.0))
    assert all(agreement.add(point(m), here, CONFIG) for m in (0.0, 4.0, 8.0, 12.0))


def test_clear_begins_anew() -> None:
    agreement = Agreement()
    verdicts(agreement, [0.0, 3.0], [None, None])
    agreement.clear()
    assert verdicts(agreement, [6.0], [None])[0].startswith("1 of 3")


def test_one_is_enough_where_one_is_asked_for() -> None:
    config = merge(CONFIG, {"estimation": {"agreement": 1}})
    assert Agreement().add(point(0.0), estimate(point(0.0)), config) == ""
