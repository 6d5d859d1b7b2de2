# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The protection level against what it says: sampled errors, limits that are known, other places."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cvloc_ros.estimation.integrity import ellipse_radius, protection_level
from cvloc_ros.types import Pose2, PoseEstimate, SearchWindow

WINDOW = SearchWindow(Pose2(100.0, 50.0, 0.0), 10.0, 0.2)
RISK = 1e-3


def estimate(ambiguity: float = 0.0, sigma_m: float = 0.3) -> PoseEstimate:
    return PoseEstimate(Pose2(101.0, 48.0, 0.1), np.diag([sigma_m**2, sigma_m**2, 1e-4]), 0.5, ambiguity)


def test_round_and_flat_ellipses_have_the_radii_of_rayleigh_and_of_one_dimension() -> None:
    assert ellipse_radius(np.eye(2) * 4.0, RISK) == pytest.approx(2.0 * math.sqrt(-2 * math.log(RISK)), rel=1e-9)
    assert ellipse_radius(np.diag([1.0, 1e-12]), 0.05) == pytest.approx(1.95996, rel=0.02)
    assert ellipse_radius(np.diag([1.0, 0.0025]), RISK) == pytest.approx(3.2905, rel=2e-3)
    assert ellipse_radius(np.zeros((2, 2)), RISK) == 0.0


@pytest.mark.parametrize("risk", [0.3, 0.05, 0.01])
def test_sampled_errors_leave_the_circle_with_the_stated_risk(risk: float) -> None:
    rng = np.random.default_rng(1)
    for variances in ((1.0, 1.0), (4.0, 0.25), (9.0, 0.01)):
        turn = rng.uniform(0, math.pi)
        axes = np.array([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]])
        covariance = axes @ np.diag(variances) @ axes.T
        samples = rng.multivariate_normal([0, 0], covariance, 100_000)
        share = (np.hypot(*samples.T) > ellipse_radius(covariance, risk)).mean()
        assert share == pytest.approx(risk, abs=4 * math.sqrt(risk / 100_000))


@given(st.floats(0.01, 5.0), st.floats(0.01, 5.0), st.floats(1e-6, 0.09))
def test_less_risk_and_more_spread_widen_the_level(a: float, b: float, risk: float) -> None:
    covariance = np.diag([a**2, b**2])
    radius = ellipse_radius(covariance, risk)
    assert ellipse_radius(covariance, risk / 10) > radius
    assert ellipse_radius(covariance * 4, risk) == pytest.approx(2 * radius, rel=1e-9)


def test_another_place_takes_its_share_of_the_risk() -> None:
    alone = protection_level(estimate(), WINDOW, RISK)
    assert alone == pytest.approx(0.3 * math.sqrt(-2 * math.log(RISK)))
    levels = [protection_level(estimate(ambiguity), WINDOW, RISK) for ambiguity in (1e-5, 1e-4, 9e-4)]
    assert alone < levels[0] < levels[1] < levels[2] < 2 * alone


def test_when_another_place_exceeds_the_risk_the_level_reaches_to_the_far_corner_of_the_window() -> None:
    assert protection_level(estimate(0.01), WINDOW, RISK) == pytest.approx(math.hypot(11.0, 12.0))
    assert protection_level(estimate(0.01), WINDOW, 0.02) < 1.0
    assert protection_level(estimate(0.01, sigma_m=20.0), WINDOW, RISK) > 70.0
    assert protection_level(estimate(0.01), None, RISK) == math.inf


def test_useless_covariance_gives_no_level() -> None:
    broken = PoseEstimate(Pose2(0.0, 0.0, 0.0), np.full((3, 3), np.nan), 0.5, 0.0)
    assert math.isnan(protection_level(broken, WINDOW, RISK))
