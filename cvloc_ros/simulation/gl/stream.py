# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Pairs of ground views and aerial patches with the true pose, without touching the disk."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from cvloc_ros.simulation.drive import make_trajectory
from cvloc_ros.simulation.gl.build import drive_stage, map_stage
from cvloc_ros.simulation.gl.renderer import Renderer
from cvloc_ros.simulation.gl.rig import Rig
from cvloc_ros.simulation.gl.survey import develop, registration_error
from cvloc_ros.simulation.raster import Grid
from cvloc_ros.simulation.scene import Scene
from cvloc_ros.simulation.world import World
from cvloc_ros.simulation.worlds import make_world
from cvloc_ros.types import F32, AerialPatch, GroundView, Pose2


@dataclass(frozen=True, slots=True, eq=False)
class Pair:
    """One sample: views of a stamp, the patch around (not centred on) the vehicle, the exact pose of base in map.

    `depths` (H, W) are distances along the rays of each view, metres; empty where they were not asked for.
    """

    views: tuple[GroundView, ...]
    patch: AerialPatch
    pose: Pose2
    depths: tuple[F32, ...] = ()


class PairMaker:
    """Renders pairs of one world."""

    def __init__(self, world: World, *, patch_m: float = 100.0, patch_px: int = 512, depth: bool = False) -> None:
        """Load the world on both of its days.

        Raises:
            GlError: there is no OpenGL here.
        """
        self._scene, self._depth = world.scene, depth
        self._metres, self._px = patch_m / patch_px, patch_px
        self.rig = Rig(world, drive_stage(world))
        self._map = Renderer(map_stage(world))
        self._shift = registration_error(world.scene)

    def close(self) -> None:
        """Free what is on the GPU."""
        self.rig.close()
        self._map.close()

    def at(self, pose: Pose2, number: int, offset: tuple[float, float] = (0.0, 0.0)) -> Pair:
        """Render one pair; the patch is centred `offset` metres from the true position."""
        views = tuple(
            GroundView(
                camera.spec.name, camera.render(pose, number), camera.model, camera.T_base_camera, number,
                valid=~camera.mask,
            )
            for camera in self.rig.cameras
        )  # fmt: skip
        depths = tuple(camera.depth(pose, number) for camera in self.rig.cameras) if self._depth else ()
        return Pair(views, self._patch(pose.x_m + offset[0], pose.y_m + offset[1], number), pose, depths)

    def _patch(self, x_m: float, y_m: float, number: int) -> AerialPatch:
        metres, side = self._metres, self._px
        grid = Grid(x_m - side * metres / 2, y_m + side * metres / 2, metres, side, side)
        east, north = self._shift.tolist()
        shifted = replace(grid, west_m=grid.west_m - east, north_m=grid.north_m - north)
        image = develop(self._map.aerial(shifted, self._scene.lean), np.random.default_rng([self._scene.seed, number]))
        return AerialPatch(
            rgb=image, valid=np.ones((side, side), np.bool_), metres_per_px=metres,
            map_from_px=np.array([[metres, 0, grid.west_m + metres / 2], [0, -metres, grid.north_m - metres / 2]]),
            attribution="Simulated by cvloc_ros", coverage=1.0,
            key=(self._scene.seed, self._scene.style, number, x_m, y_m),
        )  # fmt: skip


def stream(
    scene: Scene,
    count: int,
    *,
    patch_m: float = 100.0,
    patch_px: int = 512,
    offset_m: float = 20.0,
    depth: bool = False,
) -> Iterator[Pair]:
    """Yield pairs along the route of a scene; the same scene gives the same pairs.

    Args:
        scene: the world, its days and cameras; use several seeds for several worlds.
        count: how many.
        patch_m: side of the patch.
        patch_px: side of the patch in pixels.
        offset_m: largest distance of the patch's centre from the vehicle on each axis.
        depth: whether to render depths too.

    Raises:
        GlError: there is no OpenGL here.
    """
    world = make_world(scene)
    trajectory = make_trajectory(scene, world.layout)
    rng = scene.rng("samples")
    maker = PairMaker(world, patch_m=patch_m, patch_px=patch_px, depth=depth)
    try:
        for number in range(count):
            pose = trajectory.pose(float(rng.uniform(1.0, scene.duration_s)))
            offset = rng.uniform(-offset_m, offset_m, 2)
            yield maker.at(pose, number, (float(offset[0]), float(offset[1])))
    finally:
        maker.close()
