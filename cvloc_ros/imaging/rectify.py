# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Views of an ideal pinhole camera out of any camera, for overlays and for networks trained on such views."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from cvloc_ros.errors import ImageError
from cvloc_ros.imaging.ground_table import pyramid
from cvloc_ros.imaging.models import Pinhole

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cvloc_ros.types import F64, U8, CameraModel, Mask

Rotation = tuple[float, ...]
"""9 numbers by rows; takes rays of the ideal view to the optical frame of the camera."""

STRAIGHT: Rotation = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
_WIDEST_RAD = math.radians(170.0)


def ideal_pinhole(width: int, height: int, horizontal_fov_rad: float) -> Pinhole:
    """Make a camera without distortion, its axis in the middle of the image.

    Raises:
        ImageError: the field of view is not between 0 and 170 degrees, or there are no pixels.
    """
    if not 0.0 < horizontal_fov_rad <= _WIDEST_RAD or width <= 0 or height <= 0:
        msg = (
            f"ideal view of {width}x{height} px over {math.degrees(horizontal_fov_rad):.1f} deg; it needs pixels, and "
            f"more than 0 and at most {math.degrees(_WIDEST_RAD):.0f} deg; split wider views"
        )
        raise ImageError(msg)
    focal = 0.5 * width / math.tan(0.5 * horizontal_fov_rad)
    return Pinhole(width, height, focal, focal, 0.5 * (width - 1), 0.5 * (height - 1))


@dataclass(frozen=True, slots=True, eq=False)
class Rectification:
    """Lookup from an ideal view into the image of a camera.

    `valid` (height, width) tells where the camera sees anything; elsewhere the view is black.
    """

    view: Pinhole
    valid: Mask
    _size: tuple[int, int]
    _level: int
    _xy: NDArray[np.int16]
    _fraction: NDArray[np.uint16]
    _border: int

    def __call__(self, rgb: U8) -> U8:
        """Return the ideal view (height, width, 3) of one image of the camera.

        Raises:
            ImageError: the image has another size than the camera.
        """
        if rgb.shape[:2] != self._size:
            msg = f"image of shape {rgb.shape}, its camera model is for {self._size}; use the model for this image size"
            raise ImageError(msg)
        source = pyramid(rgb, self._level + 1)[-1]
        out = cv2.remap(source, self._xy, self._fraction, cv2.INTER_LINEAR, borderMode=self._border)
        out[~self.valid] = 0
        return np.asarray(out, np.uint8)


@functools.lru_cache(maxsize=16)
def rectification(camera: CameraModel, view: Pinhole, rotation: Rotation = STRAIGHT) -> Rectification:
    """Return the lookup from `view` into `camera`; the last 16 are kept."""
    v, u = np.mgrid[0 : view.height, 0 : view.width].astype(np.float64)
    rays = view.unproject(np.stack([u, v], axis=-1)) @ np.reshape(rotation, (3, 3)).T
    uv, valid = camera.project(rays)
    level = _level(camera, view, uv[valid])
    size = np.array([camera.width, camera.height])
    scale = np.maximum(1, size >> level) / size
    maps = (np.where(valid[..., None], (uv + 0.5) * scale - 0.5, -1.0)).astype(np.float32)
    xy, fraction = cv2.convertMaps(maps[..., 0], maps[..., 1], cv2.CV_16SC2)
    border = cv2.BORDER_WRAP if camera.kind == "equirectangular" else cv2.BORDER_REPLICATE
    return Rectification(
        view,
        valid,
        (camera.height, camera.width),
        level,
        np.asarray(xy, np.int16),
        np.asarray(fraction, np.uint16),
        border,
    )


def _level(camera: CameraModel, view: Pinhole, uv: F64) -> int:
    """Choose the pyramid level whose pixels are about as fine as those of the view where they meet."""
    if not len(uv):
        return 0
    middle = uv[len(uv) // 2]
    steps = np.array([[0.0, 0.0], [0.5, 0.0], [0.0, 0.5]])
    rays = camera.unproject(middle + steps)
    angle_camera = 2.0 * math.sqrt(float(np.linalg.norm(np.cross(rays[1] - rays[0], rays[2] - rays[0]))))
    angle_view = 1.0 / view.fx
    if not angle_camera > 0.0:
        return 0
    return int(np.clip(round(math.log2(max(angle_view / angle_camera, 1.0))), 0, 5))
