# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What every map source looks like from above: pixel planes in a CRS, finest last."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from cvloc_ros.tiles.source import Source

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cvloc_ros.types import F64, U8, Mask, TileState


@dataclass(frozen=True, slots=True, eq=False)
class Level:
    """One pixel plane. `crs_from_px` (2, 3) takes (column, row, 1), integers at pixel centres, to the CRS."""

    number: int
    crs_from_px: F64

    def px_from_crs(self, points: F64) -> F64:
        """Take points (..., 2) of the CRS to pixels (..., 2)."""
        px: F64 = (points - self.crs_from_px[:, 2]) @ np.linalg.inv(self.crs_from_px[:, :2]).T
        return px


@dataclass(frozen=True, slots=True)
class Window:
    """A rectangle of whole pixels of one plane; it may reach beyond the imagery."""

    column: int
    row: int
    width: int
    height: int


@dataclass(frozen=True, slots=True, eq=False)
class Pixels:
    """Content of a window: rgb (H, W, 3) u8, valid (H, W), and `digest`, equal only for equal content."""

    rgb: U8
    valid: Mask
    state: TileState
    digest: str


class Imagery(Source, Protocol):
    """A map source as pixel planes in its CRS."""

    @property
    def crs(self) -> str:
        """CRS of the pixel planes, as pyproj takes it."""
        ...

    @property
    def levels(self) -> Sequence[Level]:
        """Pixel planes."""
        ...

    def read(self, level: Level, window: Window, deadline_s: float) -> Pixels:
        """Read a window; the network is waited for until `deadline_s` of the monotonic clock."""
        ...

    def share(self, level: Level, window: Window) -> float:
        """Estimate without decoding or network how much of the window has imagery, 0..1."""
        ...
