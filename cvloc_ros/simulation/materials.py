# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the ground of a world is made of."""

from __future__ import annotations

import enum


@enum.unique
class Material(enum.IntEnum):
    """What covers a cell of the ground."""

    MEADOW = 0
    LAWN = 1
    ASPHALT = 2
    PATCH = 3
    BAY = 4
    PAVEMENT = 5
    KERB = 6
    DRIVEWAY = 7
    MANHOLE = 8
    GUTTER = 9
    WATER = 10
    BALLAST = 11
    SLEEPER = 12
    RAIL = 13
    TRACK = 14
    CROPS = 15
    STRAW = 16
    SOIL = 17
    PAVING = 18
    COURT = 19
    POOL = 20
    SEAM = 21
    OIL = 22
    FLOWERS = 23
    CYCLE = 24
    COBBLE = 25
    TURF = 26
    FRESH = 27
    OLD = 28
    CONCRETE = 29


CARRIAGEWAY = (
    Material.ASPHALT, Material.PATCH, Material.MANHOLE, Material.SEAM, Material.OIL, Material.CYCLE, Material.COBBLE,
    Material.FRESH, Material.OLD, Material.RAIL, Material.CONCRETE,
)  # fmt: skip
"""What vehicles drive on."""
