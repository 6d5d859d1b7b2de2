# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A flat world of random texture that is cut into patches and seen by a camera looking straight down."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import numpy as np
import pytest

from cvloc_ros.ground import GroundGrid, GroundImage
from cvloc_ros.types import F64, AerialPatch, GroundView, Pose2


class Overhead:
    """A ground projector for a world whose texture is known: it looks the ground up at the true pose of each stamp."""

    def __init__(self, world: World, poses: dict[int, Pose2]) -> None:
        self._world = world
        self.poses = poses

    def __call__(self, views: list[GroundView], grid: GroundGrid) -> GroundImage:
        points = self.poses[views[0].stamp_ns].apply(grid.points())
        rgb = self._world.look(points)
        valid = np.hypot(*np.moveaxis(grid.points(), -1, 0)) < grid.x_max_m
        return GroundImage(rgb, valid, valid.astype(np.float32), grid)


@dataclass(frozen=True)
class World:
    """Texture at 0.1 m per pixel, centred on the origin of the map."""

    rgb: np.ndarray

    @property
    def extent_m(self) -> float:
        return self.rgb.shape[0] * 0.1

    def look(self, points: F64) -> np.ndarray:
        column = (points[..., 0] / 0.1 + self.rgb.shape[1] / 2 - 0.5).astype(np.float32)
        row = (self.rgb.shape[0] / 2 - points[..., 1] / 0.1 - 0.5).astype(np.float32)
        return cv2.remap(self.rgb, column, row, cv2.INTER_LINEAR)

    def patch(
        self, metres_per_px: float = 0.2, centre: tuple[float, float] = (0.0, 0.0), size: int = 600
    ) -> AerialPatch:
        left, top = centre[0] - size * metres_per_px / 2, centre[1] + size * metres_per_px / 2
        map_from_px = np.array(
            [[metres_per_px, 0.0, left + metres_per_px / 2], [0.0, -metres_per_px, top - metres_per_px / 2]]
        )
        column, row = np.meshgrid(np.arange(size), np.arange(size))
        points = np.stack([column, row, np.ones_like(row)], -1) @ map_from_px.T
        valid = np.abs(points).max(-1) < self.extent_m / 2
        rgb = self.look(points)
        return AerialPatch(rgb, valid, metres_per_px, map_from_px, "test", float(valid.mean()), ("test", centre, size))


@pytest.fixture(scope="session")
def world() -> World:
    rng = np.random.default_rng(5)
    coarse = cv2.resize(rng.random((130, 130), np.float32), (1300, 1300), interpolation=cv2.INTER_CUBIC)
    fine = cv2.GaussianBlur(rng.random((1300, 1300), np.float32), (0, 0), 3) * 3
    grey = np.clip((coarse + fine - 1.2) * 160 + 110, 0, 255).astype(np.uint8)
    return World(np.dstack([grey] * 3))


@pytest.fixture
def view() -> Callable[..., GroundView]:
    def make(stamp_ns: int = 0, T_ref_base: Pose2 | None = None) -> GroundView:
        rgb = np.zeros((1, 1, 3), np.uint8)
        pose = T_ref_base or Pose2(0.0, 0.0, 0.0)
        return GroundView("down", rgb, None, np.eye(4), stamp_ns, T_ref_base=pose)  # type: ignore[arg-type]

    return make


@pytest.fixture
def overhead(world: World) -> Callable[[dict[int, Pose2]], Overhead]:
    return lambda poses: Overhead(world, poses)


@pytest.fixture(scope="session")
def formula() -> ModuleType:
    """Weights and inputs that any program can make (formula.py)."""
    spec = importlib.util.spec_from_file_location("formula", Path(__file__).with_name("formula.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def parity(formula: ModuleType, shared_data: Callable[[str], Path]) -> Callable[[str], Any]:
    """Numbers recorded from the original programs; skips where they are absent."""
    return lambda name: formula.Recorded(shared_data(f"parity/{name}.npz"))
