# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Pixels of a ground view and where the aerial image shows the same point, with what hides it there."""

from __future__ import annotations

import enum
from dataclasses import dataclass, replace

import numpy as np

from cvloc_ros.geo import se3
from cvloc_ros.simulation.gl.renderer import Renderer
from cvloc_ros.simulation.gl.terrain import Terrain
from cvloc_ros.simulation.raster import Grid
from cvloc_ros.simulation.registration import covering, registration_error, true_places
from cvloc_ros.simulation.scene import Scene
from cvloc_ros.types import F32, F64, U8, AerialPatch, CameraModel, Mask

_GROUND_M = 0.08
_SAME_M = 0.3
_REACH_M = 80.0


class Seen(enum.IntEnum):
    """What the aerial image shows where a point lies."""

    VISIBLE = 0
    OCCLUDED = 1
    """Something higher: a roof, a crown, the wall that the point is on, a building that leans over it."""
    ABSENT = 2
    """Something lower: the thing was not there when the map was flown, such as a vehicle, or is too thin."""


@dataclass(frozen=True, slots=True, eq=False)
class PixelPairs:
    """Pixels of one view and their places: N points.

    `ground_uv` (N, 2) and `aerial_uv` (N, 2) are column and row, px, in the view and the patch; `points` (N, 3) are
    true places in the world, m; `depth_m` (N,) distances along the rays; `on_ground` (N,) tells ground from what stands
    on it; `seen` (N,) holds `Seen`.
    """

    ground_uv: F64
    aerial_uv: F64
    points: F64
    depth_m: F64
    on_ground: Mask
    seen: U8

    @property
    def visible(self) -> Mask:
        """(N,) points that both images show."""
        return np.asarray(self.seen == Seen.VISIBLE)


class Heights:
    """Heights of what a patch shows, in the true world (without the registration error)."""

    def __init__(self, scene: Scene, renderer: Renderer, grid: Grid) -> None:
        """Render them for the grid of a patch."""
        corners = np.array([[x, y] for x in (0.5, grid.columns - 0.5) for y in (0.5, grid.rows - 0.5)])
        shown = corners * grid.resolution_m * [1.0, -1.0] + [grid.west_m, grid.north_m]
        self._grid: Grid = covering(grid, true_places(scene, shown)) if scene.map_error_m else replace(grid)
        self._height = renderer.heights(self._grid, scene.lean)
        self.terrain: Terrain = renderer.stage.terrain

    def seen(self, leaned: F64, height: F64) -> U8:
        """Say of points that appear at places (N, 2) and have heights (N,) what is `Seen` (N,) there."""
        rows, columns = self._height.shape
        u, v = np.rint(self._grid.px(leaned)).astype(np.int64).T
        here = self._height[np.clip(v, 0, rows - 1), np.clip(u, 0, columns - 1)]
        highest = np.full(len(u), -np.inf)
        for dv in (-1, 0, 1):
            for du in (-1, 0, 1):
                near = self._height[np.clip(v + dv, 0, rows - 1), np.clip(u + du, 0, columns - 1)]
                highest = np.maximum(highest, near)
        # A point of a wall lies between roof and ground: it is seen by nobody above, though the ground beside it is.
        other = np.where(highest > height + _SAME_M, Seen.OCCLUDED, Seen.ABSENT)
        return np.where(np.abs(here - height) <= _SAME_M, Seen.VISIBLE, other).astype(np.uint8)


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """A view with its truth: model, place (4, 4) of the optical frame in the world, distance (H, W) along the rays.

    Only pixels of `clear` (H, W) show what lies along their rays.
    """

    camera: CameraModel
    T_world_camera: F64
    depth: F32
    clear: Mask


def correspondences(
    scene: Scene, patch: AerialPatch, heights: Heights, view: Measured, count: int, rng: np.random.Generator
) -> PixelPairs:
    """Draw up to `count` pixels of a view whose points lie in the patch, and say where."""
    depth = view.depth
    good = np.flatnonzero((view.clear & (depth < _REACH_M)).ravel())
    chosen = np.sort(rng.choice(good, min(4 * count, len(good)), replace=False))
    uv = np.stack([chosen % depth.shape[1], chosen // depth.shape[1]], axis=-1).astype(np.float64)
    far = depth.ravel()[chosen].astype(np.float64)
    points = se3.apply(view.T_world_camera, view.camera.unproject(uv) * far[:, None])
    leaned = points[:, :2] + points[:, 2:] * np.array(scene.lean)
    aerial = patch.px_from_map(leaned + registration_error(scene, leaned))
    rows, columns = patch.rgb.shape[:2]
    inside = ((aerial > 0) & (aerial < [columns - 1, rows - 1])).all(axis=1)
    kept = np.flatnonzero(inside)
    if len(kept) > count:
        kept = np.sort(rng.choice(kept, count, replace=False))
    points, leaned = points[kept], leaned[kept]
    on_ground = np.abs(points[:, 2] - heights.terrain.height(points[:, :2])) < _GROUND_M
    seen = heights.seen(leaned, points[:, 2])
    return PixelPairs(uv[kept], aerial[kept], points, far[kept], np.asarray(on_ground), seen)
