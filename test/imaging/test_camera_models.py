# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Camera models: round trips, agreement with OpenCV, and where they end."""

from __future__ import annotations

import copy
import math

import cv2
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cvloc_ros.imaging import distortion
from cvloc_ros.imaging.camera import Camera, Equirectangular, Fisheye, Pinhole, Rotated

PARIS = (-0.17963, 0.06040, 0.00001, 0.00039, -0.00987, 0.0, 0.0, 0.0)


def _pixels(camera: Camera, n: int = 4000) -> np.ndarray:
    return np.random.default_rng(1).uniform((-0.5, -0.5), (camera.width - 0.5, camera.height - 0.5), (n, 2))


def test_every_pixel_comes_back_through_its_ray(camera: Camera) -> None:
    uv = _pixels(camera)
    rays = camera.unproject(uv)
    has_ray = np.isfinite(rays[:, 0])
    assert has_ray.mean() > 0.75
    np.testing.assert_allclose(np.linalg.norm(rays[has_ray], axis=1), 1.0, atol=1e-12)
    back, mask = camera.project(rays[has_ray] * np.random.default_rng(2).uniform(0.1, 50.0, (has_ray.sum(), 1)))
    assert mask.all()
    np.testing.assert_allclose(back, uv[has_ray], atol=1e-6)


def test_every_point_in_the_image_comes_back_as_its_ray(camera: Camera) -> None:
    points = np.random.default_rng(3).normal(size=(20000, 3))
    uv, mask = camera.project(points)
    assert mask.any()
    rays = camera.unproject(uv[mask])
    np.testing.assert_allclose(rays, points[mask] / np.linalg.norm(points[mask], axis=1)[:, None], atol=1e-7)
    np.testing.assert_array_equal(mask, camera.project(points * 7.0)[1])


def test_shapes_are_kept(camera: Camera) -> None:
    points = np.random.default_rng(3).normal(size=(5, 4, 3)) + np.array([0.0, 0.0, 6.0])
    uv, mask = camera.project(points)
    assert uv.shape == (5, 4, 2)
    assert mask.shape == (5, 4)
    assert mask.dtype == bool
    assert camera.unproject(uv).shape == (5, 4, 3)
    assert camera.project(points[0, 0])[0].shape == (2,)
    assert camera.unproject(uv[0, 0]).shape == (3,)


@pytest.mark.parametrize("coefficients", [PARIS, (0.61, -2.8, 0.0008, -0.0003, 1.62, 0.49, -2.61, 1.54)])
def test_pinhole_agrees_with_opencv(coefficients: tuple[float, ...]) -> None:
    camera = Pinhole(640, 480, 402.0, 401.0, 322.5, 238.0, coefficients)
    K = np.array([[402.0, 0.0, 322.5], [0.0, 401.0, 238.0], [0.0, 0.0, 1.0]])
    points = np.random.default_rng(4).uniform((-3, -2, 4), (3, 2, 5), (500, 3))
    expected = cv2.projectPoints(points, np.zeros(3), np.zeros(3), K, np.array(coefficients))[0][:, 0]
    uv, mask = camera.project(points)
    assert mask.mean() > 0.5
    np.testing.assert_allclose(uv[mask], expected[mask], atol=1e-9)


def test_fisheye_agrees_with_opencv() -> None:
    camera = Fisheye(800, 800, 245.0, 246.0, 401.0, 398.0, (0.02, -0.008, 0.002, -0.0004))
    K = np.array([[245.0, 0.0, 401.0], [0.0, 246.0, 398.0], [0.0, 0.0, 1.0]])
    points = np.random.default_rng(4).uniform((-6, -6, 2), (6, 6, 5), (500, 1, 3))
    expected = cv2.fisheye.projectPoints(points, np.zeros(3), np.zeros(3), K, np.array(camera.coefficients))[0][:, 0]
    uv, mask = camera.project(points[:, 0])
    assert mask.all()
    np.testing.assert_allclose(uv, expected, atol=1e-9)


@given(
    k1=st.floats(-0.4, 0.3),
    k2=st.floats(-0.2, 0.2),
    k3=st.floats(-0.1, 0.1),
    p=st.floats(-0.005, 0.005),
    k4=st.sampled_from([0.0, 0.1, -0.2]),
)
@example(k1=0.0859375, k2=0.169921875, k3=-0.0453012, p=0.0, k4=-0.2)  # zero and pole of the fraction nearly meet
@example(k1=0.0, k2=0.0, k3=0.0, p=0.00390625, k4=0.1)  # tangential terms reach beyond the radial edge
@settings(max_examples=100, deadline=None)
def test_distortion_is_inverted_up_to_its_limit(k1: float, k2: float, k3: float, p: float, k4: float) -> None:
    coefficients = (k1, k2, p, -p / 2, k3, k4, 0.0, 0.0)
    limit = min(distortion.radius_limit(coefficients), 3.0)
    rng = np.random.default_rng(0)
    radius, angle = limit * np.sqrt(rng.uniform(0, 0.98**2, 500)), rng.uniform(0, math.tau, 500)
    x, y = radius * np.cos(angle), radius * np.sin(angle)
    xu, yu = distortion.undistort(*distortion.distort(x, y, coefficients), coefficients)
    np.testing.assert_allclose(xu, x, atol=1e-6)
    np.testing.assert_allclose(yu, y, atol=1e-6)


def test_points_beyond_the_turning_point_have_no_pixel() -> None:
    camera = Pinhole(1024, 1024, 565.58, 565.58, 517.92, 513.20, PARIS)
    limit = distortion.radius_limit(PARIS)
    assert 1.7 < limit < 1.9
    uv, mask = camera.project(np.array([[limit * 1.05, 0.0, 1.0], [3.0, 0.0, 1.0], [0.5, 0.0, 1.0]]))
    assert mask.tolist() == [False, False, True]
    assert np.isnan(uv[:2]).all()


def test_points_behind_have_no_pixel() -> None:
    points = np.array([[0.0, 0.0, -1.0], [0.1, 0.1, 0.0], [0.0, 0.0, 0.0]])
    for camera in (Pinhole(640, 480, 400.0, 400.0, 320.0, 240.0), Fisheye(640, 480, 150.0, 150.0, 320.0, 240.0)):
        uv, mask = camera.project(points)
        assert not mask[0]
        assert not mask[2]
        assert np.isnan(uv[[0, 2]]).all()


def test_fisheye_sees_behind_itself() -> None:
    camera = Fisheye(1000, 1000, 250.0, 250.0, 499.5, 499.5)
    ray = np.array([math.sin(1.8), 0.0, math.cos(1.8)])
    uv, mask = camera.project(ray)
    assert mask
    np.testing.assert_allclose(uv, (499.5 + 250.0 * 1.8, 499.5))
    np.testing.assert_allclose(camera.unproject(uv), ray, atol=1e-12)


def test_panorama_looks_where_it_should() -> None:
    camera = Equirectangular(360, 180)
    points = np.array([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0], [-1e-12, 0.0, -1.0]])
    uv, mask = camera.project(points)
    np.testing.assert_allclose(uv[:3], [[179.5, 89.5], [269.5, 89.5], [89.5, 89.5]])
    assert uv[3, 1] == pytest.approx(-0.5)
    assert uv[4, 0] == pytest.approx(-0.5)
    assert mask.all()


def test_partial_panorama_ends_above_and_below() -> None:
    camera = Equirectangular(1024, 200, 0.5, -0.5)
    _, mask = camera.project(np.array([[0.0, -math.tan(0.51), 1.0], [0.0, math.tan(0.49), 1.0]]))
    assert mask.tolist() == [False, True]
    assert np.isnan(camera.unproject(np.array([5.0, 200.1]))).all()


def test_rotated_camera_is_the_camera_turned() -> None:
    R, _ = cv2.Rodrigues(np.array([0.02, -0.03, 0.05]))
    inner = Pinhole(640, 480, 400.0, 400.0, 320.0, 240.0)
    camera = Rotated(inner, tuple(R.ravel().tolist()))
    point = np.array([0.3, -0.2, 2.0])
    np.testing.assert_allclose(camera.project(point)[0], inner.project(R @ point)[0])
    np.testing.assert_allclose(camera.unproject(camera.project(point)[0]), point / np.linalg.norm(point), atol=1e-12)


def test_equal_parameters_make_equal_models(camera: Camera) -> None:
    assert copy.deepcopy(camera) == camera
    assert hash(copy.deepcopy(camera)) == hash(camera)
