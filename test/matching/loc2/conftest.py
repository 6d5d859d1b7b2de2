# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""One thread for every test of Loc²; a network with the formula weights."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from cvloc_ros.config import Depth, Loc2, Matching
from cvloc_ros.matching import weights
from cvloc_ros.matching.layers.backbone import ConvBackbone
from cvloc_ros.matching.loc2 import checkpoint
from cvloc_ros.matching.loc2.network import Loc2Network
from cvloc_ros.types import AerialPatch


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def formula_network(formula: ModuleType) -> Callable[[], Loc2Network]:
    """The published size with formula weights by the published names."""

    def make() -> Loc2Network:
        network = Loc2Network().eval()
        tensors = formula.weights(checkpoint.published_shapes())
        checkpoint.fill(network, checkpoint.Checkpoint(checkpoint._renamed(tensors, "formula"), published=True), "")
        return network

    return make


@pytest.fixture
def small_weights(tmp_path: Path) -> Path:
    """File of a small network on the convolutional backbone, random but fixed."""
    torch.manual_seed(0)
    network = Loc2Network(ConvBackbone(), widths=(32, 16), layers=1)
    path = tmp_path / "small.safetensors"
    weights.write_tensors(path, network.state_dict(), {"model": "loc2", "geometry": "mended"})
    return path


@pytest.fixture
def settings(small_weights: Path) -> Callable[..., Matching]:
    """Configuration of the small network; keyword arguments override keys of loc2, those with depth_ of depth."""

    def make(**override: Any) -> Matching:
        depth = {key[6:]: value for key, value in override.items() if key.startswith("depth_")}
        loc2 = {key: value for key, value in override.items() if not key.startswith("depth_")}
        small = {"weights": str(small_weights), "backbone": "conv", "ground_size": [64, 160], "aerial_px": 168,
                 "aerial_cells": 21, **loc2}  # fmt: skip
        return Matching(name="loc2", loc2=Loc2(**small), depth=Depth(**{"source": "measured", **depth}))

    return make


@pytest.fixture(scope="session")
def patch() -> AerialPatch:
    """160 m of random texture at 0.25 m, far from the origin of the map as UTM is."""
    rng = np.random.default_rng(3)
    rgb = cv2.resize(rng.integers(0, 255, (80, 80, 3), np.uint8), (640, 640), interpolation=cv2.INTER_CUBIC)
    map_from_px = np.array([[0.25, 0.0, 5e5 - 80 + 0.125], [0.0, -0.25, 5e6 + 80 - 0.125]])
    return AerialPatch(rgb, np.ones((640, 640), bool), 0.25, map_from_px, "test", 1.0, ("loc2",))
