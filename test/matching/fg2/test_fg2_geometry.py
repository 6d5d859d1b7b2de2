# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Planes, projections and crops: the published tables, any camera model, and the way back to the map."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch

from cvloc_ros.errors import ModelError
from cvloc_ros.imaging.camera import Equirectangular, Fisheye, Pinhole
from cvloc_ros.matching.fg2.output import trace
from cvloc_ros.matching.fg2.projection import inside, panorama_reference, pinhole_reference, usable, view_reference
from cvloc_ros.matching.fg2.settings import VARIANTS, Fg2Settings
from cvloc_ros.matching.fg2.views import ground_in_base, prepare
from cvloc_ros.matching.layers.aerial import Crop, cell_validity, crop_near, cut, to_device
from cvloc_ros.matching.layers.views import roll
from cvloc_ros.types import Pose2


def test_published_panorama_table():
    points = torch.tensor([[-5.0, 0.0, 0.0], [0.0, 5.0, 0.0], [0.0, -5.0, 0.0], [5.0, 1e-6, 0.0], [0.0, 0.0, 3.0]])
    uv = panorama_reference(points)
    torch.testing.assert_close((uv[:4, 0] + 0.1) % 1.0, torch.tensor([0.6, 0.85, 0.35, 0.1]), atol=1e-5, rtol=0)
    torch.testing.assert_close(uv[:, 1], torch.tensor([0.5, 0.5, 0.5, 0.5, 0.0]), atol=1e-4, rtol=0)


def test_published_shapes_and_steps():
    vigor, kitti = VARIANTS["vigor_known"], VARIANTS["kitti"]
    assert vigor.ground_points().shape == (1681, 2)
    assert kitti.ground_points().shape == (861, 2)
    assert float(vigor.axis()[1] - vigor.axis()[0]) == pytest.approx(1.775, abs=1e-5)
    assert float(kitti.axis()[1] - kitti.axis()[0]) == pytest.approx(2.475, abs=1e-5)
    assert float(kitti.ground_points()[:, 0].max()) == 0.0
    assert kitti.self_reference()[0, -1].tolist() == [1.0, 1.0]
    mended = Fg2Settings(extent_m=40.0, cells=20, front_only=True)
    assert mended.axis()[0] == -19.0 and mended.ground_rows() == 10
    assert float(mended.ground_points()[:, 0].max()) == -1.0
    torch.testing.assert_close(mended.self_reference()[0, 0], torch.tensor([0.025, 0.05]))


def test_a_level_pinhole_gives_the_published_references(mounting, make_view):
    settings = VARIANTS["kitti"]
    camera = Pinhole(1242, 375, 721.5, 721.5, 609.6, 172.9)
    reference, uv = view_reference(settings, make_view(camera, mounting(0.5, -0.2, 1.65, yaw=0.3)))
    x, y = 1232 / 1242, 364 / 375
    K = torch.tensor([[[721.5 * x, 0, 609.6 * x], [0, 721.5 * y, 172.9 * y], [0, 0, 1]]])
    published = pinhole_reference(settings.volume(), K, (364, 1232))[0]
    front = settings.volume()[..., 0] < -1e-6
    torch.testing.assert_close(torch.from_numpy(reference).float()[front], published[front], atol=1e-5, rtol=1e-5)
    assert not inside(torch.from_numpy(reference))[~front].any()
    assert torch.equal(inside(torch.from_numpy(reference)), inside(published))
    assert usable(make_view(camera, mounting()), uv).any()


def test_a_level_panorama_gives_the_published_references(mounting, make_view):
    settings = VARIANTS["vigor_known"]
    reference, _ = view_reference(settings, make_view(Equirectangular(1428, 714), mounting(1.0, 2.0, 2.5, yaw=-2.0)))
    published = panorama_reference(settings.volume()).numpy()
    off = np.abs(reference - published)
    off[..., 0] = np.minimum(off[..., 0], 1 - off[..., 0])
    axis = (np.abs(settings.volume()[..., :2].numpy()).max(-1)) < 1e-6  # straight up and down have no direction
    assert off[~axis].max() < 2e-5


@pytest.mark.parametrize(
    "camera",
    [
        Pinhole(640, 480, 400.0, 400.0, 320.0, 240.0, (-0.2, 0.05, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)),
        Fisheye(640, 640, 210.0, 210.0, 320.0, 320.0),
        Equirectangular(800, 400),
    ],
)
def test_any_camera_sees_the_volume_where_it_is(camera, mounting, make_view):
    settings = Fg2Settings(extent_m=30.0, cells=10, heights=4, height_min_m=0.0, height_max_m=6.0)
    view = make_view(camera, mounting(1.2, 0.4, 1.7, yaw=0.8, pitch=0.1), T_ref_base=Pose2(-2.0, 0.5, 0.2))
    reference, uv = view_reference(settings, view)
    seen = usable(view, uv)
    assert seen.any()
    torch.testing.assert_close(
        torch.from_numpy(reference[seen] * [camera.width, camera.height] - 0.5), torch.from_numpy(uv[seen])
    )
    rays = camera.unproject(uv) @ view.T_base_camera[:3, :3].T
    here = view.T_ref_base.inverse().apply(np.repeat(ground_in_base(view, settings)[:, None], 4, 1))
    heights = np.broadcast_to(np.linspace(0.0, 6.0, 4)[None, :, None], (100, 4, 1))
    towards = np.concatenate([here, heights], -1) - view.T_base_camera[:3, 3]
    cosine = (rays * towards).sum(-1) / np.linalg.norm(towards, axis=-1)
    assert cosine[seen].min() > 1 - 1e-6


def test_masked_pixels_are_no_evidence(mounting, make_view):
    camera = Equirectangular(80, 40)
    settings = Fg2Settings(extent_m=30.0, cells=10, heights=2, height_min_m=0.0, height_max_m=1.0)
    valid = np.ones((40, 80), bool)
    valid[:, :40] = False
    half = prepare(make_view(camera, mounting(), valid=valid), settings, torch.device("cpu")).visible
    assert 0.4 < half.float().mean() < 0.6
    none = prepare(make_view(camera, mounting(), valid=np.zeros((40, 80), bool)), settings, torch.device("cpu"))
    assert not none.visible.any()


def test_rolling_a_panorama_turns_its_camera(mounting, make_view):
    camera = Equirectangular(80, 40)
    rgb = np.random.default_rng(0).integers(0, 255, (40, 80, 3), np.uint8)
    view = make_view(camera, mounting(yaw=0.4, pitch=0.2), rgb)
    rolled = roll(view, 13)
    point = np.array([5.0, 3.0, 1.0])
    before, _ = camera.project((point - view.T_base_camera[:3, 3]) @ view.T_base_camera[:3, :3])
    after, _ = camera.project((point - rolled.T_base_camera[:3, 3]) @ rolled.T_base_camera[:3, :3])
    assert (before[0] - after[0]) % 80 == pytest.approx(13.0)
    assert before[1] == pytest.approx(after[1])
    assert np.array_equal(rolled.rgb[:, 0], rgb[:, 13])


def test_trace_prefers_candidates_with_a_pixel():
    uv = [np.array([[[1.0, 2.0], [np.nan, np.nan]]]), np.array([[[3.0, 4.0], [5.0, 6.0]]])]
    found = trace(torch.tensor([[[0.1, 0.6, 0.2, 0.1]]]), uv, [4, 7])
    assert found.view.tolist() == [7] and found.height.tolist() == [0] and found.uv.tolist() == [[3.0, 4.0]]


def test_crop_and_map_are_inverse_and_up_is_up():
    crop = crop_near(np.array([448262.3, 5411932.9]), 2.1)
    assert (crop.x_m % 4, crop.y_m % 4) == (0, 0)
    points = np.random.default_rng(0).normal(0, 30, (20, 2))
    np.testing.assert_allclose(crop.from_map(crop.to_map(points)), points, atol=1e-8)
    up = crop.to_map(np.array([-1.0, 0.0])) - crop.to_map(np.zeros(2))
    assert math.atan2(up[1], up[0]) == pytest.approx(2.1, abs=math.radians(2.6))
    assert crop_near(np.zeros(2), None).turn_rad == 0.0


def test_a_crop_shows_what_is_there(world):
    patch = world.patch()
    side = to_device(patch, torch.device("cpu"))
    crop = Crop(8.0, -4.0, 0.5)
    for size in (160, 80):
        image, valid = cut(side, crop, 32.0, size)
        axis = (np.arange(size) + 0.5) * 32.0 / size - 16.0
        truth = world.look(crop.to_map(np.stack(np.meshgrid(axis, axis, indexing="ij"), -1)))[..., 0] / 255.0
        assert np.abs(image[0, 0].numpy() - truth).mean() < 0.01
        assert float(valid.min()) > 0.999
    _, valid = cut(side, Crop(60.0, 0.0, 0.0), 32.0, 80)
    cells = cell_validity(valid, 8).view(8, 8)
    assert cells[:, :4].all()
    assert not cells[:, 4:].any()


@pytest.mark.parametrize(
    "change",
    [{"mode": "new"}, {"align": "up"}, {"extent_m": -1.0}, {"cells": 1}, {"heights": 0}, {"channels": 100},
     {"height_min_m": 20.0}, {"widths": (10,)}],
)
def test_settings_that_no_model_can_have(change):
    with pytest.raises(ModelError, match="FG² settings"):
        Fg2Settings(**change)


def test_settings_come_back_from_their_text():
    for settings in (*VARIANTS.values(), dataclasses.replace(Fg2Settings(), widths=(64, 32))):
        assert Fg2Settings.from_json(settings.to_json()) == settings
    for text in ("{", "[]", '{"colour": 1}'):
        with pytest.raises(ModelError):
            Fg2Settings.from_json(text)
