# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Measures of a group against values worked out by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from cvloc_ros.evaluation.metrics import evaluate as evaluate_replay
from cvloc_ros.evaluation.suite.record import RunName, RunRecord
from cvloc_ros.evaluation.suite.statistics import Sample, evaluate, measures

Maker = Callable[..., RunRecord]


def values(*records: RunRecord) -> dict[str, Any]:
    sample = Sample.of(records)
    return {key: found["value"] for key, found in evaluate(measures(sample), sample.drive, None).items()}


def test_recall_counts_failures_as_misses_and_limits_are_strict(by_hand: Maker) -> None:
    found = values(by_hand([
        {"off": (0.5, 0.0, 0.0)}, {"off": (1.0, 0.0, 0.0)}, {"off": (0.0, 4.0, 2.0)}, {"status": "ambiguous"},
        {"status": "waiting_keyframes", "tried": False},
    ]))
    assert found["availability"] == 0.75
    assert found["recall_position_1m"] == 0.25
    assert found["recall_position_3m"] == 0.5
    assert found["recall_position_5m"] == 0.75
    assert found["recall_longitudinal_1m"] == 0.5
    assert found["recall_lateral_1m"] == 0.5
    assert found["recall_lateral_5m"] == 0.75
    assert found["recall_yaw_1deg"] == 0.5
    assert found["recall_yaw_3deg"] == 0.75


def test_joint_recall_needs_both(by_hand: Maker) -> None:
    found = values(by_hand([
        {"off": (0.5, 0.0, 4.0)}, {"off": (0.5, 0.0, 6.0)}, {"off": (2.0, 0.0, 1.0)}, {"off": (4.0, 0.0, 19.0)},
    ]))
    assert (found["recall_1m_5deg"], found["recall_3m_10deg"], found["recall_5m_20deg"]) == (0.25, 0.75, 1.0)


def test_errors_are_split_along_the_true_heading(by_hand: Maker) -> None:
    found = values(by_hand([{"off": (0.3, -0.4, -2.0)}, {"off": (0.9, 1.2, 4.0)}, {"off": (0.0, 0.0, 0.0)}]))
    assert found["position_error_mean_m"] == pytest.approx(2.0 / 3)
    assert found["position_error_median_m"] == pytest.approx(0.5)
    assert found["position_error_p95_m"] == pytest.approx(1.4)
    assert found["longitudinal_error_mean_m"] == pytest.approx(0.4)
    assert found["lateral_error_median_m"] == pytest.approx(0.4)
    assert found["yaw_error_mean_deg"] == pytest.approx(2.0)


def test_failure_counts_as_the_error_of_its_prior(by_hand: Maker) -> None:
    found = values(by_hand([
        {"off": (1.0, 0.0, 0.0), "prior": (9.0, 0.0, 9.0)}, {"status": "low_score", "prior": (3.0, 4.0, 5.0)},
        {"off": (2.0, 0.0, 0.0)},
    ]))
    assert found["all_attempts_position_mean_m"] == pytest.approx((1.0 + 5.0 + 2.0) / 3)
    assert found["all_attempts_position_median_m"] == pytest.approx(2.0)
    assert found["all_attempts_yaw_mean_deg"] == pytest.approx(5.0 / 3)


def test_failure_without_a_prior_is_infinitely_far_off_in_the_median(by_hand: Maker) -> None:
    rows = [{"off": (1.0, 0.0, 0.0)}, {"status": "no_prior"}, {"off": (2.0, 0.0, 0.0)}]
    assert values(by_hand(rows))["all_attempts_position_median_m"] == 2.0
    lost = values(by_hand([*rows, {"status": "no_prior"}]))
    assert lost["all_attempts_position_median_m"] is None
    assert lost["all_attempts_position_mean_m"] == 1.5


def test_false_accepts_are_poses_more_than_3_m_off_anywhere(by_hand: Maker) -> None:
    found = values(by_hand([
        {"off": (3.0, 0.0, 0.0)}, {"off": (3.1, 0.0, 0.0)}, {"off": (9.0, 0.0, 0.0), "inside": False},
        {"off": (0.0, 0.0, 0.0)}, {"status": "ambiguous"},
    ]))
    assert found["false_accepts_of_published"] == 0.5
    assert found["recall_position_5m"] == 0.75


def test_gnss_alone_is_judged_at_the_same_attempts(by_hand: Maker) -> None:
    found = values(by_hand([
        {"gnss": 0.5}, {"gnss": 2.0, "status": "ambiguous"}, {"gnss": 6.0}, {},
        {"gnss": 0.1, "inside": False}, {"gnss": 0.1, "tried": False, "status": "standstill"},
    ]))
    assert found["gnss_availability"] == 0.75
    assert found["gnss_recall_1m"] == 0.25
    assert found["gnss_recall_3m"] == 0.5
    assert found["gnss_error_median_m"] == 2.0
    assert found["gnss_false"] == pytest.approx(1 / 3)


def test_nees_and_its_parts(by_hand: Maker) -> None:
    found = values(by_hand([{"off": (0.5, 1.0, 2.0)}, {"off": (0.0, 0.5, 0.0)}]))
    assert found["nees_mean"] == pytest.approx(5.0)
    assert found["nees_position_mean"] == pytest.approx(3.0)
    assert found["nees_yaw_mean"] == pytest.approx(2.0)


def test_all_failed_nothing_published(by_hand: Maker) -> None:
    found = values(by_hand([{"status": "ambiguous", "prior": (2.0, 0.0, 0.0)}, {"status": "no_tiles"}]))
    assert found["availability"] == found["recall_position_5m"] == 0.0
    assert found["position_error_median_m"] is found["nees_mean"] is found["false_accepts_of_published"] is None


def test_without_truth_nothing_is_claimed_of_errors(by_hand: Maker) -> None:
    found = values(by_hand([{"truth": False}, {"truth": False, "status": "ambiguous"}]))
    assert found["availability"] == 0.5
    without = {key for key, value in found.items() if value is None}
    assert without == set(found) - {"availability", "protection_level_median_m"}


def test_no_image_set_at_all(by_hand: Maker) -> None:
    assert set(values(by_hand([])).values()) == {None}
    assert set(values().values()) == {None}


def test_errors_above_the_protection_level_are_integrity_failures(by_hand: Maker) -> None:
    """The level of these poses is 2 m; what was refused, or has no truth, does not count."""
    off = [{"off": (metres, 0.0, 0.0)} for metres in (0.5, 1.9, 2.1, 1.0)]
    found = values(by_hand([*off, {"status": "ambiguous", "off": (9.0, 0.0, 0.0)}, {"truth": False}]))
    assert (found["integrity_failures"], found["protection_level_median_m"]) == (0.25, 2.0)


def test_drives_are_pooled_by_attempt(by_hand: Maker) -> None:
    near, far = by_hand([{"off": (1.0, 0.0, 0.0)}], "a"), by_hand([{"off": (4.0, 0.0, 0.0)}] * 3, "b")
    assert values(near, far)["position_error_mean_m"] == pytest.approx(3.25)
    assert Sample.of([far, near]).drives == ("a", "b")


def test_same_numbers_as_the_report_of_a_replay(judged_drive: Any) -> None:
    """The two are written apart (rows and columns): they must agree on every number that both have."""
    single = evaluate_replay(judged_drive.judged, images=5)
    record = RunRecord.of(RunName("a", "b", "c"), judged_drive, {})
    found = values(record)
    sample = Sample.of([record])
    assert found["availability"] == single["availability"]
    assert found["recall_position_1m"] == single["within_1m"]
    for name, unit in (("position", "m"), ("lateral", "m"), ("longitudinal", "m"), ("yaw", "deg")):
        for kind in ("mean", "median"):
            assert found[f"{name}_error_{kind}_{unit}"] == pytest.approx(single[f"{name}_error_{unit}"][kind], abs=2e-6)
    assert found["position_error_p95_m"] == pytest.approx(single["position_error_m"]["p95"])
    assert found["nees_mean"] == pytest.approx(single["nees_mean"])
    assert found["nees_median"] == pytest.approx(single["nees_median"])
    assert int(np.sum(sample.position > 3.0)) == single["false_accepts_3m_count"] == 1
    assert int(sample.known.sum()) == single["attempts_inside_with_truth"]
    assert found["protection_level_median_m"] is None, "another place is 0.1 as likely, and there is no window"
