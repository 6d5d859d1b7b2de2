# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""One thread for every test of ViewBridge; a small model, a patch, and cameras."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from cvloc_ros.matching.fg2.settings import Fg2Settings
from cvloc_ros.matching.viewbridge.model import Model, create
from cvloc_ros.matching.viewbridge.refiner import RefinerSettings
from cvloc_ros.matching.viewbridge.settings import ViewBridgeSettings
from cvloc_ros.types import AerialPatch

PLANE = Fg2Settings(
    extent_m=40.0, cells=12, height_min_m=0.0, height_max_m=6.0, heights=4, ground_size=(48, 96), aerial_size=96,
    backbone="conv", channels=32, widths=(32, 16), rounds=2, attention_heads=4, projector_layers=1, dropout=0.0,
)  # fmt: skip


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def small() -> Callable[..., ViewBridgeSettings]:
    """Settings of a small model; keyword arguments go to the plane, to the refiner, or to the model itself."""

    def make(**override: Any) -> ViewBridgeSettings:
        def of(kind: type) -> dict[str, Any]:
            names = {field.name for field in dataclasses.fields(kind)}
            return {key: value for key, value in override.items() if key in names}

        plane = dataclasses.replace(PLANE, **of(Fg2Settings))
        refiner = RefinerSettings(**{"landmarks": 4, **of(RefinerSettings)})
        return ViewBridgeSettings(plane, refiner=refiner, **of(ViewBridgeSettings))

    return make


@pytest.fixture
def model(small: Callable[..., ViewBridgeSettings]) -> Callable[..., Model]:
    """A small model with random but fixed weights."""

    def make(**override: Any) -> Model:
        torch.manual_seed(0)
        return create(small(**override), "", torch.device("cpu"))

    return make


@pytest.fixture(scope="session")
def patch() -> AerialPatch:
    """160 m of random texture at 0.25 m, far from the origin of the map as UTM is."""
    rng = np.random.default_rng(3)
    rgb = cv2.resize(rng.integers(0, 255, (80, 80, 3), np.uint8), (640, 640), interpolation=cv2.INTER_CUBIC)
    map_from_px = np.array([[0.25, 0.0, 5e5 - 80 + 0.125], [0.0, -0.25, 5e6 + 80 - 0.125]])
    return AerialPatch(rgb, np.ones((640, 640), bool), 0.25, map_from_px, "test", 1.0, ("viewbridge",))
