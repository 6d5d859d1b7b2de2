# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Poses as cells of a grid with offsets, and back."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

_HALF = 0.5 + 1e-6  # poses on the rim stay inside whatever the rounding


@dataclass(frozen=True, slots=True, eq=False)
class Labels:
    """Poses (B,) as class and remainder.

    `cell` (B,) counts by rows; `offset` (B, 2), axis 0 and 1, is in cells from its centre, -0.5 to 0.5. `bin` (B,)
    and `turn` (B,), in bins from its centre, stand for the heading. `inside` (B,) is False for poses that the grid or
    the bins do not cover: theirs are the nearest class, with an offset of 0.5 or less.
    """

    cell: Tensor
    offset: Tensor
    bin: Tensor
    turn: Tensor
    inside: Tensor


@dataclass(frozen=True, slots=True)
class PoseGrid:
    """`cells` x `cells` over a square of `extent_m`, and `bins` of heading over ± `half_rad` (pi: all round).

    Positions are in the internal frame of the aerial crop: axis 0 down, axis 1 right, from its middle. Headings are
    clockwise from up. The border between two cells belongs to the one further down or right, the outer rim to the last
    cell. 0 bins: position alone.
    """

    cells: int
    extent_m: float
    bins: int = 0
    half_rad: float = math.pi

    @property
    def cell_m(self) -> float:
        """Side of a cell."""
        return self.extent_m / self.cells

    @property
    def bin_rad(self) -> float:
        """Width of a bin; 0 without bins."""
        return 2.0 * self.half_rad / self.bins if self.bins else 0.0

    @property
    def whole_circle(self) -> bool:
        """Whether the last bin is the neighbour of the first."""
        return self.half_rad >= math.pi - 1e-9

    def encode(self, position: Tensor, heading: Tensor) -> Labels:
        """Turn positions (B, 2), metres, and headings (B,) into labels."""
        steps = position / self.cell_m + self.cells / 2
        place = steps.floor().clamp(0, self.cells - 1)
        offset = steps - place - 0.5
        inside = (offset.abs() <= _HALF).all(-1)
        cell = (place[..., 0] * self.cells + place[..., 1]).long()
        if not self.bins:
            none = torch.zeros_like(heading)
            return Labels(cell, offset.clamp(-0.5, 0.5), none.long(), none, inside)
        wrapped = torch.remainder(heading + math.pi, math.tau) - math.pi
        turns = (wrapped + self.half_rad) / self.bin_rad
        which = turns.floor().clamp(0, self.bins - 1)
        turn = turns - which - 0.5
        inside = inside & ((turn.abs() <= _HALF) | self.whole_circle)
        return Labels(cell, offset.clamp(-0.5, 0.5), which.long(), turn.clamp(-0.5, 0.5), inside)

    def decode(self, cell: Tensor, offset: Tensor, which: Tensor, turn: Tensor) -> tuple[Tensor, Tensor]:
        """Turn classes and remainders into positions (..., 2), metres, and headings (...,) in -pi to pi."""
        place = torch.stack([torch.div(cell, self.cells, rounding_mode="floor"), cell % self.cells], -1)
        position = (place - self.cells / 2 + 0.5 + offset) * self.cell_m
        heading = (which + 0.5 + turn) * self.bin_rad - self.half_rad if self.bins else torch.zeros_like(turn)
        wrapped: Tensor = torch.remainder(heading + math.pi, math.tau) - math.pi
        return position, wrapped
