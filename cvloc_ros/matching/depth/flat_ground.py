# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Depth of a flat road, from the camera model and its mounting alone."""

from __future__ import annotations

import numpy as np

from cvloc_ros.errors import ImageError
from cvloc_ros.matching.depth.depth_map import Along, DepthMap, depth_axis
from cvloc_ros.types import F32, F64, GroundView

_STEP_PX = 4
"""Rays of lens models are slow to find, and the road is smooth: one depth for this many pixels."""


class FlatGround:
    """The plane z = 0 of base; NaN above the horizon. It needs no weights, and is wrong for all that is upright."""

    metric = True

    def __call__(self, view: GroundView) -> DepthMap:
        """Return the distance along the ray to the road."""
        width, height = view.camera.width, view.camera.height
        u, v = (np.arange(0, size, _STEP_PX) + (_STEP_PX - 1) / 2 for size in (width, height))
        uv = np.stack(np.meshgrid(u, v), axis=-1).astype(np.float64)
        return DepthMap(distance_to_ground(view, uv), "ray", metric=True)

    def close(self) -> None:
        """Nothing is held."""


def distance_to_ground(view: GroundView, uv: F64, along: Along = "ray") -> F32:
    """Return how far (...,) the road is along the rays (or the optical axis) of pixels (..., 2) of a view.

    NaN above the horizon and where the camera model has no ray.

    Raises:
        ImageError: the camera is not above the ground.
    """
    height_m = float(view.T_base_camera[2, 3])
    if height_m <= 0:
        msg = (
            f"camera {view.camera_name} is mounted at z = {height_m:g} m of base, which must be above the ground "
            "(z = 0); mend its mounting or TF, or take depth from another source"
        )
        raise ImageError(msg)
    rays = view.camera.unproject(uv)
    down = -(rays @ view.T_base_camera[2, :3])
    with np.errstate(divide="ignore", invalid="ignore"):
        distance = np.where(down > 1e-6, height_m / down, np.nan)
    if along == "axis":
        distance = distance * (rays @ depth_axis(view.camera))
    return np.asarray(np.where(distance > 0, distance, np.nan), dtype=np.float32)
