# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Axis-aligned rectangle."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cvloc_ros.errors import GeoError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from cvloc_ros.types import F64, Mask


@dataclass(frozen=True, slots=True)
class Box2:
    """A closed rectangle in whatever unit its coordinates have; it may have no area but is never inside out."""

    x_min: float
    y_min: float
    x_max: float
    y_max: float

    def __post_init__(self) -> None:
        """Refuse an inverted or non-finite box.

        Raises:
            GeoError: a maximum is below its minimum, or a side is not finite.
        """
        sides = (self.x_min, self.y_min, self.x_max, self.y_max)
        if not all(map(math.isfinite, sides)) or self.x_min > self.x_max or self.y_min > self.y_max:
            text = f"box (x_min, y_min, x_max, y_max) = {sides} is inverted or not finite"
            raise GeoError(text)

    @classmethod
    def around(cls, point: ArrayLike, radius: float) -> Box2:
        """Return the square of half side `radius` about a point (2,)."""
        x, y = (float(value) for value in np.asarray(point, dtype=np.float64))
        return cls(x - radius, y - radius, x + radius, y + radius)

    @classmethod
    def bounding(cls, points: ArrayLike) -> Box2:
        """Return the smallest box around points (..., 2)."""
        flat = np.asarray(points, dtype=np.float64).reshape(-1, 2)
        if not len(flat):
            text = "no points to bound; at least one is needed"
            raise GeoError(text)
        low, high = flat.min(axis=0), flat.max(axis=0)
        return cls(float(low[0]), float(low[1]), float(high[0]), float(high[1]))

    @property
    def width(self) -> float:
        """Extent along x."""
        return self.x_max - self.x_min

    @property
    def height(self) -> float:
        """Extent along y."""
        return self.y_max - self.y_min

    @property
    def centre(self) -> F64:
        """Centre (2,)."""
        return np.array([(self.x_min + self.x_max) / 2, (self.y_min + self.y_max) / 2])

    def corners(self) -> F64:
        """Return the corners (4, 2), counter-clockwise from the lower left."""
        return np.array(
            [[self.x_min, self.y_min], [self.x_max, self.y_min], [self.x_max, self.y_max], [self.x_min, self.y_max]]
        )

    def contains(self, points: ArrayLike) -> Mask:
        """Tell for points (..., 2) whether they lie inside or on the edge."""
        xy = np.asarray(points, dtype=np.float64)
        inside = (xy >= (self.x_min, self.y_min)) & (xy <= (self.x_max, self.y_max))
        return np.asarray(inside.all(axis=-1), dtype=np.bool_)

    def encloses(self, other: Box2) -> bool:
        """Tell whether the other box lies within this one."""
        return bool(self.contains(other.corners()).all())

    def intersect(self, other: Box2) -> Box2 | None:
        """Return the common part, or None; boxes that only touch share a part without area."""
        x_min, x_max = max(self.x_min, other.x_min), min(self.x_max, other.x_max)
        y_min, y_max = max(self.y_min, other.y_min), min(self.y_max, other.y_max)
        return Box2(x_min, y_min, x_max, y_max) if x_min <= x_max and y_min <= y_max else None

    def dilate(self, margin: float) -> Box2:
        """Move every side outwards.

        Raises:
            GeoError: a negative margin turned the box inside out.
        """
        return Box2(self.x_min - margin, self.y_min - margin, self.x_max + margin, self.y_max + margin)

    def snap(self, grid: float) -> Box2:
        """Grow to the next lines of a grid of this spacing.

        Raises:
            GeoError: the spacing is not positive.
        """
        if not grid > 0.0:
            text = f"grid spacing {grid} must be positive"
            raise GeoError(text)
        return Box2(
            math.floor(self.x_min / grid) * grid,
            math.floor(self.y_min / grid) * grid,
            math.ceil(self.x_max / grid) * grid,
            math.ceil(self.y_max / grid) * grid,
        )
