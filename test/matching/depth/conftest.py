# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Views of a level camera 1.5 m above the road."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from cvloc_ros.imaging.models import Equirectangular, Fisheye, Pinhole
from cvloc_ros.types import CameraModel, GroundView

FORWARD = np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])
CAMERAS: dict[str, CameraModel] = {
    "pinhole": Pinhole(320, 240, 200.0, 200.0, 159.5, 119.5),
    "fisheye": Fisheye(320, 320, 110.0, 110.0, 159.5, 159.5, (0.02, -0.01, 0.0, 0.0)),
    "panorama": Equirectangular(360, 180),
}


@pytest.fixture
def view() -> Callable[..., GroundView]:
    def make(kind: str = "pinhole", depth: np.ndarray | None = None, height_m: float = 1.5) -> GroundView:
        camera = CAMERAS[kind]
        T = np.eye(4)
        T[:3, :3], T[:3, 3] = FORWARD, (1.0, 0.0, height_m)
        rgb = np.random.default_rng(0).integers(0, 255, (camera.height, camera.width, 3), np.uint8)
        return GroundView("front", rgb, camera, T, 7, depth=depth)

    return make
