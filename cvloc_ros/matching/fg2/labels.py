# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""True poses from the label files of the two data sets that FG² was published on.

Positions are offsets of the camera from the centre of the aerial image, axis 0 down, axis 1 right, in pixels of the
full tile (KITTI 512 px, VIGOR 640 px); headings are clockwise from up, radians.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from cvloc_ros.errors import ModelError
from cvloc_ros.types import F64

KITTI_M_PER_PX = 156543.03392 * math.cos(math.radians(49.015)) / 2**18 / 2
"""Metres per pixel of the KITTI tiles."""

_KITTI_RANGE_M = 20.0
_KITTI_RANGE_RAD = math.radians(10.0)
_KITTI_PX = (512, 504)
_VIGOR_PX = (640, 630)


@dataclass(frozen=True, slots=True, eq=False)
class Label:
    """A true pose: `offset_px` (2,) in the full tile, `heading_rad`, sizes of the full tile and of the network's."""

    offset_px: F64
    heading_rad: float
    sizes: tuple[int, int]

    def published(self, *, truncated: bool = False) -> F64:
        """Translation (2,) that the released program learns: minus the offset, in pixels of the network's image.

        `truncated` drops fractions of pixels, as its training does on KITTI.
        """
        offset = np.trunc(self.offset_px) if truncated else self.offset_px
        scaled: F64 = -offset * self.sizes[1] / self.sizes[0]
        return scaled

    def rotation(self) -> F64:
        """Rotation (2, 2) from the aerial to the ground frame."""
        c, s = math.cos(self.heading_rad), math.sin(self.heading_rad)
        return np.array([[c, -s], [s, c]])


def kitti_noise(forward: float, left: float, turn: float) -> Label:
    """Label of the noise that a tile was moved and turned by, each in -1..1 (20 m, 20 m, 10 degrees)."""
    angle, reach = turn * _KITTI_RANGE_RAD, _KITTI_RANGE_M / KITTI_M_PER_PX
    c, s = math.cos(angle), math.sin(angle)
    down = forward * reach * s + left * reach * c
    right = -forward * reach * c + left * reach * s
    return Label(np.array([down, right]), -angle, _KITTI_PX)


def kitti_line(line: str) -> tuple[str, Label]:
    """Read a line of a test list: path of the image, shift x, shift y, theta.

    Raises:
        ModelError: the line has another form.
    """
    parts = line.split()
    try:
        path, shift_x, shift_y, theta = parts[0], float(parts[1]), float(parts[2]), float(parts[3])
    except (IndexError, ValueError) as err:
        msg = f"line {line!r} of a KITTI list must be: path shift_x shift_y theta"
        raise ModelError(msg) from err
    return path, kitti_noise(-shift_x, -shift_y, theta)


def vigor(delta_row: float, delta_col: float, heading_rad: float = 0.0) -> Label:
    """Label of a VIGOR pair: the deltas of its (corrected) list, and the heading that the panorama was rolled to."""
    return Label(np.array([delta_row, -delta_col]), heading_rad, _VIGOR_PX)
