# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Errors that are drawn from a known covariance give it back."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from cvloc_ros.config import Config, merge
from cvloc_ros.errors import CvlocError
from cvloc_ros.estimation import gates
from cvloc_ros.estimation.calibration import FALLBACK, resolve
from cvloc_ros.estimation.volume import from_volume
from cvloc_ros.evaluation.calibration.fit import SAFE_FALSE, fit
from cvloc_ros.evaluation.calibration.run import Collected, calibration_of
from cvloc_ros.evaluation.calibration.samples import TEMPERATURES, Attempt, Collector, DriveSamples
from cvloc_ros.evaluation.suite.spec import find, load
from cvloc_ros.types import (
    F64,
    Correspondences,
    LocalizationResult,
    Pose2,
    PoseEstimate,
    PosePrior,
    ScoreVolume,
    SearchWindow,
    Status,
)

ESTIMATION = resolve(Config(), None).estimation
WINDOW = SearchWindow(Pose2(0.0, 0.0, 0.0), 10.0, math.radians(10.0))
PRIOR = PosePrior(Pose2(0.0, 0.0, 0.0), np.diag([9.0, 9.0, 0.01]), 0, True, "test")
NONE = np.zeros(0)


def bare_covariance(rng: np.random.Generator) -> F64:
    """Some tilted ellipse, coupled with the yaw."""
    root = np.diag([0.3, 0.1, math.radians(0.5)]) @ (np.eye(3) + 0.4 * rng.normal(size=(3, 3)))
    return np.asarray(root @ root.T * rng.uniform(0.5, 2.0))


def attempt(error: F64, bare: F64, status: Status = Status.LOW_SCORE) -> Attempt:
    estimate = PoseEstimate(Pose2(0.0, 0.0, 0.0), bare, score=0.8, ambiguity=0.0)
    result = LocalizationResult(status, 0, ("test",), prior=PRIOR, window=WINDOW)
    return Attempt(result, estimate, error, bare[None], np.zeros(1), NONE)


def drawn(
    scale: float, metres: float, degrees: float, *, drives: int = 12, poses: int = 60, seed: int = 1
) -> list[DriveSamples]:
    """Drives whose registration error is one draw each, beside an error of its own for each pose."""
    rng = np.random.default_rng(seed)
    floor = np.array([metres, metres, math.radians(degrees)])
    found = []
    for number in range(drives):
        shared = rng.normal(size=3) * floor
        attempts = []
        for _ in range(poses):
            bare = bare_covariance(rng)
            error = shared + rng.multivariate_normal(np.zeros(3), scale * bare)
            attempts.append(attempt(error, bare))
        found.append(DriveSamples(f"drive{number}", ESTIMATION, tuple(attempts)))
    return found


@pytest.mark.parametrize(("scale", "metres", "degrees"), [(0.3, 0.15, 0.3), (4.0, 0.6, 1.0)])
def test_scale_and_floors_come_back(scale: float, metres: float, degrees: float) -> None:
    """Forty drives: the registration error is known to a tenth (as many draws on two axes), the scale far better."""
    found = fit(drawn(scale, metres, degrees, drives=40, poses=15))
    assert found.after.values.covariance_scale == pytest.approx(scale, rel=0.15)
    assert found.after.values.sigma_floor_m == pytest.approx(metres, rel=0.2)
    assert found.after.values.sigma_floor_deg == pytest.approx(degrees, rel=0.35)
    assert found.after.values.temperature is None
    assert found.after.nees_mean == pytest.approx(3.0, rel=0.02)
    assert 2.5 < found.left_out_mean < 3.6


@pytest.mark.parametrize(("scale", "confident"), [(0.3, False), (6.0, True)])
def test_over_and_under_confident_methods_are_mended(scale: float, confident: bool) -> None:
    found = fit(drawn(scale, 0.1, 0.2))
    assert (found.before.nees_mean > 3.0) == confident
    assert found.after.nees_mean == pytest.approx(3.0, rel=0.1)
    assert (found.after.values.covariance_scale > 1.0) == confident


def test_a_long_drive_counts_no_more_than_a_short_one() -> None:
    drives = drawn(1.0, 0.3, 0.3)
    longer = [replace(drives[0], attempts=drives[0].attempts * 20), *drives[1:]]
    assert fit(longer).after.values == fit(drives).after.values


def test_gross_errors_are_counted_and_not_fitted() -> None:
    drives = drawn(1.0, 0.3, 0.3)
    wrong = attempt(np.array([6.0, 0.0, 0.0]), np.diag([0.01, 0.01, 1e-4]))
    spoilt = [replace(drive, attempts=(*drive.attempts, wrong)) for drive in drives]
    clean, found = fit(drives), fit(spoilt)
    assert found.after.values == clean.after.values
    assert found.after.gross_count == len(drives)
    assert found.after.nees_with_gross > found.after.nees_mean + 1.0


def test_too_many_gross_errors_are_no_matter_of_the_covariance() -> None:
    wrong = attempt(np.array([6.0, 0.0, 0.0]), np.diag([0.01, 0.01, 1e-4]))
    spoilt = [replace(d, attempts=(*d.attempts, *[wrong] * 6)) for d in drawn(1.0, 0.3, 0.3)]
    with pytest.raises(CvlocError, match=r"72 of 792 published poses \(9\.1%\).*at most 5%.*gates"):
        fit(spoilt)


@pytest.mark.parametrize(
    ("drives", "poses", "told"), [(4, 60, "240 attempts with a pose on 4 of 4"), (6, 10, "60 .* on 6 of 6")]
)
def test_too_few_drives_or_poses_are_refused_with_numbers_and_remedy(drives: int, poses: int, told: str) -> None:
    with pytest.raises(CvlocError, match=f"{told}.*at least 100 on 5.*--drives"):
        fit(drawn(1.0, 0.3, 0.3, drives=drives, poses=poses))


def test_what_the_session_refused_is_published_under_no_values() -> None:
    bare = np.diag([0.01, 0.01, 1e-4])
    pair = (attempt(np.zeros(3), bare), attempt(np.zeros(3), bare, Status.INCONSISTENT))
    assert DriveSamples("d", ESTIMATION, pair).published(FALLBACK, 0).tolist() == [True, False]


@pytest.mark.parametrize(
    ("matched", "solver", "noted"),
    [(True, "vote", ["vote", 2.0]), (True, "procrustes", ["procrustes", None]), (False, "vote", [None, None])],
)
def test_the_solver_of_matched_points_is_noted(matched: bool, solver: str, noted: list[str | float | None]) -> None:
    config = merge(Config(), {"estimation": {"solver": solver, "vote_sigma_m": 2.0}})
    points = np.zeros((4, 2))
    matches = Correspondences(points, points, np.ones(4), points, np.zeros(4, np.int64)) if matched else None
    drives = []
    for drive in drawn(1.0, 0.3, 0.3, drives=5, poses=20):
        collector = Collector(ESTIMATION)
        for stamp, one in enumerate(drive.attempts):
            candidate = gates.calibrate(one.candidate, ESTIMATION)
            collector(replace(one.result, stamp_ns=stamp, candidate=candidate, matches=matches), Pose2(*-one.error))
        drives.append(replace(drive, attempts=tuple(collector._seen.values())))
    made = calibration_of(fit(drives), Collected(tuple(drives), config, simulated=True), load(find("tuning")), "*")
    assert [made.solver, made.vote_sigma_m] == noted


def test_bare_undoes_calibrate() -> None:
    estimate = PoseEstimate(Pose2(0.0, 0.0, 0.0), bare_covariance(np.random.default_rng(3)), 0.5, 0.0)
    there = gates.calibrate(estimate, ESTIMATION)
    np.testing.assert_allclose(gates.bare(there, ESTIMATION).covariance, estimate.covariance, atol=1e-12)


# --- score volumes

X, YAW = np.arange(-8.0, 8.01, 0.4), np.radians(np.arange(-6.0, 6.1, 2.0))
PLACES = np.array([[-5.0, -4.0], [5.0, -4.0], [-5.0, 4.0], [5.0, 4.0]])


def two_sided(rng: np.random.Generator, temperature: float) -> tuple[ScoreVolume, Pose2]:
    """A volume whose places are as likely as its values over the temperature say, and the true one, drawn from it."""
    heights = rng.uniform(0.0, 15.0 * temperature, len(PLACES))
    odds = np.exp((heights - heights.max()) / temperature)
    true = PLACES[rng.choice(len(PLACES), p=odds / odds.sum())]
    total = np.full((len(YAW), len(X), len(X)), -math.inf)
    for (px, py), height in zip(PLACES, heights, strict=True):
        d2 = (X[None, None, :] - px) ** 2 / 0.36 + (X[::-1][None, :, None] - py) ** 2 / 0.36
        total = np.maximum(total, height - temperature * 0.5 * (d2 + YAW[:, None, None] ** 2 / math.radians(3.0) ** 2))
    tensor = torch.from_numpy(total)
    volume = ScoreVolume(tensor, torch.ones_like(tensor), torch.ones_like(tensor), X, X[::-1].copy(), YAW)
    return volume, Pose2(*(true + rng.normal(0.0, 0.3, 2)), float(rng.normal(0.0, math.radians(1.5))))


def collected(temperature: float, drives: int = 6, attempts: int = 35) -> list[DriveSamples]:
    rng = np.random.default_rng(7)
    found = []
    for number in range(drives):
        collector = Collector(ESTIMATION)
        for stamp in range(attempts):
            volume, truth = two_sided(rng, temperature)
            estimate = from_volume(volume, ESTIMATION)
            assert estimate is not None
            result = LocalizationResult(
                Status.OK, stamp, estimate=gates.calibrate(estimate, ESTIMATION), prior=PRIOR, window=WINDOW,
                volume=volume,
            )  # fmt: skip
            collector(result, truth)
        found.append(DriveSamples(f"drive{number}", ESTIMATION, tuple(collector._seen.values())))
    return found


@pytest.mark.parametrize("temperature", [3.0, 12.0])
def test_temperature_comes_back_from_odds_between_places(temperature: float) -> None:
    """Within an octave above: of what the drives do not tell apart, the more careful one."""
    found = fit(collected(temperature))
    best = min(found.trials, key=lambda trial: trial.loss)
    assert best.temperature == pytest.approx(temperature, rel=0.42)
    chosen = found.after.values.temperature
    assert chosen is not None
    assert best.temperature <= chosen * 1.001 <= 2.1 * temperature
    assert found.after.nees_mean == pytest.approx(3.0, rel=0.1)
    lowest = min(found.trials, key=lambda trial: trial.temperature).state
    assert lowest.false_share > 0.05, "a gate that believes the odds as they are lets wrong places through"
    assert found.after.false_share <= max(found.before.false_share, SAFE_FALSE) < lowest.false_share


def test_volumes_are_not_kept() -> None:
    kept = collected(3.0, drives=1, attempts=1)[0].attempts[0]
    assert kept.result.volume is None
    assert kept.covariance.shape == (len(TEMPERATURES), 3, 3)
    assert kept.place.max() <= 0.0
