# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Labels of KITTI and VIGOR against those of the original loaders, and against where the camera is in their images."""

from __future__ import annotations

import math

import numpy as np
import pytest

from cvloc_ros.errors import ModelError
from cvloc_ros.matching.fg2 import labels


def test_kitti_test_lines(parity):
    recorded = parity("geometry_fg2")
    for row, line in enumerate(recorded["kitti/test/lines"]):
        path, label = labels.kitti_line(str(line))
        assert path.endswith(".png")
        np.testing.assert_allclose(label.published(), recorded["kitti/test/gt_loc"][row], atol=1e-3)
        np.testing.assert_allclose(label.rotation(), recorded["kitti/test/R"][row], atol=1e-6)
        seen = recorded["kitti/test/camera_blob_rc"][row] - 251.5
        np.testing.assert_allclose(label.offset_px, seen, atol=0.5)
        heading = math.degrees(label.heading_rad) - recorded["kitti/test/psi_from_blobs_deg"][row]
        assert abs(math.remainder(heading, 360.0)) < 0.2
    assert recorded["kitti/meter_per_pixel"][0] == pytest.approx(labels.KITTI_M_PER_PX, abs=1e-7)


def test_kitti_training_draws(parity):
    recorded = parity("geometry_fg2")
    for row, (forward, left, turn) in enumerate(recorded["kitti/train/draws"]):
        label = labels.kitti_noise(forward, left, turn)
        np.testing.assert_allclose(label.published(truncated=True), recorded["kitti/train/gt_loc"][row], atol=1e-3)
        np.testing.assert_allclose(label.rotation(), recorded["kitti/train/R"][row], atol=1e-6)
        np.testing.assert_allclose(label.offset_px, recorded["kitti/train/camera_blob_rc"][row] - 251.5, atol=0.5)


def test_vigor_rows(parity):
    recorded = parity("geometry_fg2")
    for row, (_, down, right) in enumerate(recorded["vigor/rows"]):
        label = labels.vigor(float(down), float(right))
        np.testing.assert_allclose(label.published(), recorded["vigor/known/gt_loc"][row], atol=1e-3)
        seen = (recorded["vigor/camera_blob_rc"][row] + 0.5) * 640 / 630 - 320
        np.testing.assert_allclose(label.offset_px, seen, atol=0.7)
        turned = labels.vigor(0.0, 0.0, -math.tau * float(recorded["vigor/first_run/draw_unit"][row]))
        np.testing.assert_allclose(turned.rotation(), recorded["vigor/first_run/R"][row], atol=1e-6)


def test_golden_labels():
    _, label = labels.kitti_line("a/b.png 0 1 0")
    np.testing.assert_allclose(label.published(), [100.53439, 0.0], atol=1e-3)
    np.testing.assert_allclose(labels.vigor(-139.0, -34.0).published(), [136.828125, -33.46875])
    for line in ("a/b.png", "a/b.png 0 x 1", ""):
        with pytest.raises(ModelError, match="KITTI"):
            labels.kitti_line(line)
