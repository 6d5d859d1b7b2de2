# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Finds the vehicle itself in a camera's images: it is what stays the same while the vehicle moves."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import cv2
import numpy as np

from cvloc_ros.imaging.mounting import ground_points, to_camera

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cvloc_ros.types import F32, F64, U8, CameraModel, Mask

_COLUMNS = 128
_SMOOTH_PX = 0.7  # of the reduced image, as are all that follow
_WINDOW_PX = 1.5
_NOISE = 3.0  # (grey levels per pixel) squared; detail weaker than this says nothing
_ALONG = 0.05  # weight of detail that runs along the motion, such as a kerb: it stays without being the vehicle
_HIGHEST_RAD = math.radians(-4.5)  # the horizon stays too
_AZIMUTH_STEP_RAD = math.radians(2.0)
_MARGIN_PX = 4  # blur of the windows, and of the vehicle's own movement on its springs
_MEMORY = 400


class OwnVehicleMask:
    """Gathers images of one camera over travelled distance and tells which pixels show the vehicle.

    The measure is the energy of the mean image over the mean energy of the images, both differentiated along the motion
    of the ground and taken in small windows: 1 where all stays in place, 1/n where everything moves. Parts without
    detail of their own (a bonnet) are filled in between the static detail above them and the lower edge of the view.
    Only pixels that look clearly below the horizon are judged; the others are left usable, as no ground is seen there.
    The vehicle is taken to drive along x of its base.
    """

    def __init__(
        self,
        camera: CameraModel,
        T_base_camera: F64,
        *,
        spacing_m: float = 2.0,
        frames_min: int = 12,
        static: float = 0.4,
    ) -> None:
        """Set the camera and its mounting.

        Args:
            camera: model of the images that are added.
            T_base_camera: mounting (4, 4).
            spacing_m: least travelled distance between images that count.
            frames_min: images that are needed before a mask is given.
            static: share of the energy (0..1) from which a window counts as part of the vehicle.
        """
        self._size = (camera.width, camera.height)
        self._small = (_COLUMNS, max(1, round(_COLUMNS * camera.height / camera.width)))
        self._spacing_m, self._frames_min, self._static = spacing_m, frames_min, static
        self._azimuth, self._elevation = _directions(camera, T_base_camera, self._small)
        self._motion = _motion(camera, T_base_camera, self._small)
        self._sum: F32 = np.zeros(self._small[::-1], np.float32)
        self._energy: F32 = np.zeros(self._small[::-1], np.float32)
        self._weight = 0.0
        self._last_m = -math.inf

    def add(self, rgb: U8, travelled_m: float) -> bool:
        """Take an image (H, W, 3) if the vehicle has moved on; `travelled_m` is the distance driven since any start."""
        if rgb.shape[:2] != self._size[::-1] or travelled_m - self._last_m < self._spacing_m:
            return False
        self._last_m = travelled_m
        grey = cv2.cvtColor(cv2.resize(rgb, self._small, interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY)
        level = cv2.GaussianBlur(grey.astype(np.float32), (0, 0), _SMOOTH_PX)
        down, right = np.gradient(level)
        detail = right * self._motion[..., 0] + down * self._motion[..., 1]
        if self._weight >= _MEMORY:
            self._sum *= 0.5
            self._energy *= 0.5
            self._weight *= 0.5
        self._sum += detail
        self._energy += detail * detail + _ALONG * (right * right + down * down)
        self._weight += 1.0
        return True

    def mask(self) -> Mask | None:
        """Return (H, W), False where the vehicle is seen; None until there are enough images."""
        if self._weight < self._frames_min:
            return None
        mean = self._sum / self._weight
        stays = cv2.GaussianBlur(mean * mean, (0, 0), _WINDOW_PX)
        all_of_it = cv2.GaussianBlur(self._energy / self._weight, (0, 0), _WINDOW_PX)
        fixed = (stays > self._static * (all_of_it + _NOISE)) & (self._elevation < _HIGHEST_RAD)
        fixed = _without_specks(fixed)
        vehicle = fixed | self._under(fixed)
        kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * _MARGIN_PX + 1, 2 * _MARGIN_PX + 1))
        grown = cv2.dilate(vehicle.astype(np.uint8), kernel)
        return np.asarray(cv2.resize(grown, self._size, interpolation=cv2.INTER_NEAREST) == 0)

    def _under(self, fixed: Mask) -> Mask:
        """Return what lies below the topmost fixed detail of each direction, if much of it is fixed."""
        tops = np.full(self._azimuth.max() + 1, -np.inf)
        np.maximum.at(tops, self._azimuth[fixed], self._elevation[fixed])
        below = self._elevation <= tops[self._azimuth]
        shares = np.bincount(self._azimuth[below], fixed[below], len(tops)) / np.maximum(
            np.bincount(self._azimuth[below], minlength=len(tops)), 1
        )
        return np.asarray(below & (shares > 0.3)[self._azimuth])


def _without_specks(fixed: Mask) -> Mask:
    count, labels, stats, _ = cv2.connectedComponentsWithStats(fixed.astype(np.uint8), connectivity=8)
    large = np.asarray(stats)[:, cv2.CC_STAT_AREA] >= 0.001 * fixed.size
    large[0] = False
    return np.asarray(large[labels]) if count > 1 else fixed


def _pixels(camera: CameraModel, small: tuple[int, int]) -> F64:
    """Return uv (rows, columns, 2) in the full image of the pixels of the reduced one."""
    v, u = np.mgrid[0 : small[1], 0 : small[0]].astype(np.float64)
    scale = np.array([camera.width / small[0], camera.height / small[1]])
    uv: F64 = (np.stack([u, v], axis=-1) + 0.5) * scale - 0.5
    return uv


def _directions(camera: CameraModel, T_base_camera: F64, small: tuple[int, int]) -> tuple[NDArray[np.int64], F64]:
    """Return bins of azimuth and the elevation (rad, +inf without a ray) of the pixels of the reduced image."""
    rays = camera.unproject(_pixels(camera, small)) @ T_base_camera[:3, :3].T
    azimuth = np.nan_to_num(np.arctan2(rays[..., 1], rays[..., 0]) + math.pi)
    elevation = np.arcsin(np.clip(rays[..., 2], -1.0, 1.0))
    return (azimuth / _AZIMUTH_STEP_RAD).astype(np.int64), np.where(np.isfinite(elevation), elevation, np.inf)


def _motion(camera: CameraModel, T_base_camera: F64, small: tuple[int, int]) -> F32:
    """Return unit vectors (rows, columns, 2) along which the ground moves through the reduced image; 0 where none."""
    uv = _pixels(camera, small)
    ground = ground_points(uv, camera, T_base_camera)
    step = 1e-3 * T_base_camera[2, 3]
    shift = camera.project(to_camera(ground + np.array([step, 0.0]), T_base_camera))[0] - uv
    shift *= np.array(small) / (camera.width, camera.height)
    length = np.linalg.norm(shift, axis=-1, keepdims=True)
    with np.errstate(all="ignore"):
        unit: F32 = np.nan_to_num(shift / length, posinf=0.0, neginf=0.0).astype(np.float32)
    return unit
