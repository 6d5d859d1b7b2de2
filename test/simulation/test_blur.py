# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Motion blur spreads what is seen along the way that it takes through the image."""

from __future__ import annotations

import numpy as np
import pytest

from cvloc_ros.geo import se3
from cvloc_ros.imaging.models import Equirectangular, Pinhole
from cvloc_ros.simulation.blur import MotionBlur
from cvloc_ros.types import F32, F64, U8

CAMERA = Pinhole(160, 120, 100.0, 100.0, 79.5, 59.5)
WALL = np.full((120, 160), 5.0, np.float32)


def _dot() -> U8:
    image = np.zeros((120, 160, 3), np.uint8)
    image[59:61, 79:81] = 255
    return image


def _moved(x: float = 0.0, y: float = 0.0) -> tuple[F64, F64]:
    return se3.from_translation((-x / 2, -y / 2, 0)), se3.from_translation((x / 2, y / 2, 0))


@pytest.mark.parametrize(("x", "y"), [(0.5, 0.0), (0.0, 0.5)])
def test_a_dot_becomes_a_streak_of_the_right_length_and_direction(x: float, y: float) -> None:
    rays = CAMERA.unproject(np.stack(np.meshgrid(np.arange(160.0), np.arange(120.0)), -1))
    depth: F32 = (WALL / rays[..., 2]).astype(np.float32)
    out = MotionBlur(CAMERA).apply(_dot(), depth, *_moved(x, y))[..., 0]
    rows, columns = np.nonzero(out > 8)
    long, short = (np.ptp(columns), np.ptp(rows)) if x else (np.ptp(rows), np.ptp(columns))
    assert long + 1 == pytest.approx(10 + 2, abs=2)  # 0.5 m at 5 m with 100 px
    assert short <= 2
    assert out.sum() == pytest.approx(4 * 255, rel=0.15)
    assert abs(columns.mean() - 79.5) < 1 and abs(rows.mean() - 59.5) < 1


def test_what_is_far_stays_sharp() -> None:
    far = np.full((120, 160), np.inf, np.float32)
    assert np.array_equal(MotionBlur(CAMERA).apply(_dot(), far, *_moved(0.5)), _dot())


def test_a_panorama_is_not_smeared_across_its_seam() -> None:
    camera = Equirectangular(160, 80)
    image = np.zeros((80, 160, 3), np.uint8)
    image[:, 40] = 255
    out = MotionBlur(camera).apply(image, np.full((80, 160), 5.0, np.float32), *_moved(0.6))
    assert out[40, 100:140].max() == 0
