# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Models from camera_info: names, sizes, binning, regions, and what is refused."""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np
import pytest

from cvloc_ros.errors import ImageError
from cvloc_ros.imaging.camera import Equirectangular, Fisheye, Pinhole, Rotated, from_camera_info, panorama

K = [400.0, 0.0, 321.0, 0.0, 401.0, 239.0, 0.0, 0.0, 1.0]
D5 = [-0.2, 0.05, 0.001, 0.002, -0.01]


def test_plumb_bob_takes_five_coefficients_in_opencv_order() -> None:
    camera = from_camera_info("plumb_bob", 640, 480, K, D5)
    assert camera == Pinhole(640, 480, 400.0, 401.0, 321.0, 239.0, (-0.2, 0.05, 0.001, 0.002, -0.01, 0.0, 0.0, 0.0))
    assert camera.kind == "plumb_bob"


def test_rational_polynomial_takes_eight_coefficients() -> None:
    camera = from_camera_info("rational_polynomial", 640, 480, np.array(K), np.arange(8) / 100)
    assert isinstance(camera, Pinhole)
    assert camera.coefficients == tuple(np.arange(8) / 100)
    assert camera.kind == "rational_polynomial"


@pytest.mark.parametrize("kind", ["equidistant", "fisheye", "Fisheye"])
def test_fisheye_by_its_names(kind: str) -> None:
    camera = from_camera_info(kind, 640, 480, K, [0.1, 0.01, 0.0, 0.0])
    assert isinstance(camera, Fisheye)
    assert camera.coefficients == (0.1, 0.01, 0.0, 0.0)


def test_no_model_name_with_zero_distortion_is_an_ideal_camera() -> None:
    assert from_camera_info("", 640, 480, K, []) == from_camera_info("plumb_bob", 640, 480, K, [0.0] * 5)


def test_panorama_needs_no_calibration() -> None:
    camera = from_camera_info("equirectangular", 0, 0, [], [], image_size=(1024, 512))
    assert camera == Equirectangular(1024, 512)


def test_panorama_with_part_of_the_sky() -> None:
    camera = panorama(1000, 300, top_rad=0.5)
    assert isinstance(camera, Equirectangular)
    assert camera.top_rad - camera.bottom_rad == pytest.approx(math.tau * 0.3)
    assert panorama(1000, 300, bottom_rad=camera.bottom_rad) == camera


@pytest.mark.parametrize("size", [(0, 0), (100, 60)])
def test_panorama_of_impossible_size_is_refused(size: tuple[int, int]) -> None:
    with pytest.raises(ImageError, match="panorama of"):
        panorama(*size)


def test_binning_and_roi_give_the_pixel_that_covers_the_same_ray() -> None:
    full = from_camera_info("plumb_bob", 640, 480, K, D5)
    part = from_camera_info("plumb_bob", 640, 480, K, D5, binning=(2, 4), roi=(100, 40, 320, 400))
    assert (part.width, part.height) == (160, 100)
    point = np.array([0.1, 0.05, 1.0])
    edges = (full.project(point)[0] + 0.5 - (100, 40)) / (2, 4)
    np.testing.assert_allclose(part.project(point)[0] + 0.5, edges)


def test_smaller_image_sees_what_area_averaging_leaves() -> None:
    full = from_camera_info("plumb_bob", 640, 480, K, D5)
    half = from_camera_info("plumb_bob", 640, 480, K, D5, image_size=(320, 240))
    u, v = full.project(np.array([0.2, -0.1, 1.0]))[0]
    image = np.exp(-((np.arange(640) - u) ** 2)[None, :] / 50.0 - ((np.arange(480) - v) ** 2)[:, None] / 50.0)
    moments = cv2.moments(cv2.resize(image, (320, 240), interpolation=cv2.INTER_AREA))
    seen = (moments["m10"] / moments["m00"], moments["m01"] / moments["m00"])
    np.testing.assert_allclose(half.project(np.array([0.2, -0.1, 1.0]))[0], seen, atol=1e-3)


def test_rectified_images_use_the_projection_matrix() -> None:
    P = [350.0, 0.0, 300.0, -35.0, 0.0, 350.0, 200.0, 0.0, 0.0, 0.0, 1.0, 0.0]
    R, _ = cv2.Rodrigues(np.array([0.01, 0.02, -0.01]))
    flat = from_camera_info("plumb_bob", 640, 480, K, D5, R=np.eye(3), P=P, rectified=True)
    assert flat == Pinhole(640, 480, 350.0, 350.0, 300.0, 200.0)
    turned = from_camera_info("plumb_bob", 640, 480, K, D5, R=R, P=P, rectified=True)
    assert isinstance(turned, Rotated)
    np.testing.assert_allclose(turned.unproject(np.array([300.0, 200.0])), R.T @ (0, 0, 1))


@pytest.mark.parametrize(
    ("kind", "D", "extra", "words"),
    [
        ("plumb_bob", D5, {"K": [0.0] * 9}, "not calibrated"),
        ("plumb_bob", D5, {"K": [1.0] * 4}, "4 numbers"),
        ("plumb_bob", D5, {"K": [math.nan] * 9}, "finite"),
        ("plumb_bob", D5, {"K": [400.0, 3.0, 321.0, 0.0, 401.0, 239.0, 0.0, 0.0, 1.0]}, "skew"),
        ("plumb_bob", [0.1, 0.2], {}, "2 numbers"),
        ("plumb_bob", [0.1] * 8, {}, "plumb_bob takes 5"),
        ("equidistant", [0.1] * 5, {}, "equidistant takes 4"),
        ("plumb_bob", [math.inf] * 5, {}, "finite"),
        ("rational_polynomial", [0.1] * 12, {}, "prism"),
        ("double_sphere", [], {}, "known are plumb_bob"),
        ("", D5, {}, "names no distortion_model"),
        ("plumb_bob", D5, {"width": 0}, "size 0x480"),
        ("plumb_bob", D5, {"roi": (600, 0, 100, 100)}, "leaves the sensor"),
        ("plumb_bob", D5, {"image_size": (641, 480)}, "image of 641x480"),
        ("plumb_bob", D5, {"image_size": (320, 480)}, "image of 320x480"),
        ("plumb_bob", D5, {"image_size": (1280, 960)}, "image of 1280x960"),
        ("plumb_bob", D5, {"rectified": True}, "P of camera_info has 0 numbers"),
    ],
)
def test_contradictions_are_refused(kind: str, D: list[float], extra: dict[str, Any], words: str) -> None:
    given = {"width": 640, "height": 480, "K": K, **extra}
    with pytest.raises(ImageError, match=words):
        from_camera_info(kind, D=D, **given)
