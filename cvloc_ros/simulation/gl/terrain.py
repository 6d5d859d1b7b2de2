# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Slopes of the ground: a smooth height field, the same for drive and map."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cvloc_ros.simulation.heights import HeightField
from cvloc_ros.types import F32, F64

_STEP_M = 4.0


@dataclass(frozen=True, slots=True, eq=False)
class Terrain:
    """Height as a sum of waves (K, 5): east and north wave number (rad/m), amplitude (m), phase (rad), unused."""

    waves: F64
    field: HeightField | None = None
    """Real heights, on which the waves lie."""

    @classmethod
    def flat(cls) -> Terrain:
        """Return the plane z = 0."""
        return cls(np.zeros((0, 5)))

    @classmethod
    def rolling(cls, rng: np.random.Generator, rise_m: float) -> Terrain:
        """Return hills of about this height (m), hundreds of metres long."""
        if rise_m <= 0:
            return cls.flat()
        length, angle = rng.uniform(140.0, 420.0, 6), rng.uniform(0, 2 * np.pi, 6)
        number = 2 * np.pi / length
        amplitude = rise_m * length / length.sum()
        columns = (number * np.cos(angle), number * np.sin(angle), amplitude, rng.uniform(0, 2 * np.pi, 6), 0 * number)
        return cls(np.column_stack(columns))

    def height(self, points: F64) -> F64:
        """Height (...,) in metres at points (..., 2)."""
        phase = points @ self.waves[:, :2].T + self.waves[:, 3]
        waves = np.asarray((np.sin(phase) * self.waves[:, 2]).sum(axis=-1))
        return waves if self.field is None else waves + self.field.height(points)

    def slope(self, points: F64) -> F64:
        """Rise per metre (..., 2) east and north at points (..., 2)."""
        phase = points @ self.waves[:, :2].T + self.waves[:, 3]
        waves = np.asarray((np.cos(phase) * self.waves[:, 2]) @ self.waves[:, :2])
        return waves if self.field is None else waves + self.field.slope(points)

    def base_pose(self, x_m: float, y_m: float, yaw_rad: float) -> F64:
        """Transform (4, 4) from a vehicle that stands here to the world, pitched and rolled as the ground is."""
        point = np.array([x_m, y_m])
        rise = self.slope(point)
        up = np.array([-rise[0], -rise[1], 1.0])
        up /= np.linalg.norm(up)
        ahead = np.array([np.cos(yaw_rad), np.sin(yaw_rad), 0.0])
        ahead[2] = -(ahead[0] * up[0] + ahead[1] * up[1]) / up[2]
        ahead /= np.linalg.norm(ahead)
        out = np.eye(4)
        out[:3, :3] = np.column_stack([ahead, np.cross(up, ahead), up])
        out[:3, 3] = [x_m, y_m, float(self.height(point))]
        return out

    def ground_quads(self, west_m: float, north_m: float, size_m: tuple[float, float]) -> tuple[F32, F32, F32]:
        """Mesh of the ground three times as wide as the world, as positions, pattern places and normals (N, 4, ...).

        Beyond its edges the world is mirrored.
        """
        across, down = size_m
        step = _STEP_M if len(self.waves) or self.field is not None else max(size_m)
        x = np.unique(np.concatenate([west_m + across * (k + np.linspace(0, 1, int(np.ceil(across / step)) + 1))
                                      for k in (-1, 0, 1)]).round(6))  # fmt: skip
        y = np.unique(np.concatenate([north_m - down * (k + np.linspace(0, 1, int(np.ceil(down / step)) + 1))
                                      for k in (-1, 0, 1)]).round(6))  # fmt: skip
        points = np.stack(np.meshgrid(x, y), axis=-1)
        z, rise = self.height(points), self.slope(points)
        position = np.concatenate([points, z[..., None]], axis=-1)
        normal = np.concatenate([-rise, np.ones_like(z)[..., None]], axis=-1)
        normal /= np.linalg.norm(normal, axis=-1, keepdims=True)
        place = (points - [west_m, north_m]) / [across, -down]
        place = 1 - np.abs(1 - np.abs(place))

        def quads(values: F64) -> F32:
            parts = [values[:-1, :-1], values[:-1, 1:], values[1:, 1:], values[1:, :-1]]
            return np.stack(parts, axis=2).reshape(-1, 4, values.shape[-1]).astype(np.float32)

        return quads(position), quads(place), quads(normal)
