# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Worlds on imagery: the ground is the picture, the plan is guessed from it."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from cvloc_ros.errors import ConfigError
from cvloc_ros.simulation.drive import make_trajectory
from cvloc_ros.simulation.gl.stream import stream
from cvloc_ros.simulation.imagery import find, middle_of
from cvloc_ros.simulation.paths import find_path
from cvloc_ros.simulation.raster import Grid
from cvloc_ros.simulation.scene import Scene
from cvloc_ros.simulation.worlds import make_world

BRIG = Path(__file__).resolve().parents[4] / "shared" / "data" / "swissimage_brig" / "swissimage_brig.mbtiles"


def test_the_path_follows_the_road() -> None:
    grid = Grid.centred((240.0, 240.0), 0.5)
    road = grid.empty()
    bend = np.column_stack([np.linspace(-120, 120, 60), 25 * np.sin(np.linspace(-2, 2, 60))])
    for a, b in pairwise(bend):
        side = np.array([0.0, 4.0])
        grid.fill(road, [np.array([a - side, b - side, b + side, a + side])], 1)
    line = find_path(grid, road > 0, road > 2, np.random.default_rng(0))
    expected = 25 * np.sin(line[:, 0] / 60)
    assert np.abs(line[:, 1] - expected).max() < 3.0
    assert np.linalg.norm(line[-1] - line[0]) > 100


def test_no_road_is_told() -> None:
    grid = Grid.centred((200.0, 200.0), 0.5)
    with pytest.raises(ConfigError, match="nothing like a road"):
        find_path(grid, grid.empty() > 0, grid.empty() > 0, np.random.default_rng(0))


def test_colours_are_sorted() -> None:
    photo = np.full((120, 120, 3), 118, np.uint8)
    photo[:50] = (52, 84, 40)
    photo[80:110, 20:60] = (168, 92, 70)
    photo[110:] = 240
    noise = np.random.default_rng(0).normal(0, 4, (120, 120, 1))
    finds = find(np.clip(photo + noise, 0, 255).astype(np.uint8))
    assert finds.roof[95, 40] and not finds.roof[95, 90] and not finds.roof[20, 40]
    assert finds.road[55:78].mean() > 0.3 and not finds.road[5:40].any()


@pytest.mark.skipif(not BRIG.is_file(), reason=f"{BRIG} is not there")
def test_real_ground_is_seen_with_relief(gl_scene: Scene) -> None:
    scene = replace(
        gl_scene, imagery=str(BRIG), datum=middle_of(str(BRIG)), size_m=(240.0, 240.0), resolution_m=0.2, duration_s=8.0
    )
    world = make_world(scene)
    assert "swisstopo" in world.attribution
    assert len(world.layout.trees) > 20
    poses = make_trajectory(scene, world.layout).poses(np.linspace(0, 8, 9))
    assert np.abs(poses[:, :2]).max() < 120
    (pair,) = stream(scene, 1, patch_m=60.0, patch_px=120)
    assert pair.patch.rgb.std() > 8 and pair.views[0].rgb.std() > 8


@pytest.mark.skipif(not BRIG.is_file(), reason=f"{BRIG} is not there")
def test_a_place_beyond_the_imagery_is_refused_with_its_share(gl_scene: Scene) -> None:
    latitude, longitude = middle_of(str(BRIG))
    scene = replace(gl_scene, imagery=str(BRIG), datum=(latitude, longitude + 0.012), size_m=(240.0, 240.0))
    with pytest.raises(ConfigError, match="covers"):
        make_world(scene)
