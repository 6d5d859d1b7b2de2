# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Cameras and mountings that the imaging tests share."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from cvloc_ros.imaging.camera import Camera, Equirectangular, Fisheye, Pinhole

if TYPE_CHECKING:
    from collections.abc import Callable

    from cvloc_ros.types import F64

PLUMB_BOB = Pinhole(640, 480, 402.0, 401.0, 322.5, 238.0, (-0.18, 0.06, 0.0008, -0.0006, -0.01, 0.0, 0.0, 0.0))
RATIONAL = Pinhole(640, 480, 380.0, 381.0, 318.0, 241.0, (0.61, -2.8, 0.0008, -0.0003, 1.62, 0.49, -2.61, 1.54))
FISHEYE = Fisheye(800, 800, 245.0, 246.0, 401.0, 398.0, (0.02, -0.008, 0.002, -0.0004))
CAMERAS: dict[str, Camera] = {
    "ideal": Pinhole(640, 480, 400.0, 400.0, 319.5, 239.5),
    "plumb_bob": PLUMB_BOB,
    "rational": RATIONAL,
    "fisheye": FISHEYE,
    "fisheye_plain": Fisheye(800, 800, 250.0, 250.0, 399.5, 399.5),
    "panorama": Equirectangular(1024, 512),
    "partial_panorama": Equirectangular(1024, 200, 0.5, 0.5 - math.tau * 200 / 1024),
}


@pytest.fixture(params=sorted(CAMERAS))
def camera(request: pytest.FixtureRequest) -> Camera:
    """Each camera model in turn."""
    return CAMERAS[request.param]


@pytest.fixture
def mounting() -> Callable[..., F64]:
    """Return a maker of T_base_camera from position, yaw, downward tilt and roll about the viewing direction."""
    return make_mounting


def make_mounting(
    x: float = 0.0, y: float = 0.0, z: float = 2.0, yaw: float = 0.0, down: float = 0.0, roll: float = 0.0
) -> F64:
    """Mount a camera at (x, y, z) that looks along yaw, `down` below the horizon, rolled clockwise (radians)."""
    forward = np.array([math.cos(down) * math.cos(yaw), math.cos(down) * math.sin(yaw), -math.sin(down)])
    right = np.array([math.sin(yaw), -math.cos(yaw), 0.0])
    below = np.cross(forward, right)
    c, s = math.cos(roll), math.sin(roll)
    T = np.eye(4)
    T[:3, 0], T[:3, 1], T[:3, 2] = c * right + s * below, c * below - s * right, forward
    T[:3, 3] = x, y, z
    return T


@pytest.fixture
def paris() -> Path:
    """Folder of the real drive; skips where it is absent."""
    folder = Path(__file__).parents[3] / "shared" / "data" / "paris_drive"
    if not folder.is_dir():
        pytest.skip(f"{folder} is absent")
    return folder
