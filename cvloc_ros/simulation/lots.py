# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What lies beside the streets other than houses: car parks, squares, sports fields, fields, paths, ponds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from cvloc_ros.simulation.layout import Area, AreaKind, Box, Street, box, hermite
from cvloc_ros.simulation.network import Network
from cvloc_ros.simulation.occupancy import Occupancy
from cvloc_ros.simulation.scene import Scene
from cvloc_ros.simulation.styles import STYLES
from cvloc_ros.types import F64

_SPOT_M = 2.55
_ROW_M = 5.1
_TRIES = 40


@dataclass(frozen=True, slots=True, eq=False)
class CarPark:
    """A car park beside a street: two rows of spots with a lane between them, from `start_m` to `end_m` along it."""

    street: Street
    side: float
    start_m: float
    end_m: float
    seed: int

    @property
    def near_m(self) -> float:
        """Offset of the nearer edge from the middle of the street."""
        return self.street.corridor_m + 1.4

    @property
    def far_m(self) -> float:
        """Offset of the farther edge."""
        return self.near_m + 2 * _ROW_M + 6.4

    def outline(self) -> F64:
        """All of it (N, 2)."""
        return self.street.strip(self.start_m, self.end_m, self.side * self.near_m, self.side * self.far_m)

    def access(self) -> F64:
        """The way in (N, 2), from the carriageway to the lane."""
        middle = self._gate()
        inner = self.side * (self.street.half_width_m - 0.2)
        return self.street.strip(middle - 2.6, middle + 2.6, inner, self.side * (self.near_m + _ROW_M + 1.0))

    def _gate(self) -> float:
        return self.start_m + _SPOT_M * (0.5 + round((self.end_m - self.start_m) / _SPOT_M / 2))

    def spots(self) -> Iterator[tuple[float, float]]:
        """Yield distance along the street and offset to its left of the middle of each spot."""
        for s in np.arange(self.start_m + _SPOT_M / 2, self.end_m - _SPOT_M / 2 + 0.01, _SPOT_M):
            yield float(s), self.side * (self.far_m - _ROW_M / 2)
            if abs(s - self._gate()) > 1.3 * _SPOT_M:
                yield float(s), self.side * (self.near_m + _ROW_M / 2)

    def lines(self) -> Iterator[F64]:
        """Yield the painted lines between the spots."""
        for s, offset in self.spots():
            for edge in (s - _SPOT_M / 2, s + _SPOT_M / 2):
                yield self.street.strip(edge - 0.05, edge + 0.05, offset - _ROW_M / 2, offset + _ROW_M / 2)

    def cars(self, rng: np.random.Generator) -> Iterator[Box]:
        """Yield the vehicles of one day."""
        share = rng.uniform(0.35, 0.75)
        for s, offset in self.spots():
            if rng.random() < share:
                ahead = self.street.ahead(s)
                across = np.array([-ahead[1], ahead[0]])
                middle = self.street.at(np.array([s]), offset + float(rng.uniform(-0.25, 0.25)))[0]
                length, width = rng.uniform(3.9, 4.7), rng.uniform(1.7, 1.85)
                height, colour = float(rng.uniform(1.4, 1.65)), int(rng.integers(8))
                yield Box(box(middle, across, length, width), height, colour, "car")


def _beside(
    streets: tuple[Street, ...], rng: np.random.Generator, length_m: float
) -> tuple[Street, float, float] | None:
    """Draw a street, a side and where something of a length begins."""
    long = [s for s in streets if not s.motorway and s.length_m - sum(s.clear) > length_m + 6]
    if not long:
        return None
    street = long[int(rng.integers(len(long)))]
    start = float(rng.uniform(street.clear[0] + 2.0, street.length_m - street.clear[1] - length_m - 2.0))
    return street, 1.0 if rng.random() < 0.5 else -1.0, start


def car_parks(scene: Scene, network: Network, taken: Occupancy) -> tuple[CarPark, ...]:
    """Place car parks beside the streets."""
    rng, wanted = scene.rng("car parks"), STYLES[scene.style].car_parks
    found: list[CarPark] = []
    for _ in range(_TRIES):
        length = _SPOT_M * int(rng.integers(9, 18))
        place = _beside(network.streets, rng, length)
        if len(found) >= wanted or place is None:
            break
        park = CarPark(place[0], place[1], place[2], place[2] + length, int(rng.integers(2**31)))
        if taken.inside(park.outline()) and taken.free(park.outline()):
            taken.add(park.outline())
            found.append(park)
    return tuple(found)


def squares(scene: Scene, network: Network, taken: Occupancy) -> list[Area]:
    """Place paved squares beside the streets."""
    rng, wanted = scene.rng("squares"), STYLES[scene.style].squares
    found: list[Area] = []
    for _ in range(_TRIES):
        length, depth = float(rng.uniform(22.0, 38.0)), float(rng.uniform(16.0, 28.0))
        place = _beside(network.streets, rng, length)
        if len(found) >= wanted or place is None:
            break
        street, side, s = place
        near = street.corridor_m - 0.3
        outline = street.strip(s, s + length, side * near, side * (near + depth))
        open_part = street.strip(s, s + length, side * (near + 1.6), side * (near + depth))
        if taken.inside(outline) and taken.free(open_part):
            taken.add(outline)
            found.append(Area(outline, "square", street.ahead(s + length / 2), int(rng.integers(2**31))))
            bed = side * (near + 0.35 * depth), side * (near + 0.6 * depth)
            inner = street.strip(s + 0.3 * length, s + 0.55 * length, *bed)
            found.append(Area(inner, "flowers", street.ahead(s), int(rng.integers(2**31))))
    return found


def pitches(scene: Scene, network: Network, taken: Occupancy) -> list[Area]:
    """Place sports fields and ponds where there is room."""
    rng, style = scene.rng("sports fields"), STYLES[scene.style]
    half = np.array(scene.size_m) / 2
    found: list[Area] = []
    wishes: list[tuple[AreaKind, float, float]] = [("pitch", 52.0, 33.0), ("court", 36.0, 18.5)] * style.pitches
    if style.fields or style.pitches:
        wishes.append(("pond", 26.0, 17.0))
    for kind, length, width in wishes:
        for _ in range(_TRIES):
            centre = rng.uniform(-half + 20, half - 20)
            nearest = min(network.streets, key=lambda s: s.near(centre)[1])
            ahead = nearest.ahead(nearest.near(centre)[0])
            ahead = ahead if rng.random() < 0.5 else np.array([-ahead[1], ahead[0]])
            outline = box(centre, ahead, length, width)
            if taken.inside(outline) and taken.free(box(centre, ahead, length + 5, width + 5)):
                taken.add(outline)
                found.append(Area(_blob(outline, rng) if kind == "pond" else outline, kind, ahead,
                                  int(rng.integers(2**31))))  # fmt: skip
                break
    return found


def _blob(outline: F64, rng: np.random.Generator) -> F64:
    """A round shape (64, 2) within a rectangle (4, 2)."""
    angle = np.linspace(0, 2 * np.pi, 64, endpoint=False)
    reach = 0.86 + 0.07 * np.sin(2 * angle + rng.uniform(0, 6)) + 0.07 * np.sin(3 * angle + rng.uniform(0, 6))
    a, b, _, d = outline
    x, y = reach * np.cos(angle) / 2 + 0.5, reach * np.sin(angle) / 2 + 0.5
    return np.asarray(a + x[:, None] * (b - a) + y[:, None] * (d - a))


def fields(scene: Scene) -> list[Area]:
    """Divide all the land into fields, and lay tracks between some of them."""
    rng, style = scene.rng("fields"), STYLES[scene.style]
    if not style.fields:
        return []
    angle = float(rng.uniform(-0.5, 0.5))
    ahead, left = np.array([np.cos(angle), np.sin(angle)]), np.array([-np.sin(angle), np.cos(angle)])
    reach = float(np.hypot(*scene.size_m)) / 2 + 20
    kinds: tuple[AreaKind, ...] = ("crops", "straw", "soil", "meadow", "crops")
    parts, found, tracks = [(-reach, reach, -reach, reach)], [], []
    while parts:
        x0, x1, y0, y1 = parts.pop()
        wide, high = x1 - x0, y1 - y0
        if max(wide, high) > 70 and (max(wide, high) > 170 or rng.random() < 0.7):
            share = float(rng.uniform(0.35, 0.65))
            if wide > high:
                cut = x0 + share * wide
                parts += [(x0, cut, y0, y1), (cut, x1, y0, y1)]
            else:
                cut = y0 + share * high
                parts += [(x0, x1, y0, cut), (x0, x1, cut, y1)]
                if high > 150:
                    tracks.append(np.array([[x0, cut - 1.4], [x1, cut - 1.4], [x1, cut + 1.4], [x0, cut + 1.4]]))
            continue
        corners = np.array([[x0 + 0.7, y0 + 0.7], [x1 - 0.7, y0 + 0.7], [x1 - 0.7, y1 - 0.7], [x0 + 0.7, y1 - 0.7]])
        rows = ahead if wide > high else left
        kind = kinds[int(rng.integers(len(kinds)))]
        found.append(Area(corners @ np.array([ahead, left]), kind, rows, int(rng.integers(2**31))))
    turned = [Area(track @ np.array([ahead, left]), "track", ahead) for track in tracks]
    return [*found, *turned]


def paths(scene: Scene, network: Network, built: Occupancy) -> list[Area]:
    """Lead footpaths from one street to another, between the houses."""
    rng, wanted = scene.rng("paths"), STYLES[scene.style].paths
    found: list[Area] = []
    for _ in range(60 * wanted):
        if len(found) >= wanted:
            break
        ends = []
        for _ in range(2):
            place = _beside(network.streets, rng, 12.0)
            if place is None:
                return found
            street, side, s = place
            ahead = street.ahead(s)
            ends.append((street.at(np.array([s]), side * (street.corridor_m - 0.2))[0],
                         side * np.array([-ahead[1], ahead[0]])))  # fmt: skip
        (a, da), (b, db) = ends
        if not 30.0 < float(np.linalg.norm(b - a)) < 120.0 or float((b - a) @ da) < 5.0 or float((a - b) @ db) < 5.0:
            continue
        line = hermite(a, b, da, -db)
        way = Street(line, -1, -1, main=False, half_width_m=1.0, verge_m=0.0, pavement_m=0.0, bays=(False, False))
        inner = way.strip(1.5, way.length_m - 1.5, 1.2, -1.2)
        if way.length_m < 150 and built.free(inner):
            found.append(Area(way.strip(0.0, way.length_m, 1.0, -1.0), "path", da))
    return found
