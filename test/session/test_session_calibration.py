# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the covariance rests on: the matcher's calibration, a given number, or safe values that are said to be that."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from cvloc_ros.config import merge
from cvloc_ros.estimation import calibration
from cvloc_ros.estimation.calibration import FALLBACK, Calibration, Values

VALUES = Values(temperature=4.0, covariance_scale=0.5, sigma_floor_m=0.6, sigma_floor_deg=0.3)
MADE = Calibration(matcher="classical", values=VALUES, provenance={"suite": "tuning", "date": "2026-11-20"})


@pytest.fixture
def calibrated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calibration, "find", lambda *_: MADE)


@pytest.mark.usefixtures("calibrated")
def test_values_of_the_matcher_are_used_and_published(rig: Callable[..., Any]) -> None:
    vehicle = rig()
    vehicle.know_heading()
    result = vehicle.run(1.0, 2.0)[-1]
    assert vehicle.session.config.estimation.sigma_floor_m == 0.6
    assert result.estimate.covariance[0, 0] > 0.6**2
    assert vehicle.session.covariance_source.endswith("floor 0.6 m and 0.3°; calibrated (tuning, 2026-11-20)")
    assert vehicle.session.troubles()["calibration"] == ""


@pytest.mark.usefixtures("calibrated")
def test_a_given_number_wins_and_zero_brings_the_calibration_back(rig: Callable[..., Any]) -> None:
    vehicle = rig(estimation={"sigma_floor_m": 0.1})
    assert vehicle.session.config.estimation.sigma_floor_m == 0.1
    assert vehicle.session.config.estimation.covariance_scale == 0.5
    vehicle.session.apply(merge(vehicle.config, {"estimation": {"sigma_floor_m": 0.0, "covariance_scale": 2.0}}))
    assert vehicle.session.config.estimation.sigma_floor_m == 0.6
    assert vehicle.session.config.estimation.covariance_scale == 2.0
    vehicle.know_heading()
    assert vehicle.run(1.0, 2.0)[-1].estimate.covariance[0, 0] > 0.6**2


def test_calibration_of_another_solver_is_used_and_said(
    rig: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = MADE.model_copy(update={"solver": "vote", "vote_sigma_m": 1.5})
    monkeypatch.setattr(calibration, "find", lambda *_: made)
    session = rig(estimation={"solver": "procrustes"}).session
    assert session.config.estimation.sigma_floor_m == 0.6
    assert session.covariance_source.endswith("2026-11-20) with solver = vote (procrustes is in use)")
    assert "--set estimation.solver=procrustes" in session.troubles()["calibration"]


def test_without_calibration_it_is_said_with_the_remedy(
    rig: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calibration, "find", lambda *_: None)
    vehicle = rig()
    assert vehicle.session.config.estimation.temperature == FALLBACK.temperature
    assert "not calibrated" in vehicle.session.covariance_source
    assert "cvloc calibrate --matcher classical" in vehicle.session.troubles()["calibration"]
    vehicle.session.apply(merge(vehicle.config, {"estimation": FALLBACK.model_dump()}))
    assert vehicle.session.troubles()["calibration"] == ""
