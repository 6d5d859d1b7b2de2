# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the plan of a simulated place is made of: streets, junctions, areas, buildings. Metres, x east, y north."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from cvloc_ros.types import F64

if TYPE_CHECKING:
    from cvloc_ros.simulation.lots import CarPark

STEP_M = 0.5
BAY_M = 2.1
BAY_LENGTH_M = 5.5
MOTORWAY_LANE_M = 8.5
"""Middle of the slow lane: median 1.5, hard strip 1, two lanes of 3.75 m, shoulder 2.5 m, edge."""
Control = Literal["none", "stop", "yield", "signal"]


@dataclass(frozen=True, slots=True, eq=False)
class Junction:
    """Where streets meet: centre (2,). Roundabouts have an island, turning places only a radius, crossings neither."""

    centre: F64
    kind: Literal["crossing", "roundabout", "turning", "end"] = "crossing"
    radius_m: float = 0.0
    island_m: float = 0.0

    @property
    def drive_m(self) -> float:
        """Radius of the circle that is driven around the centre."""
        return (self.radius_m + self.island_m) / 2 + 0.4 if self.island_m else self.radius_m - 3.2


@dataclass(frozen=True, slots=True, eq=False)
class Line:
    """A line (N, 2) through the world in steps of 0.5 m."""

    line: F64

    @property
    def length_m(self) -> float:
        """Length of the line."""
        return STEP_M * (len(self.line) - 1)

    def at(self, s_m: F64, offset_m: F64 | float) -> F64:
        """Points (..., 2) at a distance along the line and an offset to its left, metres."""
        index = np.clip(np.asarray(s_m, dtype=np.float64) / STEP_M, 0, len(self.line) - 1)
        knots = np.arange(len(self.line))
        tangent = np.gradient(self.line, axis=0)
        tangent /= np.linalg.norm(tangent, axis=1, keepdims=True)
        x, y, tx, ty = (np.interp(index, knots, column) for column in (*self.line.T, *tangent.T))
        return np.stack([x - offset_m * ty, y + offset_m * tx], axis=-1)

    def ahead(self, s_m: float) -> F64:
        """Unit vector (2,) along the line at a distance."""
        s = min(max(s_m, 0.0), self.length_m)
        a, b = self.at(np.array([max(s - 1.0, 0.0), min(s + 1.0, self.length_m)]), 0.0)
        return np.asarray((b - a) / max(float(np.linalg.norm(b - a)), 1e-9))

    def strip(self, s0_m: float, s1_m: float, left_m: float, right_m: float) -> F64:
        """Outline (N, 2) of the area between two distances along the line and two offsets to its left."""
        count = max(2, int(np.ceil(abs(s1_m - s0_m) / STEP_M)) + 1)
        s = np.linspace(s0_m, s1_m, count)
        return np.concatenate([self.at(s, left_m), self.at(s[::-1], right_m)])

    def near(self, point: F64) -> tuple[float, float]:
        """Distance along the line of the place nearest to a point (2,), and how far away it is."""
        away = np.linalg.norm(self.line - point, axis=1)
        index = int(away.argmin())
        return index * STEP_M, float(away[index])


@dataclass(frozen=True, slots=True, eq=False)
class Street(Line):
    """A street between two junctions (-1: it leaves the world); `line` is its middle."""

    start: int
    end: int
    main: bool
    half_width_m: float
    verge_m: float
    pavement_m: float
    bays: tuple[bool, bool]
    """Parking bays on the left and on the right, seen along the line."""
    motorway: bool = False
    clear: tuple[float, float] = (9.0, 9.0)
    """Distances from both junctions' centres at which markings begin."""
    controls: tuple[Control, Control] = ("stop", "stop")
    """What holds those who come to the junction at the start and at the end."""
    crossings: tuple[bool, bool] = (False, False)
    median_m: float = 0.0
    """Half width of what separates the two directions."""
    lanes: int = 1
    """Lanes of each direction."""
    cycle_m: float = 0.0
    """Width of a bicycle lane on either edge."""
    lined: bool = True
    tram: bool = False
    cobbled: bool = False
    seed: int = 0
    """Draws the details of this street."""

    @property
    def corridor_m(self) -> float:
        """Half width of all that belongs to the street, pavements included."""
        return self.half_width_m + (BAY_M if any(self.bays) else 0.0) + self.verge_m + self.pavement_m

    @property
    def width_m(self) -> float:
        """Width of a lane."""
        return (self.half_width_m - self.median_m - self.cycle_m) / self.lanes

    @property
    def lane_m(self) -> float:
        """Distance of the middle of the right-hand lane from the centre line."""
        edge = self.half_width_m - self.cycle_m - self.width_m / 2 - 0.05
        return MOTORWAY_LANE_M if self.motorway else edge

    def rng(self, purpose: str) -> np.random.Generator:
        """Return the random stream of one kind of detail."""
        return np.random.default_rng([self.seed, *purpose.encode()])

    def bay_slots(self, *, left: bool) -> F64:
        """Distances at which the parking bays of one side begin and end (empty without bays)."""
        if not self.bays[0 if left else 1]:
            return np.zeros(0)
        first, last = self.clear[0] + 17.0, self.length_m - self.clear[1] - 17.0
        return np.arange(first, max(last, first), BAY_LENGTH_M)


AreaKind = Literal[
    "lawn", "yard", "crops", "straw", "soil", "meadow", "pool", "pond", "car park", "pitch", "court", "square", "path",
    "track", "flowers", "beds", "terrace",
]  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Area:
    """A piece of ground: outline (N, 2), what it is, and the direction (2,) of its rows."""

    outline: F64
    kind: AreaKind
    ahead: F64
    seed: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Railway(Line):
    """A railway or a tram line: offsets of its tracks from the line; with a ballast bed or sunk into the road."""

    tracks: tuple[float, ...] = (0.0,)
    ballast: bool = True

    @property
    def half_m(self) -> float:
        """Half width of the bed."""
        return max(abs(track) for track in self.tracks) + 2.1


@dataclass(frozen=True, slots=True, eq=False)
class River(Line):
    """Running water with its banks."""

    half_m: float = 5.0
    bank_m: float = 3.0
    canal: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Box:
    """An upright box: footprint (4, 2), height, and which of the looks of its kind it has."""

    outline: F64
    height_m: float
    look: int
    kind: Literal["house", "shed", "car"] = "house"


@dataclass(frozen=True, slots=True, eq=False)
class Tree:
    """A tree: centre (2,), radius of the crown, height."""

    centre: F64
    radius_m: float
    height_m: float


@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """The whole plan. `cars` and `cars_aerial` are the vehicles of the drive's and of the aerial image's day."""

    junctions: tuple[Junction, ...]
    streets: tuple[Street, ...]
    buildings: tuple[Box, ...]
    trees: tuple[Tree, ...]
    cars: tuple[Box, ...]
    cars_aerial: tuple[Box, ...]
    areas: tuple[Area, ...] = ()
    railways: tuple[Railway, ...] = ()
    rivers: tuple[River, ...] = ()
    fences: tuple[F64, ...] = ()
    """Borders between gardens, (2, 2) each."""
    car_parks: tuple[CarPark, ...] = ()


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


def box(centre: F64, direction: F64, length_m: float, width_m: float) -> F64:
    """Corners (4, 2) of a rectangle whose length lies along a unit direction (2,)."""
    side = np.array([-direction[1], direction[0]])
    ahead, left = direction * length_m / 2, side * width_m / 2
    return np.array([centre - ahead - left, centre + ahead - left, centre + ahead + left, centre - ahead + left])
