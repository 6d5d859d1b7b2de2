# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Vehicles that drive along the streets while the drive lasts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cvloc_ros.simulation.gl.mesh import Mesh, chunked, moved
from cvloc_ros.simulation.gl.terrain import Terrain
from cvloc_ros.simulation.gl.vehicles import KINDS, Kind, vehicle
from cvloc_ros.simulation.layout import Street
from cvloc_ros.simulation.styles import STYLES
from cvloc_ros.simulation.world import World
from cvloc_ros.types import F64

_CLEAR_M = 14.0


@dataclass(frozen=True, slots=True, eq=False)
class _Driver:
    street: Street
    forward: bool
    start_m: float
    speed_mps: float
    offset_m: float
    kind: Kind
    colour: int


class Traffic:
    """All moving vehicles of a world. They keep away from the vehicle that carries the cameras by not being there."""

    def __init__(self, world: World, terrain: Terrain) -> None:
        rng, style = world.scene.rng("traffic"), STYLES[world.scene.style]
        self._terrain = terrain
        self._drivers = [
            self._driver(street, rng, style.speed_mps)
            for street in world.layout.streets
            for _ in range(int(rng.poisson(style.vehicles_per_100m * street.length_m / 100)))
        ]

    @staticmethod
    def _driver(street: Street, rng: np.random.Generator, speed: float) -> _Driver:
        kinds: tuple[Kind, ...] = (*KINDS, "lorry") if street.motorway else KINDS
        width = 3.75 if street.motorway else street.width_m if street.lanes > 1 else 0.0
        lane = street.lane_m - (width if rng.random() < 0.4 else 0.0)
        return _Driver(
            street, bool(rng.random() < 0.5), float(rng.uniform(0, street.length_m)),
            float(speed * rng.uniform(0.7, 1.3)),
            lane, kinds[int(rng.integers(len(kinds)))], int(rng.integers(8)),
        )  # fmt: skip

    def at(self, time_s: float, own: F64, reach_m: float = 150.0) -> Mesh | None:
        """Return the vehicles near a point (2,) at one time; None where there is none."""
        quads = []
        for driver in self._drivers:
            street = driver.street
            first = street.clear[0] if street.start >= 0 else 0.0
            last = street.length_m - (street.clear[1] if street.end >= 0 else 0.0)
            s = first + (driver.start_m + driver.speed_mps * time_s) % max(last - first, 1.0)
            s = s if driver.forward else first + last - s
            side = -driver.offset_m if driver.forward else driver.offset_m
            places = street.at(np.array([s, s + 0.5]), side)
            away = float(np.linalg.norm(places[0] - own))
            if not _CLEAR_M < away < reach_m:
                continue
            ahead = (places[1] - places[0]) * (1 if driver.forward else -1)
            yaw = float(np.arctan2(ahead[1], ahead[0])) if np.abs(ahead).sum() > 0 else 0.0
            height = float(self._terrain.height(places[0]))
            quads.append(moved(vehicle(driver.kind, driver.colour), (*places[0].tolist(), height), yaw))
        return chunked(np.concatenate(quads)) if quads else None
