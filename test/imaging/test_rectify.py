# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Ideal views out of each camera."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest

from cvloc_ros.errors import ImageError
from cvloc_ros.imaging.camera import Camera, Equirectangular, Fisheye, Pinhole
from cvloc_ros.imaging.rectify import ideal_pinhole, rectification


def _sky(rays: np.ndarray) -> np.ndarray:
    """Return colours of directions: smooth bands in all three axes."""
    return np.nan_to_num(127.5 + 100.0 * np.sin(rays * (7.0, 9.0, 11.0) + (0.0, 1.0, 2.0)))


def _render(camera: Camera) -> np.ndarray:
    v, u = np.mgrid[0 : camera.height, 0 : camera.width].astype(np.float64)
    return np.rint(_sky(camera.unproject(np.stack([u, v], axis=-1)))).astype(np.uint8)


def test_view_shows_what_an_ideal_camera_would(camera: Camera) -> None:
    view = ideal_pinhole(320, 240, math.radians(50.0))
    lookup = rectification(camera, view)
    image = lookup(_render(camera))
    error = np.abs(image.astype(int) - _render(view))
    assert lookup.valid.mean() > 0.6
    assert error[lookup.valid].max() <= 5
    assert (image[~lookup.valid] == 0).all()


def test_views_all_around_a_panorama_and_a_fisheye_are_turned_right() -> None:
    view = ideal_pinhole(200, 200, math.radians(60.0))
    for camera, yaw in ((Equirectangular(2048, 1024), math.pi), (Fisheye(900, 900, 250.0, 250.0, 449.5, 449.5), 1.0)):
        R = cv2.Rodrigues(np.array([0.0, yaw, 0.0]))[0]
        lookup = rectification(camera, view, tuple(R.ravel().tolist()))
        v, u = np.mgrid[0:200, 0:200].astype(np.float64)
        expected = _sky(view.unproject(np.stack([u, v], axis=-1)) @ R.T)
        assert lookup.valid.mean() > 0.9
        assert np.abs(lookup(_render(camera)) - expected)[lookup.valid].max() < 6.0


def test_small_view_of_a_large_image_does_not_alias() -> None:
    camera = Pinhole(1600, 1200, 1200.0, 1200.0, 799.5, 599.5)
    board = np.where((np.indices((1200, 1600)).sum(axis=0) % 2)[..., None], 255, 0).astype(np.uint8).repeat(3, axis=-1)
    view = ideal_pinhole(160, 120, 2 * math.atan(0.5 * 160 / 120.0))
    image = rectification(camera, view)(board)
    assert np.abs(image[5:-5, 5:-5].astype(int) - 127).max() <= 40


def test_lookup_is_kept_for_equal_cameras() -> None:
    view = ideal_pinhole(32, 24, 1.0)
    first = rectification(Pinhole(64, 48, 40.0, 40.0, 31.5, 23.5), view)
    assert rectification(Pinhole(64, 48, 40.0, 40.0, 31.5, 23.5), view) is first


@pytest.mark.parametrize("fov_deg", [0.0, -10.0, 171.0, math.nan])
def test_impossible_view_is_refused(fov_deg: float) -> None:
    with pytest.raises(ImageError, match="split wider views"):
        ideal_pinhole(32, 24, math.radians(fov_deg))


def test_image_of_another_size_is_refused() -> None:
    lookup = rectification(Pinhole(64, 48, 40.0, 40.0, 31.5, 23.5), ideal_pinhole(32, 24, 1.0))
    with pytest.raises(ImageError, match="model for this image size"):
        lookup(np.zeros((24, 32, 3), np.uint8))
