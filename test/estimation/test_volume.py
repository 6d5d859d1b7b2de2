# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cvloc_ros.config import Config, merge
from cvloc_ros.estimation.volume import from_volume
from cvloc_ros.types import F64, Pose2, PosePrior, ScoreVolume

CONFIG = merge(Config(), {"estimation": {"temperature": 1.0}}).estimation


def gaussians(*peaks: tuple[float, float, float, float], sigma: float = 0.6, wrap_at: float = 0.0) -> ScoreVolume:
    """A log-likelihood with peaks of (x, y, yaw, height); the y axis runs downwards as in a patch."""
    x, y = np.arange(-10, 10.01, 0.2), np.arange(10, -10.01, -0.2)
    yaw = wrap_at + np.radians(np.arange(-20, 20.5, 1.0))
    yaw = np.remainder(yaw + math.pi, math.tau) - math.pi
    total = np.zeros((len(yaw), len(y), len(x)))
    for px, py, pyaw, height in peaks:
        turn = np.remainder(yaw - pyaw + math.pi, math.tau) - math.pi
        d2 = (
            (x[None, None, :] - px) ** 2 / sigma**2
            + (y[None, :, None] - py) ** 2 / (0.5 * sigma) ** 2
            + turn[:, None, None] ** 2 / math.radians(2.0) ** 2
        )
        total = np.maximum(total, height - 0.5 * d2)
    tensor = torch.from_numpy(total)
    return ScoreVolume(tensor, tensor / 100, torch.ones_like(tensor), x, y, yaw)


@pytest.mark.parametrize("at", [(1.07, -2.46, 0.02), (0.0, 0.0, 0.0), (-3.33, 4.44, -0.1)])
def test_peak_between_cells_and_its_spread(at: tuple[float, float, float]) -> None:
    estimate = from_volume(gaussians((*at, 40.0)), CONFIG)
    assert estimate is not None
    assert [estimate.pose.x_m, estimate.pose.y_m, estimate.pose.yaw_rad] == pytest.approx(at, abs=0.01)
    sigma = np.sqrt(np.diag(estimate.covariance))
    assert sigma == pytest.approx([0.6, 0.3, math.radians(2.0)], rel=0.1)
    assert estimate.ambiguity < 0.01


def test_yaw_axis_may_wrap_around() -> None:
    estimate = from_volume(gaussians((0.0, 0.0, math.pi - 0.01, 40.0), wrap_at=math.pi), CONFIG)
    assert estimate is not None
    assert abs(math.remainder(estimate.pose.yaw_rad - (math.pi - 0.01), math.tau)) < 0.005
    assert estimate.covariance[2, 2] == pytest.approx(math.radians(2.0) ** 2, rel=0.2)


def test_second_place_is_the_ambiguity() -> None:
    estimate = from_volume(gaussians((5.0, 5.0, 0.0, 40.0), (-5.0, -5.0, 0.1, 39.0)), CONFIG)
    assert estimate is not None
    assert estimate.pose.x_m == pytest.approx(5.0, abs=0.02)
    assert estimate.ambiguity == pytest.approx(math.exp(-1.0), rel=0.05)


def test_the_likelier_of_repeating_marks_is_no_proof_against_the_prior() -> None:
    """Dashes of a motorway: the best peak was 16 m from the truth, the next one near the prior 20 times less likely."""
    volume = gaussians((8.0, 0.0, 0.0, 40.0), (0.5, 0.0, 0.0, 37.0))
    prior = PosePrior(Pose2(0.0, 0.0, 0.0), np.diag([3.0**2, 3.0**2, 0.1]), 0, True, "fix")
    alone, heard = from_volume(volume, CONFIG), from_volume(volume, CONFIG, prior)
    assert alone is not None and heard is not None
    assert alone.ambiguity == pytest.approx(math.exp(-3.0), rel=0.05)
    assert heard.ambiguity > 0.3
    assert heard.pose == alone.pose
    np.testing.assert_array_equal(heard.covariance, alone.covariance)


@given(st.floats(-9, 9), st.floats(-9, 9), st.floats(0.2, 30))
@settings(deadline=None, max_examples=25)
def test_a_prior_can_only_refuse(x: float, y: float, sigma: float) -> None:
    volume = gaussians((5.0, 5.0, 0.0, 40.0), (-5.0, -5.0, 0.1, 37.0))
    alone = from_volume(volume, CONFIG)
    heard = from_volume(volume, CONFIG, PosePrior(Pose2(x, y, 0.0), np.diag([sigma**2, sigma**2, 1.0]), 0, True, ""))
    assert alone is not None and heard is not None
    assert heard.ambiguity >= alone.ambiguity
    assert heard.pose == alone.pose


def test_same_place_turned_round_is_another_pose() -> None:
    estimate = from_volume(gaussians((0.0, 0.0, 0.3, 40.0), (0.0, 0.0, -0.3, 39.5)), CONFIG)
    assert estimate is not None
    assert estimate.ambiguity == pytest.approx(math.exp(-0.5), rel=0.05)


def test_higher_temperature_means_less_certainty() -> None:
    hot = merge(Config(), {"estimation": {"temperature": 4.0}}).estimation
    volume = gaussians((0.0, 0.0, 0.0, 60.0), sigma=0.3)
    cold_estimate, hot_estimate = from_volume(volume, CONFIG), from_volume(volume, hot)
    assert cold_estimate is not None
    assert hot_estimate is not None
    assert hot_estimate.covariance[0, 0] > 2.0 * cold_estimate.covariance[0, 0]


def test_nothing_compared_is_no_estimate() -> None:
    volume = gaussians((0.0, 0.0, 0.0, 1.0))
    nothing = torch.full_like(volume.log_likelihood, -torch.inf)
    assert from_volume(ScoreVolume(nothing, nothing, nothing, volume.x_m, volume.y_m, volume.yaw_rad), CONFIG) is None


def test_the_volume_is_left_as_it_was() -> None:
    volume = gaussians((0.0, 0.0, 0.0, 40.0))
    before = volume.log_likelihood.clone()
    from_volume(volume, CONFIG)
    assert torch.equal(before, volume.log_likelihood)


def coupled(at: tuple[float, float, float], covariance: F64, height: float = 40.0) -> ScoreVolume:
    """One Gaussian peak over x, y, yaw whose axes are not those of the cells."""
    x, y, yaw = np.arange(-4, 4.01, 0.2), np.arange(4, -4.01, -0.2), np.radians(np.arange(-10, 10.5, 1.0))
    grid = np.stack(np.meshgrid(yaw - at[2], y - at[1], x - at[0], indexing="ij"), -1)[..., ::-1]
    total = torch.from_numpy(height - 0.5 * np.einsum("...i,ij,...j->...", grid, np.linalg.inv(covariance), grid))
    return ScoreVolume(total, total / 100, torch.ones_like(total), x, y, yaw)


@pytest.mark.parametrize("at", [(1.07, -2.46, 0.013), (0.09, 0.11, -0.008)])
@pytest.mark.parametrize("size", [1.0, 0.15])
def test_coupled_peak_is_found_exactly_however_narrow(at: tuple[float, float, float], size: float) -> None:
    """A view that reaches far ahead couples yaw with the position; the narrow peak lies between the cells."""
    sigma = size * np.array([0.4, 0.5, math.radians(2.0)])
    correlation = np.array([[1.0, -0.3, 0.5], [-0.3, 1.0, -0.8], [0.5, -0.8, 1.0]])
    truth = correlation * np.outer(sigma, sigma)
    estimate = from_volume(coupled(at, truth), CONFIG)
    assert estimate is not None
    assert [estimate.pose.x_m, estimate.pose.y_m, estimate.pose.yaw_rad] == pytest.approx(at, abs=1e-6)
    assert np.linalg.eigvals(np.linalg.solve(truth, estimate.covariance)) == pytest.approx(np.ones(3), rel=0.1)


def test_tails_beside_a_narrow_peak_widen_the_covariance() -> None:
    narrow = np.diag([0.05, 0.05, math.radians(0.3)]) ** 2
    alone = coupled((0.0, 0.0, 0.0), narrow)
    hill = coupled((0.0, 0.0, 0.0), np.diag([0.8, 0.8, math.radians(4.0)]) ** 2, 37.0)
    both = torch.maximum(alone.log_likelihood, hill.log_likelihood)
    volume = ScoreVolume(both, both, torch.ones_like(both), alone.x_m, alone.y_m, alone.yaw_rad)
    sharp, wide = from_volume(alone, CONFIG), from_volume(volume, CONFIG)
    assert sharp is not None and wide is not None
    assert sharp.covariance[0, 0] == pytest.approx(0.05**2, rel=0.1)
    assert wide.covariance[0, 0] > 0.3**2


def test_where_the_neighbours_are_no_paraboloid_the_cell_is_part_of_the_spread() -> None:
    volume = gaussians((0.0, 0.0, 0.0, 40.0), sigma=0.05)
    edge = gaussians((-10.0, 0.0, 0.0, 40.0))
    hidden = volume.log_likelihood.clone()
    hidden[0:20] = -torch.inf
    for flat in (edge, ScoreVolume(hidden, volume.scores, volume.overlap, volume.x_m, volume.y_m, volume.yaw_rad)):
        estimate = from_volume(flat, CONFIG)
        assert estimate is not None
        assert estimate.covariance[1, 1] >= 0.2**2 / 12.0
        assert np.linalg.eigvalsh(estimate.covariance)[0] > 0.0


def test_peaks_within_what_a_matcher_can_tell_apart_are_one_place() -> None:
    fine = gaussians((1.5, 0.0, 0.0, 40.0), (-1.5, 0.0, 0.0, 40.0))
    coarse = dataclasses.replace(fine, resolution_m=5.0)
    apart, one = from_volume(fine, CONFIG), from_volume(coarse, CONFIG)
    assert apart is not None and one is not None
    assert apart.ambiguity == pytest.approx(1.0, abs=0.01)
    assert one.ambiguity < 0.01
    # Which of them it is remains open, and the covariance says so.
    assert math.sqrt(one.covariance[0, 0]) > 1.5
    assert math.sqrt(apart.covariance[0, 0]) < 1.0
