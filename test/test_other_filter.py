# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math

import numpy as np
import pytest

from cvloc_ros.config import Config, merge
from cvloc_ros.errors import ConfigError
from cvloc_ros.geo import se3
from cvloc_ros.geo.transforms import TransformTree
from cvloc_ros.other_filter import OtherFilter
from cvloc_ros.types import OdomSample, Pose2, PosePrior, Status

S = 1_000_000_000
TF = merge(Config(), {"prior": {"source": "tf"}})
TOPIC = merge(Config(), {"prior": {"source": "filter"}, "inputs": {"filter_topic": "odometry/global"}})


def filtered(*items: tuple[float, float], covariance: np.ndarray | None = None, yaw: float = 3.1) -> OtherFilter:
    made = OtherFilter(TOPIC, TransformTree())
    for t, x in items:
        assert made.add(OdomSample(round(t * S), Pose2(x, 0.0, yaw if t < 0.5 else -yaw), covariance)) == ""
    return made


def test_prior_from_tf_is_taken_at_the_stamp() -> None:
    tree = TransformTree()
    for t in range(3):
        tree.add("map", "odom", t * S, se3.from_pose2(Pose2(10.0, 0.0, 0.5)), static=False)
        tree.add("odom", "base_link", t * S, se3.from_pose2(Pose2(2.0 * t, 0.0, 0.0)), static=False)
    made = OtherFilter(TF, tree)
    prior = made.prior(round(1.5 * S), TF)
    assert isinstance(prior, PosePrior)
    expected = Pose2(10.0, 0.0, 0.5) @ Pose2(3.0, 0.0, 0.0)
    assert (prior.pose.x_m, prior.pose.y_m, prior.pose.yaw_rad) == pytest.approx(
        (expected.x_m, expected.y_m, expected.yaw_rad)
    )
    assert prior.yaw_known
    assert prior.source == "tf"
    assert made.reach(TF) == 2 * S
    status, text = made.prior(3 * S, TF)
    assert status is Status.NO_PRIOR
    assert "before the stamp" in text


def test_topic_is_interpolated_at_the_stamp_the_yaw_the_shorter_way() -> None:
    made = filtered((0.0, 1.0), (1.0, 3.0))
    prior = made.prior(round(0.5 * S), TOPIC)
    assert isinstance(prior, PosePrior)
    assert prior.pose.x_m == pytest.approx(2.0)
    assert abs(prior.pose.yaw_rad) == pytest.approx(math.pi)
    assert prior.source == "filter"
    assert made.reach(TOPIC) == S


def test_its_covariance_counts_and_is_never_believed_below_the_floor() -> None:
    spread = np.diag([9.0, 4.0, 0.01])
    prior = filtered((0.0, 0.0), (1.0, 1.0), covariance=spread).prior(S // 2, TOPIC)
    assert np.diag(prior.covariance)[:2] == pytest.approx([13.0, 8.0])
    silent = filtered((0.0, 0.0), (1.0, 1.0)).prior(S // 2, TOPIC)
    assert silent.covariance[0, 0] >= TOPIC.prior.fix_sigma_floor_m**2


@pytest.mark.parametrize(
    ("items", "t", "status", "words"),
    [
        ((), 0.5, Status.NO_PRIOR, "odometry/global"),
        (((0.0, 0.0), (0.4, 1.0)), 0.5, Status.STALE_PRIOR, "does not cover"),
        (((0.0, 0.0), (1.5, 1.0)), 0.5, Status.STALE_PRIOR, "gap of 1.5 s"),
        (((0.0, 0.0), (0.1, 40.0)), 0.05, Status.WEAK_PRIOR, "jumps by 40.0 m"),
    ],
)
def test_gaps_jumps_and_silence_are_refused(items, t: float, status: Status, words: str) -> None:
    found = filtered(*items).prior(round(t * S), TOPIC)
    assert found[0] is status
    assert words in found[1]


def test_an_unsure_filter_is_a_weak_prior_and_an_unknown_yaw_is_unknown() -> None:
    found = filtered((0.0, 0.0), (1.0, 1.0), covariance=np.diag([1e6, 1e6, 0.01])).prior(S // 2, TOPIC)
    assert found[0] is Status.WEAK_PRIOR
    prior = filtered((0.0, 0.0), (1.0, 1.0), covariance=np.diag([1.0, 1.0, 9.0])).prior(S // 2, TOPIC)
    assert not prior.yaw_known


def test_nan_is_refused_and_clear_forgets() -> None:
    made = filtered((0.0, 0.0), (1.0, 1.0))
    assert made.add(OdomSample(2 * S, Pose2(math.nan, 0.0, 0.0), None)) == "not_finite"
    made.clear()
    assert made.reach(TOPIC) is None


def test_source_filter_without_a_topic_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"inputs\.filter_topic"):
        merge(Config(), {"prior": {"source": "filter"}})
