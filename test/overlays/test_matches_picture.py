# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Matches are drawn where they are, in the images and on the map."""

from __future__ import annotations

import importlib
import math

import numpy as np
import pytest

from cvloc_ros import overlays
from cvloc_ros.imaging.camera import Pinhole
from cvloc_ros.overlays.matches import _cameras, _colours, _places, _spread
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

module = importlib.import_module("cvloc_ros.overlays.matches")  # the package has a function of that name
POSE = Pose2(5e5, 5e6, math.pi / 2)
OPTICAL = np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])


def view(name: str = "front", upside_down: bool = False, stamp_ns: int = 1, rgb: tuple = (0, 0, 90)) -> GroundView:
    T = np.eye(4)
    T[:3, :3] = OPTICAL @ np.diag([-1.0, -1.0, 1.0]) if upside_down else OPTICAL
    picture = np.full((240, 320, 3), rgb, np.uint8)
    return GroundView(name, picture, Pinhole(320, 240, 200.0, 200.0, 159.5, 119.5), T, stamp_ns)


def correspondences(n: int = 40, **more: object) -> Correspondences:
    rng = np.random.default_rng(0)
    ground = rng.uniform(-15, 15, (n, 2))
    return Correspondences(
        ground, POSE.apply(ground) + rng.normal(0, 0.3, (n, 2)), rng.random(n), rng.uniform(0, 239, (n, 2)),
        np.zeros(n, np.int64), **more,
    )  # fmt: skip


def result(views: tuple[GroundView, ...], found: Correspondences | None, *, pose: bool = True) -> LocalizationResult:
    map_from_px = np.array([[0.2, 0.0, POSE.x_m - 40], [0.0, -0.2, POSE.y_m + 40]])
    grey = np.full((400, 400, 3), 120, np.uint8)
    patch = AerialPatch(grey, np.ones((400, 400), bool), 0.2, map_from_px, "© Somebody", 1.0, ("grey",))
    estimate = PoseEstimate(POSE, np.diag([0.1, 0.1, 0.01]), 0.6, 0.1, inliers=0.8)
    return LocalizationResult(
        Status.OK if pose else Status.LOW_COVERAGE, 1, estimate=estimate if pose else None, patch=patch, views=views,
        matches=found, window=SearchWindow(POSE, 10.0, 1.0),
    )  # fmt: skip


def test_the_picture_has_images_above_two_maps() -> None:
    picture = overlays.matches(result((view(),), correspondences()), 400)
    assert picture.dtype == np.uint8
    assert picture.shape == (240 + 400, 800, 3)
    assert overlays.matches(result((view(), view("rear")), correspondences()), 400).shape == (240 + 400, 800, 3)
    colourful = np.ptp(picture.astype(int), axis=2) > 80
    assert colourful[:240, :320].mean() > 0.02
    assert colourful[240:, :400].mean() > 0.02
    assert colourful[240:, 400:].mean() > 0.001


def test_a_match_is_marked_at_its_pixel_even_upside_down() -> None:
    for flipped in (False, True):
        found = correspondences(1)
        seen = view(upside_down=flipped)
        _, shown = _cameras((seen,), 800)
        place = _places(found, (seen,), shown)[0]
        uv = np.array([319.0, 239.0]) - found.uv[0] if flipped else found.uv[0]
        assert place == pytest.approx(uv, abs=1e-9)  # 240 rows are shown at full size
        picture = overlays.matches(result((seen,), found), 400)
        column, row = np.round(place).astype(int)
        assert np.ptp(picture[row, column].astype(int)) > 80


def test_only_images_of_the_newest_stamp_are_shown() -> None:
    found = correspondences(6)
    views = (view(stamp_ns=1), view("now", stamp_ns=5), view("also", stamp_ns=5), view("third", stamp_ns=5))
    _, shown = _cameras(views, 800)
    assert [part.view for part in shown] == [1, 2]
    assert np.isnan(_places(found, views, shown)).all()  # all are of the first view
    assert overlays.matches(result(views, found), 400).shape[1] == 800


def test_strong_matches_are_chosen_and_spread() -> None:
    found = correspondences(40)
    place = np.tile([[10.0, 10.0]], (40, 1))
    assert list(_spread(found, place, 10)) == [int(np.argmax(found.weights))]
    chosen = _spread(found, np.arange(40)[:, None] * [100.0, 0.0], 10)
    assert list(found.weights[chosen]) == sorted(found.weights)[-10:]
    dark, bright = (sum(colour) for colour in (_colours(found.weights[chosen])[0], _colours(found.weights[chosen])[-1]))
    assert bright > dark


def test_heights_are_written_where_a_method_selects_them() -> None:
    given = (correspondences(height_m=height) for height in (None, np.full(40, 4.0)))
    plain, high = (overlays.matches(result((view(),), found), 400) for found in given)
    assert (plain != high).any(axis=2).sum() > 500


def test_without_matches_or_pose_there_is_still_a_picture() -> None:
    assert overlays.matches(result((view(),), None), 400).shape == (100, 800, 3)
    none = np.zeros((0, 2))
    empty = Correspondences(none, none, np.zeros(0), none, np.zeros(0, np.int64))
    assert overlays.matches(result((view(),), empty, pose=False), 400).shape == (100, 800, 3)
    assert overlays.matches(result((view(),), correspondences(), pose=False), 400).shape == (640, 800, 3)


def test_the_overlay_of_an_attempt_shows_the_matches_too() -> None:
    without, given = (overlays.overlay(result((view(),), found), 400) for found in (None, correspondences()))
    assert given.shape[0] == without.shape[0] + 640
    assert given.shape[1] == without.shape[1] == 800


def test_heights_do_not_cover_each_other_and_stay_in_the_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[tuple[int, int]] = []
    monkeypatch.setattr(module, "write", lambda _rgb, _text, at, *_: written.append(at))
    rng = np.random.default_rng(1)
    places = np.vstack([rng.uniform(0, [399, 59], (200, 2)), [[399.0, 0.0]]])
    module._heights(np.zeros((60, 400, 3), np.uint8), places, np.full(201, 2.0))
    assert 5 < len(written) <= 24
    for number, (left, bottom) in enumerate(written):
        assert 0 <= left <= 400 - 46
        assert bottom >= 13
        assert all(abs(left - u) >= 46 or abs(bottom - v) >= 13 for u, v in written[:number])


def test_lines_do_not_run_over_the_map_at_the_right() -> None:
    given, T = correspondences(1), np.eye(4)
    T[:3, :3] = OPTICAL
    wide = GroundView("wide", np.zeros((60, 320, 3), np.uint8), Pinhole(320, 60, 200.0, 200.0, 159.5, 29.5), T, 1)
    panels = []
    for u in (2.0, 317.0):
        found = Correspondences(given.ground, given.aerial, given.weights, np.array([[u, 30.0]]), given.view)
        picture = overlays.matches(result((wide,), found), 400)
        panels.append(picture[-400:])
    assert (panels[0] != panels[1])[:, :400].any()
    assert np.array_equal(panels[0][40:, 400:], panels[1][40:, 400:])
