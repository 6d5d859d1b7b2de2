# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Correspondences and the exact pose reproduce each other; what the aerial image does not show is said."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from cvloc_ros.cli.main import main
from cvloc_ros.errors import ConfigError
from cvloc_ros.evaluation.correspondence import true_places
from cvloc_ros.geo import se3
from cvloc_ros.imaging.models import Pinhole
from cvloc_ros.simulation import rigs
from cvloc_ros.simulation.drive import motion_of
from cvloc_ros.simulation.gl.correspond import Heights, Measured, Seen, correspondences
from cvloc_ros.simulation.gl.mesh import MeshBuilder
from cvloc_ros.simulation.gl.renderer import Renderer
from cvloc_ros.simulation.gl.stage import Stage
from cvloc_ros.simulation.gl.stream import Pair, PairMaker
from cvloc_ros.simulation.raster import Grid
from cvloc_ros.simulation.scene import Scene
from cvloc_ros.simulation.world import build_world
from cvloc_ros.simulation.writer import write_drive
from cvloc_ros.types import AerialPatch, Correspondences


def _pair(scene: Scene, time_s: float = 1.0) -> Pair:
    world = build_world(scene)
    maker = PairMaker(world, patch_m=60.0, patch_px=300, depth=True, pixels=400)
    try:
        return maker.at(motion_of(world).pose(time_s), 1, (3.0, -2.0))
    finally:
        maker.close()


@pytest.fixture(scope="module")
def hilly(gl_scene: Scene) -> Pair:
    return _pair(replace(gl_scene, terrain_m=4.0, sway_deg=1.0, map_error_m=1.5, lean=(0.2, -0.1)))


def test_pixels_project_back_onto_themselves(hilly: Pair) -> None:
    for view, pixels in zip(hilly.views, hilly.pixels, strict=True):
        camera_from_world = se3.inverse(hilly.T_world_base @ view.T_base_camera)
        uv, seen = view.camera.project(se3.apply(camera_from_world, pixels.points))
        assert len(pixels.points) > 100 and seen.all()
        assert np.abs(uv - pixels.ground_uv).max() < 0.01


def test_the_pose_is_found_again_from_the_visible_ones(gl_scene: Scene) -> None:
    """With neither registration error nor lean map and world are one: a rigid fit must give the true pose back."""
    pair = _pair(gl_scene)
    here, there = [], []
    for view, pixels, depth in zip(pair.views, pair.pixels, pair.depths, strict=True):
        good = pixels.visible
        column, row = pixels.ground_uv[good].astype(int).T
        rays = view.camera.unproject(pixels.ground_uv[good]) * depth[row, column][:, None]
        here.append(se3.apply(view.T_base_camera, rays)[:, :2])
        there.append(pair.patch.map_from_px[:, :2] @ pixels.aerial_uv[good].T + pair.patch.map_from_px[:, 2:])
    a, b = np.concatenate(here), np.concatenate([part.T for part in there])
    da, db = a - a.mean(axis=0), b - b.mean(axis=0)
    yaw = float(np.arctan2((da[:, 0] * db[:, 1] - da[:, 1] * db[:, 0]).sum(), (da * db).sum()))
    cos, sin = np.cos(yaw), np.sin(yaw)
    shift = b.mean(axis=0) - np.array([[cos, -sin], [sin, cos]]) @ a.mean(axis=0)
    assert np.abs(shift - pair.pose.xy).max() < 0.02
    assert abs(np.angle(np.exp(1j * (yaw - pair.pose.yaw_rad)))) < np.radians(0.05)


def test_the_measure_of_matches_takes_them_for_exact(gl_scene: Scene) -> None:
    """What the evaluation computes from pose and depth lies within a pixel of what the simulator wrote."""
    pair = _pair(gl_scene)
    uv = np.concatenate([p.ground_uv for p in pair.pixels])
    number = np.concatenate([np.full(len(p.ground_uv), k) for k, p in enumerate(pair.pixels)])
    aerial = np.concatenate([p.aerial_uv for p in pair.pixels])
    shown = (pair.patch.map_from_px[:, :2] @ aerial.T).T + pair.patch.map_from_px[:, 2]
    matches = Correspondences(ground=np.zeros_like(uv), aerial=shown, weights=np.ones(len(uv)), uv=uv, view=number)
    off = np.linalg.norm(true_places(matches, pair.views, pair.pose) - shown, axis=1)
    assert off.max() < pair.patch.metres_per_px


def _look(lean: tuple[float, float] = (0.0, 0.0)) -> tuple[Scene, AerialPatch, Measured]:
    """A camera at the origin that looks ahead, with a depth that puts all pixels where a test wants them."""
    grid = Grid.centred((60.0, 60.0), 0.2)
    metres = grid.resolution_m
    affine = np.array([[metres, 0, grid.west_m + metres / 2], [0, -metres, grid.north_m - metres / 2]])
    blank = np.zeros((grid.rows, grid.columns, 3), np.uint8)
    patch = AerialPatch(blank, np.ones(blank.shape[:2], np.bool_), metres, affine, "", 1.0, key=(1,))
    scene = Scene(renderer="gl", lean=lean)
    camera = Pinhole(160, 120, 100.0, 100.0, 79.5, 59.5)
    T = np.eye(4)
    T[:3, :3] = [[0, 0, 1], [-1, 0, 0], [0, -1, 0]]
    T[2, 3] = 2.0
    return scene, patch, Measured(camera, T, np.zeros((120, 160), np.float32), np.ones((120, 160), np.bool_))


def _seen(stage: Stage, lean: tuple[float, float], rows: slice) -> np.ndarray:
    scene, patch, view = _look(lean)
    with Renderer(stage) as renderer:
        depth = renderer.depth(view.camera, view.T_world_camera)
        clear = np.zeros_like(view.clear)
        clear[rows, 60:100] = True
        heights = Heights(scene, renderer, Grid.centred((60.0, 60.0), 0.2))
        view = replace(view, depth=depth, clear=clear)
        return correspondences(scene, patch, heights, view, 200, np.random.default_rng(0)).seen


def test_ground_is_visible_and_the_wall_of_a_house_is_not(plain_stage: Stage) -> None:
    mesh = MeshBuilder()
    grey = np.array([200.0, 60, 60])
    mesh.add(np.array([[[20.0, 8, 0], [20, -8, 0], [20, -8, 4], [20, 8, 4]]]), grey)
    mesh.add(np.array([[[20.0, 8, 4], [20, -8, 4], [28, -8, 4], [28, 8, 4]]]), grey)
    house = replace(plain_stage, mesh=mesh.build())
    assert (_seen(house, (0.0, 0.0), slice(85, 110)) == Seen.VISIBLE).all()
    assert (_seen(house, (0.0, 0.0), slice(53, 66)) == Seen.OCCLUDED).all()


def test_a_building_that_leans_over_the_road_hides_it(plain_stage: Stage) -> None:
    """The wall of 4 m at x = 20 leans 8 m towards the camera: what lies between is hidden, the rest is not."""
    rows = slice(73, 78)  # the ground 11 to 15 m ahead
    assert (_seen(plain_stage, (0.0, 0.0), rows) == Seen.VISIBLE).all()
    assert (_seen(plain_stage, (-2.2, 0.0), rows) == Seen.OCCLUDED).mean() > 0.95


def test_a_thing_of_the_drive_alone_is_absent_in_the_map(plain_stage: Stage) -> None:
    scene, patch, view = _look()
    with Renderer(plain_stage) as renderer:
        heights = Heights(scene, renderer, Grid.centred((60.0, 60.0), 0.2))
        depth = np.full((120, 160), 8.0, np.float32)  # a car, say, above the ground of the map
        clear = np.zeros_like(view.clear)
        clear[62:66, 70:90] = True
        view = replace(view, depth=depth, clear=clear)
        made = correspondences(scene, patch, heights, view, 50, np.random.default_rng(0))
    assert (made.seen == Seen.ABSENT).all() and not made.on_ground.any()


@pytest.mark.parametrize("name", ["fisheye", "panorama"])
def test_wide_cameras_have_them_too(name: str, gl_scene: Scene) -> None:
    small = tuple(
        replace(c, width=c.width // 4, height=c.height // 4, focal_px=c.focal_px / 4) for c in rigs.rig(name)[:2]
    )
    pair = _pair(replace(gl_scene, cameras=small))
    for view, pixels in zip(pair.views, pair.pixels, strict=True):
        assert pixels.visible.sum() > 50
        T = pair.T_world_base @ view.T_base_camera
        uv, _ = view.camera.project(se3.apply(se3.inverse(T), pixels.points))
        assert np.abs(uv - pixels.ground_uv).max() < 0.05


def test_files_hold_what_is_documented(gl_scene: Scene, tmp_path: Path) -> None:
    scene = replace(gl_scene, duration_s=1.0, image_rate_hz=2.0, cameras=gl_scene.cameras[:1])
    (tmp_path / "s.yaml").write_text(scene.to_yaml())
    out = tmp_path / "drive"
    assert main(["simulate", "--scene", str(tmp_path / "s.yaml"), "--out", str(out), "--correspondences", "60"]) == 0
    folder = out / "correspondences"
    assert sorted(file.name for file in folder.glob("*.npz")) == ["front_000000.npz", "front_000001.npz"]
    for file in folder.glob("*.npz"):
        ground, aerial = (cv2.imread(str(file.with_suffix(f".{kind}.jpg"))) for kind in ("ground", "aerial"))
        assert ground.shape == (100, 160, 3) and aerial.shape == (512, 512, 3)
        with np.load(file) as data:
            assert 20 < len(data["ground_uv"]) <= 60
            assert len(data["hidden_why"]) == len(data["hidden_ground_uv"])
            assert len(data["depth_m"]) == len(data["aerial_uv"]) == len(data["ground_uv"])
            assert float(data["metres_per_px"]) == pytest.approx(0.12)


def test_the_flat_renderer_has_none_and_says_so(scene: Scene, tmp_path: Path, silent: Any) -> None:
    with pytest.raises(ConfigError, match="renderer gl"):
        write_drive(scene, tmp_path / "drive", silent, correspondences=10)
    assert not (tmp_path / "drive").exists()
