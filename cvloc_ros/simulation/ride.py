# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""How the vehicle stands in space while it drives: on the slope of the ground, pitching and rolling on its springs."""

from __future__ import annotations

import numpy as np

from cvloc_ros.simulation.gl.terrain import Terrain
from cvloc_ros.simulation.scene import Scene
from cvloc_ros.simulation.world import World
from cvloc_ros.types import F64, Pose2


class Ride:
    """Places of base in the world, pitch and roll included; the same for cameras, inertial sensors and truth."""

    def __init__(self, world: World) -> None:
        scene: Scene = world.scene
        self.terrain = _terrain(scene)
        self._recorded = world.replayed
        self._size = np.radians(scene.sway_deg)
        self._phase = scene.rng("springs").uniform(0, 2 * np.pi, 4)

    def sway(self, time_s: F64) -> F64:
        """Roll and pitch (..., 2) of the body against the ground, rad; as recorded where that is known."""
        t, a = np.asarray(time_s, np.float64), self._phase
        pitch = self._size * (0.6 * np.sin(5.1 * t + a[0]) + 0.4 * np.sin(1.7 * t + a[1]))
        roll = 0.7 * self._size * (0.6 * np.sin(4.3 * t + a[2]) + 0.4 * np.sin(1.3 * t + a[3]))
        own = np.stack([roll, pitch], axis=-1)
        return own if self._recorded is None else own + self._recorded.sway(t)

    def transforms(self, poses: F64, time_s: F64 | None = None) -> F64:
        """Transforms (N, 4, 4) from base to the world at poses (N, 3); without times the springs rest."""
        points, yaw = poses[:, :2], poses[:, 2]
        rise = self.terrain.slope(points)
        up = np.column_stack([-rise, np.ones(len(poses))])
        up /= np.linalg.norm(up, axis=1, keepdims=True)
        ahead = np.column_stack([np.cos(yaw), np.sin(yaw), np.zeros(len(poses))])
        ahead[:, 2] = -(ahead[:, :2] * up[:, :2]).sum(axis=1) / up[:, 2]
        ahead /= np.linalg.norm(ahead, axis=1, keepdims=True)
        out = np.tile(np.eye(4), (len(poses), 1, 1))
        out[:, :3, :3] = np.stack([ahead, np.cross(up, ahead), up], axis=-1)
        out[:, :2, 3], out[:, 2, 3] = points, self.terrain.height(points)
        if time_s is not None:
            out[:, :3, :3] = out[:, :3, :3] @ _tilts(self.sway(time_s))
        return out

    def T_world_base(self, pose: Pose2, time_s: float | None = None) -> F64:
        """Return one transform (4, 4)."""
        at = None if time_s is None else np.array([time_s])
        one: F64 = self.transforms(np.array([[pose.x_m, pose.y_m, pose.yaw_rad]]), at)[0]
        return one


def _terrain(scene: Scene) -> Terrain:
    if scene.renderer == "flat":
        return Terrain.flat()
    from cvloc_ros.simulation.gl.build import terrain_of

    return terrain_of(scene)


def _tilts(sway: F64) -> F64:
    """Rotations (N, 3, 3) by roll and pitch (N, 2)."""
    (cr, cp), (sr, sp) = np.cos(sway).T, np.sin(sway).T
    zero = np.zeros_like(cr)
    rows = [[cp, sp * sr, sp * cr], [zero, cr, -sr], [-sp, cp * sr, cp * cr]]
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)
