# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from cvloc_ros.evaluation.correspondence import known_places, summarise, top_errors_px, true_places
from cvloc_ros.imaging.models import Equirectangular, Pinhole
from cvloc_ros.types import Correspondences, GroundView, Pose2

TRUTH = Pose2(5e5, 5e6, 0.7)
OPTICAL = np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])
CAMERAS = {"pinhole": Pinhole(320, 240, 210.0, 205.0, 158.0, 121.0), "panorama": Equirectangular(400, 200)}


def street(kind: str, T_ref_base: Pose2) -> tuple[GroundView, np.ndarray]:
    """A view of flat ground with its exact depth, and the ground points (H, W, 2) of base that its pixels show."""
    camera, T = CAMERAS[kind], np.eye(4)
    T[:3, :3], T[:3, 3] = OPTICAL, (1.2, -0.3, 1.6)
    uv = np.stack(np.meshgrid(np.arange(camera.width), np.arange(camera.height)), -1).astype(float)
    rays = camera.unproject(uv.reshape(-1, 2)).reshape(*uv.shape[:2], 3)
    down = (rays @ OPTICAL.T)[..., 2]
    reach = np.where(down < -0.05, -1.6 / np.minimum(down, -1e-9), np.nan)
    points = (reach[..., None] * (rays @ OPTICAL.T))[..., :2] + T[:2, 3]
    depth = reach * rays[..., 2] if kind == "pinhole" else reach
    rgb = np.zeros((camera.height, camera.width, 3), np.uint8)
    return GroundView(kind, rgb, camera, T, 1, T_ref_base=T_ref_base, depth=depth.astype(np.float32)), points


def made(views: list[tuple[GroundView, np.ndarray]], rng: np.random.Generator) -> Correspondences:
    """Perfect matches of 40 ground pixels of each view."""
    uv, ground, which = [], [], []
    for number, (view, points) in enumerate(views):
        row, column = np.nonzero(np.isfinite(points[..., 0]))
        some = rng.choice(len(row), 40, replace=False)
        uv.append(np.column_stack([column[some], row[some]]).astype(float))
        ground.append(view.T_ref_base.apply(points[row[some], column[some]]))
        which.append(np.full(40, number, np.int64))
    base = np.concatenate(ground)
    weights = rng.random(len(base)) + 0.1
    return Correspondences(base, TRUTH.apply(base), weights, np.concatenate(uv), np.concatenate(which))


def scene() -> tuple[Correspondences, list[GroundView]]:
    views = [street("pinhole", Pose2(0.0, 0.0, 0.0)), street("panorama", Pose2(-4.0, 0.5, -0.2))]
    return made(views, np.random.default_rng(0)), [view for view, _ in views]


def test_perfect_matches_are_exact() -> None:
    matches, views = scene()
    places = true_places(matches, views, TRUTH)
    assert np.abs(places - matches.aerial).max() < 1e-4
    score = summarise([top_errors_px(matches, places)])
    assert score.within == (1.0, 1.0, 1.0)
    assert score.valid == 1.0
    assert score.median_px < 1e-3


def test_known_errors_are_measured_in_aerial_pixels() -> None:
    matches, views = scene()
    order = np.argsort(-matches.weights)
    aerial = matches.aerial.copy()
    aerial[order[:10], 0] += 0.12 * 7.0
    aerial[order[10:20], 1] -= 0.12 * 12.0
    aerial[order[30:]] += 100.0  # weaker than the 30 that count
    errors = top_errors_px(replace(matches, aerial=aerial), true_places(matches, views, TRUTH))
    np.testing.assert_allclose(errors, np.repeat([7.0, 12.0, 0.0], 10), atol=1e-3)
    assert summarise([errors]).within == pytest.approx((1 / 3, 2 / 3, 1.0))


def test_what_is_missing_or_unknown_is_a_miss() -> None:
    matches, views = scene()
    few = Correspondences(*(getattr(matches, name)[:15] for name in ("ground", "aerial", "weights", "uv", "view")))
    blind = [replace(views[0], depth=np.zeros_like(views[0].depth)), replace(views[1], depth=None)]
    lost = replace(few, uv=np.full_like(few.uv, np.nan))
    half = summarise([top_errors_px(few, true_places(few, views, TRUTH))])
    assert half.valid == half.within[0] == 0.5
    for given, seen in ((few, blind), (lost, views)):
        nothing = summarise([top_errors_px(given, true_places(given, seen, TRUTH))])
        assert nothing.valid == 0.0
        assert nothing.within == (0.0, 0.0, 0.0)
        assert math.isnan(nothing.median_px)
    assert summarise([]).pairs == 0
    empty = Correspondences(np.zeros((0, 2)), np.zeros((0, 2)), np.zeros(0), np.zeros((0, 2)), np.zeros(0, np.int64))
    assert summarise([top_errors_px(empty, true_places(empty, views, TRUTH))]).valid == 0.0


def test_known_pixels_stand_for_those_beside_them() -> None:
    known, _ = scene()
    beside = replace(known, uv=known.uv + np.array([1.0, -1.0]), aerial=known.aerial + np.array([0.0, 0.96]))
    places = known_places(beside, known)
    np.testing.assert_array_equal(places, known.aerial)
    assert summarise([top_errors_px(beside, places)]).within == (0.0, 1.0, 1.0)
    far = replace(known, uv=known.uv + 1000.0)
    assert np.isnan(known_places(far, known)).all()
    assert np.isnan(known_places(replace(known, view=known.view + 2), known)).all()
