# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from cvloc_ros.config import Config
from cvloc_ros.estimation.calibration import resolve
from cvloc_ros.estimation.gates import calibrate, check, innovation_sigma, street_coverage
from cvloc_ros.types import AerialPatch, Pose2, PoseEstimate, PosePrior, SearchWindow, Status

CONFIG = resolve(Config(), None).estimation
PRIOR = PosePrior(Pose2(0, 0, 0), np.diag([4.0, 4.0, 0.01]), 0, True, "test")
WINDOW = SearchWindow(Pose2(0, 0, 0), 10.0, 0.3)
GOOD = PoseEstimate(Pose2(1.0, 1.0, 0.05), np.diag([0.1, 0.1, 1e-4]), score=0.6, ambiguity=0.0)


def test_a_good_estimate_passes() -> None:
    assert check(GOOD, PRIOR, WINDOW, CONFIG) is None


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"coverage": 0.3}, Status.LOW_COVERAGE),
        ({"score": 0.01}, Status.LOW_SCORE),
        ({"ambiguity": 0.9}, Status.AMBIGUOUS),
        ({"pose": Pose2(9.8, 0.0, 0.0)}, Status.WINDOW_EDGE),
        ({"pose": Pose2(0.0, 0.0, 0.295)}, Status.WINDOW_EDGE),
        ({"covariance": np.diag([9.0, 0.1, 1e-4])}, Status.UNCERTAIN),
        ({"covariance": np.diag([0.1, 0.1, 0.05])}, Status.UNCERTAIN),
        ({"pose": Pose2(9.0, 9.0, 0.05)}, Status.PRIOR_DISTANCE),
        ({"covariance": np.diag([0.1, -0.1, 1e-4])}, Status.ERROR),
        ({"covariance": np.full((3, 3), np.nan)}, Status.ERROR),
        ({"pose": Pose2(math.nan, 0.0, 0.0)}, Status.ERROR),
    ],
)
def test_each_fault_has_its_status_and_its_numbers(change: dict, status: Status) -> None:  # type: ignore[type-arg]
    refusal = check(dataclasses.replace(GOOD, **change), PRIOR, WINDOW, CONFIG)
    assert refusal is not None
    assert refusal[0] is status
    assert refusal[1]


def test_a_search_in_all_directions_has_no_yaw_edge() -> None:
    window = dataclasses.replace(WINDOW, yaw_half_rad=math.pi)
    turned = dataclasses.replace(GOOD, pose=Pose2(1.0, 1.0, math.pi - 0.01))
    assert check(turned, dataclasses.replace(PRIOR, yaw_known=False), window, CONFIG) is None


def test_calibration_scales_and_never_goes_below_the_floor() -> None:
    exact = dataclasses.replace(GOOD, covariance=np.zeros((3, 3)))
    sigma = np.sqrt(np.diag(calibrate(exact, CONFIG).covariance))
    assert sigma == pytest.approx([CONFIG.sigma_floor_m] * 2 + [math.radians(CONFIG.sigma_floor_deg)])
    twice = CONFIG.model_copy(update={"covariance_scale": 2.0})
    assert calibrate(GOOD, twice).covariance[0, 0] == pytest.approx(0.2 + CONFIG.sigma_floor_m**2)


def test_innovation_counts_yaw_only_where_the_prior_knows_it() -> None:
    turned = Pose2(0.0, 0.0, 1.0)
    assert innovation_sigma(turned, GOOD.covariance, PRIOR) > 9.0
    assert innovation_sigma(turned, GOOD.covariance, dataclasses.replace(PRIOR, yaw_known=False)) == 0.0


def test_street_coverage_is_the_share_of_the_street_with_imagery() -> None:
    size, metres = 200, 0.25
    map_from_px = np.array([[metres, 0, -25 + metres / 2], [0, -metres, 25 - metres / 2]])
    valid = np.ones((size, size), bool)
    valid[:, size // 2 :] = False  # no imagery east of the origin
    patch = AerialPatch(np.zeros((size, size, 3), np.uint8), valid, metres, map_from_px, "", 0.5, ("t",))
    assert street_coverage(patch, Pose2(0, 0, 0)) == pytest.approx(0.5, abs=0.03)
    assert street_coverage(patch, Pose2(-11, 0, 0)) == 1.0
    assert street_coverage(patch, Pose2(-4, 0, math.pi / 2)) == 1.0  # along the border
    assert street_coverage(patch, Pose2(500, 0, 0)) == 0.0
