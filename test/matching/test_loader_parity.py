# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Pictures, cameras and labels of the original KITTI and VIGOR loaders, against what the adapters make of the same."""

from __future__ import annotations

import math
import zlib

import numpy as np
import pytest
import torch

from cvloc_ros.imaging.models import Equirectangular
from cvloc_ros.matching.depth import DepthMap
from cvloc_ros.matching.fg2 import labels
from cvloc_ros.matching.layers.aerial import Crop, cut, to_device
from cvloc_ros.matching.layers.views import looking, roll, to_tensor
from cvloc_ros.types import AerialPatch, GroundView

M_PER_PX = labels.KITTI_M_PER_PX
CPU = torch.device("cpu")
LOADERS = pytest.mark.parametrize("which", ["fg2", "loc2"])
RIGHT_FIRST = {"fg2": 0.0, "loc2": math.pi / 2}
"""Heading of the noise-free KITTI crop, clockwise from up: ahead is up for FG2, to the right for Loc2."""


def eight_bits(picture):
    return np.floor(255 * picture[0].permute(1, 2, 0).numpy() + 0.5).astype(np.uint8)


def blob(shape, col, row, sigma):
    y, x = np.mgrid[: shape[0], : shape[1]]
    return np.floor(255 * np.exp(-((x - col) ** 2 + (y - row) ** 2) / (2 * sigma**2)) + 0.5).astype(np.uint8)


def differences(recorded, name, tensor):
    """Absolute differences, in steps of 8-bit pictures, at the recorded sample of a picture."""
    index = torch.from_numpy(recorded[f"{name}/idx"]).long()
    return 255 * (tensor.flatten()[index] - torch.from_numpy(recorded[f"{name}/val"])).abs().numpy()


@LOADERS
@pytest.mark.parametrize(("row", "size"), [(0, (375, 1242)), (1, (370, 1226)), (7, (375, 1242))])
def test_ground_pictures_of_kitti(which, row, size, formula, parity):
    picture = to_tensor(eight_bits(formula.image("geom/ground", *size)), (364, 1232), CPU)
    off = differences(parity(f"geometry_{which}"), f"kitti/test{row}/grd", picture)
    assert np.quantile(off, 0.99) < 2.0


@LOADERS
def test_pictures_of_vigor(which, formula, parity):
    recorded = parity(f"geometry_{which}")
    panorama = eight_bits(formula.image("geom/pano", 1024, 2048))
    panorama[..., 1] = blob((1024, 2048), 1023.5, 500.0, 12.0)
    assert np.quantile(differences(recorded, "vigor/grd", to_tensor(panorama, (714, 1428), CPU)), 0.99) < 2.0
    down, right = map(float, recorded["vigor/rows"][0][1:])
    tile = eight_bits(formula.image("geom/vigor_sat", 640, 640))
    tile[..., 1] = blob((640, 640), 319.5 - right, 319.5 + down, 6.0)
    assert np.quantile(differences(recorded, "vigor/sat", to_tensor(tile, (630, 630), CPU)), 0.99) < 2.0
    # The crop that the adapter cuts out of a map shows the same.
    step = 71.0 / 640
    map_from_px = np.array([[step, 0.0, (step - 71.0) / 2], [0.0, -step, (71.0 - step) / 2]])
    patch = AerialPatch(tile, np.ones((640, 640), bool), step, map_from_px, "", 1.0, ())
    off = differences(recorded, "vigor/sat", cut(to_device(patch, CPU), Crop(0.0, 0.0, 0.0), 71.0, 630)[0])
    assert np.quantile(off, 0.99) < 2.0


@LOADERS
@pytest.mark.parametrize("row", [0, 1, 7])
def test_the_crop_at_the_label_is_the_aerial_picture_of_kitti(which, row, formula, parity):
    """Cut straight from the map at the labelled pose; the loader turns the tile twice, by nearest neighbour."""
    recorded = parity(f"geometry_{which}")
    yaw = float(recorded["kitti/test/oxts_yaw"][row])
    turned = RIGHT_FIRST["loc2" if which == "fg2" else "fg2"] - yaw
    lever = np.array([1.08, 0.26]) / 0.1958285
    c, s = math.cos(turned), math.sin(turned)
    col, line = 639.5 + lever[0] * c - lever[1] * s, 639.5 + lever[0] * s + lever[1] * c
    ahead = blob((1280, 1280), col + 80 * math.cos(yaw), line - 80 * math.sin(yaw), 6.0)
    texture = eight_bits(formula.image("geom/tile", 1280, 1280))[..., 0]
    rgb = np.dstack([texture, blob((1280, 1280), col, line, 6.0), ahead])
    map_from_px = np.array([[M_PER_PX, 0.0, 0.0], [0.0, -M_PER_PX, 0.0]])
    patch = AerialPatch(rgb, np.ones((1280, 1280), bool), M_PER_PX, map_from_px, "", 1.0, ())
    _, label = labels.kitti_line(str(recorded["kitti/test/lines"][row]))
    crop = Crop(0.0, 0.0, yaw + label.heading_rad + RIGHT_FIRST[which] - math.pi / 2)
    camera = np.array([col, -line]) * M_PER_PX
    crop = Crop(*(camera - crop.to_map(label.offset_px * M_PER_PX)), crop.turn_rad)
    side_px = 504 if which == "fg2" else 512  # Loc2 shrinks 512 to 504
    picture, _ = cut(to_device(patch, CPU), crop, side_px * M_PER_PX, 504)
    off = differences(recorded, f"kitti/test{row}/sat", picture)
    assert off.mean() < 1.5
    assert np.quantile(off, 0.9) < 6.0
    for channel, name in ((1, "camera"), (2, "ahead")):
        weight = picture[0, channel].double().numpy()
        found = [(np.arange(504) * weight.sum(1 - axis)).sum() / weight.sum() for axis in (0, 1)]
        np.testing.assert_allclose(found, recorded[f"kitti/test/{name}_blob_rc"][row], atol=0.5)


def test_depth_pictures(parity):
    recorded = parity("geometry_loc2")
    draw = lambda name, shape: np.random.default_rng(zlib.crc32(name.encode())).random(shape)
    around = np.minimum(65000, np.floor(70000 * draw("geom/vdepth", (1024, 2048)))) / 1000
    cases = [("vigor/depth", around, (714, 1428), 35.0)]
    for row, size in ((0, (375, 1242)), (1, (370, 1226)), (7, (375, 1242))):
        metres = np.floor(256 * (1 + 60 * draw("geom/depth", size))) / 256
        cases.append((f"kitti/test{row}/depth", metres, (364, 1232), 40.0))
    for name, metres, (rows, cols), cap in cases:
        ours = DepthMap(metres.astype(np.float32), "axis", metric=True).cells(rows, cols, nearest=True)
        found = np.minimum(ours, cap).ravel()[recorded[f"{name}/idx"]]
        np.testing.assert_allclose(found, recorded[f"{name}/val"], atol=1e-5)


@LOADERS
def test_cameras_and_scales(which, parity):
    """The loaders take every picture for one of 375 x 1242."""
    recorded = parity(f"geometry_{which}")
    known = {str(date): [float(value) for value in rest] for date, *rest in recorded["kitti/calib"]}
    for line, K in zip(recorded["kitti/test/lines"], recorded["kitti/test/camera_k"], strict=True):
        f, cx, cy = known[str(line)[:10]]
        x, y = 1232 / 1242, 364 / 375
        np.testing.assert_allclose(K, [[f * x, 0, cx * x], [0, f * y, cy * y], [0, 0, 1]], rtol=1e-6)
    np.testing.assert_allclose(recorded["kitti/meter_per_pixel"], [M_PER_PX, M_PER_PX * 512 / 504], rtol=1e-7)
    if which == "loc2":
        gsd = {"NewYork": 0.113248, "Seattle": 0.100817, "SanFrancisco": 0.118141, "Chicago": 0.111262}
        expected = [gsd[str(city)] * 640 / 630 for city, *_ in recorded["vigor/rows"]]
        np.testing.assert_allclose(recorded["vigor/resolution"], expected, rtol=1e-6)


def test_labels_of_loc2(parity):
    """It solves ground to aerial: the offset itself, and the inverse rotation."""
    recorded = parity("geometry_loc2")
    for row, line in enumerate(recorded["kitti/test/lines"]):
        _, label = labels.kitti_line(str(line))
        np.testing.assert_allclose(label.offset_px * 504 / 512, recorded["kitti/test/gt_loc"][row], atol=1e-3)
        inverse = labels.Label(label.offset_px, label.heading_rad + math.pi / 2, (512, 504)).rotation().T
        np.testing.assert_allclose(inverse, recorded["kitti/test/R"][row], atol=1e-6)
    for row, (forward, left, turn) in enumerate(recorded["kitti/train/draws"]):
        label = labels.kitti_noise(forward, left, turn)
        np.testing.assert_allclose(-label.published(truncated=True), recorded["kitti/train/gt_loc"][row], atol=1e-3)
        seen = (recorded["kitti/train/camera_blob_rc"][row] - 251.5) * 512 / 504
        np.testing.assert_allclose(label.offset_px, seen, atol=0.6)
    for row, (_, down, right) in enumerate(recorded["vigor/rows"]):
        label = labels.vigor(float(down), float(right))
        np.testing.assert_allclose(-label.published(), recorded["vigor/known/gt_loc"][row], atol=1e-3)
        for name, part in (("random180", 1.0), ("random45", 0.25)):
            angle = -math.tau * float(recorded[f"vigor/{name}/draw_unit"][row]) * part
            turned = labels.vigor(0.0, 0.0, angle).rotation().T
            np.testing.assert_allclose(turned, recorded[f"vigor/{name}/R"][row], atol=1e-6)


@pytest.mark.parametrize(("which", "run"), [
    ("fg2", "known"), ("fg2", "first_run"), ("fg2", "second_run"),
    ("loc2", "known"), ("loc2", "random180"), ("loc2", "random45"),
])  # fmt: skip
def test_rolled_panoramas_look_where_the_label_says(which, run, parity):
    """Rolling the panorama by whole columns turns its camera by the label, to half a column."""
    recorded = parity(f"geometry_{which}")
    north_up = np.eye(4)
    north_up[:3, :3] = [[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]]
    rgb = np.zeros((4, 1428, 3), np.uint8)
    rgb[:, 713:715] = 255  # north
    view = GroundView("c", rgb, Equirectangular(1428, 714), north_up, 0)
    for row, column in enumerate(recorded[f"vigor/{run}/north_column"]):
        moved = round(float(column) - 713.5)
        rolled = roll(view, -moved)
        assert np.flatnonzero(rolled.rgb[0, :, 0]).mean() == pytest.approx(column)
        R = recorded[f"vigor/{run}/R"][row]
        label = math.atan2(R[1, 0], R[0, 0]) * (1.0 if which == "fg2" else -1.0)
        heading = math.pi / 2 - looking(rolled.T_base_camera)
        assert abs(math.remainder(heading - label, math.tau)) <= 0.51 * math.tau / 1428
