# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cvloc_ros.estimation.procrustes import from_matches, procrustes, ransac, similarity
from cvloc_ros.types import Correspondences, Pose2, PosePrior


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


def test_the_better_of_two_places_is_no_proof_against_the_prior() -> None:
    """As with repeating marks in a score volume: slightly more matches agree far from where the vehicle should be."""
    rng = np.random.default_rng(4)
    near, far = Pose2(1.0, 0.0, 0.0), Pose2(16.0, 0.0, 0.0)
    given = matches(far, rng, n=60)
    given.aerial[:28] = near.apply(given.ground[:28])
    prior = PosePrior(Pose2(0.0, 0.0, 0.0), np.diag([9.0, 9.0, 0.1]), 0, True, "fix")
    alone, heard = (from_matches(given, np.random.default_rng(1), p) for p in (None, prior))
    assert alone is not None and heard is not None
    assert alone.pose.x_m == pytest.approx(16.0, abs=0.3)
    assert alone.ambiguity < 0.7 < heard.ambiguity
    assert heard.pose == alone.pose
    np.testing.assert_array_equal(heard.covariance, alone.covariance)


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


def test_scale_is_found_where_it_is_free() -> None:
    rng = np.random.default_rng(4)
    ground, weights = rng.uniform(-20, 20, (9, 2)), rng.uniform(0.1, 1, 9)
    found = similarity(ground, Pose2(5.0, -2.0, -2.5).apply(1.7 * ground), weights)
    assert found is not None
    assert found.scale == pytest.approx(1.7, abs=1e-12)
    assert found.pose.xy == pytest.approx([5.0, -2.0], abs=1e-9)
    assert found.pose.yaw_rad == pytest.approx(-2.5, abs=1e-12)


def test_an_unsure_scale_makes_a_one_sided_view_less_certain_along_it() -> None:
    """A camera that looks forward sees points ahead only: a wrong scale then moves the pose forward."""
    rng = np.random.default_rng(5)
    ground = rng.uniform([5, -5], [30, 5], (200, 2))
    aerial = Pose2(0.0, 0.0, 0.0).apply(ground) + rng.normal(0, 0.3, ground.shape)
    plain = Correspondences(ground, aerial, np.ones(200), np.zeros((200, 2)), np.zeros(200, np.int64))
    sure, unsure = (from_matches(replace(plain, scale=s), np.random.default_rng(1)) for s in (None, 1.0))
    assert sure is not None and unsure is not None
    assert unsure.covariance[0, 0] > 2 * sure.covariance[0, 0]
    assert unsure.covariance[1, 1] == pytest.approx(sure.covariance[1, 1], rel=0.2)


def test_infinite_inlier_distance_is_plain_least_squares() -> None:
    rng = np.random.default_rng(6)
    given = replace(matches(Pose2(1.0, 2.0, 0.3), rng, wrong=20), inlier_m=math.inf)
    estimate = from_matches(given, rng)
    assert estimate is not None
    assert estimate.inliers == 1.0
    assert estimate.pose == procrustes(given.ground, given.aerial, given.weights)


@pytest.mark.parametrize("free_scale", [False, True])
def test_covariance_agrees_with_the_bootstrap(free_scale: bool) -> None:
    rng = np.random.default_rng(7)
    given = replace(matches(Pose2(3.0, 4.0, 1.0), rng, n=150), inlier_m=5.0, scale=1.0 if free_scale else None)
    estimate = from_matches(given, rng)
    assert estimate is not None
    poses = []
    for _ in range(600):
        pick = rng.integers(0, 150, 150)
        fitted = similarity(given.ground[pick], given.aerial[pick], given.weights[pick], free_scale=free_scale)
        assert fitted is not None
        poses.append([*fitted.pose.xy, fitted.pose.yaw_rad])
    reference = np.sqrt(np.diag(np.cov(np.array(poses).T)))
    assert np.sqrt(np.diag(estimate.covariance)) == pytest.approx(reference, rel=0.25)


def test_two_places_with_equal_support_are_ambiguous_one_with_half_is_not() -> None:
    rng = np.random.default_rng(8)
    ground = rng.uniform(-20, 20, (300, 2))
    aerial = ground + rng.normal(0, 0.1, ground.shape)
    for second, ambiguous in ((150, True), (100, False)):
        moved = aerial.copy()
        moved[:second] += [12.0, 0.0]
        given = Correspondences(ground, moved, np.ones(300), np.zeros((300, 2)), np.zeros(300, np.int64))
        estimate = from_matches(given, np.random.default_rng(2))
        assert estimate is not None
        assert (estimate.ambiguity > 0.1) == ambiguous


def test_matches_that_are_not_numbers_give_no_pose() -> None:
    given = matches(Pose2(0.0, 0.0, 0.0), np.random.default_rng(9))
    assert from_matches(replace(given, ground=given.ground * np.nan), np.random.default_rng(0)) is None
    assert from_matches(replace(given, weights=given.weights * np.nan), np.random.default_rng(0)) is None
    few = Correspondences(*np.zeros((2, 0, 2)), np.zeros(0), np.zeros((0, 2)), np.zeros(0, np.int64))
    assert from_matches(few, np.random.default_rng(0)) is None
