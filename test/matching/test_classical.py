# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch

from cvloc_ros.config import Config, Matching
from cvloc_ros.errors import ModelError
from cvloc_ros.estimation.calibration import resolve
from cvloc_ros.estimation.volume import from_volume
from cvloc_ros.matching.classical import ClassicalMatcher
from cvloc_ros.matching.registry import create
from cvloc_ros.types import AerialCode, GroundView, Pose2, SearchWindow

CPU = torch.device("cpu")


def find(world, overhead, view, truth: Pose2, window: SearchWindow, **patch):
    matcher = ClassicalMatcher(Matching(), CPU, overhead({7: truth}))
    volume = matcher.match([view(7)], matcher.encode_aerial(world.patch(**patch)), window)
    return volume, from_volume(volume, resolve(Config(), None).estimation)


@pytest.mark.parametrize("seed", range(6))
def test_finds_any_pose_in_the_window(world, overhead, view, seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth = Pose2(*rng.uniform(-12, 12, 2), rng.uniform(-math.pi, math.pi))
    centre = Pose2(
        truth.x_m + rng.uniform(-4, 4), truth.y_m + rng.uniform(-4, 4), truth.yaw_rad + rng.uniform(-0.1, 0.1)
    )
    _, estimate = find(world, overhead, view, truth, SearchWindow(centre, 6.0, 0.2))
    assert estimate is not None
    assert math.hypot(estimate.pose.x_m - truth.x_m, estimate.pose.y_m - truth.y_m) < 0.08
    assert abs(math.remainder(estimate.pose.yaw_rad - truth.yaw_rad, math.tau)) < math.radians(0.6)
    assert estimate.ambiguity < 0.01


def test_finds_the_heading_among_all(world, overhead, view) -> None:
    truth = Pose2(3.3, -2.1, 2.5)
    volume, estimate = find(world, overhead, view, truth, SearchWindow(Pose2(2.0, -1.0, -1.0), 3.0, math.pi))
    assert estimate is not None
    assert math.hypot(estimate.pose.x_m - truth.x_m, estimate.pose.y_m - truth.y_m) < 0.08
    assert abs(math.remainder(estimate.pose.yaw_rad - truth.yaw_rad, math.tau)) < math.radians(0.6)
    assert len(volume.yaw_rad) < 90  # thinned out from 360


def test_the_window_does_not_move_the_answer(world, overhead, view) -> None:
    truth = Pose2(1.234, 2.345, 0.5)
    poses = [
        find(world, overhead, view, truth, SearchWindow(Pose2(1.0 + dx, 2.0 - dx, 0.5 + dx / 20), 4.0, 0.2))[1]
        for dx in (0.0, 0.33, 1.77)
    ]
    xy = np.array([pose.pose.xy for pose in poses])
    assert np.ptp(xy, axis=0).max() < 1e-3


def test_too_little_ground_gives_no_answer(world, overhead, view) -> None:
    far = Pose2(500.0, 0.0, 0.0)
    _, estimate = find(world, overhead, view, Pose2(0, 0, 0), SearchWindow(far, 3.0, 0.1))
    assert estimate is None


def test_works_at_the_edge_of_the_patch(world, overhead, view) -> None:
    truth = Pose2(55.0, 0.0, 0.3)
    _, estimate = find(world, overhead, view, truth, SearchWindow(truth, 3.0, 0.1))
    assert estimate is not None
    assert math.hypot(estimate.pose.x_m - truth.x_m, estimate.pose.y_m - truth.y_m) < 0.15


def test_keyframes_carried_by_odometry_add_evidence(world, overhead, view: Callable[..., GroundView]) -> None:
    then, now = Pose2(-9.0, 1.0, 0.1), Pose2(2.0, 2.0, 0.2)
    matcher = ClassicalMatcher(Matching(), CPU, overhead({1: then, 2: now}))
    code = matcher.encode_aerial(world.patch())
    window = SearchWindow(now, 4.0, 0.1)
    alone = matcher.match([view(2)], code, window).log_likelihood.max()
    both = matcher.match([view(2), view(1, now.inverse() @ then)], code, window).log_likelihood.max()
    assert both > 1.15 * alone


def test_refuses_the_code_of_another_matcher(world, overhead, view) -> None:
    matcher = ClassicalMatcher(Matching(), CPU, overhead({7: Pose2(0, 0, 0)}))
    with pytest.raises(ModelError, match="another matcher"):
        matcher.match([view(7)], AerialCode(world.patch(), "foreign"), SearchWindow(Pose2(0, 0, 0), 3.0, 0.1))


def test_warm_up_reports_seconds(overhead) -> None:
    matcher = ClassicalMatcher(Matching(), CPU, overhead({}))
    assert matcher.warm_up() > 0.0
    matcher.close()


def test_unknown_matcher_is_named_with_the_nearest(overhead) -> None:
    with pytest.raises(ModelError, match="did you mean classical"):
        create(Matching(name="clasical"), overhead({}))


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has CUDA")
def test_cuda_missing_when_asked_for_is_an_error_with_the_remedy(overhead) -> None:
    with pytest.raises(ModelError, match="to auto or cpu"):
        create(Matching(device="cuda"), overhead({}))
