# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Panoramas and fisheye images for a model of perspective images."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from cvloc_ros.imaging.models import Equirectangular, Fisheye
from cvloc_ros.matching.gridloc.model import Model
from cvloc_ros.matching.gridloc.sight import visible_part
from cvloc_ros.types import GroundView


def test_a_model_of_perspective_images_looks_ahead(model: Callable[..., Model]) -> None:
    """Colours in the directions ahead, left and right of a camera arrive where a perspective camera shows them."""
    settings = model().network.settings
    camera = Equirectangular(720, 360)
    rgb = np.zeros((360, 720, 3), np.uint8)
    azimuth = (np.arange(720) + 0.5) / 2 - 180.0
    rgb[:, np.abs(azimuth) < 10] = (255, 0, 0)
    rgb[:, np.abs(azimuth + 30) < 10] = (0, 255, 0)
    rgb[:, np.abs(azimuth) > 45] = 255
    seen = visible_part(GroundView("roof", rgb, camera, np.eye(4), 9), settings)
    rows, cols = settings.ground_size
    focal = 0.5 * cols / math.tan(math.radians(40.0))
    middle, left = cols // 2, round((cols - 1) / 2 - focal * math.tan(math.radians(30.0)))
    assert seen.shape == (rows, cols, 3)
    assert (seen[:, middle] == (255, 0, 0)).all()
    assert (seen[:, left] == (0, 255, 0)).all()
    assert not (seen == 255).all(-1).any(), "nothing from beside or behind"


def test_a_fisheye_image_was_squeezed_whole_into_a_model_of_perspective_images(model: Callable[..., Model]) -> None:
    settings = model().network.settings
    camera = Fisheye(640, 480, 180.0, 180.0, 319.5, 239.5, (0.0, 0.0, 0.0, 0.0))
    rgb = np.full((480, 640, 3), 255, np.uint8)
    v, u = np.mgrid[0:480, 0:640]
    angle = np.hypot(u - 319.5, v - 239.5) / 180.0
    rgb[angle < math.radians(55.0)] = (0, 0, 255)
    seen = visible_part(GroundView("roof", rgb, camera, np.eye(4), 9), settings)
    assert (seen == (0, 0, 255)).all(), "nothing from beside"
