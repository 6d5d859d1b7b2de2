# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Reader of pairs with correspondences."""

from __future__ import annotations

import math
from pathlib import Path

import cv2
import numpy as np
import pytest

from cvloc_ros.datasets import cvfm
from cvloc_ros.datasets.catalogue import Data, open_samples
from cvloc_ros.datasets.sample import SampleError
from cvloc_ros.imaging.models import Equirectangular
from cvloc_ros.types import Pose2


def test_cvfm_pairs_have_matches_in_the_map(tmp_path: Path) -> None:
    camera, truth = Equirectangular(256, 128), Pose2(30.0, -20.0, 0.4)
    T_base_camera = np.array([[0, 0, 1, 0.5], [-1, 0, 0, 0], [0, -1, 0, 2.0], [0, 0, 0, 1.0]])
    T_map_base = np.eye(4)
    T_map_base[:2, :2] = [[math.cos(0.4), -math.sin(0.4)], [math.sin(0.4), math.cos(0.4)]]
    T_map_base[:2, 3] = truth.xy
    ground = np.array([[5.0, 1.0], [8.0, -3.0], [-4.0, 2.0]])
    rays = (np.column_stack([ground, np.zeros(3)]) - T_base_camera[:3, 3]) @ T_base_camera[:3, :3]
    affine = np.array([[0.12, 0.0, 0.0], [0.0, -0.12, 10.0]])
    np.savez(
        tmp_path / "a.npz", ground_uv=camera.project(rays)[0], depth_m=np.linalg.norm(rays, axis=1),
        aerial_uv=(truth.apply(ground) - affine[:, 2]) / [0.12, -0.12], T_map_base=T_map_base,
        T_base_camera=T_base_camera, map_from_aerial=affine,
    )  # fmt: skip
    cv2.imwrite(str(tmp_path / "a.ground.jpg"), np.zeros((128, 256, 3), np.uint8))
    cv2.imwrite(str(tmp_path / "a.aerial.jpg"), np.zeros((64, 64, 3), np.uint8))
    sample = open_samples(Data(source="cvfm", root=str(tmp_path)))[0]
    assert sample.matches is not None and sample.pose == truth
    np.testing.assert_allclose(sample.matches.ground, ground, atol=1e-9)
    np.testing.assert_allclose(truth.apply(ground), sample.matches.aerial, atol=1e-9)
    np.savez(tmp_path / "b.npz", ground_uv=np.zeros((2, 2)), aerial_uv=np.zeros((2, 2)))
    with pytest.raises(SampleError, match=r"b\.npz: without T_map_base"):
        cvfm.CvfmSamples(tmp_path)[1]
