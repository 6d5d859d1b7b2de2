# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Planar poses with covariance, checked against numeric derivatives and samples."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cvloc_ros.geo import se2
from cvloc_ros.types import F64, Pose2

if TYPE_CHECKING:
    from collections.abc import Callable

coordinate = st.floats(-500.0, 500.0)
poses = st.builds(Pose2, coordinate, coordinate, st.floats(-3.1, 3.1))


def covariances() -> st.SearchStrategy[F64]:
    def build(numbers: list[float]) -> F64:
        root = np.array(numbers).reshape(3, 3)
        return root @ root.T + 1e-3 * np.eye(3)

    return st.lists(st.floats(-1.0, 1.0), min_size=9, max_size=9).map(build)


def numeric(function: Callable[[Pose2], Pose2], pose: Pose2) -> F64:
    step = 1e-6
    columns = []
    for axis in np.eye(3):
        plus, minus = (
            function(Pose2(pose.x_m + k * axis[0], pose.y_m + k * axis[1], pose.yaw_rad + k * axis[2]))
            for k in (step, -step)
        )
        columns.append(se2.difference(plus, minus) / (2 * step))
    return np.array(columns).T


def vector(pose: Pose2) -> F64:
    return np.array([pose.x_m, pose.y_m, pose.yaw_rad])


@given(poses, poses)
def test_jacobians_equal_numeric_derivatives(a: Pose2, b: Pose2) -> None:
    by_a, by_b = se2.compose_jacobians(a, b)
    assert by_a == pytest.approx(numeric(lambda pose: pose @ b, a), abs=1e-3)
    assert by_b == pytest.approx(numeric(lambda pose: a @ pose, b), abs=1e-3)
    assert se2.inverse_jacobian(a) == pytest.approx(numeric(Pose2.inverse, a), abs=1e-3)


@given(poses, poses)
def test_relative_undoes_compose(a: Pose2, b: Pose2) -> None:
    assert se2.difference(se2.relative(a, a @ b), b) == pytest.approx(np.zeros(3), abs=1e-9)
    assert se2.difference(a @ a.inverse(), Pose2(0, 0, 0)) == pytest.approx(np.zeros(3), abs=1e-9)


@given(poses, covariances(), poses, covariances())
def test_covariances_stay_symmetric_and_positive(a: Pose2, cov_a: F64, b: Pose2, cov_b: F64) -> None:
    for _, covariance in (se2.compose(a, cov_a, b, cov_b), se2.invert(a, cov_a)):
        assert np.array_equal(covariance, covariance.T)
        assert np.linalg.eigvalsh(covariance).min() > -1e-9 * np.abs(covariance).max()


@given(poses, covariances())
def test_inverting_twice_gives_the_covariance_back(a: Pose2, covariance: F64) -> None:
    pose, back = se2.invert(*se2.invert(a, covariance))
    assert back == pytest.approx(covariance, abs=1e-6)
    assert se2.difference(pose, a) == pytest.approx(np.zeros(3), abs=1e-9)


@given(poses, covariances(), poses)
def test_transport_is_compose_with_an_exact_transform(a: Pose2, covariance: F64, T_map_odom: Pose2) -> None:
    _, expected = se2.compose(T_map_odom, np.zeros((3, 3)), a, covariance)
    moved = se2.transport(covariance, T_map_odom)
    assert moved == pytest.approx(expected)
    assert se2.transport(moved, T_map_odom.inverse()) == pytest.approx(covariance)
    assert np.linalg.det(moved) == pytest.approx(np.linalg.det(covariance), rel=1e-6)


def test_composed_covariance_equals_that_of_samples() -> None:
    rng = np.random.default_rng(1)
    a, b = Pose2(10.0, -5.0, 0.8), Pose2(20.0, 3.0, -0.4)
    cov_a, cov_b = np.diag([0.01, 0.04, 1e-4]), np.diag([0.02, 0.01, 2e-4])
    noise_a, noise_b = (
        rng.multivariate_normal(np.zeros(3), cov_a, 20000),
        rng.multivariate_normal(np.zeros(3), cov_b, 20000),
    )
    mean, covariance = se2.compose(a, cov_a, b, cov_b)
    samples = np.array(
        [
            se2.difference(Pose2(*(vector(a) + m)) @ Pose2(*(vector(b) + n)), mean)
            for m, n in zip(noise_a, noise_b, strict=True)
        ]
    )
    assert np.cov(samples.T) == pytest.approx(covariance, rel=0.06, abs=1e-4)


def test_interpolation_takes_the_short_way_over_pi() -> None:
    middle = se2.interpolate(Pose2(0, 0, math.radians(170)), Pose2(2, 4, math.radians(-170)), 0.5)
    assert (middle.x_m, middle.y_m, abs(middle.yaw_rad)) == pytest.approx((1.0, 2.0, math.pi))


@given(poses, poses)
def test_interpolation_meets_both_ends(a: Pose2, b: Pose2) -> None:
    assert se2.difference(se2.interpolate(a, b, 0.0), a) == pytest.approx(np.zeros(3), abs=1e-9)
    assert se2.difference(se2.interpolate(a, b, 1.0), b) == pytest.approx(np.zeros(3), abs=1e-9)


def test_mahalanobis_wraps_yaw_and_counts_sigma() -> None:
    covariance = np.diag([4.0, 1.0, math.radians(5.0) ** 2])
    a, b = Pose2(0, 0, math.radians(178)), Pose2(4, 0, math.radians(-177))
    assert se2.mahalanobis(b, a, covariance) == pytest.approx(math.sqrt(4 + 1))
    assert se2.mahalanobis(b, a, covariance, use_yaw=False) == pytest.approx(2.0)


@pytest.mark.parametrize("covariance", [np.zeros((3, 3)), -np.eye(3), np.full((3, 3), np.nan), np.diag([1, 1, np.inf])])
def test_distance_by_a_broken_covariance_is_infinite(covariance: F64) -> None:
    assert se2.mahalanobis(Pose2(1, 0, 0), Pose2(0, 0, 0), covariance) == math.inf
