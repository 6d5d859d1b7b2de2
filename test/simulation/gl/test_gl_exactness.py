# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What is rendered lies where the camera models, the distances and the georeference say."""

from __future__ import annotations

import math

import numpy as np
import pytest

from cvloc_ros.geo import se3
from cvloc_ros.imaging.models import Equirectangular, Fisheye, Pinhole
from cvloc_ros.simulation.camera import mounting
from cvloc_ros.simulation.gl.renderer import Renderer
from cvloc_ros.simulation.gl.stage import Stage
from cvloc_ros.simulation.gl.terrain import Terrain
from cvloc_ros.simulation.raster import Grid
from cvloc_ros.simulation.scene import FRONT
from cvloc_ros.types import F64, CameraModel

MODELS = {
    "plumb_bob": Pinhole(320, 200, 200.0, 201.0, 161.0, 98.0, (-0.17, 0.05, 0.0004, -0.0003, -0.008, 0, 0, 0)),
    "wide": Pinhole(320, 200, 60.0, 60.0, 161.0, 98.0),
    "fisheye": Fisheye(320, 240, 102.0, 102.0, 160.0, 118.0, (-0.012, -0.006, 0.002, -0.0006)),
    "panorama": Equirectangular(640, 320),
}
T_WORLD_CAMERA = mounting(FRONT)


def _centroid(outline: F64) -> F64:
    ahead = np.roll(outline, -1, axis=0)
    cross = outline[:, 0] * ahead[:, 1] - ahead[:, 0] * outline[:, 1]
    return ((outline + ahead) * cross[:, None]).sum(axis=0) / (3 * cross.sum())


@pytest.mark.parametrize("name", MODELS)
def test_a_landmark_appears_where_the_camera_model_says(name: str, plain_stage: Stage) -> None:
    camera: CameraModel = MODELS[name]
    with Renderer(plain_stage) as renderer:
        image = renderer.view(camera, T_WORLD_CAMERA).astype(float).mean(axis=-1)
    angle = np.linspace(0, 2 * np.pi, 60, endpoint=False)
    ring = np.array([7.0, 1.3, 0.0]) + 0.3 * np.stack([np.cos(angle), np.sin(angle), 0 * angle], axis=-1)
    uv, seen = camera.project(se3.apply(se3.inverse(T_WORLD_CAMERA), ring))
    assert seen.all()
    low, high = np.floor(uv.min(axis=0)).astype(int) - 3, np.ceil(uv.max(axis=0)).astype(int) + 4
    part = image[low[1] : high[1], low[0] : high[0]]
    weight = np.clip(part - np.median(part[[0, -1]]) - 10, 0, None)
    v, u = np.mgrid[low[1] : high[1], low[0] : high[0]]
    found = np.array([(weight * u).sum(), (weight * v).sum()]) / weight.sum()
    assert np.abs(found - _centroid(uv)).max() < 0.3


@pytest.mark.parametrize("name", MODELS)
def test_depth_is_the_distance_along_the_ray(name: str, plain_stage: Stage) -> None:
    camera: CameraModel = MODELS[name]
    with Renderer(plain_stage) as renderer:
        depth = renderer.depth(camera, T_WORLD_CAMERA)
    u, v = np.meshgrid(np.arange(camera.width, dtype=float), np.arange(camera.height, dtype=float))
    rays = camera.unproject(np.stack([u, v], axis=-1)) @ T_WORLD_CAMERA[:3, :3].T
    eye = T_WORLD_CAMERA[:3, 3]
    with np.errstate(all="ignore"):
        to_ground = np.where(rays[..., 2] < -1e-3, -eye[2] / rays[..., 2], np.inf)
        to_wall = np.where(rays[..., 0] > 1e-3, (20.0 - eye[0]) / rays[..., 0], np.inf)
        at_wall = eye + rays * to_wall[..., None]
        hits = (np.abs(at_wall[..., 1]) < 8) & (at_wall[..., 2] > 0) & (at_wall[..., 2] < 4)
    expected = np.where(hits, np.minimum(to_wall, to_ground), to_ground)
    inner = np.isfinite(expected) & (expected < 60)
    # Next to the wall's edges a pixel may belong to either.
    edge = np.zeros_like(inner)
    for shift in ((0, 1), (0, -1), (1, 0), (-1, 0)):
        near = np.where(np.isfinite(expected), expected, 1e6)
        edge |= np.abs(np.roll(near, shift, axis=(0, 1)) - near) > 0.2 * near
        edge |= np.roll(hits, shift, axis=(0, 1)) != hits
    kept = inner & ~edge
    assert kept.sum() > 0.2 * kept.size
    assert np.abs(depth[kept] / expected[kept] - 1).max() < 2e-4
    assert np.isinf(depth[np.isinf(expected) & ~edge & np.isfinite(rays[..., 2]) & (rays[..., 2] > 0.01)]).all()


def test_the_view_from_above_is_georeferenced(plain_stage: Stage) -> None:
    grid = Grid(3.02, 6.13, 0.1, 90, 80)
    with Renderer(plain_stage) as renderer:
        image = renderer.aerial(grid).astype(float).mean(axis=-1)
    weight = np.clip(image - np.median(image) - 12, 0, None)
    v, u = np.mgrid[0:80, 0:90]
    found = np.array([(weight * u).sum(), (weight * v).sum()]) / weight.sum()
    assert np.abs(found - grid.px(np.array([7.0, 1.3]))).max() < 0.1


def test_lean_moves_what_is_high_and_not_the_ground(plain_stage: Stage) -> None:
    grid = Grid(0.0, 12.0, 0.1, 300, 240)
    with Renderer(plain_stage) as renderer:
        upright, leaning = renderer.aerial(grid), renderer.aerial(grid, lean=(0.25, 0.0))
    changed = np.abs(upright.astype(int) - leaning).max(axis=-1) > 30
    columns = np.flatnonzero(changed.any(axis=0)) * 0.1
    assert columns.min() == pytest.approx(20.0, abs=0.15)
    assert columns.max() == pytest.approx(21.0, abs=0.15)


def test_terrain_is_seen_at_its_height() -> None:
    terrain = Terrain.rolling(np.random.default_rng(1), 6.0)
    position, _, normal = terrain.ground_quads(-50.0, 50.0, (100.0, 100.0))
    middle = position[:, 0]
    assert np.allclose(middle[:, 2], terrain.height(middle[:, :2].astype(float)), atol=1e-4)
    assert np.allclose(np.linalg.norm(normal, axis=-1), 1.0, atol=1e-5)
    T = terrain.base_pose(12.0, -7.0, 0.8)
    assert np.allclose(T[:3, :3] @ T[:3, :3].T, np.eye(3))
    assert math.atan2(T[1, 0], T[0, 0]) == pytest.approx(0.8)
    ahead = T @ np.array([0.01, 0.0, 0.0, 1.0])
    assert ahead[2] == pytest.approx(float(terrain.height(ahead[:2])), abs=1e-4)
