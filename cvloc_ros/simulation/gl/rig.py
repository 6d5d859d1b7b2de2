# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The cameras of a drive, rendered by OpenGL: the same methods as those of the flat world's."""

from __future__ import annotations

import numpy as np

from cvloc_ros.geo import se3
from cvloc_ros.simulation.blur import MotionBlur
from cvloc_ros.simulation.camera import model, mounting
from cvloc_ros.simulation.gl.build import terrain_of
from cvloc_ros.simulation.gl.correspond import Measured
from cvloc_ros.simulation.gl.effects import Effects
from cvloc_ros.simulation.gl.mesh import Mesh
from cvloc_ros.simulation.gl.renderer import Renderer
from cvloc_ros.simulation.gl.stage import Stage
from cvloc_ros.simulation.gl.traffic import Traffic
from cvloc_ros.simulation.ride import Ride
from cvloc_ros.simulation.scene import IMAGE_OFFSET_S, CameraSpec, Scene
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
        self.ride = Ride(world)
        self.cameras = [
            RenderedCamera(spec, self, world.scene.rng(f"camera {spec.name}")) for spec in self.scene.cameras
        ]

    def T_world_base(self, pose: Pose2, frame: int = -1, later_s: float = 0.0) -> F64:
        """Transform (4, 4) from base to the world; with a frame number the springs move too, `later_s` on."""
        time_s = IMAGE_OFFSET_S + frame / self.scene.image_rate_hz + later_s
        return self.ride.T_world_base(pose, None if frame < 0 else time_s)

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
        self._blur: MotionBlur | None = None

    @property
    def mask(self) -> Mask:
        """(H, W) pixels that show the vehicle itself."""
        return self._effects.mask

    @property
    def clear(self) -> Mask:
        """(H, W) pixels that show what lies along their rays: not the vehicle, and not through drops or dirt."""
        return self._effects.clear

    def render(self, pose: Pose2, frame: int, ends: tuple[Pose2, Pose2] | None = None) -> U8:
        """Render the image (H, W, 3) RGB at a true pose of base.

        Args:
            pose: in the middle of the exposure.
            frame: chooses traffic, exposure and noise.
            ends: poses at begin and end of the exposure; without them nothing is blurred by motion.
        """
        T_world_camera = self.T_world_camera(pose, frame)
        clean = self._rig.renderer.view(self.model, T_world_camera, self._rig.actors(pose, frame))
        if ends is not None and self._rig.scene.look.exposure_s > 0:
            clean = self._blurred(clean, pose, frame, ends)
        return self._effects.apply(clean, frame)

    def depth(self, pose: Pose2, frame: int) -> F32:
        """Distance (H, W) along each pixel's ray, metres; what `render` shows, without the vehicle itself."""
        T_world_camera = self.T_world_camera(pose, frame)
        return self._rig.renderer.depth(self.model, T_world_camera, self._rig.actors(pose, frame))

    def T_world_camera(self, pose: Pose2, frame: int, later_s: float = 0.0) -> F64:
        """Transform (4, 4) from the optical frame to the world."""
        there: F64 = self._rig.T_world_base(pose, frame, later_s) @ self.T_base_camera
        return there

    def measured(self, pose: Pose2, frame: int, depth: F32) -> Measured:
        """Put what `depth` gave together with where the camera was."""
        return Measured(self.model, self.T_world_camera(pose, frame), depth, self.clear)

    def _blurred(self, image: U8, pose: Pose2, frame: int, ends: tuple[Pose2, Pose2]) -> U8:
        if self._blur is None:
            self._blur = MotionBlur(self.model)
        half = self._rig.scene.look.exposure_s / 2
        middle = se3.inverse(self.T_world_camera(pose, frame))
        begin, end = (middle @ self.T_world_camera(at, frame, t) for at, t in zip(ends, (-half, half), strict=True))
        return self._blur.apply(image, self.depth(pose, frame), begin, end)
