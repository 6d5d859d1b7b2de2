# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Road paint: lane lines, stop and yield lines, crossings, arrows, parking bays, bicycle lanes, bus stops."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from cvloc_ros.simulation.layout import BAY_M, Area, Junction, Layout, Street
from cvloc_ros.simulation.raster import Grid
from cvloc_ros.types import F64, U8

STOP_M = 4.2
"""Distance of a stop line from where markings begin."""
_ARROW_M = 16.0
_LINE_M = 0.12
_ARROW = np.array([[0, -0.08], [2.6, -0.08], [2.6, -0.38], [4.2, 0], [2.6, 0.38], [2.6, 0.08], [0, 0.08]])
_TURN = np.array([[1.0, 0.08], [1.9, 0.45], [1.5, 0.62], [2.6, 0.95], [2.7, 0.2], [2.3, 0.32], [1.5, 0.0]])
Mark = list[F64]
"""Outlines (N, 2) that are painted together, metres."""


@dataclass(frozen=True, slots=True)
class PaintDay:
    """How the paint of one day differs from the plan: share of marks that are not there, and that were moved."""

    missing: float = 0.0
    moved: float = 0.0
    faded: float = 0.0
    """Largest share by which a mark's paint is weaker than new."""


def mark_streets(layout: Layout, grid: Grid, marking: U8, day: PaintDay, rng: np.random.Generator) -> None:
    """Paint all markings of a layout into a raster of coverage (0..255)."""
    for street in layout.streets:
        drop = rng.random() < day.missing * 0.5  # the whole street was surfaced anew and is not marked yet
        for mark in street_marks(street, layout.junctions):
            gone, moves, fade, shift = rng.random(), rng.random(), rng.random(), rng.normal(0, 0.35)
            if gone < day.missing or (drop and gone < 0.8):
                continue
            cover = round(255 * (1.0 - day.faded * fade))
            ahead = mark[0][1] - mark[0][0]
            step = ahead / max(float(np.linalg.norm(ahead)), 1e-6) * (shift if moves < day.moved else 0.0)
            for outline in mark:
                grid.fill(marking, [outline + step], cover, smooth=True)
    for park in layout.car_parks:
        for outline in park.lines():
            grid.fill(marking, [outline], 215, smooth=True)
    for area in layout.areas:
        if area.kind in ("pitch", "court"):
            for outline in field_lines(area):
                grid.fill(marking, [outline], 235, smooth=True)


def street_marks(street: Street, junctions: tuple[Junction, ...] = ()) -> Iterator[Mark]:
    """Yield the marks of one street."""
    if street.motorway:
        yield from _motorway(street)
        return
    first = street.clear[0] if street.start >= 0 else 0.0
    last = street.length_m - (street.clear[1] if street.end >= 0 else 0.0)
    if not street.cobbled:
        yield from _along(street, first, last)
    yield from _bays(street)
    for node, at_start in ((street.start, True), (street.end, False)):
        if node < 0:
            continue
        approach = Approach(street, at_start)
        if junctions and junctions[node].kind == "roundabout":
            yield approach.teeth(junctions[node].radius_m + 0.9, half_m=street.half_width_m + 0.9, inner_m=1.4)
            yield approach.zebra(junctions[node].radius_m + 4.6, street.half_width_m + 0.7)
        else:
            yield from approach.marks()


def _along(street: Street, first: float, last: float) -> Iterator[Mark]:
    """Lines that follow the street."""
    if last - first < 8.0:
        return
    if street.median_m > 0:
        yield from _carriageways(street, first, last)
    elif street.lined:
        yield from _centre_line(street, first, last)
    if street.main:
        edge = street.half_width_m - 0.42
        for sign in (1.0, -1.0):
            if not street.cycle_m:
                yield [street.strip(first + 5, last - 5, sign * edge, sign * (edge - _LINE_M))]
    if street.cycle_m:
        yield from _cycle_lanes(street, first, last)
    rng = street.rng("bus stop")
    if street.main and last - first > 95.0 and rng.random() < 0.5:
        side = 1.0 if rng.random() < 0.5 else -1.0
        yield _bus_stop(street, float(rng.uniform(first + 32.0, last - 50.0)), side)


def _carriageways(street: Street, first: float, last: float) -> Iterator[Mark]:
    for sign in (1.0, -1.0):
        inner = street.median_m + 0.35
        yield [street.strip(first + 1, last - 1, sign * inner, sign * (inner + _LINE_M))]
        for lane in range(1, street.lanes):
            offset = sign * (street.median_m + lane * street.width_m)
            yield [street.strip(first + 4.2, first + 24, offset + 0.07, offset - 0.07)]
            for s in np.arange(first + 28.0, last - 3.0, 9.0):
                yield [street.strip(s, s + 3.0, offset + 0.07, offset - 0.07)]


def _cycle_lanes(street: Street, first: float, last: float) -> Iterator[Mark]:
    offset = street.half_width_m - street.cycle_m
    dashed = street.rng("cycle lane").random() < 0.5
    for sign in (1.0, -1.0):
        if not dashed:
            yield [street.strip(first + 1, last - 1, sign * (offset + 0.1), sign * (offset - 0.1))]
        else:
            for s in np.arange(first + 1.0, last - 2.0, 2.0):
                yield [street.strip(s, s + 1.0, sign * (offset + 0.08), sign * (offset - 0.08))]
        for s in np.arange(first + 9.0, last - 8.0, 46.0):
            yield _bicycle(street, s, sign * (offset + street.cycle_m / 2 - 0.1))


def _bicycle(street: Street, s: float, offset: float) -> Mark:
    """A bicycle as drivers along the lane read it: two wheels and a frame."""
    way = -1.0 if offset > 0 else 1.0
    marks = []
    for wheel in (-0.32, 0.32):
        angle = np.linspace(0, 2 * np.pi, 13)
        for a, b in pairwise(angle):
            ring = np.array([[r * np.cos(t), r * np.sin(t)] for t, r in ((a, 0.26), (b, 0.26), (b, 0.18), (a, 0.18))])
            marks.append(street.at(s + 1.5 * way * ring[:, 1], offset + wheel + ring[:, 0]))
    for x0, x1, y in ((-0.32, 0.0, 0.0), (0.0, 0.2, 0.3), (-0.2, 0.22, 0.36)):
        marks.append(street.at(s + way * np.array([y, y, y + 0.12, y + 0.12]), offset + np.array([x0, x1, x1, x0])))
    return marks


def _bus_stop(street: Street, s: float, side: float) -> Mark:
    """A bus stop in the lane: a broken box with zigzag ends and bars for its letters."""
    edge = side * (street.half_width_m - street.cycle_m - 0.2)
    inner = edge - side * 2.6
    marks = [street.strip(k, k + 1.2, edge, edge - side * 0.15) for k in np.arange(s, s + 18.0, 2.0)]
    marks += [street.strip(k, k + 1.2, inner, inner + side * 0.15) for k in np.arange(s, s + 18.0, 2.0)]
    marks += [street.strip(k, k + 0.15, edge, inner) for k in (s, s + 17.85)]
    for k, letter in enumerate(((0.0, 0.45), (0.65, 1.1), (1.3, 1.75))):
        left = inner + side * (0.4 + letter[0])
        right = inner + side * (0.4 + letter[1])
        for row in (0.0, 0.8, 1.6):
            marks.append(street.strip(s + 8.0 + row, s + 8.25 + row, left, right))
        marks.append(street.strip(s + 8.0 + 0.8 * (k % 2), s + 9.6, left, left + side * 0.12))
    return marks


@dataclass(frozen=True, slots=True, eq=False)
class Approach:
    """One end of a street, as a driver sees it who comes to the junction there."""

    street: Street
    at_start: bool

    @property
    def clear_m(self) -> float:
        """Distance from the junction's centre at which markings begin."""
        return self.street.clear[0 if self.at_start else 1]

    @property
    def control(self) -> str:
        """What holds the driver."""
        return self.street.controls[0 if self.at_start else 1]

    def strip(self, near_m: float, far_m: float, left_m: float, right_m: float) -> F64:
        """Outline (N, 2) of an area by its distances to the junction's centre and its offsets to the driver's left."""
        street = self.street
        if self.at_start:
            return street.strip(near_m, far_m, -left_m, -right_m)
        return street.strip(street.length_m - far_m, street.length_m - near_m, left_m, right_m)

    def placed(self, shape: F64, distance_m: float, offset_m: float | None = None) -> F64:
        """Put a shape (N, 2; ahead, left) on the driver's lane, its tail at a distance from the junction's centre."""
        middle = -self.street.lane_m if offset_m is None else offset_m
        ahead, left = shape[:, 0], shape[:, 1] * 1.2 + middle
        s = distance_m - ahead if self.at_start else self.street.length_m - distance_m + ahead
        return self.street.at(s, -left if self.at_start else left)

    def stop_line(self) -> F64:
        """Outline (N, 2) of the stop line."""
        inner = -self.street.median_m - 0.3 if self.street.median_m else 0.1
        near = self.clear_m + STOP_M
        return self.strip(near, near + 0.5, inner, -self.street.half_width_m + 0.35)

    def teeth(self, near_m: float, half_m: float | None = None, inner_m: float = 0.2) -> Mark:
        """A row of triangles across the driver's half of the road."""
        half = self.street.half_width_m if half_m is None else half_m
        tooth = np.array([[0.0, 0.0], [0.0, 0.36], [-0.62, 0.18]])
        offsets = np.arange(-half + 0.4, -inner_m - 0.4, 0.62)
        return [self.placed(tooth * [1.0, 1.0 / 1.2], near_m, float(offset)) for offset in offsets]

    def zebra(self, near_m: float, half_m: float) -> Mark:
        """Stripes for people who cross the street."""
        gap = self.street.median_m
        return [
            self.strip(near_m, near_m + 3.0, offset + 0.5, offset)
            for offset in np.arange(-half_m + 0.5, half_m - 0.4, 1.0)
            if abs(offset + 0.25) > gap + 0.2
        ]

    def marks(self) -> Iterator[Mark]:
        """Yield all that is painted before the junction."""
        street, clear = self.street, self.clear_m
        if street.crossings[0 if self.at_start else 1]:
            yield self.zebra(clear + 0.2, street.half_width_m)
        if self.control in ("stop", "signal"):
            yield [self.stop_line()]
        elif self.control == "yield":
            yield self.teeth(clear + STOP_M + 0.5, inner_m=max(0.2, street.median_m))
        if self.control == "none" or not street.main:
            return
        lanes = [-street.lane_m + k * street.width_m for k in range(street.lanes)]
        for k, lane in enumerate(lanes):
            shapes = [_ARROW] if k or street.lanes == 1 else []
            shapes.append(_TURN * [1.0, -1.0] if k == 0 else _TURN)
            yield [self.placed(shape, clear + _ARROW_M, lane) for shape in (*shapes, *([_ARROW] if not k else []))]


def _centre_line(street: Street, first: float, last: float) -> Iterator[Mark]:
    half, solid = _LINE_M / 2, 17.0
    if street.start >= 0 and street.controls[0] != "none":
        yield [street.strip(first + 4.2, first + solid, half, -half)]
        first += solid + 3.0
    if street.end >= 0 and street.controls[1] != "none":
        yield [street.strip(last - solid, last - 4.2, half, -half)]
        last -= solid + 3.0
    double = street.rng("centre line").random() < 0.12
    if double and last - first > 20:
        for sign in (1.0, -1.0):
            yield [street.strip(first, last, sign * 0.16, sign * 0.05)]
        return
    for s in np.arange(first, last - 3.0, 6.0):
        yield [street.strip(s, s + 3.0, half, -half)]


def _motorway(street: Street) -> Iterator[Mark]:
    """Edge lines of both carriageways and the line between their lanes."""
    for sign in (1.0, -1.0):
        for offset, width in ((2.6, 0.15), (10.35, 0.3)):
            for s in np.arange(0.0, street.length_m, 60.0):
                end = min(s + 60.0, street.length_m)
                yield [street.strip(s, end, sign * (offset + width / 2), sign * (offset - width / 2))]
        for s in np.arange(0.0, street.length_m - 6.0, 18.0):
            yield [street.strip(s, s + 6.0, sign * 6.55, sign * 6.4)]


def _bays(street: Street) -> Iterator[Mark]:
    for left, sign in ((True, 1.0), (False, -1.0)):
        slots = street.bay_slots(left=left)
        for s in slots:
            inner, outer = sign * street.half_width_m, sign * (street.half_width_m + BAY_M - 0.3)
            yield [street.strip(s - 0.05, s + 0.05, inner, outer)]
        for s in slots[:-1]:
            yield [street.strip(s + 0.6, s + 4.9, sign * street.half_width_m, sign * (street.half_width_m + 0.1))]


def field_lines(area: Area) -> Iterator[F64]:
    """Yield the lines of a sports field (4 corners) as outlines."""
    a, b, _, d = area.outline
    length, width = float(np.linalg.norm(b - a)), float(np.linalg.norm(d - a))
    x, y = (b - a) / length, (d - a) / width

    def bar(x0: float, x1: float, y0: float, y1: float) -> F64:
        return np.array([a + x * u + y * v for u, v in ((x0, y0), (x1, y0), (x1, y1), (x0, y1))])

    rim, line = 1.4, 0.1
    for u in (rim, length / 2, length - rim):
        yield bar(u - line / 2, u + line / 2, rim, width - rim)
    for v in (rim, width - rim):
        yield bar(rim, length - rim, v - line / 2, v + line / 2)
    deep, half = (10.0, 9.0) if area.kind == "pitch" else (6.0, width / 2 - rim)
    for u in (rim + deep, length - rim - deep):
        yield bar(u - line / 2, u + line / 2, width / 2 - half, width / 2 + half)
    for v in (width / 2 - half, width / 2 + half):
        for u in (rim, length - rim - deep):
            yield bar(u, u + deep, v - line / 2, v + line / 2)
    angle, radius = np.linspace(0, 2 * np.pi, 33), 4.5 if area.kind == "pitch" else 1.8
    for p, q in pairwise(angle):
        corners = ((p, radius), (q, radius), (q, radius - line), (p, radius - line))
        ring = [(np.cos(t) * r, np.sin(t) * r) for t, r in corners]
        yield np.array([a + x * (length / 2 + u) + y * (width / 2 + v) for u, v in ring])
