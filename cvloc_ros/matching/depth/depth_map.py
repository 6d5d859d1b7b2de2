# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a depth provider returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np

from cvloc_ros.types import F32, F64, CameraModel, GroundView

Along = Literal["axis", "ray"]

PINHOLE_KINDS = ("plumb_bob", "rational_polynomial")
"""Camera models whose depth images hold the distance along the optical axis (REP 118)."""


@dataclass(frozen=True, slots=True, eq=False)
class DepthMap:
    """Depth over the field of view of one image, at any resolution.

    `values` (rows, columns) f32, NaN where unknown. `along` the optical axis (z) or the ray (distance). `metric`: in
    metres; otherwise up to one positive factor.
    """

    values: F32
    along: Along
    metric: bool

    def cells(self, rows: int, cols: int, *, nearest: bool = False) -> F32:
        """Return depth (rows, cols) on a coarser grid over the same field of view, NaN where unknown.

        The median of what is known in each cell; `nearest` takes the pixel in its upper left corner instead, as
        resizing by nearest neighbour does.
        """
        height, width = self.values.shape
        if nearest:
            row = np.floor(np.arange(rows) * (height / rows)).astype(np.intp)
            col = np.floor(np.arange(cols) * (width / cols)).astype(np.intp)
            picked: F32 = self.values[row[:, None], col[None, :]]
            return picked
        return _medians(self.values, rows, cols)


class DepthProvider(Protocol):
    """Gives the depth of one image."""

    metric: bool

    def __call__(self, view: GroundView) -> DepthMap:
        """Return the depth of a view.

        Raises:
            ImageError: the view lacks what this provider needs.
        """
        ...

    def close(self) -> None:
        """Free device memory."""
        ...


def known(metres: F32) -> F32:
    """Return depth with NaN where it is zero, negative or infinite."""
    with np.errstate(invalid="ignore"):
        return np.where(np.isfinite(metres) & (metres > 0), metres, np.nan).astype(np.float32)


def along(view: GroundView) -> Along:
    """Tell how the measured depth of a view counts: along the axis for pinhole images, else along the ray."""
    return "axis" if view.camera.kind in PINHOLE_KINDS else "ray"


def depth_axis(camera: CameraModel) -> F64:
    """Direction (3,) in the optical frame along which depth images of this camera count.

    z, but for a rectified image, whose axes are turned against the optical frame, that of the image.
    """
    rotation = getattr(camera, "rotation", None)
    return np.array([0.0, 0.0, 1.0]) if rotation is None else np.reshape(np.asarray(rotation, np.float64), (3, 3))[2]


def _medians(values: F32, rows: int, cols: int) -> F32:
    """Median of the known values of each cell; cells may differ in size by a pixel."""
    row = np.linspace(0, values.shape[0], rows + 1).round().astype(np.intp)
    col = np.linspace(0, values.shape[1], cols + 1).round().astype(np.intp)
    tall, wide = max(int(np.diff(row).max()), 1), max(int(np.diff(col).max()), 1)
    # Cells are stacked at the largest size; a pixel at the rim of a smaller one is then seen twice, which is harmless.
    at_row = np.minimum(row[:-1, None] + np.arange(tall), values.shape[0] - 1)
    at_col = np.minimum(col[:-1, None] + np.arange(wide), values.shape[1] - 1)
    stacked = values[at_row[:, None, :, None], at_col[None, :, None, :]].reshape(rows, cols, -1)
    # Unknown values sort to the end, so the median of the known ones is found by their count.
    ordered = np.sort(stacked, axis=-1)
    count = np.isfinite(ordered).sum(axis=-1)
    middle = np.take_along_axis(ordered, np.maximum((count - 1) // 2, 0)[..., None], axis=-1)[..., 0]
    return np.where(count > 0, middle, np.nan).astype(np.float32)
