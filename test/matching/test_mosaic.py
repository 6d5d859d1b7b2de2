# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from cvloc_ros.matching.features import gradient_direction
from cvloc_ros.matching.mosaic import MosaicBuilder, carry
from cvloc_ros.types import GroundView, Pose2

THEN = Pose2(10.0, -4.0, 0.7)
NOW = Pose2(14.0, -1.0, 1.1)


@pytest.mark.parametrize("pose", [Pose2(0, 0, 0), Pose2(2.0, 1.0, 0), Pose2(1.0, -2.0, math.pi / 2)])
def test_carry_moves_a_cell_where_its_point_goes(pose: Pose2) -> None:
    features, weight = np.zeros((2, 20, 20), np.float32), np.zeros((20, 20), np.float32)
    features[0, 9, 14], weight[9, 14] = 1.0, 1.0  # the cell at x = 2.25, y = 0.25 m, pointing forward
    moved, seen = carry(features, weight, pose, 0.5, 40)
    x, y = pose.apply(np.array([2.25, 0.25]))
    row, column = round(19.5 - y / 0.5), round(19.5 + x / 0.5)
    assert seen[row, column] == pytest.approx(1.0, abs=0.02)
    assert moved[:, row, column] == pytest.approx([math.cos(pose.yaw_rad), math.sin(pose.yaw_rad)], abs=0.03)


def test_two_keyframes_join_without_a_seam(world, overhead, view: Callable[..., GroundView]) -> None:
    project = overhead({1: THEN, 2: NOW})
    both, weight = MosaicBuilder(project, 15.0).build([view(2), view(1, NOW.inverse() @ THEN)], 0.2)
    alone, near = MosaicBuilder(project, 15.0).build([view(2)], 0.2)
    margin = (weight.shape[0] - near.shape[0]) // 2
    inner = (slice(margin + 20, -margin - 20),) * 2
    agree = (both[(slice(None), *inner)] * alone[:, 20:-20, 20:-20]).sum(0)[near[20:-20, 20:-20] > 0.5]
    power = (alone[:, 20:-20, 20:-20] ** 2).sum(0)[near[20:-20, 20:-20] > 0.5]
    assert agree.sum() / power.sum() > 0.85
    assert weight.sum() > 1.15 * near.sum()


def test_a_keyframe_is_projected_once(overhead, view: Callable[..., GroundView]) -> None:
    project = overhead({1: THEN, 2: NOW})
    builder = MosaicBuilder(project, 10.0)
    builder.build([view(1)], 0.2)
    project.poses.pop(1)  # another look at the first place would fail
    builder.build([view(2), view(1, NOW.inverse() @ THEN)], 0.2)


def test_features_ignore_brightness_and_contrast(world) -> None:
    patch = world.patch(size=200)
    darker = (patch.rgb * 0.6 + 20).astype(np.uint8)
    a, trusted = gradient_direction(patch.rgb, patch.valid, 0.2)
    b, _ = gradient_direction(darker, patch.valid, 0.2)
    cosine = (a * b).sum() / math.sqrt((a**2).sum() * (b**2).sum())
    assert cosine > 0.97
    assert np.hypot(*a).max() <= 1.0
    assert set(np.unique(trusted)) <= {0.0, 1.0}


def test_features_are_zero_where_nothing_is_known(world) -> None:
    patch = world.patch(size=100)
    valid = patch.valid.copy()
    valid[:, :50] = False
    features, trusted = gradient_direction(patch.rgb, valid, 0.2)
    assert not trusted[:, :52].any()
    assert not features[:, :, :52].any()
