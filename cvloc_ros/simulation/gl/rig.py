# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The cameras of a drive, rendered by OpenGL: the same methods as those of the flat world's."""

from __future__ import annotations

import math

import numpy as np

from cvloc_ros.geo import se3
from cvloc_ros.simulation.camera import model, mounting
from cvloc_ros.simulation.gl.build import terrain_of
from cvloc_ros.simulation.gl.effects import Effects
from cvloc_ros.simulation.gl.mesh import Mesh
from cvloc_ros.simulation.gl.renderer import Renderer
from cvloc_ros.simulation.gl.stage import Stage
from cvloc_ros.simulation.gl.traffic import Traffic
from cvloc_ros.simulation.scene import CameraSpec, Scene
from cvloc_ros.simulation.world import World
from cvloc_ros.types import F32, F64, U8, Mask, Pose2


class Rig:
    """All cameras of a scene on one stage."""

    def __init__(self, world: World, stage: Stage) -> None:
        """Load the stage.

        Raises:
            GlError: there is no OpenGL here.
        """
        self.scene: Scene = world.scene
        self.renderer = Renderer(stage)
        self._traffic = Traffic(world, terrain_of(world.scene))
        self._kept: tuple[int, Mesh | None] = (-1, None)
        rng = world.scene.rng("springs")
        self._sway = rng.uniform(0, 2 * np.pi, 4)
        self.cameras = [
            RenderedCamera(spec, self, world.scene.rng(f"camera {spec.name}")) for spec in self.scene.cameras
        ]

    def T_world_base(self, pose: Pose2, frame: int = -1) -> F64:
        """Transform (4, 4) from base to the world; with a frame number the springs move too."""
        out = self.renderer.stage.terrain.base_pose(pose.x_m, pose.y_m, pose.yaw_rad)
        if frame < 0 or self.scene.sway_deg == 0:
            return out
        time_s, a = frame / self.scene.image_rate_hz, self._sway
        size = math.radians(self.scene.sway_deg)
        pitch = size * (0.6 * math.sin(5.1 * time_s + a[0]) + 0.4 * math.sin(1.7 * time_s + a[1]))
        roll = 0.7 * size * (0.6 * math.sin(4.3 * time_s + a[2]) + 0.4 * math.sin(1.3 * time_s + a[3]))
        return np.asarray(out @ se3.from_rpy(roll, pitch, 0.0))

    def actors(self, pose: Pose2, frame: int) -> Mesh | None:
        """Return what moves around a pose in a frame."""
        if self._kept[0] != frame:
            self._kept = (frame, self._traffic.at(frame / self.scene.image_rate_hz, pose.xy))
        return self._kept[1]

    def close(self) -> None:
        """Free what is on the GPU."""
        self.renderer.close()


class RenderedCamera:
    """One camera of the rig."""

    def __init__(self, spec: CameraSpec, rig: Rig, rng: np.random.Generator) -> None:
        self.spec, self._rig = spec, rig
        self.model = model(spec)
        self.T_base_camera = mounting(spec)
        self._effects = Effects(spec, rig.renderer.stage.look, rng)

    @property
    def mask(self) -> Mask:
        """(H, W) pixels that show the vehicle itself."""
        return self._effects.mask

    def render(self, pose: Pose2, frame: int) -> U8:
        """Render the image (H, W, 3) RGB at a true pose of base; `frame` chooses traffic, exposure and noise."""
        T_world_camera = self._rig.T_world_base(pose, frame) @ self.T_base_camera
        clean = self._rig.renderer.view(self.model, T_world_camera, self._rig.actors(pose, frame))
        return self._effects.apply(clean, frame)

    def depth(self, pose: Pose2, frame: int) -> F32:
        """Distance (H, W) along each pixel's ray, metres; what `render` shows, without the vehicle itself."""
        T_world_camera = self._rig.T_world_base(pose, frame) @ self.T_base_camera
        return self._rig.renderer.depth(self.model, T_world_camera, self._rig.actors(pose, frame))
