# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The pictures show what they claim: things are drawn where they are, and the map through a camera is in its place."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from cvloc_ros import overlays
from cvloc_ros.imaging.camera import Pinhole
from cvloc_ros.overlays.canvas import BLUE, GREEN, RED, Canvas
from cvloc_ros.types import (
    AerialPatch,
    Correspondences,
    GroundView,
    LocalizationResult,
    Pose2,
    PoseEstimate,
    PosePrior,
    ScoreVolume,
    SearchWindow,
    Status,
)  # fmt: skip

POSE = Pose2(10.0, 20.0, math.pi / 2)
OPTICAL = np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])


def patch() -> AerialPatch:
    """Grey ground with a red square of 2 m centred 8 m north of the pose."""
    map_from_px = np.array([[0.1, 0.0, POSE.x_m - 30], [0.0, -0.1, POSE.y_m + 30]])
    rgb = np.full((600, 600, 3), 120, np.uint8)
    rgb[210:230, 290:310] = (255, 0, 0)
    return AerialPatch(rgb, np.ones((600, 600), bool), 0.1, map_from_px, "© Somebody", 1.0, ("square",))


def view(upside_down: bool = False) -> GroundView:
    """A camera 2 m above base that looks forward and 30 degrees down."""
    tilt = math.radians(30)
    R = np.array([[math.cos(tilt), 0, math.sin(tilt)], [0, 1, 0], [-math.sin(tilt), 0, math.cos(tilt)]]) @ OPTICAL
    T = np.eye(4)
    T[:3, :3] = R @ np.diag([-1.0, -1.0, 1.0]) if upside_down else R
    T[2, 3] = 2.0
    rgb = np.zeros((240, 320, 3), np.uint8)
    rgb[:120] = (0, 0, 255)
    return GroundView("front", rgb, Pinhole(320, 240, 200.0, 200.0, 159.5, 119.5), T, 1)


def result(status: Status = Status.OK, **fields) -> LocalizationResult:
    estimate = PoseEstimate(POSE, np.diag([0.25, 0.25, 0.01]), 0.6, 0.1)
    prior = PosePrior(Pose2(12.0, 20.0, 1.5), np.diag([4.0, 4.0, 0.1]), 1, yaw_known=True, source="fix")
    values = {"patch": patch(), "prior": prior, "window": SearchWindow(prior.pose, 10.0, 0.3), "views": (view(),)}
    values |= {"estimate" if status is Status.OK else "candidate": estimate} | fields
    return LocalizationResult(status, 1, **values)


def volume() -> ScoreVolume:
    torch = pytest.importorskip("torch", reason="torch is not installed")
    x, y, yaw = POSE.x_m + np.linspace(-5, 5, 21), POSE.y_m + np.linspace(-4, 4, 17), np.linspace(1.4, 1.7, 5)
    distance = (x[None, None, :] - POSE.x_m) ** 2 + (y[None, :, None] - POSE.y_m) ** 2
    distance = distance + 100 * (yaw[:, None, None] - 1.55) ** 2
    scores = torch.from_numpy(np.exp(-distance / 4))
    likelihood = torch.from_numpy(-distance)
    likelihood[:, 0, :] = -math.inf
    return ScoreVolume(likelihood, scores, torch.ones_like(scores), x, y, yaw)


def has(picture: np.ndarray, colour) -> bool:
    return bool((np.abs(picture.astype(int) - colour).max(axis=-1) < 40).any())


def test_canvas_has_north_up_and_metres_to_scale():
    canvas = Canvas.around(result(), patch(), 500)
    centre = canvas.pixels(np.array([12.0, 20.0]))
    assert centre == pytest.approx([250, 250])
    assert canvas.pixels(np.array([12.0, 21.0]))[1] < 250
    assert canvas.metres(canvas.pixels(np.array([3.0, 4.0]))) == pytest.approx([3.0, 4.0])
    column, row = np.round(canvas.pixels(np.array([10.0, 28.0]))).astype(int)
    assert canvas.rgb[row, column].tolist() == pytest.approx([255, 0, 0], abs=12)


def test_accepted_is_green_refused_is_red_and_the_prior_blue():
    plain = dataclasses.replace(patch(), rgb=np.zeros((600, 600, 3), np.uint8))
    accepted = overlays.aerial(result(patch=plain))[60:-40]
    refused = overlays.aerial(result(Status.AMBIGUOUS, patch=plain))[60:-40]
    assert has(accepted, GREEN)
    assert not has(accepted, RED)
    assert has(refused, RED)
    assert not has(refused, GREEN)
    assert has(accepted, BLUE)


def test_map_through_the_camera_shows_the_square_straight_ahead():
    _, seen = overlays.through_camera(view(), patch(), POSE, 320)
    red = np.argwhere((seen[..., 0] > 200) & (seen[..., 1] < 60))
    assert red[:, 1].mean() == pytest.approx(159.5, abs=4)
    uv, inside = view().camera.project(np.linalg.inv(view().T_base_camera)[:3] @ [8.0, 0.0, 0.0, 1.0])
    assert inside
    assert red[:, 0].mean() == pytest.approx(uv[1], abs=6)


def test_square_to_the_left_appears_left():
    turned = Pose2(POSE.x_m, POSE.y_m, POSE.yaw_rad - 0.3)
    _, seen = overlays.through_camera(view(), patch(), turned, 320)
    red = np.argwhere((seen[..., 0] > 200) & (seen[..., 1] < 60))
    assert red[:, 1].mean() < 130


def test_camera_mounted_upside_down_is_shown_upright():
    upright, ground = overlays.through_camera(view(), patch(), POSE, 320)
    hanging = view(upside_down=True)
    shown, hung = overlays.through_camera(hanging, patch(), POSE, 320)
    assert np.abs(hung.astype(int) - ground).mean() < 3
    assert shown[0, 0].tolist() == upright[-1, -1].tolist()


@pytest.mark.parametrize("picture", [overlays.overlay, overlays.aerial, overlays.score])
@pytest.mark.parametrize("status", list(Status))
def test_every_outcome_can_be_drawn(picture, status):
    drawn = picture(result(status, reasons=("what — “why”",)))
    assert drawn.dtype == np.uint8
    assert drawn.shape[2] == 3


@pytest.mark.parametrize("picture", [overlays.overlay, overlays.aerial, overlays.score])
def test_outcome_without_anything_can_be_drawn(picture):
    assert picture(LocalizationResult(Status.NO_PRIOR, 1, ("no fix yet",))).shape[2] == 3


def test_scores_are_brightest_at_the_pose():
    found = result(volume=volume(), prior=None, estimate=PoseEstimate(Pose2(0.0, 0.0, 0.0), np.eye(3), 1.0, 0.0))
    drawn = overlays.score(found, 420)
    yellow = drawn[60:380, :, :2].astype(int).sum(axis=-1) - drawn[60:380, :, 2]
    row, column = np.unravel_index(yellow.argmax(), yellow.shape)
    assert (row + 60, column) == pytest.approx((210, 210), abs=30)


def test_scores_can_be_drawn_without_a_device():
    on_host = overlays.on_host(result(volume=volume()))
    assert isinstance(on_host.volume.scores, np.ndarray)
    assert np.array_equal(overlays.score(on_host), overlays.score(result(volume=volume())))


def test_evidence_of_a_volume_is_its_likely_places_best_first():
    points = overlays.evidence_points(result(volume=volume()))
    assert points[0] == pytest.approx([POSE.x_m, POSE.y_m, 1.0], abs=0.3)
    assert (np.diff(points[:, 2]) <= 0).all()


def test_evidence_of_matches_are_their_places():
    places, weights = np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([0.1, 0.9])
    matches = Correspondences(np.zeros((2, 2)), places, weights, np.zeros((2, 2)), np.zeros(2, np.int64))
    assert overlays.evidence_points(result(matches=matches)).tolist() == [[3.0, 4.0, 0.9], [1.0, 2.0, 0.1]]


def test_no_evidence_is_no_points():
    assert overlays.evidence_points(LocalizationResult(Status.NO_PRIOR, 1)).shape == (0, 3)


def test_cells_lie_where_the_patch_has_their_colour():
    points, rgb = overlays.cells(patch(), POSE.xy)
    red = points[(rgb[:, 0] > 200) & (rgb[:, 1] < 50)]
    assert red.mean(axis=0) == pytest.approx([POSE.x_m, POSE.y_m + 8.0], abs=0.06)
    assert np.ptp(red, axis=0) == pytest.approx([1.7, 1.7], abs=0.3)


def test_cells_leave_out_what_has_no_imagery_or_is_far():
    here = patch()
    here.valid[:, :300] = False
    points, rgb = overlays.cells(here, POSE.xy, half_m=10.0)
    assert points[:, 0].min() > POSE.x_m - 0.3
    assert np.abs(points - POSE.xy).max() <= 10.2
    assert len(points) == len(rgb) == pytest.approx(33 * 67, rel=0.05)


def test_cells_of_a_place_beside_the_patch_are_none():
    points, rgb = overlays.cells(patch(), POSE.xy + np.array([500.0, 0.0]))
    assert (points.shape, rgb.shape) == ((0, 2), (0, 3))
