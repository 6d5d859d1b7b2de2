# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""From a camera model to perspective faces that cover it, and the table that takes their pixels to the model's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from cvloc_ros.errors import ConfigError
from cvloc_ros.types import F32, F64, CameraModel, Mask

_WIDEST = 2.4
"""Largest tangent of one perspective face; wider cameras are rendered as a cube."""
_MARGIN = 1.06
NEAR_M, FAR_M = 0.15, 1500.0
_CUBE = np.array(
    [
        [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
        [[0, 0, -1], [0, 1, 0], [1, 0, 0]],
        [[-1, 0, 0], [0, 1, 0], [0, 0, -1]],
        [[0, 0, 1], [0, 1, 0], [-1, 0, 0]],
        [[1, 0, 0], [0, 0, 1], [0, -1, 0]],
        [[1, 0, 0], [0, 0, -1], [0, 1, 0]],
    ],
    np.float64,
)
"""Rotations from the optical frame to the frames of the faces: front, right, back, left, up, down."""


@dataclass(frozen=True, slots=True, eq=False)
class Face:
    """One perspective image: rotation from the optical frame, tangents (left, top, right, bottom), place in px."""

    rotation: F64
    reach: tuple[float, float, float, float]
    viewport: tuple[int, int, int, int]

    def clip_from_optical(self) -> F64:
        """Projection (4, 4) to clip coordinates; the first row of pixels is the upper one."""
        left, top, right, bottom = self.reach
        n, f = NEAR_M, FAR_M
        projection = np.zeros((4, 4))
        projection[0, [0, 2]] = 2 / (right - left), -(right + left) / (right - left)
        projection[1, [1, 2]] = 2 / (bottom - top), -(bottom + top) / (bottom - top)
        projection[2, [2, 3]] = (f + n) / (f - n), -2 * f * n / (f - n)
        projection[3, 2] = 1.0
        turn = np.eye(4)
        turn[:3, :3] = self.rotation
        return np.asarray(projection @ turn)


@dataclass(frozen=True, slots=True, eq=False)
class ViewPlan:
    """How a camera is rendered: faces in an atlas of `size` (columns, rows), `table` (H, W, 4) of places in it.

    The table holds u, v in 0..1, the length of the ray per unit of depth, and whether there is a ray.
    """

    width: int
    height: int
    size: tuple[int, int]
    faces: tuple[Face, ...]
    table: F32


def plan_view(camera: CameraModel, detail: float = 1.0) -> ViewPlan:
    """Plan the rendering of a camera; `detail` is the number of rendered pixels per pixel of the image.

    Raises:
        ConfigError: the model has no ray in the image.
    """
    u, v = np.meshgrid(np.arange(camera.width, dtype=np.float64), np.arange(camera.height, dtype=np.float64))
    rays = camera.unproject(np.stack([u, v], axis=-1))
    there: Mask = np.asarray(np.isfinite(rays).all(axis=-1))
    if not there.any():
        msg = f"camera {camera.kind} of {camera.width}x{camera.height}: no pixel has a ray; check its focal length"
        raise ConfigError(msg)
    rays = np.where(there[..., None], rays, [0.0, 0.0, 1.0])
    with np.errstate(divide="ignore", invalid="ignore"):
        slope = rays[..., :2] / rays[..., 2:]
    if (rays[..., 2] > 0).all() and np.abs(slope).max() < _WIDEST:
        step = np.abs(np.diff(slope[..., 0], axis=1))[there[:, 1:] & there[:, :-1]]
        return _single(camera, slope, rays, there, detail / max(float(np.percentile(step, 30)), 1e-6))
    return _cube(camera, rays, there, detail * _density(rays, there))


def _density(rays: F64, there: Any) -> float:
    """Largest number of pixels per radian near the middle of the image."""
    both = there[:, 1:] & there[:, :-1]
    steps = np.linalg.norm(np.diff(rays, axis=1), axis=-1)[both]
    return float(1.0 / max(np.percentile(steps, 50), 1e-6))


def _single(camera: CameraModel, slope: F64, rays: F64, there: Any, focal: float) -> ViewPlan:
    low = slope[there].min(axis=0) - 3 / focal
    high = slope[there].max(axis=0) + 3 / focal
    focal = min(focal, 4096 / float((high - low).max()))
    columns, rows = (max(8, int(np.ceil(side * focal))) for side in (high - low))
    face = Face(np.eye(3), (float(low[0]), float(low[1]), float(high[0]), float(high[1])), (0, 0, columns, rows))
    table = np.zeros((camera.height, camera.width, 4), np.float32)
    table[..., :2] = (slope - low) / (high - low)
    table[..., 2] = 1 / np.maximum(rays[..., 2], 1e-9)
    table[..., 3] = there
    return ViewPlan(camera.width, camera.height, (columns, rows), (face,), table)


def _cube(camera: CameraModel, rays: F64, there: Any, focal: float) -> ViewPlan:
    along = np.stack([rays @ turn[2] for turn in _CUBE], axis=-1)
    chosen = along.argmax(axis=-1)
    used = [k for k in range(6) if (there & (chosen == k)).any()]
    focal = min(focal, 1000.0)
    side = int(np.ceil(2 * _MARGIN * focal))
    size = (side * len(used), side)
    table = np.zeros((camera.height, camera.width, 4), np.float32)
    faces = []
    for slot, k in enumerate(used):
        here = there & (chosen == k)
        local = rays[here] @ _CUBE[k].T
        place = (local[:, :2] / local[:, 2:] / _MARGIN + 1) / 2
        table[here, 0] = (place[:, 0] + slot) / len(used)
        table[here, 1] = place[:, 1]
        table[here, 2] = 1 / local[:, 2]
        faces.append(Face(_CUBE[k], (-_MARGIN, -_MARGIN, _MARGIN, _MARGIN), (slot * side, 0, side, side)))
    table[..., 3] = there
    return ViewPlan(camera.width, camera.height, size, tuple(faces), table)
