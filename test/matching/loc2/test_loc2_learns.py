# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Images of a flat world, learnt by heart, are localized: training and adapter mean the same geometry."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from cvloc_ros.config import Matching
from cvloc_ros.estimation.procrustes import from_matches
from cvloc_ros.imaging.models import Pinhole
from cvloc_ros.matching import weights
from cvloc_ros.matching.layers.aerial import crop_near, cut, to_device
from cvloc_ros.matching.layers.backbone import ConvBackbone
from cvloc_ros.matching.layers.pose import Alignment
from cvloc_ros.matching.loc2.loss import LossSettings, loss
from cvloc_ros.matching.loc2.matcher import Loc2Matcher, grid_points
from cvloc_ros.matching.loc2.network import Loc2Network
from cvloc_ros.types import AerialPatch, GroundView, Pose2, SearchWindow

CAMERA = Pinhole(320, 128, 200.0, 200.0, 159.5, 40.0)
EXTENT_M, CELLS = 48.0, 24
STEPS = 180


def look(patch: AerialPatch, base: Pose2, stamp_ns: int, *, upside_down: bool) -> GroundView:
    """The patch as a camera sees it that looks 20 degrees down from 3 m."""
    tilt = math.radians(20)
    R = np.array([[math.cos(tilt), 0, math.sin(tilt)], [0, 1, 0], [-math.sin(tilt), 0, math.cos(tilt)]])
    T = np.eye(4)
    T[:3, :3] = R @ np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])
    T[:3, 3] = (0.5, 0.0, 3.0)
    if upside_down:
        T[:3, :3] = T[:3, :3] @ np.diag([-1.0, -1.0, 1.0])
    uv = np.stack(np.meshgrid(np.arange(320.0), np.arange(128.0)), -1)
    rays = CAMERA.unproject(uv) @ T[:3, :3].T
    distance = np.where(rays[..., 2] < -0.05, 3.0 / np.maximum(-rays[..., 2], 0.05), np.nan)
    place = patch.px_from_map(base.apply(T[:2, 3] + rays[..., :2] * distance[..., None]))
    place = np.nan_to_num(place, nan=-100.0).astype(np.float32)
    rgb = cv2.remap(patch.rgb, place[..., 0], place[..., 1], cv2.INTER_LINEAR, borderValue=(128, 128, 128))
    return GroundView(f"c{stamp_ns}", rgb, CAMERA, T, stamp_ns)


@pytest.mark.slow
def test_what_was_learnt_by_heart_is_found_in_the_map(
    settings: Callable[..., Matching], patch: AerialPatch, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    medium = Loc2Network(ConvBackbone(), widths=(64, 64), layers=2).state_dict()
    weights.write_tensors(tmp_path / "medium.safetensors", medium, {"model": "loc2"})
    config = settings(
        weights=str(tmp_path / "medium.safetensors"), depth_source="flat_ground", depth_max_m=20.0, aerial_px=192,
        aerial_cells=CELLS, extent_m=EXTENT_M, ransac_sets=2, matches=512,
    )  # fmt: skip
    matcher = Loc2Matcher(config, torch.device("cpu"))
    truths = [Pose2(5e5 + x, 5e6 + y, yaw) for x, y, yaw in ((2, 1, 0.5), (-5, 3, 3.1), (4, -6, -1.2), (-3, -2, 2.0))]
    views = [look(patch, truth, stamp, upside_down=stamp == 3) for stamp, truth in enumerate(truths)]
    priors = [truth @ Pose2(1.5, -1.0, 0.1) for truth in truths]
    crops = [crop_near(prior.xy, None, step_m=8.0) for prior in priors]

    encoder, network = matcher._encoder, matcher._network.train()
    images = torch.cat([encoder.image(view) for view in views])
    tokens = [encoder.points(view) for view in views]
    ground = torch.from_numpy(np.stack([part.camera_xy + part.displacement for part in tokens])).float()
    valid = torch.from_numpy(np.stack([part.valid for part in tokens]))
    side = to_device(patch, torch.device("cpu"))
    aerial = torch.cat([cut(side, crop, EXTENT_M, 192)[0] for crop in crops])
    grid = torch.from_numpy(crops[0].to_map(grid_points(config.loc2, published=False).numpy()) - crops[0].xy).float()
    turns = torch.tensor([[[math.cos(t.yaw_rad), -math.sin(t.yaw_rad)], [math.sin(t.yaw_rad), math.cos(t.yaw_rad)]]
                          for t in truths])  # fmt: skip
    places = torch.tensor(np.stack([t.xy - crop.xy for t, crop in zip(truths, crops, strict=True)])).float()
    truth = Alignment(turns, places, torch.ones(4), torch.ones(4, dtype=torch.bool))
    optimiser = torch.optim.AdamW(network.parameters(), lr=2e-3)
    draw = torch.Generator().manual_seed(0)
    for _ in range(STEPS):
        optimiser.zero_grad()
        scores, probability = network(images, aerial, valid)
        loss(scores, probability, grid, ground, truth, LossSettings(1.0, 1024, 2.0), draw).total.mean().backward()
        optimiser.step()

    for layer in network.modules():  # running means of so few steps are not those of the samples
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.momentum = None
            layer.reset_running_stats()
    with torch.no_grad():
        network(images, aerial, valid)
    network.eval()
    for view, prior, wanted in zip(views, priors, truths, strict=True):
        matches = matcher.match([view], matcher.encode_aerial(patch), SearchWindow(prior, 10.0, math.pi))
        estimate = from_matches(matches, np.random.default_rng(0))
        assert estimate is not None
        assert np.hypot(*(estimate.pose.xy - wanted.xy)) < 0.3
        assert abs(math.remainder(estimate.pose.yaw_rad - wanted.yaw_rad, math.tau)) < math.radians(3)
