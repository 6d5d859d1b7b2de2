# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A small FG² learns: gradients reach every parameter, four samples are learnt by heart."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pytest
import torch

from cvloc_ros.config import parse
from cvloc_ros.estimation.procrustes import procrustes
from cvloc_ros.imaging.camera import Equirectangular
from cvloc_ros.matching.fg2 import model
from cvloc_ros.matching.fg2.loss import Truth, fg2_loss
from cvloc_ros.matching.fg2.matcher import Fg2Matcher
from cvloc_ros.matching.fg2.network import GroundCode, GroundTokens
from cvloc_ros.matching.fg2.views import prepare
from cvloc_ros.matching.layers.aerial import Crop, crop_near, cut, to_device
from cvloc_ros.types import AerialPatch, GroundView, Pose2, SearchWindow

CPU = torch.device("cpu")


@dataclass(frozen=True)
class Scene:
    view: GroundView
    patch: AerialPatch
    crop: Crop
    base: Pose2


@pytest.fixture
def samples(world, mounting, make_view):
    """Panoramas of a flat textured world at four poses, with crops around them."""

    def make(settings, count=4):
        camera, T = Equirectangular(96, 48), mounting(z=2.0)
        patch = world.patch()
        rng = np.random.default_rng(4)
        uv = np.stack(np.meshgrid(np.arange(96.0), np.arange(48.0)), -1)
        rays = camera.unproject(uv) @ T[:3, :3].T
        down = rays[..., 2] < -1e-3
        spot = np.where(down[..., None], rays[..., :2] * (-2.0 / np.where(down, rays[..., 2], -1.0))[..., None], 0.0)
        parts, crops, positions, headings, scenes = [], [], [], [], []
        for _ in range(count):
            crop = crop_near(rng.uniform(-20, 20, 2), rng.uniform(-math.pi, math.pi))
            base = Pose2.at(np.array([crop.x_m, crop.y_m]) + rng.uniform(-3, 3, 2), rng.uniform(-math.pi, math.pi))
            rgb = world.look(base.apply(spot)) * down[..., None].astype(np.uint8)
            scenes.append(Scene(make_view(camera, T, rgb), patch, crop, base))
            parts.append(prepare(scenes[-1].view, settings, CPU))
            crops.append(cut(to_device(patch, CPU), crop, settings.extent_m, settings.aerial_size)[0])
            positions.append(crop.from_map(base.xy))
            headings.append(crop.turn_rad + math.pi / 2 - base.yaw_rad)
        truth = Truth(torch.tensor(np.array(positions)).float(), torch.tensor(headings).float())
        return torch.cat([part.image for part in parts]), parts[0], torch.cat(crops), truth, scenes

    return make


def forward(made, images, part, crops):
    tokens = made.backbone(images)
    ground: GroundCode = made.network.encode_ground([GroundTokens(tokens, part.reference, part.visible, part.wraps)])
    return made.network.match(made.network.encode_aerial(made.backbone(crops)), ground)


def test_gradients_reach_everything_that_learns(small_settings, samples):
    settings = small_settings(dropout=0.1)
    torch.manual_seed(0)
    made = model.create(settings, "", CPU)
    for step in made.network.rounds:  # at the start offsets and attention are zero on purpose
        for attention in (step.self_attention, step.cross_attention):
            torch.nn.init.normal_(attention.sampling_offsets.weight, std=0.02)
            torch.nn.init.normal_(attention.attention_weights.weight, std=0.02)
    images, part, crops, truth, _ = samples(settings)
    fg2_loss(*forward(made, images, part, crops), truth, settings, count=64).total.backward()
    named = [*made.network.named_parameters(), *made.backbone.named_parameters()]
    silent = [key for key, value in named if value.grad is None or not bool(value.grad.abs().sum() > 0)]
    # the bias of the score and of the projected samples are the same for all heights: the softmax cancels them
    assert [key for key in silent if not key.endswith("scorer.bias")] == []
    assert all(bool(torch.isfinite(value.grad).all()) for _, value in named if value.grad is not None)


def test_published_models_leave_the_unused_part_and_the_queries_alone(small_settings, samples):
    settings = small_settings(mode="published", rounds=4)
    torch.manual_seed(0)
    made = model.create(settings, "", CPU)
    images, part, crops, truth, _ = samples(settings)
    fg2_loss(*forward(made, images, part, crops), truth, settings, count=64).total.backward()
    still = {key for key, value in made.network.named_parameters() if value.grad is None}
    unused = {f"rounds.3.ffn.{layer}.{leaf}" for layer in ("fc1", "fc2") for leaf in ("weight", "bias")}
    assert still == {"queries", *unused}


def test_four_samples_are_learnt_by_heart(small_settings, samples):
    settings = small_settings()
    torch.manual_seed(0)
    made = model.create(settings, "", CPU)
    images, part, crops, truth, scenes = samples(settings)
    optimiser = torch.optim.Adam(made.parameters(), lr=3e-3)
    errors = []
    for _ in range(250):
        found = fg2_loss(*forward(made, images, part, crops), truth, settings, count=256)
        optimiser.zero_grad()
        found.total.backward()
        optimiser.step()
        errors.append(float(found.pose.detach().mean()))
        if len(errors) > 10 and max(errors[-5:]) < 0.25:
            break
    assert float(np.mean(errors[:5])) > 1.0
    assert errors[-1] < 0.3, errors[::25]
    made.network.eval()
    made.backbone.eval()
    subject = Fg2Matcher(parse({"matcher": {"fg2": {"matches": 2048}}}).matcher, CPU, models=(made, None))
    for scene in scenes:
        crop = scene.crop
        window = SearchWindow(Pose2(crop.x_m, crop.y_m, crop.turn_rad + math.pi / 2), 5.0, math.pi)
        found = subject.match([scene.view], subject.encode_aerial(scene.patch), window)
        pose = procrustes(found.ground, found.aerial, found.weights)
        assert pose is not None
        assert np.linalg.norm(pose.xy - scene.base.xy) < 1.0
        assert abs(math.remainder(pose.yaw_rad - scene.base.yaw_rad, math.tau)) < 0.2
