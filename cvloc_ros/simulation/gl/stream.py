# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Pairs of ground views and aerial patches with the true pose, without touching the disk."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from cvloc_ros.imaging.models import Pinhole
from cvloc_ros.simulation.drive import motion_of
from cvloc_ros.simulation.gl.build import drive_stage, map_stage
from cvloc_ros.simulation.gl.correspond import Heights, PixelPairs, correspondences
from cvloc_ros.simulation.gl.renderer import Renderer
from cvloc_ros.simulation.gl.rig import RenderedCamera, Rig
from cvloc_ros.simulation.gl.survey import develop
from cvloc_ros.simulation.raster import Grid
from cvloc_ros.simulation.registration import warped
from cvloc_ros.simulation.scene import Scene
from cvloc_ros.simulation.world import World
from cvloc_ros.simulation.worlds import make_world
from cvloc_ros.types import F32, F64, AerialPatch, GroundView, Pose2


@dataclass(frozen=True, slots=True, eq=False)
class Pair:
    """One sample: views of a stamp, the patch around (not centred on) the vehicle, the exact pose of base in map.

    `depths` (H, W) are distances along the rays of each view, metres, and `pixels` the correspondences of each view;
    empty where they were not asked for. With depths the views have `depth` too, as their type defines it.
    """

    views: tuple[GroundView, ...]
    patch: AerialPatch
    pose: Pose2
    T_world_base: F64
    """(4, 4) the same pose with height, pitch and roll."""
    depths: tuple[F32, ...] = ()
    pixels: tuple[PixelPairs, ...] = ()


@dataclass(frozen=True, slots=True)
class Sampling:
    """How pairs are drawn along the route of a world."""

    patch_m: float = 100.0
    """Side of the patch."""
    patch_px: int = 512
    offset_m: float = 20.0
    """Largest distance of the patch's centre from the vehicle on each axis."""
    lateral_m: float = 0.0
    """Largest distance of the vehicle from the route, to either side."""
    yaw_deg: float = 0.0
    """Standard deviation of the vehicle's yaw against the route."""
    depth: bool = False
    pixels: int = 0
    """Correspondences per view."""


class PairMaker:
    """Renders pairs of one world."""

    def __init__(
        self, world: World, *, patch_m: float = 100.0, patch_px: int = 512, depth: bool = False, pixels: int = 0
    ) -> None:
        """Load the world on both of its days.

        Raises:
            GlError: there is no OpenGL here.
        """
        self._scene, self._depth, self._pixels = world.scene, depth, pixels
        self._metres, self._px = patch_m / patch_px, patch_px
        self.rig = Rig(world, drive_stage(world))
        self._map = Renderer(map_stage(world))

    def close(self) -> None:
        """Free what is on the GPU."""
        self.rig.close()
        self._map.close()

    def at(
        self, pose: Pose2, number: int, offset: tuple[float, float] = (0.0, 0.0),
        ends: tuple[Pose2, Pose2] | None = None,
    ) -> Pair:  # fmt: skip
        """Render one pair; the patch is centred `offset` metres from the true position.

        `ends` are the poses at begin and end of the exposure; without them nothing is blurred by motion.
        """
        patch = self._patch(pose.x_m + offset[0], pose.y_m + offset[1], number)
        images = [camera.render(pose, number, ends) for camera in self.rig.cameras]
        wanted = self._depth or self._pixels > 0
        depths = tuple(camera.depth(pose, number) for camera in self.rig.cameras) if wanted else ()
        views = tuple(
            GroundView(
                camera.spec.name, image, camera.model, camera.T_base_camera, number, valid=~camera.mask,
                depth=_as_measured(camera, depths[index]) if self._depth else None,
            )
            for index, (camera, image) in enumerate(zip(self.rig.cameras, images, strict=True))
        )  # fmt: skip
        pixels = self._correspond(patch, pose, number, depths) if self._pixels > 0 else ()
        kept = depths if self._depth else ()
        return Pair(views, patch, pose, self.rig.T_world_base(pose, number), kept, pixels)

    def _patch(self, x_m: float, y_m: float, number: int) -> AerialPatch:
        metres, side = self._metres, self._px
        grid = Grid(x_m - side * metres / 2, y_m + side * metres / 2, metres, side, side)
        image = warped(self._scene, grid, lambda moved: self._map.aerial(moved, self._scene.lean))
        return AerialPatch(
            rgb=develop(image, np.random.default_rng([self._scene.seed, number])),
            valid=np.ones((side, side), np.bool_), metres_per_px=metres,
            map_from_px=np.array([[metres, 0, grid.west_m + metres / 2], [0, -metres, grid.north_m - metres / 2]]),
            attribution="Simulated by cvloc_ros", coverage=1.0,
            key=(self._scene.seed, self._scene.style, number, x_m, y_m),
        )  # fmt: skip

    def _correspond(
        self, patch: AerialPatch, pose: Pose2, number: int, depths: Sequence[F32]
    ) -> tuple[PixelPairs, ...]:
        metres, side = self._metres, self._px
        west, north = patch.map_from_px[:, 2] + [-metres / 2, metres / 2]
        heights = Heights(self._scene, self._map, Grid(float(west), float(north), metres, side, side))
        rng = np.random.default_rng([self._scene.seed, number, 1])
        return tuple(
            correspondences(self._scene, patch, heights, camera.measured(pose, number, depth), self._pixels, rng)
            for camera, depth in zip(self.rig.cameras, depths, strict=True)
        )


def _as_measured(camera: RenderedCamera, ray_m: F32) -> F32:
    """Depth (H, W) as `GroundView` has it: along the axis for pinhole images, along the ray for others; sky is 0."""
    along: F64 = np.where(np.isfinite(ray_m), ray_m, 0.0).astype(np.float64)
    if isinstance(camera.model, Pinhole):
        u, v = np.meshgrid(np.arange(camera.spec.width), np.arange(camera.spec.height))
        along = along * camera.model.unproject(np.stack([u, v], axis=-1).astype(np.float64))[..., 2]
    return np.asarray(along, np.float32)


def stream(scene: Scene, count: int, sampling: Sampling | None = None, **settings: float) -> Iterator[Pair]:
    """Yield `count` pairs along the route of a scene; the same scene gives the same pairs.

    `settings` are those of `Sampling`, for one or two that differ from `sampling`. For several processes give each
    scenes of its own (`stream_worlds`): a generator belongs to the thread that runs it.

    Raises:
        GlError: there is no OpenGL here.
    """
    chosen: Sampling = replace(sampling or Sampling(), **settings)  # type: ignore[arg-type]
    world = make_world(scene)
    motion, rng = motion_of(world), scene.rng("samples")
    maker = PairMaker(
        world, patch_m=chosen.patch_m, patch_px=chosen.patch_px, depth=chosen.depth, pixels=chosen.pixels
    )
    half = scene.look.exposure_s / 2
    try:
        for number in range(count):
            time_s = float(rng.uniform(min(1.0, scene.duration_s / 2), scene.duration_s))
            offset = rng.uniform(-chosen.offset_m, chosen.offset_m, 2)
            aside = float(rng.uniform(-chosen.lateral_m, chosen.lateral_m))
            off = Pose2(0.0, aside, float(np.radians(chosen.yaw_deg) * rng.normal()))
            ends = motion.pose(time_s - half) @ off, motion.pose(time_s + half) @ off
            yield maker.at(motion.pose(time_s) @ off, number, (float(offset[0]), float(offset[1])), ends)
    finally:
        maker.close()


def stream_worlds(
    scenes: Sequence[Scene], per_world: int, sampling: Sampling | None = None, *, worker: int = 0, workers: int = 1
) -> Iterator[Pair]:
    """Yield `per_world` pairs of each scene in turn; of several workers each takes its own share of the scenes.

    One world is held at a time. Making it takes seconds, so that some hundred pairs of each are a good measure.

    Raises:
        GlError: there is no OpenGL here.
        ValueError: `worker` is none of 0 to `workers` - 1.
    """
    if not 0 <= worker < workers:
        msg = f"worker = {worker}: must be 0 to {workers - 1}"
        raise ValueError(msg)
    for scene in scenes[worker::workers]:
        yield from stream(scene, per_world, sampling)
