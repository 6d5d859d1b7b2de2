# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Camera models: pinhole with distortion, fisheye, panorama. All implement `types.CameraModel`.

Models are values: equal parameters make equal models, so that tables computed for one are found again.
`project` gives NaN where a point has no image at all, and a finite uv with mask False where it lies outside the image.
Rays of `unproject` may lie outside the image; they are NaN only where the model itself ends.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cvloc_ros.imaging import distortion

if TYPE_CHECKING:
    from cvloc_ros.types import F64, Mask


def _in_image(u: F64, v: F64, width: int, height: int) -> Mask:
    """Tell whether the pixel at (u, v) belongs to the image; NaN does not."""
    return (u >= -0.5) & (u < width - 0.5) & (v >= -0.5) & (v < height - 0.5)


@dataclass(frozen=True, slots=True)
class Pinhole:
    """Perspective camera; `coefficients` are k1, k2, p1, p2, k3, k4, k5, k6 of plumb_bob or rational_polynomial.

    Focal lengths and principal point in pixels of this image. Points behind the camera, and beyond the radius where
    the distortion polynomial turns back, have no image.
    """

    width: int
    height: int
    fx: float
    fy: float
    cx: float
    cy: float
    coefficients: distortion.Coefficients = (0.0,) * 8

    @property
    def kind(self) -> str:
        """Name of the model as in `sensor_msgs/distortion_models.hpp`."""
        return "rational_polynomial" if any(self.coefficients[5:]) else "plumb_bob"

    def project(self, points: F64) -> tuple[F64, Mask]:
        """Project points (..., 3) of the optical frame to uv (..., 2) px; the mask tells which are in the image."""
        z = points[..., 2]
        with np.errstate(all="ignore"):
            scale = np.where(z > 0.0, 1.0 / z, np.nan)
            x, y = points[..., 0] * scale, points[..., 1] * scale
            if any(self.coefficients):
                beyond = x * x + y * y > distortion.radius_limit(self.coefficients) ** 2
                x, y = distortion.distort(np.where(beyond, np.nan, x), y, self.coefficients)
        uv = np.empty((*z.shape, 2))
        np.multiply(x, self.fx, out=uv[..., 0])
        np.multiply(y, self.fy, out=uv[..., 1])
        uv += (self.cx, self.cy)
        return uv, _in_image(uv[..., 0], uv[..., 1], self.width, self.height)

    def unproject(self, uv: F64) -> F64:
        """Turn pixels (..., 2) into unit rays (..., 3) of the optical frame; NaN where the model has none."""
        x, y = (uv[..., 0] - self.cx) / self.fx, (uv[..., 1] - self.cy) / self.fy
        x, y = distortion.undistort(x, y, self.coefficients)
        rays = np.stack([x, y, np.ones_like(x)], axis=-1)
        return rays / np.sqrt(1.0 + x * x + y * y)[..., None]


@dataclass(frozen=True, slots=True)
class Fisheye:
    """Equidistant camera; `coefficients` are k1 to k4. Rays may point backwards, up to where the polynomial ends."""

    width: int
    height: int
    fx: float
    fy: float
    cx: float
    cy: float
    coefficients: distortion.Coefficients = (0.0,) * 4

    @property
    def kind(self) -> str:
        """Name of the model as in `sensor_msgs/distortion_models.hpp`."""
        return "equidistant"

    def project(self, points: F64) -> tuple[F64, Mask]:
        """Project points (..., 3) of the optical frame to uv (..., 2) px; the mask tells which are in the image."""
        x, y, z = points[..., 0], points[..., 1], points[..., 2]
        off_axis = np.hypot(x, y)
        theta = np.arctan2(off_axis, z)
        # Straight backwards, and at the camera itself, no direction in the image is defined.
        beyond = (theta > distortion.angle_limit(self.coefficients)) | ((off_axis == 0.0) & (z <= 0.0))
        radius = np.where(beyond, np.nan, distortion.bend(theta, self.coefficients))
        scale = radius / np.where(off_axis > 0.0, off_axis, 1.0)
        uv = np.stack([x * scale * self.fx + self.cx, y * scale * self.fy + self.cy], axis=-1)
        return uv, _in_image(uv[..., 0], uv[..., 1], self.width, self.height)

    def unproject(self, uv: F64) -> F64:
        """Turn pixels (..., 2) into unit rays (..., 3) of the optical frame; NaN where the model has none."""
        x, y = (uv[..., 0] - self.cx) / self.fx, (uv[..., 1] - self.cy) / self.fy
        radius = np.hypot(x, y)
        theta = distortion.unbend(radius, self.coefficients)
        scale = np.sin(theta) / np.where(radius > 0.0, radius, 1.0)
        return np.stack([x * scale, y * scale, np.cos(theta)], axis=-1)


@dataclass(frozen=True, slots=True)
class Equirectangular:
    """Panorama over 360 degrees: azimuth along the columns, elevation along the rows.

    The middle column looks along z of the optical frame, columns to the right look to its right. The top edge of the
    image is at elevation `top_rad` above the horizon plane y = 0, the bottom edge at `bottom_rad`.
    """

    width: int
    height: int
    top_rad: float = math.pi / 2
    bottom_rad: float = -math.pi / 2

    @property
    def kind(self) -> str:
        """Name of the model in the configuration."""
        return "equirectangular"

    def project(self, points: F64) -> tuple[F64, Mask]:
        """Project points (..., 3) of the optical frame to uv (..., 2) px; the mask tells which are in the image."""
        x, y, z = points[..., 0], points[..., 1], points[..., 2]
        flat = np.hypot(x, z)
        u = (np.arctan2(x, z) / math.tau + 0.5) * self.width - 0.5
        u = np.where(u >= self.width - 0.5, u - self.width, u)
        v = (self.top_rad - np.arctan2(-y, flat)) / (self.top_rad - self.bottom_rad) * self.height - 0.5
        uv = np.stack([u, v], axis=-1)
        uv = np.where(((flat == 0.0) & (y == 0.0))[..., None], np.nan, uv)
        # The lower pole lies on the last edge of a full panorama and still belongs to it.
        inside = (v >= -0.5) & (v <= self.height - 0.5)
        return uv, inside & np.isfinite(uv[..., 1])

    def unproject(self, uv: F64) -> F64:
        """Turn pixels (..., 2) into unit rays (..., 3) of the optical frame; NaN above and below the image."""
        azimuth = ((uv[..., 0] + 0.5) / self.width - 0.5) * math.tau
        share = (uv[..., 1] + 0.5) / self.height
        elevation = self.top_rad + share * (self.bottom_rad - self.top_rad)
        elevation = np.where((share >= 0.0) & (share <= 1.0), elevation, np.nan)
        flat = np.cos(elevation)
        return np.stack([flat * np.sin(azimuth), -np.sin(elevation), flat * np.cos(azimuth)], axis=-1)


@dataclass(frozen=True, slots=True)
class Rotated:
    """A camera whose image axes are turned against its optical frame, as a rectified stereo image is.

    `rotation` (9 numbers, by rows) takes the optical frame to the frame of `camera`.
    """

    camera: Pinhole
    rotation: tuple[float, ...]

    @property
    def kind(self) -> str:
        """Name of the model that is turned."""
        return self.camera.kind

    @property
    def width(self) -> int:
        """Columns of the image."""
        return self.camera.width

    @property
    def height(self) -> int:
        """Rows of the image."""
        return self.camera.height

    def project(self, points: F64) -> tuple[F64, Mask]:
        """Project points (..., 3) of the optical frame to uv (..., 2) px; the mask tells which are in the image."""
        return self.camera.project(points @ np.reshape(self.rotation, (3, 3)).T)

    def unproject(self, uv: F64) -> F64:
        """Turn pixels (..., 2) into unit rays (..., 3) of the optical frame; NaN where the model has none."""
        rays: F64 = self.camera.unproject(uv) @ np.reshape(self.rotation, (3, 3))
        return rays
