# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The flat world as rasters of what the ground is made of; how it looks on a day is the business of `appearance`."""

from __future__ import annotations

from dataclasses import dataclass

from cvloc_ros.simulation.layout import Layout
from cvloc_ros.simulation.markings import PaintDay, mark_streets
from cvloc_ros.simulation.materials import Material
from cvloc_ros.simulation.motion import Replayed
from cvloc_ros.simulation.open_ground import paint_open_ground, paint_rails, paint_water
from cvloc_ros.simulation.raster import Grid
from cvloc_ros.simulation.repairs import paint_repairs
from cvloc_ros.simulation.roads import paint_islands, paint_roads
from cvloc_ros.simulation.scene import Scene
from cvloc_ros.simulation.town import make_layout
from cvloc_ros.types import U8, Mask

DRIVE_PAINT = PaintDay(faded=0.2)


@dataclass(frozen=True, slots=True, eq=False)
class World:
    """A painted world. `material` holds `Material`, `marking` 0..255 coverage by road paint, `joint` 0..255 joints.

    `material_aerial` and `marking_aerial` are those of the day of the aerial image: repairs are older, and paint is
    missing, moved or more worn.
    """

    scene: Scene
    layout: Layout
    grid: Grid
    material: U8
    marking: U8
    joint: U8
    material_aerial: U8
    marking_aerial: U8
    photo: U8 | None = None
    """(rows, columns, 3): the ground of a world on real imagery; the rasters above are empty then."""
    solid: Mask | None = None
    """Cells of the surface model that stand above the ground and are no trees."""
    attribution: str = ""
    """Whom to name for the photo."""
    replayed: Replayed | None = None
    """The recorded motion where its own path is driven."""


def build_world(scene: Scene) -> World:
    """Make the world of a scene; takes some seconds at the default size."""
    layout = make_layout(scene)
    grid = Grid.centred(scene.size_m, scene.resolution_m)
    material, joint = grid.empty(Material.MEADOW), grid.empty()
    paint_open_ground(layout, grid, material, joint)
    paint_water(layout, grid, material)
    paint_roads(layout, grid, material, joint)
    # The older repairs are seen on both days, those made between them on the later one, which is the drive's.
    paint_repairs(layout, grid, material, scene.rng("repairs"))
    earlier = material.copy()
    paint_repairs(layout, grid, material, scene.rng("later repairs"), share=scene.map_age)
    for day in (earlier, material):
        paint_islands(layout, grid, day)
        paint_rails(layout, grid, day)
    marking, marking_aerial = grid.empty(), grid.empty()
    mark_streets(layout, grid, marking, DRIVE_PAINT, scene.rng("paint of the drive"))
    age = PaintDay(missing=0.3 * scene.map_age, moved=0.3 * scene.map_age, faded=0.1 + 0.4 * scene.map_age)
    mark_streets(layout, grid, marking_aerial, age, scene.rng("paint of the map"))
    return World(scene, layout, grid, material, marking, joint, earlier, marking_aerial)
