# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Small data: views of a flat textured world with exact geometry, as shards; trainings that take seconds."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from cvloc_ros.datasets.sample import Sample
from cvloc_ros.datasets.shards import write_shard
from cvloc_ros.geo import se3
from cvloc_ros.imaging.models import Equirectangular, Pinhole
from cvloc_ros.training.config import Training, parse
from cvloc_ros.types import AerialPatch, CameraModel, GroundView, Pose2

OPTICAL = np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])
METRES = 0.5
CAMERAS: dict[str, CameraModel] = {
    "front": Pinhole(96, 64, 60.0, 60.0, 47.5, 31.5),
    "roof": Equirectangular(128, 64),
}
SMALL: dict[str, dict[str, Any]] = {
    "gridloc": {
        "method": "gridloc",
        "settings": {"ground_size": [32, 48], "panorama": False, "aerial_size": 64, "extent_m": 48.0, "cells": 8,
                     "backbone": "conv", "channels": 32, "width": 32, "plain": False, "depth": 1, "heads": 4,
                     "yaw_bins": 12, "fuse": "attend", "align": "heading"},
    },
    "fg2": {
        "method": "fg2",
        "settings": {"extent_m": 48.0, "cells": 12, "heights": 2, "height_min_m": 0.0, "height_max_m": 2.0,
                     "ground_size": [32, 48], "aerial_size": 96, "backbone": "conv", "channels": 32, "widths": [32, 32],
                     "rounds": 1, "attention_heads": 4, "projector_layers": 1, "dropout": 0.1, "align": "heading"},
        "loss": {"matches": 64},
    },
    "viewbridge": {
        "method": "viewbridge",
        "settings": {"plane": {"extent_m": 48.0, "cells": 12, "heights": 3, "height_min_m": 0.0, "height_max_m": 4.0,
                               "ground_size": [32, 48], "aerial_size": 96, "backbone": "conv", "channels": 32,
                               "widths": [32, 32], "rounds": 1, "attention_heads": 4, "projector_layers": 1}},
        "loss": {"matches": 64},
    },
    "loc2": {
        "method": "loc2",
        "settings": {"backbone": "conv", "widths": [32, 16], "layers": 1,
                     "geometry": {"ground_size": [32, 48], "aerial_px": 96, "aerial_cells": 12, "extent_m": 48.0,
                                  "heading": "up"}},
        "loss": {"matches": 64},
    },
}  # fmt: skip


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def mount(yaw: float = 0.0, pitch: float = 0.25, z: float = 1.7) -> np.ndarray:
    T = se3.from_rpy(0.0, pitch, yaw, (1.0, 0.1, z))
    optical = np.eye(4)
    optical[:3, :3] = OPTICAL
    return T @ optical


def make_patch(seed: int = 0) -> AerialPatch:
    """120 m of random texture at 0.5 m, far from the origin of the map as UTM is."""
    rng = np.random.default_rng(seed)
    rgb = cv2.resize(rng.integers(0, 255, (30, 30, 3), np.uint8), (240, 240), interpolation=cv2.INTER_CUBIC)
    affine = np.array([[METRES, 0.0, 5e5 - 60 + METRES / 2], [0.0, -METRES, 5e6 + 60 - METRES / 2]])
    return AerialPatch(rgb, np.ones((240, 240), bool), METRES, affine, "test", 1.0, ("patch", seed))


def look(patch: AerialPatch, pose: Pose2, name: str = "front", **more: Any) -> GroundView:
    """The flat ground as a camera at a pose sees it, grey above the horizon."""
    camera, T = CAMERAS[name], mount() if name == "front" else mount(pitch=0.0, z=2.0)
    uv = np.stack(np.meshgrid(np.arange(camera.width), np.arange(camera.height)), -1).astype(float)
    rays = camera.unproject(uv) @ T[:3, :3].T
    down = rays[..., 2] < -0.02
    reach = np.where(down, -T[2, 3] / np.where(down, rays[..., 2], -1.0), 0.0)
    px = patch.px_from_map(pose.apply(rays[..., :2] * reach[..., None] + T[:2, 3])).astype(np.float32)
    rgb = cv2.remap(patch.rgb, px[..., 0], px[..., 1], cv2.INTER_LINEAR)
    rgb = np.where(down[..., None], rgb, np.uint8(150))
    depth = np.where(down, reach * (rays @ T[:3, 2] if name == "front" else 1.0), 0.0).astype(np.float32)
    return GroundView(name, rgb, camera, T, 7, depth=depth, **more)


def make_sample(number: int, names: tuple[str, ...] = ("front",)) -> Sample:
    """One sample: a world and a pose of its own."""
    rng = np.random.default_rng([5, number])
    patch = make_patch(number)
    pose = Pose2(5e5 + rng.uniform(-15, 15), 5e6 + rng.uniform(-15, 15), rng.uniform(-math.pi, math.pi))
    return Sample(f"sample {number}", "test", tuple(look(patch, pose, name) for name in names), patch, pose)


@pytest.fixture(scope="session")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve samples in two shards."""
    folder = tmp_path_factory.mktemp("shards")
    for shard in range(2):
        path = folder / f"shard-{shard:06d}.tar"
        assert len(list(write_shard(path, (make_sample(6 * shard + number) for number in range(6))))) == 6
    return folder


@pytest.fixture(scope="session")
def sample_of() -> Callable[..., Sample]:
    """Make a sample of a number, seen by cameras of these names."""
    return make_sample


@pytest.fixture
def small(shards: Path) -> Callable[..., Training]:
    """Settings of a small training of a method; keyword arguments replace keys of `run`, `over` whole sections."""

    def make(method: str = "gridloc", over: dict[str, Any] | None = None, **run: Any) -> Training:
        data = {"source": "shards", "root": str(shards)}
        tree = {
            **SMALL[method], "data": data, "validation": data, "optimiser": {"warm_up": 4},
            "run": {"steps": 8, "batch": 4, "workers": 0, "evaluate_every": 100, "evaluate": 2, "pictures": 1,
                    "save_every": 3, "log_every": 1, **run},
        }  # fmt: skip
        return parse({**tree, **(over or {})})

    return make
