# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What years leave on a road: trenches, patches, seams of tar, manholes, gullies, oil."""

from __future__ import annotations

import numpy as np

from cvloc_ros.simulation.layout import Layout, Street
from cvloc_ros.simulation.markings import Approach
from cvloc_ros.simulation.materials import Material
from cvloc_ros.simulation.raster import Grid
from cvloc_ros.types import F64, U8


def paint_repairs(layout: Layout, grid: Grid, material: U8, rng: np.random.Generator, share: float = 1.0) -> None:
    """Paint trenches, patches, tar seams, manholes, gullies and oil stains; `share` is how many of them."""
    for street in layout.streets:
        if not street.cobbled:
            _repair(street, grid, material, rng, share)
            _paint_oil(street, grid, material, rng, share)
    if share < 1.0:
        return
    for street in layout.streets:
        for s in np.arange(11.0, street.length_m - 8.0, 23.0) if not street.motorway else ():
            for sign in (1.0, -1.0):
                edge = sign * (street.half_width_m - 0.02)
                grid.fill(material, [street.strip(s, s + 0.5, edge, edge - sign * 0.3)], int(Material.MANHOLE))


def _repair(street: Street, grid: Grid, material: U8, rng: np.random.Generator, share: float) -> None:
    """Patches, trenches, seams and manholes of one street."""
    width = street.half_width_m - 0.4
    for _ in range(int(rng.poisson(share * street.length_m / 16))):
        s, offset = rng.uniform(5.0, street.length_m - 5.0), rng.uniform(-width, width)
        length, breadth = rng.uniform(0.6, 7.0), rng.uniform(0.4, 1.4)
        low = float(np.clip(offset - breadth, -width, width))
        _patch(street, grid, material, (s, s + length, offset, low))
    if rng.random() < 0.5 * share and street.length_m > 50:  # a trench for a pipe
        s, offset = rng.uniform(10.0, street.length_m - 35.0), rng.uniform(-width + 0.9, width)
        _patch(street, grid, material, (s, s + float(rng.uniform(12, 32)), offset, offset - 0.8))
    lines = []
    if rng.random() < 0.7 * share:
        knots = np.arange(0.0, street.length_m, 1.0)
        lines.append(street.at(knots, 0.12 * np.sin(knots / 7) + rng.uniform(-0.3, 0.3) + street.median_m * 1.3))
    lines += [_crack(street, width, rng) for _ in range(int(rng.poisson(share * street.length_m / 14)))]
    grid.lines(material, lines, int(Material.SEAM), smooth=False)
    for place in rng.uniform(3.0, street.length_m - 3.0, int(rng.poisson(share * street.length_m / 22))):
        grid.disc(material, street.at(np.array([place]), rng.uniform(-1.8, 1.8) + 1.4 * street.median_m)[0], 0.33,
                  int(Material.MANHOLE))  # fmt: skip


def _patch(street: Street, grid: Grid, material: U8, area: tuple[float, float, float, float]) -> None:
    """A repaired piece with a seam of tar around it."""
    s0, s1, left, right = area
    grid.fill(material, [street.strip(s0 - 0.06, s1 + 0.06, left + 0.06, right - 0.06)], int(Material.SEAM))
    grid.fill(material, [street.strip(s0, s1, left, right)], int(Material.PATCH))


def _crack(street: Street, width: float, rng: np.random.Generator) -> F64:
    """A crack filled with tar, across the road or along it."""
    s, offset = rng.uniform(4.0, street.length_m - 4.0), rng.uniform(-width, width)
    steps = np.arange(int(rng.integers(4, 12)))
    if rng.random() < 0.5:
        offsets = np.clip(offset + 0.45 * steps, -width, width)
        return street.at(np.asarray(s + np.cumsum(rng.normal(0, 0.12, len(steps)))), offsets)
    offsets = np.clip(offset + np.cumsum(rng.normal(0, 0.1, len(steps))), -width, width)
    return street.at(np.asarray(s + 0.8 * steps, dtype=np.float64), offsets)


def _paint_oil(street: Street, grid: Grid, material: U8, rng: np.random.Generator, share: float) -> None:
    """Stains where vehicles stand."""
    for left, sign in ((True, 1.0), (False, -1.0)):
        for s in street.bay_slots(left=left)[:-1]:
            if rng.random() < 0.4 * share:
                at = street.at(np.array([s + rng.uniform(1.5, 4.5)]), sign * (street.half_width_m + 1.0))[0]
                grid.disc(material, at, float(rng.uniform(0.12, 0.3)), int(Material.OIL))
    for at_start in (True, False):
        approach = Approach(street, at_start)
        if approach.control in ("stop", "signal") and rng.random() < share:
            far = approach.clear_m + 6.5
            for _ in range(3):
                s = far + float(rng.uniform(0, 4))
                at = approach.placed(np.array([[0.0, rng.uniform(-0.3, 0.3)]]), s)[0]
                grid.disc(material, at, float(rng.uniform(0.1, 0.28)), int(Material.OIL))
