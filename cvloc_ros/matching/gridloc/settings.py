# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a model of GridLoc is; stored in the header of its weights."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cvloc_ros.matching.gridloc.grid import PoseGrid
from cvloc_ros.matching.layers.settings import ModelSettings

ALIGNMENTS = ("north", "heading", "roll")
FUSIONS = ("pool", "attend", "vote")


@dataclass(frozen=True, slots=True)
class GridLocSettings(ModelSettings):
    """One model.

    `plain` is the attention as printed: one head, no scale, nothing but `softmax(QᵀK)V`; else scaled heads in blocks
    with residuals. `fuse`: `pool` gives every aerial cell the mean of the fused ground tokens, `attend` what the cell
    attends to among them, `vote` (our extension, see `votes`) where the camera model says that the attended places
    lie, for tokens that see the road up to `sight_m`; there are `keys` x `keys` aerial places. `align` tells how the
    prior's yaw is used: `north` not at all, `heading` turns the aerial crop so that the camera's direction is up,
    `roll` rolls the panorama so that its middle looks north.

    `ground_crop` are the shares of the image (top, bottom, left, right) that the network sees. `temperature`,
    `sigma_cells` and `sigma_bins` are found by calibration.
    """

    NAME = "gridloc"
    TITLE = "GridLoc"

    ground_size: tuple[int, int] = (320, 640)
    ground_crop: tuple[float, float, float, float] = (0.0, 1.0, 0.0, 1.0)
    panorama: bool = True
    aerial_size: int = 512
    extent_m: float = 71.0
    cells: int = 16
    yaw_bins: int = 0
    yaw_half_rad: float = math.pi
    backbone: str = "vgg16"
    channels: int = 512
    width: int = 256
    depth: int = 1
    heads: int = 1
    plain: bool = True
    fuse: str = "pool"
    align: str = "north"
    keys: int = 28
    sight_m: float = 30.0
    offset_limit: float = 1.0
    regression: bool = True
    temperature: float = 1.0
    sigma_cells: float = 0.3
    sigma_bins: float = 0.3

    def faults(self) -> Sequence[tuple[bool, str]]:
        """See `ModelSettings`."""
        top, bottom, left, right = self.ground_crop
        return [
            (self.align not in ALIGNMENTS, f"align {self.align!r} must be one of {', '.join(ALIGNMENTS)}"),
            (self.fuse not in FUSIONS, f"fuse {self.fuse!r} must be one of {', '.join(FUSIONS)}"),
            (not 0.0 < self.extent_m < 1e4, f"extent_m {self.extent_m} must be positive, in metres"),
            (not 1 <= self.cells <= 128, f"cells {self.cells} must be 1 to 128"),
            (not 0 <= self.yaw_bins <= 720, f"yaw_bins {self.yaw_bins} must be 0 to 720"),
            (not 0.0 < self.yaw_half_rad <= math.pi, f"yaw_half_rad {self.yaw_half_rad} must be above 0, at most pi"),
            (self.width % 4 != 0 or self.width % self.heads != 0, "width must be a multiple of 4 and of heads"),
            (self.depth < 1 or self.heads < 1, f"depth {self.depth} and heads {self.heads} must be positive"),
            (self.plain and (self.depth, self.heads) != (1, 1), "plain attention has depth 1 and 1 head"),
            (not 1 <= self.keys <= 128, f"keys {self.keys} must be 1 to 128"),
            (not 0.0 < self.sight_m <= 200.0, f"sight_m {self.sight_m} must be above 0, at most 200"),
            (self.fuse == "vote" and (self.plain or self.backbone != "fine"),
             "votes need plain: false, backbone: fine"),
            (not 0.5 <= self.offset_limit <= 4.0, f"offset_limit {self.offset_limit} must be 0.5 to 4 cells"),
            (not 0.0 <= top < bottom <= 1.0 or not 0.0 <= left < right <= 1.0, f"ground_crop {self.ground_crop}"),
            (min(self.temperature, self.sigma_cells, self.sigma_bins) <= 0.0, "temperature and sigmas are positive"),
        ]

    @property
    def grid(self) -> PoseGrid:
        """The classes of the head."""
        return PoseGrid(self.cells, self.extent_m, self.yaw_bins, self.yaw_half_rad)


_VIGOR = GridLocSettings(align="roll")
_OXFORD = GridLocSettings(
    ground_size=(154, 231), ground_crop=(0.0, 800 / 960, 40 / 1280, 1240 / 1280), panorama=False, extent_m=73.9,
    align="heading",
)  # fmt: skip
_EXTENDED: dict[str, Any] = {"yaw_bins": 36, "plain": False, "depth": 2, "heads": 8, "fuse": "attend", "align": "north"}

VARIANTS = {
    "vigor": _VIGOR,
    "oxford": _OXFORD,
    "vigor_yaw": dataclasses.replace(_VIGOR, **_EXTENDED),
    "oxford_yaw": dataclasses.replace(_OXFORD, **_EXTENDED),
}
"""Both published settings, location only, and with our extension, heading unknown.

The image sizes are not stated by the source; those of the baseline that the same author ported are taken. Panoramas are
known to be north-aligned in the data of the first, crops to be turned to the heading in the data of the second.
"""
