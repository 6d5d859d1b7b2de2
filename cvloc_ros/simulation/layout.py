# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The plan of a simulated town as vectors: streets, junctions, buildings, trees, vehicles. Metres, x east, y north."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cvloc_ros.simulation.scene import Scene
from cvloc_ros.simulation.styles import STYLES, Style
from cvloc_ros.types import F64

STEP_M = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class Street:
    """A street between two junctions (-1: it leaves the world). `line` (N, 2) is the centre line in steps of 0.5 m."""

    line: F64
    start: int
    end: int
    main: bool
    half_width_m: float
    verge_m: float
    pavement_m: float
    bays: tuple[bool, bool]
    """Parking bays on the left and on the right, seen along the line."""
    motorway: bool = False

    @property
    def length_m(self) -> float:
        """Length of the centre line."""
        return STEP_M * (len(self.line) - 1)

    @property
    def corridor_m(self) -> float:
        """Half width of all that belongs to the street, pavements included."""
        return self.half_width_m + (BAY_M if any(self.bays) else 0.0) + self.verge_m + self.pavement_m

    @property
    def lane_m(self) -> float:
        """Distance of the middle of the right-hand lane from the centre line."""
        return MOTORWAY_LANE_M if self.motorway else self.half_width_m / 2 - 0.05

    def at(self, s_m: F64, offset_m: F64 | float) -> F64:
        """Points (..., 2) at a distance along the line and an offset to its left, metres."""
        index = np.clip(np.asarray(s_m, dtype=np.float64) / STEP_M, 0, len(self.line) - 1)
        knots = np.arange(len(self.line))
        tangent = np.gradient(self.line, axis=0)
        tangent /= np.linalg.norm(tangent, axis=1, keepdims=True)
        x, y, tx, ty = (
            np.interp(index, knots, column) for column in (*self.line.T, *tangent.T)
        )
        return np.stack([x - offset_m * ty, y + offset_m * tx], axis=-1)

    def strip(self, s0_m: float, s1_m: float, left_m: float, right_m: float) -> F64:
        """Outline (N, 2) of the area between two distances along the line and two offsets to its left."""
        count = max(2, int(np.ceil(abs(s1_m - s0_m) / STEP_M)) + 1)
        s = np.linspace(s0_m, s1_m, count)
        return np.concatenate([self.at(s, left_m), self.at(s[::-1], right_m)])


BAY_M = 2.1
MOTORWAY_LANE_M = 8.5
"""Middle of the slow lane: median 1.5, hard strip 1, two lanes of 3.75 m, shoulder 2.5 m, edge."""


@dataclass(frozen=True, slots=True, eq=False)
class Box:
    """An upright box: footprint (4, 2), height, and which of the looks of its kind it has."""

    outline: F64
    height_m: float
    look: int


@dataclass(frozen=True, slots=True, eq=False)
class Tree:
    """A tree: centre (2,), radius of the crown, height."""

    centre: F64
    radius_m: float
    height_m: float


@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """The whole plan. `cars` and `cars_aerial` are the vehicles of the drive's and of the aerial image's day."""

    junctions: F64
    streets: tuple[Street, ...]
    clear_m: float
    """Distance from a junction's centre at which markings begin."""
    buildings: tuple[Box, ...]
    trees: tuple[Tree, ...]
    cars: tuple[Box, ...]
    cars_aerial: tuple[Box, ...]


def make_streets(scene: Scene) -> tuple[F64, tuple[Street, ...]]:
    """Lay a bent grid of streets over the world. Returns junctions (N, 2) and the streets."""
    rng, style = scene.rng("streets"), STYLES[scene.style]
    if scene.style == "motorway":
        return np.zeros((0, 2)), (_motorway(scene, rng, style),)
    columns, rows = (max(1, round((side - 80) / style.block_m)) for side in scene.size_m)
    grid = np.stack(np.meshgrid(np.arange(columns), np.arange(rows)), axis=-1).reshape(-1, 2).astype(np.float64)
    nodes = (grid - (np.array([columns, rows]) - 1) / 2) * style.block_m + rng.uniform(-13, 13, (len(grid), 2))
    turns = rng.uniform(-style.bend, style.bend, (2, len(grid)))
    main_row = int(rng.integers(rows))
    plans: list[tuple[int, int, int]] = []
    for index, (column, row) in enumerate(grid.astype(int)):
        plans.append((0, index, index + 1 if column + 1 < columns else -1))
        plans.append((1, index, index + columns if row + 1 < rows else -1))
        if column == 0:
            plans.append((0, -1, index))
        if row == 0:
            plans.append((1, -1, index))
    streets = []
    for axis, start, end in plans:
        known = start if start >= 0 else end
        main = axis == 0 and int(grid[known, 1]) == main_row
        if min(start, end) < 0 and not main and rng.random() < 0.4 and rows * columns > 1:
            continue
        streets.append(_street(scene, rng, nodes, turns[axis], axis, start, end, main=main))
    return nodes, tuple(streets)


def _street(
    scene: Scene, rng: np.random.Generator, nodes: F64, turns: F64, axis: int, start: int, end: int, *, main: bool
) -> Street:
    def heading(node: int) -> F64:
        angle = turns[node] + axis * np.pi / 2
        return np.array([np.cos(angle), np.sin(angle)])

    edge = scene.size_m[axis] / 2 + 15.0
    if start >= 0 and end >= 0:
        a, b, da, db = nodes[start], nodes[end], heading(start), heading(end)
    else:
        known = start if start >= 0 else end
        sign = 1.0 if start >= 0 else -1.0
        way = heading(known)
        far = nodes[known] + way * (edge - sign * nodes[known][axis]) / way[axis] * sign
        straight = np.array([1.0 - axis, float(axis)])
        a, b, da, db = (nodes[known], far, way, straight) if start >= 0 else (far, nodes[known], straight, way)
    style, kind = STYLES[scene.style], 0 if main else 1
    bays = tuple(bool(v) for v in rng.random(2) < style.bay_chance[kind])
    return Street(
        line=hermite(a, b, da, db),
        start=start,
        end=end,
        main=main,
        half_width_m=style.half_width_m[kind],
        verge_m=0.0 if main else float(rng.choice(style.verges_m)),
        pavement_m=style.pavement_m[kind],
        bays=(bays[0], bays[1]),
    )


def _motorway(scene: Scene, rng: np.random.Generator, style: Style) -> Street:
    """One road with two carriageways through the whole world, in wide bends."""
    across = scene.size_m[0] / 2 + 15.0
    x = np.arange(-across, across, 1.0)
    swing = min(12.0, scene.size_m[1] / 8)
    y = swing * np.sin(x / 210.0 + rng.uniform(0, 6)) + 0.5 * swing * np.sin(x / 120.0 + rng.uniform(0, 6))
    line = resample(np.column_stack([x, y]), STEP_M)
    return Street(line, -1, -1, main=True, half_width_m=style.half_width_m[0], verge_m=style.verges_m[0],
                  pavement_m=0.0, bays=(False, False), motorway=True)  # fmt: skip


def hermite(a: F64, b: F64, da: F64, db: F64) -> F64:
    """Join two points (2,) with unit tangents by a cubic close to an arc, resampled (N, 2) in steps of 0.5 m."""
    turn = float(np.arccos(np.clip(da @ db, -1.0, 1.0)))
    reach = float(np.linalg.norm(b - a)) * (2 * np.tan(turn / 4) / np.sin(turn / 2) if turn > 0.01 else 1.0)
    t = np.linspace(0, 1, 200)[:, None]
    line = (
        (2 * t**3 - 3 * t**2 + 1) * a
        + (t**3 - 2 * t**2 + t) * reach * da
        + (3 * t**2 - 2 * t**3) * b
        + (t**3 - t**2) * reach * db
    )
    return resample(line, STEP_M)


def resample(line: F64, step_m: float) -> F64:
    """Put points on a polyline (N, 2) at equal distances; less than a step is lost at the end."""
    along = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(line, axis=0), axis=1))])
    s = np.arange(max(2, int(along[-1] / step_m) + 1)) * step_m
    return np.stack([np.interp(s, along, line[:, 0]), np.interp(s, along, line[:, 1])], axis=-1)
