# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Ground views: the painted ground seen through the exact camera model, with sky, exposure, noise and bonnet."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from cvloc_ros.geo import se3
from cvloc_ros.imaging.models import Equirectangular, Fisheye, Pinhole
from cvloc_ros.simulation import facades
from cvloc_ros.simulation.raster import Grid
from cvloc_ros.simulation.scene import CameraSpec
from cvloc_ros.simulation.uprights import Curtain, Kind, Roofs, Uprights
from cvloc_ros.types import F32, F64, U8, Mask, Pose2

_LEVELS = 7
_OVERSAMPLE = 2
_HAZE = np.array([196.0, 203.0, 210.0], np.float32)
_HAZE_M = 420.0
_ROW = 256
_BINS_PER_PX = 2.0


def model(spec: CameraSpec) -> Pinhole | Fisheye | Equirectangular:
    """Return the exact camera model of a specification."""
    if spec.lens == "panorama":
        return Equirectangular(spec.width, spec.height)
    if spec.lens == "fisheye":
        bend = (tuple(spec.distortion) + (0.0,) * 4)[:4]
        middle = (spec.width - 1) / 2 + 1.7, (spec.height - 1) / 2 - 2.2
        return Fisheye(spec.width, spec.height, spec.focal_px, spec.focal_px * 1.001, *middle, bend)
    coefficients = tuple(spec.distortion) + (0.0,) * (8 - len(spec.distortion))
    centre = (spec.width - 1) / 2 + 3.4, (spec.height - 1) / 2 - 2.2
    return Pinhole(spec.width, spec.height, spec.focal_px, spec.focal_px * 1.001, *centre, coefficients)


def mounting(spec: CameraSpec) -> F64:
    """Transform (4, 4) from the optical frame to base."""
    roll, pitch, yaw = (math.radians(angle) for angle in (spec.roll_deg, spec.pitch_deg, spec.yaw_deg))
    body = se3.from_rpy(roll, pitch, yaw, (spec.x_m, spec.y_m, spec.z_m))
    optical = np.eye(4)
    optical[:3, :3] = [[0, 0, 1], [-1, 0, 0], [0, -1, 0]]
    return np.asarray(body @ optical)


class GroundPyramid:
    """The painted ground at halved resolutions, so that distant ground is averaged instead of flickering."""

    def __init__(self, grid: Grid, image: U8) -> None:
        self.grid = grid
        self.levels = [image]
        for _ in range(_LEVELS - 1):
            size = max(1, self.levels[-1].shape[1] // 2), max(1, self.levels[-1].shape[0] // 2)
            self.levels.append(np.asarray(cv2.resize(self.levels[-1], size, interpolation=cv2.INTER_AREA)))

    def sample(self, level: int, points: F32) -> U8:
        """Colours (N, W, 3) of map points (N, W, 2) at one level."""
        affine = self.grid.px_from_map()
        scale = np.float32(0.5**level)
        u = (points[..., 0] * np.float32(affine[0, 0]) + np.float32(affine[0, 2] + 0.5)) * scale - np.float32(0.5)
        v = (points[..., 1] * np.float32(affine[1, 1]) + np.float32(affine[1, 2] + 0.5)) * scale - np.float32(0.5)
        colours = cv2.remap(self.levels[level], u, v, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
        return np.asarray(colours)


@dataclass(frozen=True, slots=True, eq=False)
class Rays:
    """What a camera looks at from base, per pixel of the oversampled image (2 H, W): never changes in a drive."""

    direction: F64
    """(2 H, W, 3) unit rays in base."""
    ground: F64
    """(2 H, W, 2) points on the ground of base, metres; NaN above the horizon."""
    distance: F64
    """(2 H, W) along the ground, metres; infinite above the horizon."""


def cast_rays(spec: CameraSpec) -> Rays:
    """Compute the rays of a camera, rows sampled twice."""
    u, v = np.meshgrid(
        np.arange(spec.width, dtype=np.float64),
        (np.arange(spec.height * _OVERSAMPLE) + 0.5) / _OVERSAMPLE - 0.5,
    )
    T_base_camera = mounting(spec)
    direction = model(spec).unproject(np.stack([u, v], axis=-1)) @ T_base_camera[:3, :3].T
    with np.errstate(divide="ignore", invalid="ignore"):
        reach = np.where(direction[..., 2] < -1e-4, -spec.z_m / direction[..., 2], np.nan)
        ground = direction[..., :2] * reach[..., None] + T_base_camera[:2, 3]
        distance = np.linalg.norm(ground - T_base_camera[:2, 3], axis=-1)
    return Rays(direction, ground, np.nan_to_num(distance, nan=np.inf))


class SimulatedCamera:
    """Renders one camera of the rig."""

    def __init__(
        self, spec: CameraSpec, ground: GroundPyramid, uprights: Uprights, rng: np.random.Generator
    ) -> None:
        self.spec = spec
        self.rays = cast_rays(spec)
        self._pyramid = ground
        self._backdrop_view = _UprightView(spec, self.rays, uprights)
        self._groups = _by_level(self.rays, ground.grid.resolution_m, rng)
        self._backdrop = _sky(self.rays)
        self._haze = haze(self.rays.distance.ravel())
        self.mask = own_vehicle(spec)
        self._body = _bodywork(spec, self.mask)
        self._noise = [rng.normal(0, 2.6, (spec.height, spec.width, 3)).astype(np.int16) for _ in range(6)]
        self._gain = _vignette(spec)

    def render(self, pose: Pose2, frame: int, ends: tuple[Pose2, Pose2] | None = None) -> U8:
        """Render the image (H, W, 3) RGB at a true pose of base; `frame` chooses exposure and noise.

        Exposures are short here: `ends` blur nothing.
        """
        del ends
        image = self._backdrop.copy()
        cos, sin = np.float32(math.cos(pose.yaw_rad)), np.float32(math.sin(pose.yaw_rad))
        flat = image.reshape(-1, 3)
        for level, index, points in self._groups:
            x = cos * points[..., 0] - sin * points[..., 1] + np.float32(pose.x_m)
            y = sin * points[..., 0] + cos * points[..., 1] + np.float32(pose.y_m)
            colours = self._pyramid.sample(level, np.stack([x, y], axis=-1)).reshape(-1, 3)[: len(index)]
            veil = self._haze[index]
            flat[index] = colours if level < 2 else colours * (1 - veil) + _HAZE * veil
        self._backdrop_view.draw(flat, pose)
        size = (self.spec.width, self.spec.height)
        return self._expose(np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), dtype=np.uint8), frame)

    def _expose(self, image: U8, frame: int) -> U8:
        exposure = np.float32(1.0 + 0.05 * math.sin(frame * 0.11) + 0.015 * math.sin(frame * 1.7))
        lit = np.asarray(cv2.multiply(image, self._gain * exposure, dtype=cv2.CV_16S))
        lit[self.mask] = self._body[self.mask]
        noise = np.roll(self._noise[frame % len(self._noise)], (frame * 37) % self.spec.height, axis=0)
        return np.asarray(np.clip(lit + noise, 0, 255), dtype=np.uint8)


class _UprightView:
    """Draws what stands upright over the ground of one camera."""

    def __init__(self, spec: CameraSpec, rays: Rays, uprights: Uprights) -> None:
        self._uprights = uprights
        self._eye = (spec.x_m, spec.y_m, spec.z_m)
        flat = rays.direction.reshape(-1, 3)
        turned = np.arctan2(flat[:, 1], flat[:, 0]) - math.radians(spec.yaw_deg)
        azimuth = (turned + np.pi) % (2 * np.pi) - np.pi
        self._pixels = np.flatnonzero(rays.distance.ravel() > 2.0)
        azimuth = azimuth[self._pixels]
        low, high = float(azimuth.min()), float(azimuth.max())
        count = int(spec.width * _BINS_PER_PX)
        self._azimuth = np.linspace(low, high, count) + math.radians(spec.yaw_deg)
        self._bin = np.rint((azimuth - low) / (high - low) * (count - 1)).astype(np.int32)
        rise = flat[self._pixels]
        self._slope = (rise[:, 2] / np.hypot(rise[:, 0], rise[:, 1])).astype(np.float32)
        # Steepest first: what a curtain can cover is then one range of pixels.
        order = np.argsort(-self._slope, kind="stable")
        self._pixels, self._bin, self._slope = self._pixels[order], self._bin[order], self._slope[order]

    def draw(self, image: U8, pose: Pose2) -> None:
        """Draw into the flattened oversampled image (2 H W, 3) of a pose of base."""
        x, y, _ = self._eye
        eye = pose.apply(np.array([x, y]))
        angle = self._azimuth + pose.yaw_rad
        direction = np.stack([np.cos(angle), np.sin(angle)], axis=-1)
        depth = np.full(len(self._pixels), np.inf, np.float32)
        for curtain in self._uprights.seen_from(eye, direction):
            self._draw_curtain(image, depth, curtain)
            if curtain.kind is Kind.HOUSE:
                self._draw_roofs(image, depth, self._uprights.roofs(curtain, eye, direction))

    def _draw_curtain(self, image: U8, depth: F32, curtain: Curtain) -> None:
        is_car, eye_m = curtain.kind is Kind.CAR, np.float32(self._eye[2])
        top = facades.car_top(curtain.along, curtain.length, curtain.top) if is_car else curtain.top
        there = np.isfinite(curtain.distance)
        lowest = np.where(there, (curtain.bottom - eye_m) / curtain.distance, np.float32(np.inf))
        highest = np.where(there, (top - eye_m) / curtain.distance, np.float32(-np.inf))
        first, last = np.searchsorted(-self._slope, [-highest.max(), -lowest.min()], side="left")
        slope, bins = self._slope[first:last], self._bin[first:last]
        hit = first + np.flatnonzero((slope >= lowest[bins]) & (slope <= highest[bins]))
        hit = hit[curtain.distance[self._bin[hit]] < depth[hit]]
        height = eye_m + curtain.distance[self._bin[hit]] * self._slope[hit]
        if curtain.kind is Kind.CROWN:
            bins = self._bin[hit]
            leaves = facades.ragged(curtain.along[bins], height, curtain.bottom[bins], top[bins], curtain.look[bins])
            hit, height = hit[leaves], height[leaves]
        bins = self._bin[hit]
        spots = facades.Spots(curtain.along[bins], height, curtain.length[bins], top[bins], curtain.look[bins])
        colour = facades.colours(curtain.kind, spots) * curtain.light[bins, None]
        self._blend(image, depth, hit, curtain.distance[bins], colour)

    def _draw_roofs(self, image: U8, depth: F32, roofs: Roofs) -> None:
        reach = np.where(roofs.half_length > 0, np.float32(0.0), np.float32(np.inf))
        above = int(np.searchsorted(-self._slope, 0.0))
        high = np.flatnonzero(self._slope[:above] > reach[self._bin[:above]])
        distance, along, height = roofs.hit(self._bin[high], self._slope[high], self._eye[2])
        seen = np.flatnonzero(distance < depth[high])
        hit = high[seen]
        colour = facades.roof_colours(along[seen], height[seen], roofs.look[self._bin[hit]])
        self._blend(image, depth, hit, distance[seen], colour)

    def _blend(self, image: U8, depth: F32, hit: NDArray[np.int64], distance: F32, colour: F32) -> None:
        veil = haze(distance)
        image[self._pixels[hit]] = np.clip(colour * (1 - veil) + _HAZE * veil, 0, 255)
        depth[hit] = distance


def haze(distance_m: NDArray[np.floating[Any]]) -> F32:
    """Share (N, 1) of the haze's colour at distances (N,)."""
    return np.asarray((1.0 - np.exp(-distance_m / _HAZE_M))[:, None], dtype=np.float32)


def _by_level(
    rays: Rays, resolution_m: float, rng: np.random.Generator
) -> list[tuple[int, NDArray[np.int64], F32]]:
    """Group the ground pixels by the level that fits their footprint; between two levels they are dithered."""
    across = np.linalg.norm(np.gradient(rays.ground, axis=1), axis=-1)
    along = np.linalg.norm(np.gradient(rays.ground, axis=0), axis=-1)
    footprint = np.maximum(np.minimum(across, along), np.maximum(across, along) / 2.0)
    lod = np.log2(np.maximum(footprint / resolution_m, 1.0)) + rng.uniform(0, 1, footprint.shape)
    level = np.where(np.isfinite(lod), np.clip(np.nan_to_num(lod), 0, _LEVELS - 1), -1).astype(np.int64)
    groups = []
    for value in range(_LEVELS):
        index = np.flatnonzero(level == value)
        if len(index):
            padded = np.concatenate([index, np.repeat(index[-1:], -len(index) % _ROW)])
            points = rays.ground.reshape(-1, 2)[padded].reshape(-1, _ROW, 2).astype(np.float32)
            groups.append((value, index, points))
    return groups


def _sky(rays: Rays) -> U8:
    rise = np.clip(rays.direction[..., 2], 0, 1)[..., None] ** 0.7
    return np.asarray(np.clip(_HAZE + rise * (np.array([118.0, 158.0, 212.0]) - _HAZE), 0, 255).astype(np.uint8))


def own_vehicle(spec: CameraSpec) -> Mask:
    """Tell which pixels (H, W) show the vehicle itself."""
    if spec.lens != "pinhole":
        u, v = np.meshgrid(np.arange(spec.width, dtype=np.float64), np.arange(spec.height, dtype=np.float64))
        rays = model(spec).unproject(np.stack([u, v], axis=-1)) @ mounting(spec)[:3, :3].T
        # The roof below the camera, or the side of the body.
        down = -0.86 if spec.lens == "panorama" else -0.9
        return np.asarray((rays[..., 2] < down) | ~np.isfinite(rays).all(axis=-1))
    u, v = np.meshgrid(np.linspace(-1, 1, spec.width), np.arange(spec.height))
    rise = 0.09 if abs(spec.yaw_deg) < 90 else 0.06
    return np.asarray(v > spec.height * (1.0 - rise * (1.0 - 0.55 * u**2)))


def _bodywork(spec: CameraSpec, mask: Mask) -> U8:
    rows = np.linspace(0, 1, spec.height)[:, None, None]
    columns = np.linspace(-1, 1, spec.width)[None, :, None]
    shine = np.exp(-((columns - 0.25) ** 2) / 0.08) * 42
    image = np.clip(np.array([52.0, 60.0, 72.0]) + shine + (1 - rows) * 300, 20, 235)
    edge = mask & ~np.roll(mask, 2, axis=0)
    image[edge] = (28, 30, 34)
    return np.asarray(image.astype(np.uint8))


def _vignette(spec: CameraSpec) -> F32:
    u, v = np.meshgrid(np.linspace(-1, 1, spec.width), np.linspace(-1, 1, spec.height) * spec.height / spec.width)
    gain = 1.03 - 0.14 * (u**2 + v**2)
    return np.repeat(gain[..., None], 3, axis=2).astype(np.float32)
