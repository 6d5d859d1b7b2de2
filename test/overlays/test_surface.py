# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cvloc_ros.imaging.models import Pinhole
from cvloc_ros.overlays import heights, overlay
from cvloc_ros.overlays.surface import cell_side, height_colours, surface
from cvloc_ros.types import (
    AerialPatch,
    Correspondences,
    GroundView,
    LocalizationResult,
    Pose2,
    PoseEstimate,
    SearchWindow,
    Status,
)

HERE = Pose2(100.0, 200.0, 0.4)


def result(heights: bool = True, pose: bool = True) -> LocalizationResult:
    """A plane of 9 x 9 cells of 2 m; the left (y > 0) is 8 m high."""
    axis = np.arange(-4, 5) * 2.0
    ground = np.stack(np.meshgrid(axis, axis, indexing="ij"), -1).reshape(-1, 2)
    height = np.where(ground[:, 1] > 0, 8.0, 0.0) if heights else None
    matches = Correspondences(
        ground, HERE.apply(ground), np.linspace(1, 0.1, 81), np.zeros((81, 2)), np.zeros(81, np.int64), height_m=height
    )
    map_from_px = np.array([[0.25, 0.0, 80.0], [0.0, -0.25, 220.0]])
    rgb, valid = np.full((160, 160, 3), 90, np.uint8), np.ones((160, 160), bool)
    patch = AerialPatch(rgb, valid, 0.25, map_from_px, "©", 1.0, ("p",))
    estimate = PoseEstimate(HERE, np.diag([0.1, 0.1, 0.01]), 1.0, 0.0) if pose else None
    status = Status.OK if pose else Status.LOW_COVERAGE
    return LocalizationResult(
        status, 1, estimate=estimate, window=SearchWindow(HERE, 12.0, 0.2), patch=patch, matches=matches
    )


def test_high_and_low_cells_have_their_colours_where_they_lie() -> None:
    given = result()
    picture = surface(given, 400)
    assert picture.shape == (440, 400, 3)
    scale = 400 / (2 * (12.0 * 1.25 + 5.0))
    colours = height_colours(np.array([8.0, 0.0]), 0.0, 8.0).astype(float)
    for side, colour in ((5.0, colours[0]), (-5.0, colours[1])):
        x, y = (HERE.apply(np.array([[3.0, side]])) - HERE.xy)[0] * scale
        seen = picture[round(200 - y), round(200 + x)].astype(float)
        np.testing.assert_allclose(seen, 0.65 * colour + 0.35 * 90, atol=3)


def test_matched_pixels_have_the_same_colours_in_the_camera_image() -> None:
    plain = result()
    uv = np.full((81, 2), np.nan)
    uv[-1], uv[0] = (40.0, 30.0), (120.0, 90.0)  # one of the left, 8 m high, and one on the ground
    matches = replace(plain.matches, uv=uv)
    rgb, camera = np.full((120, 160, 3), 90, np.uint8), Pinhole(160, 120, 80.0, 80.0, 79.5, 59.5)
    view = GroundView("front", rgb, camera, np.eye(4), 1)
    picture = heights(replace(plain, matches=matches, views=(view,)), 160)
    assert picture.shape == (200, 320, 3)
    colours = height_colours(matches.height_m[[80, 0]], 0.0, 8.0)
    np.testing.assert_array_equal(picture[30, 160 + 40], colours[0])
    np.testing.assert_array_equal(picture[90, 160 + 120], colours[1])
    assert picture[60, 160 + 80].tolist() == [90, 90, 90]


def test_the_overlay_shows_the_surface_where_there_is_one() -> None:
    with_heights, without = (overlay(result(heights=given), 100) for given in (True, False))
    assert len(with_heights) - len(without) == 140


def test_without_heights_or_pose_it_says_so() -> None:
    for given in (result(heights=False), result(pose=False)):
        picture = surface(given, 200)
        assert picture.shape == (240, 200, 3)
        assert np.median(picture) == 40


def test_cells_are_as_large_as_they_lie_apart() -> None:
    assert cell_side(result().matches) == pytest.approx(2.0)
