# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The aerial half of Loc²: what is cut from a patch, its grid of points, and descriptors that are kept."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
import torch

from cvloc_ros.types import F32, F64, U8, AerialPatch, Mask, Pose2

_KEPT = 4


@dataclass(frozen=True, slots=True)
class Crop:
    """A square of the map: its centre, and the yaw of its right-hand direction (0: north up)."""

    centre: Pose2
    extent_m: float

    def points(self, cells: int, *, published: bool = False) -> F64:
        """Map points (cells², 2) of the grid, by rows from the top; published: with its ends on the edges."""
        half_m = self.extent_m / 2
        half_m -= 0.0 if published else half_m / cells
        axis = np.linspace(-half_m, half_m, cells)
        x, y = np.meshgrid(axis, -axis)
        return self.centre.apply(np.stack([x, y], axis=-1).reshape(-1, 2).astype(np.float64))

    def cut(self, patch: AerialPatch, size_px: int) -> tuple[U8, Mask]:
        """Resample the patch to (size_px, size_px, 3) and its mask; outside of the patch there is no imagery."""
        step = self.extent_m / size_px
        shrink = step / patch.metres_per_px
        rgb, valid = patch.rgb, patch.valid.astype(np.uint8)
        if shrink > 1.5:  # a plain resampling would skip pixels
            rgb = np.asarray(cv2.GaussianBlur(rgb, (0, 0), 0.5 * shrink), dtype=np.uint8)
        corners = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])  # uv of the crop
        metres = (corners + 0.5) * step - self.extent_m / 2
        there = patch.px_from_map(self.centre.apply(metres * np.array([1.0, -1.0])))
        to_patch = np.column_stack([there[1] - there[0], there[2] - there[0], there[0]])
        how = cv2.WARP_INVERSE_MAP
        size = (size_px, size_px)
        picture = cv2.warpAffine(rgb, to_patch, size, flags=cv2.INTER_LINEAR | how, borderMode=cv2.BORDER_REPLICATE)
        mask = cv2.warpAffine(valid, to_patch, size, flags=cv2.INTER_NEAREST | how, borderValue=(0.0,))
        return np.asarray(picture, dtype=np.uint8), np.asarray(mask, dtype=bool)


@dataclass(frozen=True, slots=True, eq=False)
class AerialHalf:
    """Descriptors (D, cells²) of a crop, its map points (cells², 2), and which of them have imagery (cells²,)."""

    descriptors: torch.Tensor
    points: F64
    valid: torch.Tensor


class KeptHalves:
    """The halves that were computed of one patch; this is what `AerialCode.data` holds."""

    def __init__(self, patch: AerialPatch) -> None:
        """Hold none yet: which part of the patch is needed is known with the search window."""
        self.patch = patch
        self._halves: OrderedDict[Crop, AerialHalf] = OrderedDict()

    def get(self, crop: Crop, compute: Callable[[AerialPatch, Crop], AerialHalf]) -> AerialHalf:
        """Return the half of a crop, computed at its first use."""
        if crop not in self._halves:
            self._halves[crop] = compute(self.patch, crop)
            if len(self._halves) > _KEPT:
                self._halves.popitem(last=False)
        self._halves.move_to_end(crop)
        return self._halves[crop]


def place_crop(
    centre: Pose2, extent_m: float, step_m: float, turn_rad: float | None, turn_step_rad: float
) -> Crop:
    """Lay a crop around a pose on a grid of places and turns; `turn_rad` None is north up."""
    turn = 0.0 if turn_rad is None else round(turn_rad / turn_step_rad) * turn_step_rad
    x, y = (round(value / step_m) * step_m for value in (centre.x_m, centre.y_m))
    return Crop(Pose2(x, y, math.remainder(turn, math.tau)), extent_m)


def cell_mask(valid: Mask, cells: int) -> Mask:
    """Cells (cells²,) of which at least half has imagery."""
    share: F32 = np.asarray(cv2.resize(valid.astype(np.float32), (cells, cells), interpolation=cv2.INTER_AREA))
    return np.asarray(share.ravel() >= 0.5)
