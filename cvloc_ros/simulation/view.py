# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""From a world to the cameras that drive through it."""

from __future__ import annotations

from cvloc_ros.simulation.appearance import GROUND_DAY, paint_cars, paint_day
from cvloc_ros.simulation.camera import GroundPyramid, SimulatedCamera
from cvloc_ros.simulation.uprights import Uprights
from cvloc_ros.simulation.world import World


def ground_views(world: World) -> list[SimulatedCamera]:
    """Paint the ground of the day of the drive and return the rig's cameras, which share it."""
    image = paint_day(world, GROUND_DAY)
    paint_cars(world, image, world.layout.cars, detailed=True)
    pyramid = GroundPyramid(world.grid, image)
    scene = world.scene
    uprights = Uprights(world.layout, world.layout.cars)
    return [SimulatedCamera(spec, pyramid, uprights, scene.rng(f"camera {spec.name}")) for spec in scene.cameras]
