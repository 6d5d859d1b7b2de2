# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cvloc_ros.estimation.procrustes import from_matches, procrustes, ransac
from cvloc_ros.types import Correspondences, Pose2


def matches(
    truth: Pose2, rng: np.random.Generator, n: int = 60, noise_m: float = 0.2, wrong: int = 0
) -> Correspondences:
    ground = rng.uniform(-20, 20, (n, 2))
    aerial = truth.apply(ground) + rng.normal(0, noise_m, (n, 2))
    aerial[:wrong] = rng.uniform(-60, 60, (wrong, 2))
    return Correspondences(ground, aerial, np.ones(n), np.zeros((n, 2)), np.zeros(n, np.int64))


@given(x=st.floats(-1e4, 1e4), y=st.floats(-1e4, 1e4), yaw=st.floats(-3.1, 3.1), seed=st.integers(0, 99))
def test_exact_for_exact_matches(x: float, y: float, yaw: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    ground, weights = rng.uniform(-20, 20, (5, 2)), rng.uniform(0.1, 1, 5)
    pose = procrustes(ground, Pose2(x, y, yaw).apply(ground), weights)
    assert pose is not None
    assert [pose.x_m, pose.y_m] == pytest.approx([x, y], abs=1e-6)
    assert math.remainder(pose.yaw_rad - yaw, math.tau) == pytest.approx(0.0, abs=1e-7)


def test_degenerate_matches_give_no_pose() -> None:
    same = np.ones((4, 2))
    assert procrustes(same, same, np.ones(4)) is None
    assert procrustes(same, same, np.zeros(4)) is None
    assert procrustes(np.empty((0, 2)), np.empty((0, 2)), np.empty(0)) is None


def test_outliers_do_not_move_the_pose() -> None:
    rng = np.random.default_rng(2)
    truth = Pose2(100.0, -50.0, 2.0)
    estimate = from_matches(matches(truth, rng, wrong=30), rng)
    assert estimate is not None
    assert np.hypot(*(estimate.pose.xy - truth.xy)) < 0.2
    assert estimate.inliers == pytest.approx(0.5, abs=0.05)


def test_all_wrong_is_found_by_its_few_inliers() -> None:
    rng = np.random.default_rng(3)
    inliers = ransac(matches(Pose2(0, 0, 0), rng, wrong=60), rng)
    assert inliers is None or inliers.mean() < 0.2


def test_covariance_is_honest() -> None:
    """The normalised squared error of many trials averages three, the degrees of freedom."""
    nees = []
    for seed in range(200):
        rng = np.random.default_rng(seed)
        truth = Pose2(*rng.uniform(-100, 100, 2), rng.uniform(-3, 3))
        estimate = from_matches(matches(truth, rng, n=40), rng)
        assert estimate is not None
        delta = np.array(
            [*(estimate.pose.xy - truth.xy), math.remainder(estimate.pose.yaw_rad - truth.yaw_rad, math.tau)]
        )
        nees.append(delta @ np.linalg.solve(estimate.covariance, delta))
    assert np.mean(nees) == pytest.approx(3.0, abs=0.8)
