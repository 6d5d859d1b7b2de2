# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A world on one day, ready to be rendered: ground, things that stand on it, light."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from cvloc_ros.simulation.gl.mesh import Mesh
from cvloc_ros.simulation.gl.terrain import Terrain
from cvloc_ros.simulation.looks import LookSpec
from cvloc_ros.simulation.raster import Grid
from cvloc_ros.types import F64, U8


@dataclass(frozen=True, slots=True, eq=False)
class Stage:
    """What is rendered. `ground` (H, W, 3) is the bare ground on `grid`; `lamps` (N, 2) stand on it, metres."""

    grid: Grid
    ground: U8
    mesh: Mesh
    terrain: Terrain
    look: LookSpec
    lamps: F64 = field(default_factory=lambda: np.zeros((0, 2)))
    grain: float = 0.3
    """How strong the fine structure of the ground is that the raster does not hold, 0..1."""
