# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Measured depth beside the images: found by stamp, kept with the view, and told where it is missing."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from cvloc_ros.config import parse
from cvloc_ros.depth_images import DepthImage, check
from cvloc_ros.errors import ConfigError
from cvloc_ros.matching import weights
from cvloc_ros.matching.layers.backbone import ConvBackbone
from cvloc_ros.matching.loc2.network import Loc2Network
from cvloc_ros.types import Status

S = 1_000_000_000
MOUNTING = [1.0, 0.2, 4.0, 0.02, 0.8, 0.1]
CAMERA = {"mounting": MOUNTING, "camera_info_topic": "front/camera_info"}


@pytest.fixture
def loc2(rig, tmp_path):
    """A vehicle whose matcher needs measured depth; its weights are random."""
    torch.manual_seed(0)
    path = tmp_path / "loc2.safetensors"
    network = Loc2Network(ConvBackbone(), widths=(32, 16), layers=1, cells=21)
    weights.write_tensors(path, network.state_dict(), {"model": "loc2", "geometry": "mended"})

    def make(camera=None, **changes):
        small = {"weights": str(path), "backbone": "conv", "ground_size": [64, 80], "aerial_px": 84, "aerial_cells": 21}
        vehicle = rig(
            cameras={"front": {**CAMERA, "depth_topic": "front/depth", **(camera or {})}},
            matcher={"name": "loc2", "loc2": small, "depth": {"source": "measured"}, "keyframes": 1,
                     "keyframes_min": 1}, **changes,
        )  # fmt: skip
        vehicle.know_heading()
        return vehicle

    return make


def depth(vehicle, t, value=6.0, frame_id="cam", shape=(180, 240)):
    made = DepthImage("front", vehicle.ns(t), frame_id, lambda: np.full(shape, value, np.float32))
    return vehicle.session.add_depth(made)


def test_the_nearest_depth_belongs_to_the_image(loc2):
    vehicle = loc2()
    for t, value in ((0.95, 5.0), (0.99, 6.0), (1.03, 7.0)):
        assert depth(vehicle, t, value) == ""
    result = vehicle.step(1.0)
    assert result.views[0].depth.shape == (180, 240)
    assert (result.views[0].depth == 6.0).all()
    assert result.matches is not None  # random weights: what becomes of the matches says nothing
    assert vehicle.session.troubles()["depth"] == ""


def test_missing_and_stale_depth_is_a_status_with_its_remedy(loc2, silent):
    vehicle = loc2()
    silent(vehicle.step(1.0), Status.NO_DEPTH, "no depth image arrived; check topic front/depth")
    assert "front/depth" in vehicle.session.troubles()["depth"]
    depth(vehicle, 1.0)
    silent(vehicle.step(2.0), Status.NO_DEPTH, "1.000 s from the image, limit 0.05 (depth_tolerance_s)")
    depth(vehicle, 3.02)
    assert vehicle.step(3.0).matches is not None
    depth(vehicle, 4.0, frame_id="lidar")
    silent(vehicle.step(4.0), Status.NO_DEPTH, "depth is in frame lidar, the image in cam; register it")
    depth(vehicle, 5.0, shape=(100, 100))
    silent(vehicle.step(5.0), Status.NO_DEPTH, "depth is 100x100, the image 240x180")
    vehicle.session.reset()
    assert vehicle.session.add_depth(DepthImage("rear", 0, "cam", lambda: None)) == "no_depth_topic"


def test_depth_that_is_not_needed_is_taken_along_and_its_lack_is_told(rig, silent):
    vehicle = rig(cameras={"front": {**CAMERA, "depth_topic": "front/depth"}}, matcher={"keyframes_min": 1})
    vehicle.know_heading()
    assert vehicle.step(1.0).status is Status.OK
    assert "no depth image arrived" in vehicle.session.troubles()["depth"]
    depth(vehicle, 2.0)
    result = vehicle.step(2.0)
    assert (result.views[0].depth == 6.0).all()
    assert vehicle.session.troubles()["depth"] == ""


def test_an_image_waits_for_depth_that_is_under_way_but_not_for_what_stopped(rig):
    vehicle = rig(cameras={"front": {**CAMERA, "depth_topic": "front/depth"}})
    vehicle.feed(3.0)
    assert vehicle.session.ready(vehicle.ns(1.0))  # none ever came
    depth(vehicle, 0.9)
    assert not vehicle.session.ready(vehicle.ns(1.0))
    depth(vehicle, 1.0)
    assert vehicle.session.ready(vehicle.ns(1.0))
    assert vehicle.session.ready(vehicle.ns(2.5))  # silent for more than a second


def test_what_cannot_be_done_without_depth_waits_for_the_first(loc2):
    vehicle = loc2()
    vehicle.feed(3.0)
    assert not vehicle.session.ready(vehicle.ns(1.0))
    depth(vehicle, 1.0)
    assert vehicle.session.ready(vehicle.ns(1.0))


def test_a_matcher_that_needs_depth_is_refused_without_a_topic(loc2):
    with pytest.raises(ConfigError, match=r"set cameras\.front\.depth_topic"):
        loc2(camera={"depth_topic": ""})
    flat = parse({"tiles": {"source": "x.mbtiles"}, "matcher": {"name": "loc2", "depth": {"source": "flat_ground"}}})
    check(flat)
