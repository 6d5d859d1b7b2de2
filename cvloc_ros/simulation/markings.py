# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Road paint: lane lines, stop lines, crossings, arrows, parking bays."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from cvloc_ros.simulation.layout import BAY_M, Layout, Street
from cvloc_ros.simulation.raster import Grid
from cvloc_ros.simulation.town import bay_slots
from cvloc_ros.types import F64, U8

STOP_LINE_M = 13.2
ARROW_M = 25.0
_LINE_M = 0.12
_ARROW = np.array([[0, -0.08], [2.6, -0.08], [2.6, -0.38], [4.2, 0], [2.6, 0.38], [2.6, 0.08], [0, 0.08]])
_TURN = np.array([[1.0, 0.08], [1.9, 0.45], [1.5, 0.62], [2.6, 0.95], [2.7, 0.2], [2.3, 0.32], [1.5, 0.0]])


def mark_streets(layout: Layout, grid: Grid, marking: U8) -> None:
    """Paint all markings of a layout into a raster of coverage (0..255)."""
    for street in layout.streets:
        for outline in street_marks(street, layout.clear_m):
            grid.fill(marking, [outline], 255, smooth=True)


def street_marks(street: Street, clear_m: float) -> Iterator[F64]:
    """Yield the outline (N, 2) of each painted area of one street, metres."""
    if street.motorway:
        yield from _motorway(street)
        return
    first = clear_m if street.start >= 0 else 0.0
    last = street.length_m - (clear_m if street.end >= 0 else 0.0)
    yield from _centre_line(street, first, last)
    if street.main:
        edge = street.half_width_m - 0.42
        for sign in (1.0, -1.0):
            yield street.strip(first + 5, last - 5, sign * edge, sign * (edge - _LINE_M))
    yield from _bays(street)
    for node, at_start in ((street.start, True), (street.end, False)):
        if node >= 0:
            crossing = street.main or (node + street.length_m) % 2 < 1.2
            yield from Approach(street, at_start).marks(crossing=crossing)


@dataclass(frozen=True, slots=True, eq=False)
class Approach:
    """One end of a street, as a driver sees it who comes to the junction there."""

    street: Street
    at_start: bool

    def strip(self, near_m: float, far_m: float, left_m: float, right_m: float) -> F64:
        """Outline (N, 2) of an area by its distances to the junction's centre and its offsets to the driver's left."""
        street = self.street
        if self.at_start:
            return street.strip(near_m, far_m, -left_m, -right_m)
        return street.strip(street.length_m - far_m, street.length_m - near_m, left_m, right_m)

    def placed(self, shape: F64, distance_m: float) -> F64:
        """Put a shape (N, 2; ahead, left) on the driver's lane, its tail at a distance from the junction's centre."""
        ahead, left = shape[:, 0], shape[:, 1] * 1.2 - self.street.half_width_m / 2
        s = distance_m - ahead if self.at_start else self.street.length_m - distance_m + ahead
        return self.street.at(s, -left if self.at_start else left)

    def stop_line(self) -> F64:
        """Outline (N, 2) of the stop line."""
        return self.strip(STOP_LINE_M, STOP_LINE_M + 0.5, 0.1, -self.street.half_width_m + 0.35)

    def marks(self, *, crossing: bool) -> Iterator[F64]:
        """Yield the outlines of all that is painted before the junction."""
        half = self.street.half_width_m
        yield self.stop_line()
        if crossing:
            for offset in np.arange(-half + 0.5, half - 0.4, 1.0):
                yield self.strip(9.2, 12.2, offset + 0.5, offset)
        if self.street.main:
            yield from (self.placed(shape, ARROW_M) for shape in (_ARROW, _TURN * [1.0, -1.0]))


def _centre_line(street: Street, first: float, last: float) -> Iterator[F64]:
    half = _LINE_M / 2
    solid = 17.0
    if street.start >= 0:
        yield street.strip(first + 4.2, first + solid, half, -half)
        first += solid + 3.0
    if street.end >= 0:
        yield street.strip(last - solid, last - 4.2, half, -half)
        last -= solid + 3.0
    for s in np.arange(first, last - 3.0, 6.0):
        yield street.strip(s, s + 3.0, half, -half)


def _motorway(street: Street) -> Iterator[F64]:
    """Edge lines of both carriageways and the line between their lanes."""
    for sign in (1.0, -1.0):
        for offset, width in ((2.6, 0.15), (10.35, 0.3)):
            for s in np.arange(0.0, street.length_m, 60.0):
                end = min(s + 60.0, street.length_m)
                yield street.strip(s, end, sign * (offset + width / 2), sign * (offset - width / 2))
        for s in np.arange(0.0, street.length_m - 6.0, 18.0):
            yield street.strip(s, s + 6.0, sign * 6.55, sign * 6.4)


def _bays(street: Street) -> Iterator[F64]:
    for left, sign in ((True, 1.0), (False, -1.0)):
        slots = bay_slots(street, left=left)
        for s in slots:
            inner, outer = sign * street.half_width_m, sign * (street.half_width_m + BAY_M - 0.3)
            yield street.strip(s - 0.05, s + 0.05, inner, outer)
        for s in slots[:-1]:
            yield street.strip(s + 0.6, s + 4.9, sign * street.half_width_m, sign * (street.half_width_m + 0.1))
