# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""One thread for every test of FG², views of cameras, and a small model."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch

from cvloc_ros.matching.fg2.settings import Fg2Settings
from cvloc_ros.types import GroundView


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


FORWARD = np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])
"""Optical frame of a camera that looks along x of base."""


@pytest.fixture
def mounting():
    """Make a mounting (4, 4): position in base, yaw and pitch of the camera."""

    def make(x=0.0, y=0.0, z=1.6, yaw=0.0, pitch=0.0):
        c, s, cp, sp = math.cos(yaw), math.sin(yaw), math.cos(pitch), math.sin(pitch)
        turned = np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])
        nodded = np.array([[cp, 0.0, sp], [0.0, 1.0, 0.0], [-sp, 0.0, cp]])
        T = np.eye(4)
        T[:3, :3] = turned @ nodded @ FORWARD
        T[:3, 3] = x, y, z
        return T

    return make


@pytest.fixture
def make_view():
    """Make a view of a camera; black unless a picture is given."""

    def make(camera, T, rgb=None, **more):
        rgb = np.zeros((camera.height, camera.width, 3), np.uint8) if rgb is None else rgb
        return GroundView("c", rgb, camera, T, more.pop("stamp_ns", 0), **more)

    return make


@pytest.fixture
def small_settings():
    """Settings of a model that trains in seconds."""

    def make(**change):
        plain = Fg2Settings(
            extent_m=24.0, cells=12, height_min_m=0.0, height_max_m=2.0, heights=2, ground_size=(48, 64),
            aerial_size=48, backbone="conv", channels=32, widths=(32, 16), rounds=2, projector_layers=1, dropout=0.0,
        )  # fmt: skip
        return dataclasses.replace(plain, **change)

    return make
