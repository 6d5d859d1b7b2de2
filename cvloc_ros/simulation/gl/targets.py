# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What is rendered into: an atlas of faces that is warped to the camera model, and tiles seen from above."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from cvloc_ros.geo import se3
from cvloc_ros.simulation.gl.context import shader
from cvloc_ros.simulation.gl.scene_on_gpu import SceneOnGpu
from cvloc_ros.simulation.gl.views import ViewPlan
from cvloc_ros.simulation.raster import Grid
from cvloc_ros.types import F32, F64, U8

_TABLE, _FACES = 8, 9
_TILE_PX = 512
_HIGH_M = 400.0


class ViewTarget:
    """The framebuffers of one camera."""

    def __init__(self, context: Any, plan: ViewPlan, samples: int) -> None:
        import moderngl

        self._context, self._plan = context, plan
        self._raw = context.framebuffer(
            context.renderbuffer(plan.size, 4, samples=samples), context.depth_renderbuffer(plan.size, samples=samples)
        )
        self._faces = context.texture(plan.size, 4)
        self._faces.filter = (moderngl.LINEAR, moderngl.LINEAR)
        self._faces.repeat_x = self._faces.repeat_y = False
        self._resolved = context.framebuffer([self._faces])
        self._table = context.texture((plan.width, plan.height), 4, plan.table.tobytes(), dtype="f4")
        self._table.filter = (moderngl.NEAREST, moderngl.NEAREST)
        self._out = context.framebuffer([context.texture((plan.width, plan.height), 4)])
        self._warp = _screen(context, "warp.frag.glsl")
        self._depth: _DepthTarget | None = None

    def draw_colour(self, scene: SceneOnGpu, T_world_camera: F64, exposure: float = 1.0) -> None:
        """Render all faces and warp them."""
        scene.bind()
        self._raw.use()
        self._raw.clear(depth=1.0)
        camera_from_world = se3.inverse(T_world_camera)
        ahead = T_world_camera[:2, 2] / max(float(np.linalg.norm(T_world_camera[:2, 2])), 1e-9)
        for face in self._plan.faces:
            self._raw.viewport = face.viewport
            scene.draw(face.clip_from_optical() @ camera_from_world, T_world_camera[:3, 3], ahead, exposure)
            scene.draw_sky(T_world_camera[:3, :3] @ face.rotation.T, face.reach, exposure)
        self._raw.viewport = (0, 0, *self._plan.size)
        self._context.copy_framebuffer(self._resolved, self._raw)
        self._run(self._warp, self._faces, self._out)

    def read_colour(self) -> U8:
        """Return the last image (H, W, 3)."""
        raw = self._out.read(components=3, alignment=1)
        return np.frombuffer(raw, np.uint8).reshape(self._plan.height, self._plan.width, 3)

    def draw_depth(self, scene: SceneOnGpu, T_world_camera: F64) -> None:
        """Render the distances."""
        if self._depth is None:
            self._depth = _DepthTarget(self._context, self._plan)
        scene.bind()
        self._depth.target.use()
        self._depth.target.clear(0.0, 0.0, 0.0, 0.0, depth=1.0)
        camera_from_world = se3.inverse(T_world_camera)
        for face in self._plan.faces:
            self._depth.target.viewport = face.viewport
            scene.draw_depth(face.clip_from_optical() @ camera_from_world, T_world_camera[:3, 3])
        self._run(self._depth.warp, self._depth.faces, self._depth.out)

    def read_depth(self) -> F32:
        """Return the last distances (H, W)."""
        if self._depth is None:
            return np.full((self._plan.height, self._plan.width), np.inf, np.float32)
        raw = self._depth.out.read(components=1, dtype="f4", alignment=1)
        return np.frombuffer(raw, np.float32).reshape(self._plan.height, self._plan.width)

    def _run(self, program: tuple[Any, Any], faces: Any, out: Any) -> None:
        import moderngl

        out.use()
        self._context.enable_only(moderngl.NOTHING)
        self._table.use(_TABLE)
        faces.use(_FACES)
        program[0]["table"].value, program[0]["faces"].value = _TABLE, _FACES
        program[1].render(vertices=3)


class _DepthTarget:
    """Framebuffers for depth, made when it is first asked for."""

    def __init__(self, context: Any, plan: ViewPlan) -> None:
        import moderngl

        self.faces = context.texture(plan.size, 1, dtype="f4")
        self.faces.filter = (moderngl.NEAREST, moderngl.NEAREST)
        self.target = context.framebuffer([self.faces], context.depth_renderbuffer(plan.size))
        self.out = context.framebuffer([context.texture((plan.width, plan.height), 1, dtype="f4")])
        self.warp = _screen(context, "warp_depth.frag.glsl")


class AerialTarget:
    """Tiles of the view from above."""

    def __init__(self, context: Any, samples: int) -> None:
        size = (_TILE_PX, _TILE_PX)
        self._context = context
        self._raw = context.framebuffer(
            context.renderbuffer(size, 4, samples=samples), context.depth_renderbuffer(size, samples=samples)
        )
        self._out = context.framebuffer([context.texture(size, 4)])
        self._heights: _HeightTarget | None = None

    def heights(self, scene: SceneOnGpu, grid: Grid, lean: tuple[float, float]) -> F32:
        """Height (rows, columns) in metres of what is seen from above."""
        if self._heights is None:
            self._heights = _HeightTarget(self._context)
        scene.bind()
        target, found = self._heights.target, np.empty((grid.rows, grid.columns), np.float32)
        for part, west, north in _tiles(found, grid):
            target.use()
            target.clear(depth=1.0)
            clip = _from_above(west, north, _TILE_PX * grid.resolution_m, lean)
            scene.draw_depth(clip, np.array([west, north, _HIGH_M]))
            raw = np.frombuffer(target.read(attachment=-1, components=1, dtype="f4", alignment=1), np.float32)
            depth = raw.reshape(_TILE_PX, _TILE_PX)[: part.shape[0], : part.shape[1]]
            part[:] = (1.0 - 2.0 * depth) * _HIGH_M
        return found

    def render(self, scene: SceneOnGpu, grid: Grid, lean: tuple[float, float]) -> U8:
        """Render a raster (rows, columns, 3) tile by tile."""
        scene.bind()
        image = np.empty((grid.rows, grid.columns, 3), np.uint8)
        for part, west, north in _tiles(image, grid):
            clip = _from_above(west, north, _TILE_PX * grid.resolution_m, lean)
            self._raw.use()
            self._raw.clear(depth=1.0)
            scene.draw(clip, np.array([west, north, _HIGH_M]), np.array([1.0, 0.0]), haze=False)
            self._context.copy_framebuffer(self._out, self._raw)
            raw = np.frombuffer(self._out.read(components=3, alignment=1), np.uint8)
            part[:] = raw.reshape(_TILE_PX, _TILE_PX, 3)[: part.shape[0], : part.shape[1]]
        return image


def _tiles(raster: Any, grid: Grid) -> Iterator[tuple[Any, float, float]]:
    """Parts of a raster with the west and north edge of each, metres."""
    for top in range(0, grid.rows, _TILE_PX):
        for left in range(0, grid.columns, _TILE_PX):
            part = raster[top : top + _TILE_PX, left : left + _TILE_PX]
            yield part, grid.west_m + left * grid.resolution_m, grid.north_m - top * grid.resolution_m


class _HeightTarget:
    """Framebuffer whose depth is read back."""

    def __init__(self, context: Any) -> None:
        size = (_TILE_PX, _TILE_PX)
        colour = context.renderbuffer(size, 1, dtype="f4")
        self.target = context.framebuffer([colour], context.depth_texture(size))


def _from_above(west: float, north: float, side: float, lean: tuple[float, float]) -> F64:
    """Parallel projection (4, 4); the first row is the northern one."""
    out = np.zeros((4, 4))
    out[0] = [2 / side, 0, 2 * lean[0] / side, -2 * west / side - 1]
    out[1] = [0, -2 / side, -2 * lean[1] / side, 2 * north / side - 1]
    out[2, 2] = -1 / _HIGH_M
    out[3, 3] = 1.0
    return out


def _screen(context: Any, name: str) -> tuple[Any, Any]:
    program = context.program(vertex_shader=shader("screen.vert.glsl"), fragment_shader=shader(name))
    return program, context.vertex_array(program, [])
