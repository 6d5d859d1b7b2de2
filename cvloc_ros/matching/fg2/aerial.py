# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Pieces of the aerial patch in the size and direction that the network wants, and the way back to the map."""

from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from cvloc_ros.types import F64, AerialPatch

_STEP_M = 4.0
_STEP_RAD = math.radians(5.0)
_KEPT = 6
_GREY = 0.5


@dataclass(frozen=True, slots=True)
class Crop:
    """A square of the map: its centre (map metres), and the angle, counter-clockwise, that its right side points to."""

    x_m: float
    y_m: float
    turn_rad: float

    def to_map(self, points: F64) -> F64:
        """Take internal points (..., 2), axis 0 down and axis 1 right, to map metres."""
        c, s = math.cos(self.turn_rad), math.sin(self.turn_rad)
        right, up = points[..., 1], -points[..., 0]
        moved: F64 = np.stack([self.x_m + c * right - s * up, self.y_m + s * right + c * up], -1)
        return moved

    def from_map(self, points: F64) -> F64:
        """Take map metres (..., 2) to internal points."""
        c, s = math.cos(self.turn_rad), math.sin(self.turn_rad)
        x, y = points[..., 0] - self.x_m, points[..., 1] - self.y_m
        moved: F64 = np.stack([s * x - c * y, c * x + s * y], -1)
        return moved


@dataclass(frozen=True, slots=True, eq=False)
class AerialSide:
    """A patch on the device, and the descriptors of the crops that were asked for last, by model and crop."""

    rgb: Tensor
    valid: Tensor
    codes: OrderedDict[tuple[str, Crop], tuple[Tensor, Tensor]] = field(default_factory=OrderedDict)

    def keep(self, key: tuple[str, Crop], code: tuple[Tensor, Tensor]) -> None:
        """Keep descriptors and validity of one crop."""
        self.codes[key] = code
        while len(self.codes) > _KEPT:
            self.codes.popitem(last=False)


def to_device(patch: AerialPatch, device: torch.device) -> AerialSide:
    """Put a patch on the device."""
    rgb = torch.from_numpy(np.ascontiguousarray(patch.rgb)).to(device).permute(2, 0, 1)[None].float() / 255.0
    valid = torch.from_numpy(np.ascontiguousarray(patch.valid)).to(device)[None, None].float()
    return AerialSide(torch.where(valid > 0, rgb, _GREY), valid)


def reach_m(extent_m: float) -> float:
    """How far a crop of this side reaches from what it was chosen for: turned any way, its centre snapped."""
    return (extent_m + _STEP_M) / math.sqrt(2.0)


def crop_near(centre: F64, up_rad: float | None) -> Crop:
    """Choose the crop around a map position (2,), on a coarse grid so that it serves many frames.

    `up_rad` is the direction, counter-clockwise from x of the map, that shall be up; None: north (y of the map).
    """
    x, y = (round(float(value) / _STEP_M) * _STEP_M for value in centre)
    turn = 0.0 if up_rad is None else round((up_rad - math.pi / 2) / _STEP_RAD) * _STEP_RAD
    return Crop(x, y, math.remainder(turn, math.tau))


def cut(side: AerialSide, patch: AerialPatch, crop: Crop, extent_m: float, size: int) -> tuple[Tensor, Tensor]:
    """Image (1, 3, size, size) and validity (1, 1, size, size) of a crop; beyond the patch it is grey and not valid.

    Where pixels become larger they are averaged, not skipped.
    """
    fine = max(1, math.floor(extent_m / size / patch.metres_per_px + 0.25))
    count = size * fine
    axis = (np.arange(count) + 0.5) * (extent_m / count) - extent_m / 2
    uv = patch.px_from_map(crop.to_map(np.stack(np.meshgrid(axis, axis, indexing="ij"), -1)))
    rows, cols = side.valid.shape[2:]
    where = torch.from_numpy((2.0 * uv + 1.0) / [cols, rows] - 1.0).to(side.rgb)[None]
    image = functional.grid_sample(side.rgb - _GREY, where, align_corners=False) + _GREY
    valid = functional.grid_sample(side.valid, where, align_corners=False)
    if fine > 1:
        image, valid = functional.avg_pool2d(image, fine), functional.avg_pool2d(valid, fine)
    return image, valid


def cell_validity(valid: Tensor, cells: int) -> Tensor:
    """Which aerial cells (cells²,) are mostly covered by imagery."""
    return functional.adaptive_avg_pool2d(valid, cells).flatten() > 0.5
