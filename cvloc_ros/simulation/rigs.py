# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Sets of cameras: the demo's own, and ones close to the vehicles of public data sets."""

from __future__ import annotations

from cvloc_ros.errors import ConfigError
from cvloc_ros.simulation.scene import FRONT, REAR, CameraSpec

_NUSCENES = tuple(
    CameraSpec(name, x, y, 1.5, yaw, 0.5, width=800, height=450, focal_px=focal, distortion=())
    for name, x, y, yaw, focal in (
        ("front", 1.7, 0.0, 0.0, 633.0),
        ("front_left", 1.52, 0.49, 55.0, 636.0),
        ("front_right", 1.55, -0.49, -55.0, 630.0),
        ("back_left", 1.04, 0.48, 108.0, 628.0),
        ("back_right", 1.01, -0.48, -110.0, 629.0),
        ("back", 0.03, 0.0, 180.0, 404.0),
    )
)
_FISHEYE = tuple(
    CameraSpec(
        name,
        x,
        y,
        z,
        yaw,
        pitch,
        width=640,
        height=480,
        focal_px=205.0,
        distortion=(-0.012, -0.006, 0.002, -0.0006),
        lens="fisheye",
    )
    for name, x, y, z, yaw, pitch in (
        ("front", 3.1, 0.0, 0.75, 0.0, 12.0),
        ("left", 1.6, 1.0, 1.05, 90.0, 28.0),
        ("rear", -1.0, 0.0, 0.95, 180.0, 14.0),
        ("right", 1.6, -1.0, 1.05, -90.0, 28.0),
    )
)
RIGS: dict[str, tuple[CameraSpec, ...]] = {
    "demo": (FRONT, REAR),
    "kitti": (CameraSpec("front", 1.68, 0.06, 1.65, 0.0, 0.4, width=1242, height=375, focal_px=721.5, distortion=()),),
    "nuscenes": _NUSCENES,
    "fisheye": _FISHEYE,
    "panorama": (
        CameraSpec(
            "roof", 0.6, 0.0, 2.1, 0.0, 0.0, width=1024, height=512, focal_px=163.0, distortion=(), lens="panorama"
        ),
    ),
}
"""Sizes, heights and fields of view are close to those published for the data sets, the rest is ours."""


def rig(name: str) -> tuple[CameraSpec, ...]:
    """Return the cameras of a preset.

    Raises:
        ConfigError: there is none of this name.
    """
    if name not in RIGS:
        msg = f"rig = {name}: there are {', '.join(RIGS)}"
        raise ConfigError(msg)
    return RIGS[name]
