# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""From a world to the cameras that drive through it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from cvloc_ros.simulation.appearance import GROUND_DAY, paint_cars, paint_day
from cvloc_ros.simulation.camera import GroundPyramid, SimulatedCamera
from cvloc_ros.simulation.map_writer import aerial_image
from cvloc_ros.simulation.raster import Grid
from cvloc_ros.simulation.registration import resampled, warped
from cvloc_ros.simulation.scene import CameraSpec
from cvloc_ros.simulation.uprights import Uprights
from cvloc_ros.simulation.world import World
from cvloc_ros.types import U8, Mask, Pose2


class DriveCamera(Protocol):
    """A camera of a simulated drive, by either renderer."""

    @property
    def spec(self) -> CameraSpec:
        """Its mounting and lens."""
        ...

    @property
    def mask(self) -> Mask:
        """(H, W) pixels that show the vehicle itself."""
        ...

    def render(self, pose: Pose2, frame: int, ends: tuple[Pose2, Pose2] | None = None) -> U8:
        """Render the image (H, W, 3) RGB at a true pose of base; `ends` are those at begin and end of the exposure."""
        ...


def _flat_views(world: World) -> list[SimulatedCamera]:
    """Paint the ground of the day of the drive and return the rig's cameras, which share it."""
    image = paint_day(world, GROUND_DAY)
    paint_cars(world, image, world.layout.cars, detailed=True)
    pyramid = GroundPyramid(world.grid, image)
    scene = world.scene
    uprights = Uprights(world.layout, world.layout.cars)
    return [SimulatedCamera(spec, pyramid, uprights, scene.rng(f"camera {spec.name}")) for spec in scene.cameras]


def map_image(world: World) -> tuple[Grid, U8]:
    """Render the map of a world: its grid and the image (rows, columns, 3).

    Raises:
        GlError: the scene asks for OpenGL, and there is none.
    """
    if world.scene.renderer == "flat":
        grid, image = aerial_image(world)
        return grid, warped(world.scene, grid, lambda moved: resampled(grid, image, moved))
    from cvloc_ros.simulation.gl.build import map_stage
    from cvloc_ros.simulation.gl.renderer import Renderer
    from cvloc_ros.simulation.gl.survey import survey

    with Renderer(map_stage(world)) as renderer:
        return survey(world.scene, renderer)


def ground_views(world: World) -> Sequence[DriveCamera]:
    """Return the rig's cameras on the day of the drive.

    Raises:
        GlError: the scene asks for OpenGL, and there is none.
    """
    if world.scene.renderer == "flat":
        return _flat_views(world)
    from cvloc_ros.simulation.gl.build import drive_stage
    from cvloc_ros.simulation.gl.rig import Rig

    return Rig(world, drive_stage(world)).cameras
