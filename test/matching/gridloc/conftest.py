# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""One thread for every test of GridLoc; a small model and a patch."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from cvloc_ros.matching.gridloc.model import Model, create
from cvloc_ros.matching.gridloc.settings import GridLocSettings
from cvloc_ros.types import AerialPatch

SMALL = GridLocSettings(
    ground_size=(48, 96), panorama=False, aerial_size=128, extent_m=64.0, cells=8, backbone="conv", channels=32,
    width=32, align="north",
)  # fmt: skip
YAW = {"yaw_bins": 12, "plain": False, "depth": 1, "heads": 4, "fuse": "attend"}


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def small() -> Callable[..., GridLocSettings]:
    """Settings of a small model; `yaw=True` makes it the extension."""

    def make(*, yaw: bool = False, **override: Any) -> GridLocSettings:
        return dataclasses.replace(SMALL, **{**(YAW if yaw else {}), **override})

    return make


@pytest.fixture
def model(small: Callable[..., GridLocSettings]) -> Callable[..., Model]:
    """A small model with random but fixed weights."""

    def make(**override: Any) -> Model:
        torch.manual_seed(0)
        return create(small(**override), torch.device("cpu"))

    return make


@pytest.fixture(scope="session")
def patch() -> AerialPatch:
    """160 m of random texture at 0.25 m, far from the origin of the map as UTM is."""
    rng = np.random.default_rng(3)
    rgb = cv2.resize(rng.integers(0, 255, (80, 80, 3), np.uint8), (640, 640), interpolation=cv2.INTER_CUBIC)
    map_from_px = np.array([[0.25, 0.0, 5e5 - 80 + 0.125], [0.0, -0.25, 5e6 + 80 - 0.125]])
    return AerialPatch(rgb, np.ones((640, 640), bool), 0.25, map_from_px, "test", 1.0, ("gridloc",))
