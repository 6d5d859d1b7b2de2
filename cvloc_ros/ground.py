# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The ground around the vehicle as a raster, and the bird's-eye view on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from cvloc_ros.types import F32, F64, U8, GroundView, Mask


@dataclass(frozen=True, slots=True)
class GroundGrid:
    """A raster on the ground plane z = 0 of a base frame: +x (forward) to the right, +y (left) up."""

    x_min_m: float
    x_max_m: float
    y_min_m: float
    y_max_m: float
    resolution_m: float

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns)."""
        return (
            round((self.y_max_m - self.y_min_m) / self.resolution_m),
            round((self.x_max_m - self.x_min_m) / self.resolution_m),
        )

    def points(self) -> F64:
        """Cell centres (rows, columns, 2) in metres."""
        rows, cols = self.shape
        x = self.x_min_m + (np.arange(cols) + 0.5) * self.resolution_m
        y = self.y_max_m - (np.arange(rows) + 0.5) * self.resolution_m
        return np.stack(np.broadcast_arrays(x[None, :], y[:, None]), axis=-1).astype(np.float64)


@dataclass(frozen=True, slots=True, eq=False)
class GroundImage:
    """Bird's-eye view of one or several cameras on a `GroundGrid`.

    `rgb` (rows, columns, 3) u8, `valid` (rows, columns) bool, `weight` (rows, columns) f32 in 0..1: how finely
    the camera sampled the cell (0 where invalid).
    """

    rgb: U8
    valid: Mask
    weight: F32
    grid: GroundGrid


class GroundProjector(Protocol):
    """Makes a bird's-eye view; implemented in `imaging`, handed to matchers that want one."""

    def __call__(self, views: Sequence[GroundView], grid: GroundGrid) -> GroundImage:
        """Project views of one stamp (their `T_ref_base` is ignored) onto the ground of their base frame."""
