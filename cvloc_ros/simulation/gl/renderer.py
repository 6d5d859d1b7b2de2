# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Renders a stage: perspective faces for cameras, and the view from above."""

from __future__ import annotations

from types import TracebackType

from cvloc_ros.simulation.gl.context import open_context
from cvloc_ros.simulation.gl.scene_on_gpu import Actors, SceneOnGpu
from cvloc_ros.simulation.gl.stage import Stage
from cvloc_ros.simulation.gl.targets import AerialTarget, ViewTarget
from cvloc_ros.simulation.gl.views import ViewPlan, plan_view
from cvloc_ros.simulation.raster import Grid
from cvloc_ros.types import F32, F64, U8, CameraModel


class Renderer:
    """One stage on the GPU (or llvmpipe). Use it from the thread that made it, and close it."""

    def __init__(self, stage: Stage, *, anisotropy: float = 8.0, samples: int = 4) -> None:
        """Load a stage.

        Raises:
            GlError: there is no OpenGL here.
        """
        self.stage = stage
        self._context = open_context()
        self._samples = min(samples, int(self._context.max_samples))
        self._scene = SceneOnGpu(self._context, stage, anisotropy)
        self._targets: dict[int, tuple[CameraModel, ViewTarget]] = {}
        self._aerial: AerialTarget | None = None

    def __enter__(self) -> Renderer:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        self.close()

    def close(self) -> None:
        """Free what is on the GPU."""
        self._targets.clear()
        self._aerial = None
        self._scene.release()

    def view(self, camera: CameraModel, T_world_camera: F64, actors: Actors | None = None) -> U8:
        """Render the image (H, W, 3) RGB of a camera whose optical frame stands at `T_world_camera` (4, 4)."""
        target = self._target(camera)
        self._scene.load_actors(actors)
        target.draw_colour(self._scene, T_world_camera)
        return target.read_colour()

    def depth(self, camera: CameraModel, T_world_camera: F64, actors: Actors | None = None) -> F32:
        """Distance (H, W) along each pixel's ray to what is seen, metres; infinite in the sky."""
        target = self._target(camera)
        self._scene.load_actors(actors)
        target.draw_depth(self._scene, T_world_camera)
        return target.read_depth()

    def aerial(self, grid: Grid, lean: tuple[float, float] = (0.0, 0.0), actors: Actors | None = None) -> U8:
        """Render the world from above (rows, columns, 3), north up, by parallel rays.

        Args:
            grid: what to cover; its pixels should be no larger than 0.5 m.
            lean: displacement east and north per metre of height, as a survey camera off the nadir causes.
            actors: things that stand elsewhere from image to image.
        """
        self._scene.load_actors(actors)
        return self._from_above().render(self._scene, grid, lean)

    def heights(self, grid: Grid, lean: tuple[float, float] = (0.0, 0.0)) -> F32:
        """Height (rows, columns) in metres of what `aerial` shows in each pixel."""
        self._scene.load_actors(None)
        return self._from_above().heights(self._scene, grid, lean)

    def _from_above(self) -> AerialTarget:
        if self._aerial is None:
            self._aerial = AerialTarget(self._context, self._samples)
        return self._aerial

    def _target(self, camera: CameraModel) -> ViewTarget:
        kept = self._targets.get(id(camera))
        if kept is None or kept[0] is not camera:
            plan: ViewPlan = plan_view(camera)
            kept = (camera, ViewTarget(self._context, plan, self._samples))
            self._targets[id(camera)] = kept
        return kept[1]

