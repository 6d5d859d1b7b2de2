# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import replace

import numpy as np

from cvloc_ros.simulation.appearance import AERIAL_DAY, GROUND_DAY, paint_day
from cvloc_ros.simulation.markings import Approach
from cvloc_ros.simulation.materials import CARRIAGEWAY, Material
from cvloc_ros.simulation.raster import Grid
from cvloc_ros.simulation.scene import Scene
from cvloc_ros.simulation.world import World, build_world

ROAD = CARRIAGEWAY


def test_same_seed_same_world(scene: Scene, world: World) -> None:
    again = build_world(scene)
    assert np.array_equal(again.material, world.material)
    assert np.array_equal(again.marking, world.marking)
    assert np.array_equal(paint_day(again, GROUND_DAY), paint_day(world, GROUND_DAY))


def test_other_seed_other_world(scene: Scene, world: World) -> None:
    other = build_world(replace(scene, seed=scene.seed + 1))
    assert (other.material != world.material).mean() > 0.05


def test_paint_lies_on_the_carriageway_or_in_bays(world: World) -> None:
    painted = world.marking > 190
    assert painted.sum() > 1000
    on_road = np.isin(world.material[painted], [int(m) for m in (*ROAD, Material.BAY, Material.GUTTER)])
    assert on_road.mean() > 0.97


def test_stop_line_is_where_the_layout_says() -> None:
    world = build_world(Scene(seed=2, style="dense", size_m=(240.0, 180.0), resolution_m=0.1))
    found = 0
    for street in world.layout.streets:
        approach = Approach(street, at_start=False)
        if approach.control in ("stop", "signal") and street.length_m > 40:
            u, v = np.rint(world.grid.px(approach.stop_line().mean(axis=0))).astype(int)
            if 0 <= u < world.grid.columns and 0 <= v < world.grid.rows:
                assert world.marking[v, u] > 190
                found += 1
    assert found


def test_houses_and_trees_stand_beside_the_streets(world: World) -> None:
    for house in world.layout.buildings:
        px = np.rint(world.grid.px(house.outline.mean(axis=0))).astype(int)
        if (px >= 0).all() and (px < [world.grid.columns, world.grid.rows]).all():
            assert world.material[px[1], px[0]] not in [int(m) for m in ROAD]


def test_the_two_days_are_different_pictures_of_the_same_ground(world: World) -> None:
    ground, aerial = (paint_day(world, day).astype(float) for day in (GROUND_DAY, AERIAL_DAY))
    assert np.abs(ground - aerial).mean() > 8
    road = np.isin(world.material, [int(m) for m in ROAD]) & (world.marking == 0)
    # Wheel tracks and repairs are shared; the grain of what is neither is not.
    plain = (world.material == int(Material.ASPHALT)) & (world.marking == 0) & (world.joint == 0)
    bare = [image[plain].mean(axis=1) - image[plain].mean() for image in (ground, aerial)]
    assert abs(np.corrcoef(*bare)[0, 1]) < 0.6, "texture of map and camera must not be the same"
    paint = (world.marking > 210) & (world.marking_aerial > 170)
    for image in (ground, aerial):
        assert image[paint].mean() > image[road].mean() + 30


def test_grid_pixels_are_metric_and_north_up() -> None:
    grid = Grid.centred((40.0, 20.0), 0.05)
    assert np.allclose(grid.px(np.array([-20.0, 10.0])), [-0.5, -0.5])
    point = np.array([3.213, -4.688])
    assert np.allclose(grid.px_from_map() @ [*point, 1.0], grid.px(point))
    raster = grid.empty()
    grid.fill(raster, [point + np.array([[-1, -0.5], [1, -0.5], [1, 0.5], [-1, 0.5]])], 255, smooth=True)
    rows, columns = np.mgrid[: grid.rows, : grid.columns]
    weight = raster / raster.sum()
    assert np.allclose([(weight * columns).sum(), (weight * rows).sum()], grid.px(point), atol=0.4)
