# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
import torch

from cvloc_ros.config import Config, merge
from cvloc_ros.errors import GeoError
from cvloc_ros.estimation.calibration import resolve
from cvloc_ros.pipeline import Localizer, search_window
from cvloc_ros.types import (
    F64,
    AerialCode,
    AerialPatch,
    Correspondences,
    GroundView,
    LocalizationResult,
    Pose2,
    PosePrior,
    ScoreVolume,
    SearchWindow,
    Status,
    TileState,
)

torch.set_num_threads(1)
CONFIG = resolve(Config(), None)
PROCRUSTES = merge(CONFIG, {"estimation": {"solver": "procrustes"}})
HERE = Pose2(4.0, -3.0, 0.5)


def make_prior(
    sigma_m: float = 2.0, sigma_deg: float = 2.0, pose: Pose2 = HERE, *, yaw_known: bool = True
) -> PosePrior:
    covariance = np.diag([sigma_m**2, sigma_m**2, math.radians(sigma_deg) ** 2])
    return PosePrior(pose, covariance, 5_000_000_000, yaw_known, "test")


@dataclass
class Imagery:
    """Grey patches of 0.5 m on a grid of 64 m; imagery only east of a line, if one is given."""

    east_of_m: float = -math.inf
    asked: list[float] = field(default_factory=list)

    def patch(self, centre: F64, radius_m: float) -> AerialPatch:
        self.asked.append(radius_m)
        if abs(centre[0]) > 1e6:
            msg = "too far from the datum"
            raise GeoError(msg)
        left, bottom = (math.floor((float(c) - radius_m) / 64) * 64.0 for c in centre)
        size = 2 * math.ceil(radius_m) * 2 + 128
        map_from_px = np.array([[0.5, 0.0, left + 0.25], [0.0, -0.5, bottom + size * 0.5 - 0.25]])
        x = left + (np.arange(size) + 0.5) * 0.5
        valid = np.broadcast_to(x > self.east_of_m, (size, size)).copy()
        rgb = np.full((size, size, 3), 128, np.uint8)
        state = TileState(tiles=4, pending=0 if valid.any() else 4, message="" if valid.any() else "4 tiles pending")
        return AerialPatch(rgb, valid, 0.5, map_from_px, "test", float(valid.mean()), (left, bottom, size), state)


@dataclass
class Peaks:
    """A matcher that sees peaks of the likelihood at poses of the map, whatever the views are."""

    peaks: Sequence[tuple[Pose2, float]] = ((HERE, 40.0),)
    sigma_m: float = 0.4
    score: float = 0.4
    empty: bool = False
    name: str = "peaks"
    reach_m: float = 60.0
    encoded: list[tuple[object, ...]] = field(default_factory=list)
    windows: list[SearchWindow] = field(default_factory=list)

    def encode_aerial(self, patch: AerialPatch) -> AerialCode:
        self.encoded.append(patch.key)
        return AerialCode(patch, None)

    def match(self, _views: Sequence[GroundView], _aerial: AerialCode, window: SearchWindow) -> ScoreVolume:
        self.windows.append(window)
        n = math.floor(window.radius_m / 0.25)
        x, y = (c + np.arange(-n, n + 1) * 0.25 for c in window.centre.xy)
        count = max(1, math.floor(window.yaw_half_rad / math.radians(1.0)))
        yaw = window.centre.yaw_rad + np.arange(-count, count + 1) * math.radians(1.0)
        volume = np.full((len(yaw), len(y), len(x)), -math.inf if self.empty else 0.0)
        for pose, height in () if self.empty else self.peaks:
            dx, dy = x[None, None, :] - pose.x_m, y[None, :, None] - pose.y_m
            turn = np.remainder(yaw[:, None, None] - pose.yaw_rad + math.pi, math.tau) - math.pi
            far = (dx**2 + dy**2) / self.sigma_m**2 + (turn / math.radians(1.5)) ** 2
            volume = np.maximum(volume, height - far * 1.5)
        scores = torch.full(volume.shape, self.score, dtype=torch.float64)
        return ScoreVolume(torch.from_numpy(volume), scores, torch.ones_like(scores), x, y, yaw)

    def warm_up(self) -> float:
        return 0.0

    def close(self) -> None:
        pass


@dataclass
class Points(Peaks):
    """A matcher that returns correspondences which put base at a pose."""

    count: int = 40

    def match(self, _views: Sequence[GroundView], _aerial: AerialCode, _window: SearchWindow) -> Correspondences:
        rng = np.random.default_rng(1)
        ground = rng.uniform(-15, 15, (self.count, 2))
        there = self.peaks[0][0].apply(ground) + rng.normal(0, 0.1, ground.shape)
        index = np.zeros(self.count, np.int64)
        return Correspondences(ground, there, np.ones(self.count), np.zeros((self.count, 2)), index)


def localize(
    matcher: Peaks, prior: PosePrior | None = None, config: Config = CONFIG, imagery: Imagery | None = None
) -> LocalizationResult:
    result = Localizer(config, imagery or Imagery(), matcher).localize([], prior or make_prior())
    assert (result.estimate is not None) == (result.status is Status.OK)
    assert result.stamp_ns == 5_000_000_000
    assert result.prior is not None
    assert result.window is not None
    return result


# --- every outcome


def test_ok_with_everything_that_a_report_needs() -> None:
    result = localize(Peaks())
    assert result.status is Status.OK
    assert result.estimate.pose.x_m == pytest.approx(HERE.x_m, abs=0.02)
    assert result.estimate.pose.y_m == pytest.approx(HERE.y_m, abs=0.02)
    assert result.estimate.pose.yaw_rad == pytest.approx(HERE.yaw_rad, abs=0.002)
    assert np.linalg.eigvalsh(result.estimate.covariance)[0] > 0
    assert result.candidate is None
    assert result.patch is not None
    assert result.volume is not None
    assert set(result.timings_s) == {"patch", "encode", "match", "solve"}


def test_correspondences_are_solved_by_ransac() -> None:
    result = localize(Points(), config=PROCRUSTES)
    assert result.status is Status.OK
    assert result.estimate.pose.xy == pytest.approx(HERE.xy, abs=0.1)
    assert result.matches is not None
    assert result.volume is None
    again = localize(Points(), config=PROCRUSTES)
    assert again.estimate.pose == result.estimate.pose


def test_correspondences_vote_for_a_pose() -> None:
    result = localize(Points())
    assert result.status is Status.OK
    assert result.estimate.pose.xy == pytest.approx(HERE.xy, abs=0.1)
    assert result.matches is not None and result.volume is not None
    assert localize(Points()).estimate.pose == result.estimate.pose


ROUND = Peaks(((HERE, 40.0), (HERE @ Pose2(0.0, 0.0, math.pi), 39.5)))
AT_THE_EDGE = Peaks([(Pose2(HERE.x_m + 9.9, HERE.y_m, 0.5), 40.0)])
STRICT = merge(CONFIG, {"estimation": {"max_sigma_m": 1.0, "max_ambiguity": 1.0}})
REFUSED = {
    "no imagery in the window": (Status.NO_TILES, "pending", {"imagery": Imagery(east_of_m=1e9)}),
    "imagery under a part of the street": (Status.LOW_COVERAGE, "least 0.7", {"imagery": Imagery(east_of_m=HERE.x_m)}),
    "nothing could be compared": (Status.LOW_COVERAGE, "too little ground", {"matcher": Peaks(empty=True)}),
    "too few correspondences": (Status.LOW_SCORE, "no pose explains the 1 matches", {"matcher": Points(count=1)}),
    "weak similarity": (Status.LOW_SCORE, "least 0.15", {"matcher": Peaks(score=0.1)}),
    "two places alike": (
        Status.AMBIGUOUS, "another place",
        {"matcher": Peaks(((HERE, 40.0), (HERE @ Pose2(5.0, 0.0, 0.0), 39.5)))},
    ),
    "same place turned round": (
        Status.AMBIGUOUS, "another place", {"matcher": ROUND, "prior": make_prior(yaw_known=False)},
    ),
    "peak at the edge": (Status.WINDOW_EDGE, "edge of the search window", {"matcher": AT_THE_EDGE}),
    "yaw at the edge": (
        Status.WINDOW_EDGE, "window of 6.0", {"matcher": Peaks([(Pose2(*HERE.xy, 0.5 + math.radians(5.6)), 40.0)])},
    ),
    "broad peak": (Status.UNCERTAIN, "sigma", {"matcher": Peaks(sigma_m=8.0), "config": STRICT}),
    "far from a good prior": (
        Status.PRIOR_DISTANCE, "sigma from the prior",
        {"matcher": Peaks([(HERE @ Pose2(0.0, 5.0, 0.0), 40.0)]), "prior": make_prior(sigma_m=0.3)},
    ),
    "outside the projection": (Status.NO_TILES, "too far", {"prior": make_prior(pose=Pose2(2e6, 0.0, 0.0))}),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
def test_refused_with_its_own_status_and_reason(what: str) -> None:
    status, text, given = REFUSED[what]
    result = localize(**{"matcher": Peaks(), **given})
    assert (result.status, result.estimate) == (status, None), result.reasons
    assert text in result.reasons[0]


def test_a_refused_estimate_is_kept_as_candidate() -> None:
    result = localize(Peaks(score=0.1))
    assert result.candidate is not None
    assert result.candidate.pose.x_m == pytest.approx(HERE.x_m, abs=0.02)
    assert localize(Peaks(empty=True)).candidate is None


def test_a_matcher_gone_mad_is_an_error_not_a_pose() -> None:
    result = localize(Points([(Pose2(math.nan, 0.0, 0.0), 1.0)]))
    assert result.status in (Status.ERROR, Status.LOW_SCORE)


# --- the prior bounds and gates, nothing more


def test_the_estimate_does_not_depend_on_how_tight_the_prior_is() -> None:
    tight, loose = (localize(Peaks(), make_prior(sigma)) for sigma in (0.2, 3.3))
    assert tight.window == loose.window
    assert tight.status is loose.status is Status.OK
    assert tight.estimate.pose == loose.estimate.pose
    np.testing.assert_array_equal(tight.estimate.covariance, loose.estimate.covariance)


def test_the_estimate_is_not_drawn_towards_the_prior() -> None:
    truth = HERE @ Pose2(1.0, 0.5, math.radians(2.0))
    result = localize(Peaks([(truth, 40.0)]), make_prior(1.0))
    assert result.estimate.pose.xy == pytest.approx(truth.xy, abs=0.03)
    assert result.estimate.pose.yaw_rad == pytest.approx(truth.yaw_rad, abs=0.003)


@pytest.mark.parametrize(
    ("sigma_m", "radius"), [(0.5, 10.0), (3.0, 10.0), (5.0, 15.0), (12.0, 36.0), (30.0, 50.0)]
)
def test_radius_is_three_sigma_within_the_limits(sigma_m: float, radius: float) -> None:
    assert search_window(make_prior(sigma_m), CONFIG).radius_m == pytest.approx(radius)


@pytest.mark.parametrize(("sigma_deg", "half"), [(0.5, 6.0), (4.0, 12.0), (19.0, 57.0), (80.0, 180.0)])
def test_yaw_range_is_three_sigma_within_the_limits(sigma_deg: float, half: float) -> None:
    assert search_window(make_prior(1.0, sigma_deg), CONFIG).yaw_half_rad == pytest.approx(math.radians(half))


def test_unknown_yaw_is_searched_all_round_and_the_long_axis_sets_the_radius() -> None:
    prior = make_prior(1.0, 30.0, yaw_known=False)
    tilted = np.array([[26.0, 24.0], [24.0, 26.0]])  # 5 sqrt(2) m along the diagonal
    covariance = prior.covariance.copy()
    covariance[:2, :2] = tilted
    window = search_window(replace(prior, covariance=covariance), CONFIG)
    assert window.yaw_half_rad == pytest.approx(math.pi)
    assert window.radius_m == pytest.approx(3 * math.sqrt(50.0))
    assert window.centre == HERE


def test_the_patch_reaches_as_far_as_the_views_of_the_whole_window() -> None:
    imagery = Imagery()
    localize(Peaks(), imagery=imagery)
    assert imagery.asked == [10.0 + CONFIG.matcher.classical.range_m + CONFIG.matcher.keyframe_max_age_m]


# --- the aerial half is computed once


def test_a_patch_is_encoded_once_while_the_vehicle_stays_in_it() -> None:
    matcher = Peaks()
    localizer = Localizer(CONFIG, Imagery(), matcher)
    for x in (0.0, 1.0, 2.0, 3.0):
        localizer.localize([], make_prior(pose=Pose2(x, 0.0, 0.0)))
    assert len(matcher.encoded) == 1
    localizer.localize([], make_prior(pose=Pose2(200.0, 0.0, 0.0)))
    assert len(matcher.encoded) == 2


def test_the_code_in_use_is_not_the_one_that_is_dropped() -> None:
    matcher = Peaks()
    localizer = Localizer(CONFIG, Imagery(), matcher)
    for x in (0.0, 200.0, 0.0, 400.0, 0.0, 600.0, 0.0, 800.0, 0.0):
        localizer.localize([], make_prior(pose=Pose2(x, 0.0, 0.0)))
    assert len(matcher.encoded) == 5


def test_new_settings_take_effect_at_the_next_attempt() -> None:
    localizer = Localizer(CONFIG, Imagery(), Peaks())
    assert localizer.localize([], make_prior()).status is Status.OK
    localizer.apply(merge(CONFIG, {"estimation": {"min_score": 0.9}, "search": {"radius_min_m": 20.0}}))
    result = localizer.localize([], make_prior())
    assert result.status is Status.LOW_SCORE
    assert result.window.radius_m == 20.0
