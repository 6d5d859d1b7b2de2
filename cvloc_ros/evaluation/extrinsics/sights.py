# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""How well pictures at known poses agree with the map, as a function of how the camera is mounted.

A picture is laid onto the ground once, with a mounting that is about right. Its features then hang on the rays of the
camera: another mounting moves where the rays meet the ground, another offset what of the map lies there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from cvloc_ros.evaluation.extrinsics.frames import Circumstances, Frame
from cvloc_ros.ground import GroundGrid, GroundImage
from cvloc_ros.imaging.ground import BirdsEye
from cvloc_ros.imaging.mounting import to_camera
from cvloc_ros.matching.features import gradient_direction
from cvloc_ros.tiles import AerialMap
from cvloc_ros.types import F32, F64, AerialPatch, GroundView

MOST_RAYS = 1500
OFFSET_ROOM_M = 5.0
_LEAST_RAYS = 500
_ROOM_M = 2.0  # rays that may yet come to lie on imagery

Mounting = Sequence[float]
"""x, y, z (m), roll, pitch, yaw (rad), as in `cameras.<name>.mounting`."""


@dataclass(frozen=True, slots=True, eq=False)
class Sight:
    """The ground features of one picture.

    `rays` (N, 3) of the optical frame, `features` (N, 2) along east and north of the map, `weight` (N,), `reach_m` (N,)
    of the ground from the camera at the mounting that they were made with; `map_features` (H, W, 3): along +x and +y,
    and 1 where there is imagery; `px_from_base` (2, 3); `px_rad` is the angle of
    a pixel of the picture.
    """

    frame: Frame
    rays: F32
    features: F32
    weight: F32
    reach_m: F32
    map_features: F32
    px_from_base: F64
    px_per_m: float
    px_rad: float

    def agreement(self, T_base_camera: F64, offset_m: F64) -> F64:
        """Return correlations (K,), -1..1, for mountings (K, 4, 4) and what is added to imagery positions (K, 2)."""
        T = self.frame.T_level_base @ T_base_camera
        linear = self.px_from_base[:, :2]
        shift = self.px_from_base[:, 2] + T[:, :2, 3] @ linear.T + offset_m * [-self.px_per_m, self.px_per_m]
        turn = np.concatenate([linear @ T[:, :2, :3], T[:, 2:3, :3]], axis=1).astype(np.float32)
        seen = self.rays @ turn.transpose(0, 2, 1)
        down = seen[..., 2] < -1e-3
        length = T[:, 2, 3, None].astype(np.float32) / np.where(down, -seen[..., 2], np.float32(1.0))
        column, row = (seen[..., i] * length + shift[:, i, None].astype(np.float32) for i in (0, 1))
        found = np.asarray(cv2.remap(self.map_features, column, row, cv2.INTER_LINEAR), np.float32)
        x, y, weight = found[..., 0], found[..., 1], found[..., 2] * self.weight * down
        product = (weight * (self.features[:, 0] * x + self.features[:, 1] * y)).sum(axis=1)
        energy = weight @ np.square(self.features).sum(axis=1) * (weight * (x * x + y * y)).sum(axis=1)
        result: F64 = np.where(energy > 0, product / np.sqrt(np.maximum(energy, 1e-12)), 0.0).astype(np.float64)
        return result

    def thinned(self, rays: int, reach_m: float) -> Sight:
        """Keep at most so many rays, of ground nearer than `reach_m`."""
        near = np.flatnonzero(self.reach_m <= reach_m)
        chosen = near[:: max(1, len(near) // rays)]
        parts = {name: getattr(self, name)[chosen] for name in ("rays", "features", "weight", "reach_m")}
        return replace(self, **parts)


class SightMaker:
    """Makes `Sight`s; keeps the features of map patches."""

    def __init__(self, found: Circumstances, aerial: AerialMap) -> None:
        """Use the settings of the classical matcher for range and resolution."""
        self._found, self._aerial = found, aerial
        self._range_m = found.config.matcher.classical.range_m
        self._birds_eye = BirdsEye(tables=8)
        self._map: dict[tuple[object, ...], F32] = {}

    def make(self, frames: Sequence[Frame], mounting: Mounting) -> list[Sight]:
        """Lay pictures onto the ground; those that show too little of it, or of no imagery, are left out."""
        sights = []
        for number, frame in enumerate(frames):
            view = self._found.view(frame, mounting)
            sight = None if view is None else self._sight(frame, view, np.random.default_rng(number))
            if sight is not None:
                sights.append(sight)
        return sights

    def patch(self, frame: Frame) -> AerialPatch:
        """Return the map around a frame, with room for its offset."""
        return self._aerial.patch(frame.pose.xy, self._range_m + OFFSET_ROOM_M)

    def ground(self, frame: Frame, mounting: Mounting, grid: GroundGrid) -> GroundImage:
        """Return a picture laid onto the ground."""
        view = self._found.view(frame, mounting)
        return self._birds_eye([] if view is None else [view], grid)

    def _sight(self, frame: Frame, view: GroundView, rng: np.random.Generator) -> Sight | None:
        reach, resolution = self._range_m, self._found.config.tiles.resolution_m
        grid = GroundGrid(-reach, reach, -reach, reach, resolution)
        image = self._birds_eye([view], grid)
        features, trusted = gradient_direction(image.rgb, image.valid, resolution)
        weight = (trusted * image.weight).ravel()
        patch, points = self.patch(frame), grid.points().reshape(-1, 2)
        map_features = self._features(patch)
        imagery = sampled(map_features[..., 2], patch.px_from_map(frame.pose.apply(grid.points())))
        beside = cv2.dilate(imagery, np.ones((2 * round(_ROOM_M / resolution) + 1,) * 2, np.uint8))
        cells = np.flatnonzero((weight > 0) & (beside.ravel() > 0))
        if np.count_nonzero(imagery.ravel()[cells]) < _LEAST_RAYS:
            return None
        cells = np.sort(rng.permutation(cells)[:MOST_RAYS])
        points = points[cells]
        rays = to_camera(points, view.T_base_camera)
        rays /= np.linalg.norm(rays, axis=1, keepdims=True)
        turn = np.array(frame.pose.apply(np.eye(2)) - frame.pose.xy)
        along = features.reshape(2, -1).T[cells] @ turn.astype(np.float32)
        linear = np.linalg.inv(patch.map_from_px[:, :2])
        px_from_base = np.column_stack([linear @ turn.T, patch.px_from_map(frame.pose.xy)])
        reach_m = np.hypot(*(points - view.T_base_camera[:2, 3]).T).astype(np.float32)
        return Sight(
            frame, rays.astype(np.float32), along, weight[cells], reach_m, map_features, px_from_base,
            1.0 / patch.metres_per_px, _pixel_angle(view),
        )  # fmt: skip

    def _features(self, patch: AerialPatch) -> F32:
        if patch.key not in self._map:
            features, mask = gradient_direction(patch.rgb, patch.valid, patch.metres_per_px)
            self._map[patch.key] = np.ascontiguousarray(np.dstack([*features, mask]), np.float32)
        return self._map[patch.key]


def sampled(image: F32, uv: F64 | F32) -> F32:
    """Read an image at pixels (rows, columns, 2); 0 outside."""
    column, row = np.moveaxis(uv.astype(np.float32), -1, 0)
    return np.asarray(cv2.remap(image, column, row, cv2.INTER_LINEAR), np.float32)


def _pixel_angle(view: GroundView) -> float:
    middle = np.array([view.camera.width / 2, view.camera.height / 2])
    ray, beside = view.camera.unproject(np.stack([middle, middle + np.array([1.0, 0.0])]))
    return float(np.linalg.norm(ray - beside))
