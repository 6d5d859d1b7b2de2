# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a model of FG² is: its plane, its sizes and its mode; stored in the header of its weights."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from cvloc_ros.matching.layers.aerial import grid_axis
from cvloc_ros.matching.layers.settings import ModelSettings

MODES = ("published", "mended")
ALIGNMENTS = ("north", "heading", "roll")


@dataclass(frozen=True, slots=True)
class Fg2Settings(ModelSettings):
    """One model.

    Internal frames have axis 0 backwards (down in the aerial image) and axis 1 to the right, in metres. Heights are
    above the camera in published mode, above the ground in mended mode.

    `align` tells how the prior's yaw is used: `north` not at all, `heading` turns the aerial crop so that the prior
    heading is up, `roll` rolls the panorama so that its middle looks north. `shifted` marks models that were trained
    to solve aerial to ground with minus the position as translation, whatever the rotation.
    """

    NAME = "fg2"
    TITLE = "FG²"
    SOURCE = "released checkpoints first go through: cvloc weights convert fg2"
    AGAIN = "convert or train the model again"

    mode: str = "mended"
    extent_m: float = 64.0
    cells: int = 40
    front_only: bool = False
    height_min_m: float = -1.0
    height_max_m: float = 11.0
    heights: int = 7
    ground_size: tuple[int, int] = (364, 1232)
    aerial_size: int = 504
    backbone: str = "vitl14"
    channels: int = 1024
    widths: tuple[int, ...] = (512, 256, 128)
    rounds: int = 6
    attention_heads: int = 8
    projector_layers: int = 3
    temperature: float = 0.1
    dropout: float = 0.1
    align: str = "heading"
    shifted: bool = False

    def faults(self) -> Sequence[tuple[bool, str]]:
        """See `ModelSettings`."""
        return [
            (self.mode not in MODES, f"mode {self.mode!r} must be one of {', '.join(MODES)}"),
            (self.align not in ALIGNMENTS, f"align {self.align!r} must be one of {', '.join(ALIGNMENTS)}"),
            (not 0.0 < self.extent_m < 1e4, f"extent_m {self.extent_m} must be positive, in metres"),
            (not 2 <= self.cells <= 128, f"cells {self.cells} must be 2 to 128"),
            (self.heights < 1 or self.rounds < 1, f"heights {self.heights} and rounds {self.rounds} must be positive"),
            (self.height_max_m < self.height_min_m, "height_max_m must not be below height_min_m"),
            (bool(self.channels % self.attention_heads), "channels must be a multiple of attention_heads"),
            (bool(self.widths[-1] % 8), f"the last of widths {self.widths} must be a multiple of 8"),
        ]

    @property
    def published(self) -> bool:
        """Whether the properties of the released weights are kept."""
        return self.mode == "published"

    def axis(self) -> Tensor:
        """Coordinates of the aerial cells along either axis (cells,), metres, float32.

        Published models use points from edge to edge, 2.5 % wider than the cells they stand for.
        """
        return self._axis().float()

    def centres(self) -> Tensor:
        """Cell centres (cells,), metres, float64."""
        return grid_axis(self.extent_m, self.cells, ends=False)

    @property
    def cell_m(self) -> float:
        """Side of a cell."""
        return self.extent_m / self.cells

    def ground_rows(self) -> int:
        """Rows of the ground plane; a model that looks ahead only has those in front of it."""
        return (self.cells + 1) // 2 if self.front_only else self.cells

    def aerial_points(self) -> Tensor:
        """Points (cells², 2) of the aerial plane."""
        axis = self.axis()
        return torch.cartesian_prod(axis, axis)

    def ground_points(self) -> Tensor:
        """Points (rows x cells, 2) of the ground plane."""
        axis = self.axis()
        return torch.cartesian_prod(axis[: self.ground_rows()], axis)

    def volume(self) -> Tensor:
        """Points (rows x cells, heights, 3), float64, looked up in the ground image: axis 0, axis 1, height."""
        axis = self._axis()
        plane = torch.cartesian_prod(axis[: self.ground_rows()], axis)[:, None].expand(-1, self.heights, -1)
        heights = torch.linspace(self.height_min_m, self.height_max_m, self.heights, dtype=torch.float64)
        return torch.cat([plane, heights[None, :, None].expand(len(plane), -1, 1)], 2)

    def self_reference(self) -> Tensor:
        """Reference points (1, rows x cells, 2), x then y, of the plane in itself."""
        rows, cols = self.ground_rows(), self.cells
        if self.published:
            y, x = (torch.linspace(0, 1, count, dtype=torch.float64).float() for count in (rows, cols))
        else:
            y, x = (torch.arange(rows) + 0.5) / rows, (torch.arange(cols) + 0.5) / cols
        return torch.cartesian_prod(y, x).flip(1)[None]

    def _axis(self) -> Tensor:
        return grid_axis(self.extent_m, self.cells, ends=self.published)


_VIGOR = Fg2Settings(
    "published", 71.0, 41, front_only=False, height_min_m=-10.0, height_max_m=10.0, heights=11,
    ground_size=(714, 1428), aerial_size=630, align="roll",
)  # fmt: skip
_KITTI = Fg2Settings(
    "published", 99.0, 41, front_only=True, height_min_m=-12.5, height_max_m=12.5, heights=11,
    ground_size=(364, 1232), aerial_size=504, align="heading", shifted=True,
)  # fmt: skip

VARIANTS = {
    "vigor_known": _VIGOR,
    "vigor_first": dataclasses.replace(_VIGOR, align="north", shifted=True),
    "vigor_second": dataclasses.replace(_VIGOR, shifted=True),
    "kitti": _KITTI,
}
"""The released checkpoints by what they are for; `first` and `second` are the passes of unknown orientation."""
