# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Matches that vote for a pose."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cvloc_ros.config import Config
from cvloc_ros.estimation.calibration import resolve
from cvloc_ros.estimation.procrustes import from_matches
from cvloc_ros.estimation.volume import from_volume
from cvloc_ros.estimation.votes import from_votes, refine, solve
from cvloc_ros.types import Correspondences, Pose2, SearchWindow

ESTIMATION = resolve(Config(), None).estimation
CENTRE = Pose2(5e5, 5e6, 0.4)


def matched(truth: Pose2, ground: np.ndarray, weights: np.ndarray | None = None) -> Correspondences:
    count = len(ground)
    given = np.ones(count) if weights is None else weights
    return Correspondences(ground, truth.apply(ground), given, np.zeros((count, 2)), np.zeros(count, np.int64))


def street(rng: np.random.Generator, count: int = 300) -> np.ndarray:
    return np.column_stack([rng.uniform(2.0, 25.0, count), rng.uniform(-8.0, 8.0, count)])


@settings(max_examples=20, deadline=None)
@given(st.floats(-12, 12), st.floats(-12, 12), st.floats(-0.2, 0.2))
def test_perfect_matches_give_the_pose(x: float, y: float, yaw: float) -> None:
    truth = CENTRE @ Pose2(x, y, yaw)
    matches = matched(truth, street(np.random.default_rng(1)))
    found = from_volume(from_votes(matches, SearchWindow(CENTRE, 20.0, 0.3), 1.0), ESTIMATION)
    pose = refine(matches, found.pose, 1.0)
    assert np.hypot(*(found.pose.xy - truth.xy)) < 0.3, "half a step"
    assert np.hypot(*(pose.xy - truth.xy)) < 1e-4
    assert abs(math.remainder(pose.yaw_rad - truth.yaw_rad, math.tau)) < 1e-4
    assert found.score == pytest.approx(1.0, abs=0.1)


def test_all_directions_are_searched_where_the_yaw_is_unknown() -> None:
    truth = CENTRE @ Pose2(3.0, -2.0, 2.8)
    volume = from_votes(matched(truth, street(np.random.default_rng(1))), SearchWindow(CENTRE, 10.0, math.pi), 1.0)
    found = from_volume(volume, ESTIMATION)
    assert abs(math.degrees(math.remainder(found.pose.yaw_rad - truth.yaw_rad, math.tau))) < 0.2
    assert len(np.unique(np.round(np.remainder(volume.yaw_rad, math.tau), 6))) == len(volume.yaw_rad)


def test_matches_that_scatter_along_the_street_do_not_pull_the_pose_into_their_middle() -> None:
    rng = np.random.default_rng(3)
    truth, ground = Pose2(*CENTRE.xy, 0.0), street(rng)
    aerial = truth.apply(ground)
    lost = rng.random(len(ground)) < 0.6
    aerial[lost, 0] = CENTRE.x_m + rng.uniform(-30.0, 30.0, lost.sum())
    weights, uv, view = np.ones(len(ground)), np.zeros((len(ground), 2)), np.zeros(len(ground), np.int64)
    matches = Correspondences(ground, aerial, weights, uv, view, inlier_m=math.inf)
    volume = from_votes(matches, SearchWindow(truth, 15.0, 0.2), 1.0)
    voted = refine(matches, from_volume(volume, ESTIMATION).pose, 1.0)
    fitted = from_matches(matches, np.random.default_rng(0))
    assert np.hypot(*(voted.xy - truth.xy)) < 0.2
    assert np.hypot(*(fitted.pose.xy - truth.xy)) > 3.0, "least squares, the reason for this"


def test_two_places_that_explain_as_much_are_ambiguous() -> None:
    rng = np.random.default_rng(4)
    here, there = CENTRE, CENTRE @ Pose2(8.0, 0.0, 0.0)
    first, second = matched(here, street(rng)), matched(there, street(rng))
    both = Correspondences(
        np.vstack([first.ground, second.ground]), np.vstack([first.aerial, second.aerial]), np.ones(600),
        np.zeros((600, 2)), np.zeros(600, np.int64),
    )  # fmt: skip
    window = SearchWindow(CENTRE, 15.0, 0.2)
    config = ESTIMATION.model_copy(update={"temperature": 30.0})
    assert from_volume(from_votes(both, window, 1.0), config).ambiguity > 0.5
    assert from_volume(from_votes(first, window, 1.0), config).ambiguity < 0.01


def test_a_pose_that_few_matches_hold_is_left_where_it_is() -> None:
    matches = matched(CENTRE @ Pose2(6.0, 0.0, 0.0), street(np.random.default_rng(2)))
    assert refine(matches, CENTRE, 3.0) == CENTRE


def test_a_match_without_a_place_neither_votes_nor_stops_the_others() -> None:
    truth = CENTRE @ Pose2(2.2, 1.1, 0.05)
    matches = matched(truth, street(np.random.default_rng(5)))
    matches.aerial[3], matches.ground[7] = math.nan, math.inf
    found = solve(matches, from_votes(matches, SearchWindow(CENTRE, 10.0, 0.2), 1.0), ESTIMATION)
    assert np.hypot(*(found.pose.xy - truth.xy)) < 1e-2


@pytest.mark.parametrize("count", [0, 1, 2])
def test_too_few_matches_are_no_pose(count: int) -> None:
    weights = np.array([1.0] * count + [0.0] * 50)
    matches = matched(CENTRE, street(np.random.default_rng(0), len(weights)), weights)
    assert from_votes(matches, SearchWindow(CENTRE, 10.0, 0.2), 1.0) is None
