# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Buffers, textures and programs of one stage."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from scipy.ndimage import gaussian_filter

from cvloc_ros.errors import CvlocError
from cvloc_ros.simulation.gl.context import shader
from cvloc_ros.simulation.gl.light import Light, light_of
from cvloc_ros.simulation.gl.mesh import CUT_OUT, VERTEX_FORMAT, VERTEX_NAMES, Mesh, chunked
from cvloc_ros.simulation.gl.patterns import SIDE, Pattern, patterns
from cvloc_ros.simulation.gl.stage import Stage
from cvloc_ros.types import F64, U8

Actors = Mesh
_SHADOW_PX = 4096
_ALPHA_TO_COVERAGE = 0x809E
_GRAIN, _PATTERNS, _GROUND, _SHADOW, _LAMPS = range(5)
FAR_SEEN_M = 420.0


class _Drawable:
    """A mesh on the GPU with an array object for each program."""

    def __init__(self, context: Any, mesh: Mesh, programs: dict[str, Any]) -> None:
        self.mesh = mesh
        count = len(mesh.vertices) // 4
        corners = np.arange(count, dtype=np.uint32)[:, None] * 4 + np.array([0, 1, 2, 0, 2, 3], np.uint32)
        # A buffer cannot be empty; nothing of the spare bytes is drawn.
        self._buffers = [context.buffer(data or bytes(32)) for data in (mesh.vertices.tobytes(), corners.tobytes())]
        self.arrays = {
            name: context.vertex_array(
                program, [(self._buffers[0], VERTEX_FORMAT, *VERTEX_NAMES)], self._buffers[1], skip_errors=True
            )
            for name, program in programs.items()
        }

    def draw(self, name: str, seen: Any) -> None:
        """Draw the chunks whose index is in `seen`, neighbours together."""
        mesh = self.mesh
        start = end = -1
        for chunk in seen:
            first, count = int(mesh.first[chunk]), int(mesh.count[chunk])
            if first == end:
                end += count
                continue
            if end > start >= 0:
                self.arrays[name].render(vertices=6 * (end - start), first=6 * start)
            start, end = first, first + count
        if end > start >= 0:
            self.arrays[name].render(vertices=6 * (end - start), first=6 * start)

    def release(self) -> None:
        for item in (*self.arrays.values(), *self._buffers):
            item.release()


class _Split:
    """A mesh in two: what is solid, and what has holes."""

    def __init__(self, context: Any, mesh: Mesh, programs: dict[str, Any]) -> None:
        quads = mesh.vertices.reshape(-1, 4)
        holes = quads["tint"][:, 0, 3] == CUT_OUT
        self.solid = _Drawable(context, chunked(quads[~holes]), {k: programs[k] for k in ("surface", "depth")})
        self.cut_out = _Drawable(context, chunked(quads[holes]), {k: programs[k] for k in ("leaves", "depth_leaves")})

    def release(self) -> None:
        self.solid.release()
        self.cut_out.release()


def _programs(context: Any) -> dict[str, Any]:
    """Compile all shaders."""
    vertex, ground, screen = (shader(f"{name}.vert.glsl") for name in ("surface", "ground", "screen"))

    def program(vert: str, frag: str, *, holes: bool = False) -> Any:
        text = shader(frag)
        text = text.replace("#define CUT_OUT 0", "#define CUT_OUT 1") if holes else text
        return context.program(vertex_shader=vert, fragment_shader=text)

    return {
        "surface": program(vertex, "surface.frag.glsl"),
        "leaves": program(vertex, "surface.frag.glsl", holes=True),
        "depth": program(vertex, "depth.frag.glsl"),
        "depth_leaves": program(vertex, "depth.frag.glsl", holes=True),
        "ground": program(ground, "ground.frag.glsl"),
        "depth_ground": program(ground, "depth_ground.frag.glsl"),
        "sky": program(screen, "sky.frag.glsl"),
    }


class SceneOnGpu:
    """One stage, loaded once; `draw` puts it into whatever framebuffer is in use."""

    def __init__(self, context: Any, stage: Stage, anisotropy: float) -> None:
        self.context, self.stage = context, stage
        self.light: Light = light_of(stage.look)
        self._anisotropy = anisotropy
        self._units: dict[int, Any] = {}
        self._programs = _programs(context)
        self._load_textures()
        self._load_ground()
        self._things = _Split(context, stage.mesh, self._programs)
        self._actors: _Split | None = None
        self._loaded: Actors | None = None
        self._sky = context.vertex_array(self._programs["sky"], [])
        self._draw_shadows()
        for item in self._programs.values():
            self._set_constants(item)

    def load_actors(self, actors: Actors | None) -> None:
        """Replace the things that move."""
        if actors is self._loaded:
            return
        if self._actors is not None:
            self._actors.release()
        self._actors = _Split(self.context, actors, self._programs) if actors is not None else None
        self._loaded = actors

    def bind(self) -> None:
        """Make its textures the ones in use; call it before the first of several drawings."""
        for place, texture in self._units.items():
            texture.use(place)

    def release(self) -> None:
        """Free its large things."""
        self.load_actors(None)
        self._things.release()
        for item in self._units.values():
            item.release()
        self._units.clear()

    def draw(self, clip_from_world: F64, eye: F64, ahead: F64, exposure: float = 1.0, *, haze: bool = True) -> None:
        """Draw ground and things in colour. `eye` (3,) and `ahead` (2,) are for haze and headlights."""
        import moderngl

        for name in ("surface", "leaves", "ground"):
            program = self._programs[name]
            _set(program, "clip_from_world", clip_from_world.T)
            _set(program, "eye", eye)
            _set(program, "ahead", ahead)
            _set(program, "exposure", self.light.exposure * exposure)
            _set(program, "haze_per_m", self.light.haze_per_m if haze else 0.0)
            _set(program, "headlights", 1.1 * self.light.night if haze else 0.0)
        context, near = self.context, eye if haze else None
        context.enable_only(moderngl.DEPTH_TEST)
        context.depth_func = "<="
        for thing in self._all():
            thing.solid.draw("surface", _seen(thing.solid.mesh, clip_from_world, near))
        self._ground_array.render()
        if haze:  # from above the pixels are too large to see it
            context.enable_direct(_ALPHA_TO_COVERAGE)
        for thing in self._all():
            thing.cut_out.draw("leaves", _seen(thing.cut_out.mesh, clip_from_world, near))
        context.disable_direct(_ALPHA_TO_COVERAGE)

    def _all(self) -> list[_Split]:
        return [self._things] if self._actors is None else [self._things, self._actors]

    def draw_depth(self, clip_from_world: F64, eye: F64) -> None:
        """Draw one over the depth."""
        import moderngl

        self.context.enable_only(moderngl.DEPTH_TEST)
        for name in ("depth", "depth_leaves", "depth_ground"):
            _set(self._programs[name], "clip_from_world", clip_from_world.T)
        for thing in self._all():
            thing.solid.draw("depth", _seen(thing.solid.mesh, clip_from_world, eye))
            thing.cut_out.draw("depth_leaves", _seen(thing.cut_out.mesh, clip_from_world, eye))
        self._ground_depth.render()

    def draw_sky(self, world_from_face: F64, reach: tuple[float, float, float, float], exposure: float) -> None:
        """Draw the sky where nothing else is."""
        program = self._programs["sky"]
        _set(program, "world_from_face", world_from_face.T)
        _set(program, "reach", reach)
        _set(program, "exposure", self.light.exposure * exposure)
        self._sky.render(vertices=3)

    def _load_textures(self) -> None:
        import moderngl

        context, stage = self.context, self.stage
        layers = patterns()
        self._patterns = context.texture_array((SIDE, SIDE, len(Pattern)), 4, layers.tobytes())
        rows, columns = stage.ground.shape[:2]
        limit = int(context.info["GL_MAX_TEXTURE_SIZE"])
        if max(rows, columns) > limit:
            msg = f"ground of {columns}x{rows} cells: this OpenGL takes {limit} a side; raise resolution_m"
            raise CvlocError(msg)
        self._ground = context.texture((columns, rows), 3, np.ascontiguousarray(stage.ground).tobytes(), alignment=1)
        wide = _fine_structure()
        self._grain = context.texture((256, 256), 1, wide.tobytes(), alignment=1)
        lamps, self._lamp_area = _lamp_light(stage)
        self._lamps = context.texture(lamps.shape[1::-1], 3, lamps.tobytes(), alignment=1)
        for texture, place in ((self._patterns, _PATTERNS), (self._ground, _GROUND), (self._grain, _GRAIN)):
            texture.filter = (moderngl.LINEAR_MIPMAP_LINEAR, moderngl.LINEAR)
            texture.build_mipmaps()
            self._units[place] = texture
        self._ground.repeat_x = self._ground.repeat_y = False
        self._lamps.repeat_x = self._lamps.repeat_y = False
        self._units[_LAMPS] = self._lamps

    def _load_ground(self) -> None:
        grid = self.stage.grid
        size = (grid.columns * grid.resolution_m, grid.rows * grid.resolution_m)
        position, place, normal = self.stage.terrain.ground_quads(grid.west_m, grid.north_m, size)
        data = np.concatenate([position, place, normal], axis=-1).reshape(-1, 8).astype("<f4")
        count = len(position)
        corners = np.arange(count, dtype=np.uint32)[:, None] * 4 + np.array([0, 1, 2, 0, 2, 3], np.uint32)
        self._ground_buffers = [self.context.buffer(data.tobytes()), self.context.buffer(corners.tobytes())]
        content = [(self._ground_buffers[0], "3f 2f 3f", "in_position", "in_uv", "in_normal")]
        self._ground_array, self._ground_depth = (
            self.context.vertex_array(self._programs[name], content, self._ground_buffers[1], skip_errors=True)
            for name in ("ground", "depth_ground")
        )

    def _draw_shadows(self) -> None:
        import moderngl

        context, mesh = self.context, self.stage.mesh
        self._sun_from_world = _sun_projection(self.light.sun, mesh, self.stage)
        self._shadow = context.depth_texture((_SHADOW_PX, _SHADOW_PX))
        target = context.framebuffer(depth_attachment=self._shadow)
        target.use()
        target.clear(depth=1.0)
        context.enable_only(moderngl.DEPTH_TEST)
        self.bind()
        for name in ("depth", "depth_leaves"):
            _set(self._programs[name], "clip_from_world", self._sun_from_world.T)
            _set(self._programs[name], "patterns", _PATTERNS)
        self._things.solid.draw("depth", range(len(self._things.solid.mesh.first)))
        self._things.cut_out.draw("depth_leaves", range(len(self._things.cut_out.mesh.first)))
        self._shadow.compare_func = "<="
        self._shadow.filter = (moderngl.LINEAR, moderngl.LINEAR)
        self._shadow.repeat_x = self._shadow.repeat_y = False
        self._units[_SHADOW] = self._shadow
        target.release()

    def _set_constants(self, program: Any) -> None:
        light, look = self.light, self.stage.look
        for name, unit in (
            ("patterns", _PATTERNS), ("ground", _GROUND), ("grain", _GRAIN), ("shadow_map", _SHADOW),
            ("lamp_map", _LAMPS),
        ):  # fmt: skip
            _set(program, name, unit)
        for name, value in (
            ("sun", light.sun), ("sun_colour", light.sun_colour), ("sky_colour", light.sky),
            ("bounce_colour", light.bounce), ("haze_colour", light.haze), ("snow", light.snow), ("night", light.night),
            ("sun_from_world", self._sun_from_world.T), ("lamp_area", self._lamp_area), ("zenith", light.zenith),
            ("horizon", light.horizon), ("hill_colour", light.hills), ("sun_disc", light.disc),
            ("clouds", light.clouds), ("hills", 1.0), ("phase", (look.sun_azimuth_deg % 7) / 7),
            ("grain_depth", self.stage.grain), ("taps", self._anisotropy),
        ):  # fmt: skip
            _set(program, name, value)


def _fine_structure() -> U8:
    """Noise (256, 256) that repeats without a seam, around 128."""
    noise = np.random.default_rng(23).normal(0, 1, (256, 256))
    layers = [gaussian_filter(noise, size, mode="wrap") for size in (0.5, 1.1, 2.6)]
    sums = sum(layer / layer.std() for layer in layers)
    return np.asarray(np.clip(128 + np.asarray(sums) * 26, 0, 255), dtype=np.uint8)


def _set(program: Any, name: str, value: Any) -> None:
    """Set a uniform where the compiler kept it."""
    if name in program:
        item = program[name]
        item.value = (
            value if isinstance(value, (int, float)) else tuple(np.asarray(value, dtype=float).ravel().tolist())
        )


def _seen(mesh: Mesh, clip_from_world: F64, eye: F64 | None) -> Any:
    """Indices of the chunks that may be in the image."""
    planes = np.concatenate([clip_from_world[3] + clip_from_world[:3], clip_from_world[3] - clip_from_world[:3]])
    planes = planes / np.linalg.norm(planes[:, :3], axis=1, keepdims=True)
    distance = mesh.centre @ planes[:, :3].T + planes[:, 3]
    seen = (distance > -mesh.radius[:, None]).all(axis=1)
    if eye is None:
        return np.flatnonzero(seen)
    away = np.linalg.norm(mesh.centre - eye, axis=1) - mesh.radius
    near = np.flatnonzero(seen & (away < FAR_SEEN_M))
    # The nearest first: what they hide need not be shaded.
    return near[np.argsort(away[near], kind="stable")]


def _sun_projection(sun: F64, mesh: Mesh, stage: Stage) -> F64:
    """Parallel projection (4, 4) along the sun's rays around all that stands."""
    aside = np.cross([0.0, 0.0, 1.0] if abs(sun[2]) < 0.99 else [0.0, 1.0, 0.0], sun)
    aside /= np.linalg.norm(aside)
    basis = np.stack([aside, np.cross(sun, aside), -sun])
    points = mesh.vertices["position"].astype(np.float64)
    if not len(points):
        points = np.zeros((1, 3))
    feet = np.column_stack([points[:, :2], stage.terrain.height(points[:, :2])])
    local = np.concatenate([points, feet]) @ basis.T
    low, high = local.min(axis=0) - 1.0, local.max(axis=0) + 1.0
    out = np.eye(4)
    out[:3, :3] = basis * (2 / (high - low))[:, None]
    out[:3, 3] = -(high + low) / (high - low)
    return out


def _lamp_light(stage: Stage) -> tuple[Any, tuple[float, float, float, float]]:
    """Light of the street lamps on the ground as a coarse raster (rows to the north), and its area."""
    grid = stage.grid
    if not stage.look.night or not len(stage.lamps):
        return np.zeros((1, 1, 3), np.uint8), (0.0, 0.0, 0.0, 0.0)
    across, down = grid.columns * grid.resolution_m, grid.rows * grid.resolution_m
    image = np.zeros((int(down / 2), int(across / 2)), np.float32)
    for x, y in (stage.lamps - [grid.west_m, grid.north_m - down]) / 2.0:
        if 0 <= x < image.shape[1] and 0 <= y < image.shape[0]:
            image[int(y), int(x)] += 1.0
    wide = cv2.GaussianBlur(image, (0, 0), 3.2) * 42 + cv2.GaussianBlur(image, (0, 0), 9.0) * 30
    colour = np.clip(wide[..., None] * np.array([255.0, 190.0, 110.0]) * 0.32, 0, 255).astype(np.uint8)
    return np.ascontiguousarray(colour), (grid.west_m, grid.north_m - down, across, down)
