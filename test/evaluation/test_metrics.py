# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Metrics against values worked out by hand."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from cvloc_ros.evaluation.attempts import Attempt, Judged
from cvloc_ros.evaluation.metrics import along_across, evaluate, integrity, nees, statistics
from cvloc_ros.types import Pose2, PoseEstimate, Status, TileState


def judged(
    status: Status = Status.OK, error: tuple[float, float, float] = (0.0, 0.0, 0.0), *, inside: bool = True,
    truth: bool = True, gnss_m: float | None = None, seconds: float = 0.1,
) -> Judged:
    """An attempt at a vehicle that heads north; `error` is (ahead, left, deg)."""
    true_pose = Pose2(100.0, 50.0, math.pi / 2)
    pose = true_pose @ Pose2(error[0], error[1], math.radians(error[2]))
    estimate = PoseEstimate(pose, np.diag([0.25, 0.25, math.radians(1.0) ** 2]), 0.5, 0.1)
    attempt = Attempt(
        1, 0, 0, ("front",), status, (), estimate if status is Status.OK else None, estimate, None, None,
        TileState(), "", None, {"match": seconds / 2}, seconds,
    )
    gnss = None if gnss_m is None else true_pose.xy + np.array([gnss_m, 0.0])
    return Judged(attempt, true_pose if truth else None, gnss, inside)


def test_shares_count_failures_as_failures() -> None:
    found = evaluate([
        judged(error=(0.5, 0.0, 0.0)), judged(error=(0.5, 0.0, 4.0)), judged(error=(2.0, 0.0, 0.0)),
        judged(Status.AMBIGUOUS), judged(Status.NO_PRIOR),
    ], images=10)
    assert (found["images"], found["attempts"], found["attempts_inside"], found["published"]) == (10, 5, 5, 3)
    assert found["availability"] == pytest.approx(3 / 5)
    assert found["within_1m"] == pytest.approx(2 / 5)
    assert found["within_1m_3deg"] == pytest.approx(1 / 5)
    assert found["false_accepts_3m"] == 0.0
    assert found["statuses"] == {"ambiguous": 1, "no_prior": 1, "ok": 3}


def test_attempts_outside_the_map_do_not_count_but_wrong_poses_there_do() -> None:
    found = evaluate([
        judged(error=(0.5, 0.0, 0.0)),
        judged(Status.NO_TILES, inside=False),
        judged(error=(0.0, 5.0, 0.0), inside=False),
    ], images=3)
    assert found["attempts_inside"] == 1
    assert found["availability"] == found["within_1m"] == 1.0
    assert found["false_accepts_3m_count"] == 1
    assert found["false_accepts_3m"] == 1.0
    assert found["position_error_m"]["max"] == pytest.approx(5.0)


def test_errors_above_the_protection_level_are_integrity_failures() -> None:
    """Sigma 0.5 m; another place holds 0.09 of the probability, so that 0.11 are left of a risk of 0.2."""
    drive = [judged(error=(0.0, left, 0.0)) for left in (0.2, 1.2, -1.0)]
    found = integrity([*drive, judged(error=(9.0, 0.0, 0.0), truth=False), judged(Status.AMBIGUOUS)], risk=0.2)
    left_over = (0.2 - 1 / 11) / (1 - 1 / 11)
    assert found["protection_level_m"]["median"] == pytest.approx(0.5 * math.sqrt(-2 * math.log(left_over)), abs=1e-5)
    assert (found["failures"], found["n"], found["protection_level_m"]["n"]) == (1, 3, 4)
    unbounded = integrity(drive, risk=0.01)
    assert (unbounded["failures"], unbounded["protection_level_m"]["n"]) == (0, 0), "no window, no bound"


def test_what_was_not_tried_is_no_attempt() -> None:
    found = evaluate([judged(), judged(Status.WAITING_KEYFRAMES), judged(Status.STANDSTILL)], images=3)
    assert (found["image_sets"], found["attempts"], found["availability"]) == (3, 1, 1.0)
    assert found["statuses"]["standstill"] == 1


def test_errors_are_split_along_and_across_the_true_heading() -> None:
    found = evaluate([judged(error=(0.3, -0.4, -2.0))], images=1)
    assert found["position_error_m"]["mean"] == pytest.approx(0.5)
    assert found["longitudinal_error_m"]["mean"] == pytest.approx(0.3)
    assert found["lateral_error_m"]["mean"] == pytest.approx(0.4)
    assert found["yaw_error_deg"]["mean"] == pytest.approx(2.0)
    assert along_across(np.array([0.0, 1.0]), math.pi / 2) == pytest.approx((1.0, 0.0))


def test_nees_by_hand() -> None:
    one = judged(error=(0.5, 1.0, 2.0))
    assert one.attempt.estimate is not None and one.truth is not None
    assert nees(one.attempt.estimate, one.truth) == pytest.approx(1.0 + 4.0 + 4.0)
    found = evaluate([one, judged(error=(0.0, 0.5, 0.0))], images=2)
    assert found["nees_mean"] == pytest.approx(5.0)
    assert found["nees_n"] == 2


def test_yaw_error_wraps() -> None:
    estimate = PoseEstimate(Pose2(0, 0, math.radians(179.0)), np.eye(3), 1.0, 0.0)
    assert nees(estimate, Pose2(0, 0, math.radians(-179.0))) == pytest.approx(math.radians(2.0) ** 2)


def test_statistics_by_hand() -> None:
    assert statistics([1.0, 2.0, 3.0, 4.0, 10.0]) == {"mean": 4.0, "median": 3.0, "p95": 8.8, "max": 10.0, "n": 5}
    assert statistics([]) == {"mean": None, "median": None, "p95": None, "max": None, "n": 0}


def test_gnss_is_judged_at_all_attempts_and_latency_at_all_that_were_tried() -> None:
    found = evaluate(
        [judged(gnss_m=2.0, seconds=0.2), judged(Status.AMBIGUOUS, gnss_m=4.0, seconds=0.4),
         judged(Status.STANDSTILL, gnss_m=9.0, seconds=9.0)], images=3, max_latency_s=0.3,
    )
    assert found["gnss_position_error_m"]["mean"] == pytest.approx(3.0)
    assert found["latency_ms"]["p50"] == pytest.approx(300.0)
    assert found["latency_ms"]["stages"]["match"]["p50"] == pytest.approx(150.0)
    assert found["late"] == 1


def test_without_truth_nothing_is_claimed() -> None:
    found = evaluate([judged(truth=False), judged(Status.AMBIGUOUS, truth=False)], images=2)
    assert found["availability"] == 0.5
    assert found["within_1m"] is found["nees_mean"] is found["false_accepts_3m"] is None
    json.dumps(found, allow_nan=False)
    assert {"attempts_inside", "availability", "within_1m", "false_accepts_3m", "nees"} <= set(found["definitions"])
