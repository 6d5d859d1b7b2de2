# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Bird's-eye view of one or several cameras on the ground plane z = 0 of the base frame."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

import numpy as np

from cvloc_ros.errors import ImageError
from cvloc_ros.ground import GroundGrid, GroundImage
from cvloc_ros.imaging.ground_table import GroundTable, Limits, build_table, pyramid
from cvloc_ros.imaging.mounting import ground_points, level
from cvloc_ros.types import F32, F64, CameraModel, GroundView, Mask

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["BirdsEye", "Limits", "ground_points", "level"]

_Key = tuple[CameraModel, bytes, GroundGrid]


class BirdsEye:
    """Project views of one stamp onto the ground; implements `ground.GroundProjector`.

    Tables of camera, mounting and grid are kept (the `tables` last used), so that an unmoved camera costs little more
    than reading its pixels. Camera models must be hashable values. Masks (`GroundView.valid`) are read once per array
    and must not be changed afterwards. Not thread-safe.
    """

    def __init__(self, limits: Limits | None = None, *, tables: int = 16) -> None:
        """Set the limits of belief and the number of tables that are kept."""
        self._limits = limits or Limits()
        self._tables: OrderedDict[_Key, GroundTable] = OrderedDict()
        self._masks: OrderedDict[tuple[_Key, int], tuple[Mask, Mask]] = OrderedDict()
        self._kept = tables

    def __call__(self, views: Sequence[GroundView], grid: GroundGrid) -> GroundImage:
        """Project the views; where cameras overlap, the one that sees the ground more finely counts more.

        Raises:
            ImageError: an image or its mask has another size than its camera model.
        """
        rows, cols = grid.shape
        colour = np.zeros((rows * cols, 3), np.float32)
        total = np.zeros(rows * cols, np.float32)
        weight = np.zeros(rows * cols, np.float32)
        for view in views:
            cells, colours, density = self._cells(view, grid)
            share = density * density
            colour[cells] += colours * share[:, None]
            total[cells] += share
            weight[cells] = np.maximum(weight[cells], np.minimum(density, 1.0))
        valid = total > 0.0
        colour /= np.where(valid, total, 1.0)[:, None]
        rgb = np.rint(colour, out=colour).astype(np.uint8)
        return GroundImage(rgb.reshape(rows, cols, 3), valid.reshape(rows, cols), weight.reshape(rows, cols), grid)

    def _cells(self, view: GroundView, grid: GroundGrid) -> tuple[NDArray[np.intp], F32, F32]:
        """Return flat indices, colours and pixels per cell of the cells that one view shows."""
        _check(view)
        key = (view.camera, np.ascontiguousarray(view.T_base_camera, np.float64).tobytes(), grid)
        table = self._table(key, view.T_base_camera)
        colours = table.colours(pyramid(view.rgb, table.depth))
        if view.valid is None:
            return table.cells, colours, table.density
        usable = self._usable(key, table, view.valid)
        return table.cells[usable], colours[usable], table.density[usable]

    def _table(self, key: _Key, T_base_camera: F64) -> GroundTable:
        table = self._tables.get(key)
        if table is None:
            table = self._tables[key] = build_table(key[0], T_base_camera, key[2], self._limits)
            while len(self._tables) > self._kept:
                self._tables.popitem(last=False)
        self._tables.move_to_end(key)
        return table

    def _usable(self, key: _Key, table: GroundTable, valid: Mask) -> Mask:
        known = self._masks.get((key, id(valid)))
        if known is None:
            image = np.where(valid, np.uint8(255), np.uint8(0))
            # The array is kept with the result, so that its id stays its own.
            known = self._masks[key, id(valid)] = (valid, table.usable(pyramid(image, table.depth)))
            while len(self._masks) > self._kept:
                self._masks.popitem(last=False)
        self._masks.move_to_end((key, id(valid)))
        return known[1]


def _check(view: GroundView) -> None:
    size = (view.camera.height, view.camera.width)
    for name, array, shape in (("image", view.rgb, (*size, 3)), ("mask", view.valid, size)):
        if array is not None and array.shape != shape:
            msg = (
                f"{name} of camera {view.camera_name} has shape {array.shape}, its camera model is for {shape}; "
                "use the model made for this image size"
            )
            raise ImageError(msg)
