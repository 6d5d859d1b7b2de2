# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Pieces of the aerial patch in the size and direction that a network wants, their points, and the way to the map.

A network sees a square of fixed extent. A window that is larger than what one square tells about is covered by several,
on a lattice of the map, so that they serve while the vehicle moves on.
"""

from __future__ import annotations

import itertools
import math
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from cvloc_ros.matching.layers.views import to_tensor
from cvloc_ros.types import F64, AerialPatch

STEP_M = 4.0
"""Squares around the middle of a window are laid on this grid, unless told otherwise."""

STEP_RAD = math.radians(5.0)
"""They are turned by multiples of this."""

_KEPT = 32
_GREY = 0.5
_TIE_M = 1e-4
_REACH = 0.25
"""A vehicle within this part of the extent from the middle of a square has at least half of its ground in it."""


@dataclass(frozen=True, slots=True)
class Crop:
    """A square of the map: its centre (map metres), and the angle, counter-clockwise, that its right side points to."""

    x_m: float
    y_m: float
    turn_rad: float

    @property
    def xy(self) -> F64:
        """Centre (2,) in map metres."""
        return np.array([self.x_m, self.y_m])

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


class Square(NamedTuple):
    """What a network takes of the map: the side of a crop in metres, in pixels, and in the cells that it describes."""

    extent_m: float
    px: int
    cells: int


@dataclass(frozen=True, slots=True, eq=False)
class AerialSide:
    """A patch, its images on the device, and what was computed last of its crops, by model and crop."""

    patch: AerialPatch
    rgb: Tensor
    valid: Tensor
    codes: OrderedDict[tuple[str, Crop], tuple[Tensor, Tensor]] = field(default_factory=OrderedDict)

    def described(
        self, model: str, crop: Crop, square: Square, describe: Callable[[Tensor], Tensor]
    ) -> tuple[Tensor, Tensor]:
        """Return descriptors of a crop, and which of its cells (cells²,) have imagery; computed at its first use.

        `describe` gives the descriptors of an image (1, 3, px, px).
        """
        key = (model, crop)
        if key not in self.codes:
            image, valid = cut(self, crop, square.extent_m, square.px)
            self.codes[key] = describe(image), cell_validity(valid, square.cells)
            while len(self.codes) > _KEPT:
                self.codes.popitem(last=False)
        self.codes.move_to_end(key)
        return self.codes[key]


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """Probabilities (N, Ng) of aerial points (N, 2), internal metres of `crop`, with the points of the ground."""

    probability: Tensor
    points: Tensor
    crop: Crop


def to_device(patch: AerialPatch, device: torch.device) -> AerialSide:
    """Put a patch on the device."""
    size = (len(patch.rgb), patch.rgb.shape[1])
    valid = torch.from_numpy(np.require(patch.valid, requirements=("C", "W"))).to(device)[None, None].float()
    return AerialSide(patch, torch.where(valid > 0, to_tensor(patch.rgb, size, device), _GREY), valid)


def reach_m(extent_m: float, step_m: float = STEP_M) -> float:
    """How far a crop of this side reaches from what it was chosen for: turned any way, its centre snapped."""
    return (extent_m + step_m) / math.sqrt(2.0)


def crop_near(centre: F64, up_rad: float | None, step_m: float = STEP_M, step_rad: float = STEP_RAD) -> Crop:
    """Choose the crop around a map position (2,), on a coarse grid so that it serves many frames.

    `up_rad` is the direction, counter-clockwise from x of the map, that shall be up; None: north (y of the map).
    """
    x, y = (round(float(value) / step_m) * step_m for value in centre)
    turn = 0.0 if up_rad is None else round((up_rad - math.pi / 2) / step_rad) * step_rad
    return Crop(x, y, math.remainder(turn, math.tau))


def crops_over(near: Crop, centre: F64, radius_m: float, extent_m: float, most: int) -> list[Crop]:
    """Choose the crops that tell about a window around a map position (2,), the nearest to it first.

    `near` alone where the window is within its reach, a quarter of the extent; else squares, turned alike, half an
    extent apart, at most `most`: the farthest parts of a window that is larger yet are not looked at.
    """
    if most == 1 or radius_m <= _REACH * extent_m:
        return [near]
    pitch = extent_m / 2
    lattice = Crop(0.0, 0.0, near.turn_rad)
    middle = lattice.from_map(centre)
    ranges = [
        range(math.floor((value - radius_m) / pitch + 0.5), math.floor((value + radius_m) / pitch + 0.5) + 1)
        for value in middle
    ]
    places = np.array(list(itertools.product(*ranges)), dtype=np.float64) * pitch
    order = np.argsort(np.hypot(*(places - middle).T), kind="stable")[:most]
    return [Crop(float(x), float(y), near.turn_rad) for x, y in lattice.to_map(places[order])]


def compare_all(crops: Sequence[Crop], points: Tensor, compare: Callable[[Crop], Tensor]) -> Seen:
    """Compare with each crop, and join the aerial points: each place belongs to the crop whose middle is nearest.

    Args:
        crops: turned alike.
        points: (M, 2) internal metres of every crop.
        compare: gives the probabilities (M, Ng) of one crop.
    """
    first = crops[0]
    if len(crops) == 1:
        return Seen(compare(first), points, first)
    middles = torch.from_numpy(first.from_map(np.stack([crop.xy for crop in crops]))).to(points.device)
    later = _TIE_M * torch.arange(len(crops), device=points.device)  # of two equally near ones it is the first
    probabilities, places = [], []
    for number, crop in enumerate(crops):
        here = points.double() + middles[number]
        own = ((here[:, None] - middles).abs().amax(-1) + later).argmin(1) == number
        probabilities.append(compare(crop)[own])
        places.append(here[own])
    return Seen(torch.cat(probabilities), torch.cat(places).to(points.dtype), first)


def cut(side: AerialSide, crop: Crop, extent_m: float, size: int) -> tuple[Tensor, Tensor]:
    """Image (1, 3, size, size) and validity (1, 1, size, size) of a crop; beyond the patch it is grey and not valid.

    Where pixels become larger they are averaged, not skipped.
    """
    fine = max(1, math.floor(extent_m / size / side.patch.metres_per_px + 0.25))
    count = size * fine
    axis = (np.arange(count) + 0.5) * (extent_m / count) - extent_m / 2
    uv = side.patch.px_from_map(crop.to_map(np.stack(np.meshgrid(axis, axis, indexing="ij"), -1)))
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


def grid_axis(extent_m: float, cells: int, *, ends: bool) -> Tensor:
    """Coordinates (cells,) of a grid over an extent, metres, float64: the middles of its cells, or from end to end."""
    steps = cells - 1 if ends else cells
    return (torch.arange(cells, dtype=torch.float64) - (cells - 1) / 2) * (extent_m / steps)
