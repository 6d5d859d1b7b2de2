# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The flat world as rasters of what the ground is made of; how it looks on a day is the business of `appearance`."""

from __future__ import annotations

import enum
from dataclasses import dataclass

import numpy as np

from cvloc_ros.simulation.layout import BAY_M, STEP_M, Layout, Street
from cvloc_ros.simulation.markings import mark_streets
from cvloc_ros.simulation.motion import Replayed
from cvloc_ros.simulation.raster import Grid
from cvloc_ros.simulation.scene import Scene
from cvloc_ros.simulation.styles import STYLES
from cvloc_ros.simulation.town import bay_slots, make_layout
from cvloc_ros.types import F64, U8


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


@dataclass(frozen=True, slots=True, eq=False)
class World:
    """A painted world. `material` holds `Material`, `marking` 0..255 coverage by road paint, `joint` 0..255 joints."""

    scene: Scene
    layout: Layout
    grid: Grid
    material: U8
    marking: U8
    joint: U8
    photo: U8 | None = None
    """(rows, columns, 3): the ground of a world on real imagery; the rasters above are empty then."""
    attribution: str = ""
    """Whom to name for the photo."""
    replayed: Replayed | None = None
    """The recorded motion where its own path is driven."""


def build_world(scene: Scene) -> World:
    """Make the world of a scene; takes some seconds at the default size."""
    layout = make_layout(scene)
    grid = Grid.centred(scene.size_m, scene.resolution_m)
    world = World(scene, layout, grid, grid.empty(Material.MEADOW), grid.empty(), grid.empty())
    _paint_blocks(world)
    _paint_pavements(world)
    _paint_carriageways(world)
    _paint_repairs(world)
    for street in layout.streets:
        if street.motorway:
            grid.fill(world.material, [street.strip(0.0, street.length_m, 1.5, -1.5)], int(Material.LAWN))
    mark_streets(layout, grid, world.marking)
    return world


def _paint_blocks(world: World) -> None:
    rng = world.scene.rng("gardens")
    if not STYLES[world.scene.style].gardens:
        return
    for street in world.layout.streets:
        for sign in (1.0, -1.0):
            s = 4.0
            while s < street.length_m - 6.0:
                width = rng.uniform(9.0, 20.0)
                near, far = street.corridor_m, street.corridor_m + rng.uniform(14.0, 26.0)
                look = Material.LAWN if rng.random() < 0.75 else Material.DRIVEWAY
                plot = street.strip(s, min(s + width - 0.5, street.length_m), sign * near, sign * far)
                world.grid.fill(world.material, [plot], int(look))
                s += width


def _paint_pavements(world: World) -> None:
    grid = world.grid
    for street in world.layout.streets:
        edge = street.corridor_m
        grid.fill(world.material, [street.strip(0.0, street.length_m, edge, -edge)], int(Material.PAVEMENT))
    for node in world.layout.junctions:
        grid.disc(world.material, node, 8.6, int(Material.PAVEMENT))
    rng = world.scene.rng("driveways")
    for street in world.layout.streets:
        if street.motorway:
            continue
        inner = street.corridor_m - street.pavement_m
        rows = np.arange(inner + 0.5, street.corridor_m, 0.5)
        s = np.arange(0.0, street.length_m, 0.6)
        for sign in (1.0, -1.0):
            across = np.stack([street.at(s, sign * inner), street.at(s, sign * street.corridor_m)], axis=1)
            along = [street.at(np.arange(0.0, street.length_m, STEP_M), sign * row) for row in rows]
            grid.lines(world.joint, [*across, *along], 255)
            if street.verge_m > 0:
                verge = street.strip(12.0, street.length_m - 12.0, sign * (inner - street.verge_m), sign * inner)
                grid.fill(world.material, [verge], int(Material.LAWN))
            for start in rng.uniform(16.0, max(street.length_m - 18.0, 17.0), 3):
                way = street.strip(start, start + 3.2, sign * (inner - street.verge_m), sign * (street.corridor_m + 7))
                grid.fill(world.material, [way], int(Material.DRIVEWAY))
                grid.fill(world.joint, [way], 0)


def _paint_carriageways(world: World) -> None:
    grid = world.grid
    layers = ((0.16, Material.KERB), (0.0, Material.GUTTER), (-0.28, Material.ASPHALT))
    bays = [(street, *span) for street in world.layout.streets for span in _bay_spans(street)]
    for grow, look in layers:
        for street, start, end, sign in bays:
            edge = sign * (street.half_width_m + BAY_M + grow)
            area = street.strip(start - grow, end + grow, sign * (street.half_width_m - 0.5), edge)
            grid.fill(world.material, [area], int(Material.BAY if look is Material.ASPHALT else look))
            grid.fill(world.joint, [area], 0)
        for street in world.layout.streets:
            edge = street.half_width_m + grow
            area = street.strip(0.0, street.length_m, edge, -edge)
            grid.fill(world.material, [area], int(look))
            grid.fill(world.joint, [area], 0)
        for index, node in enumerate(world.layout.junctions):
            outline = _junction(world.layout.streets, index, node, grow)
            # Where only two streets meet, the outer kerb runs around the end of the wider one.
            widest = max((s.half_width_m for s in world.layout.streets if index in (s.start, s.end)), default=0.0)
            grid.fill(world.material, [outline], int(look))
            grid.disc(world.material, node, widest + grow, int(look))
            grid.fill(world.joint, [outline], 0)


def _junction(streets: tuple[Street, ...], index: int, node: F64, grow: float) -> F64:
    """Outline (N, 2) of a junction: the mouths of its streets joined by rounded corners."""
    mouths = []
    for street in streets:
        for end in (False, True):
            if (street.end if end else street.start) == index:
                s = np.array([street.length_m - 8.0 if end else 8.0])
                edge = street.half_width_m + grow
                left, right = (edge, -edge) if end else (-edge, edge)
                ahead = (node - street.at(s, 0.0)[0]) / 8.0
                mouths.append((street.at(s, left)[0], street.at(s, right)[0], ahead))
    mouths.sort(key=lambda mouth: float(np.arctan2(-mouth[2][1], -mouth[2][0])))
    outline: list[F64] = []
    for (left, right, ahead), (next_left, _, next_ahead) in zip(mouths, mouths[1:] + mouths[:1], strict=True):
        outline += [left[None], _corner(right, ahead, next_left, next_ahead)]
    return np.concatenate(outline) if outline else np.zeros((0, 2))


def _corner(a: F64, da: F64, b: F64, db: F64) -> F64:
    """Round the corner (9, 2) between two kerb lines that start at a and b and run along da and db."""
    turn = float(da[0] * db[1] - da[1] * db[0])
    if abs(turn) < 0.35:
        return np.linspace(a, b, 9)
    gap = b - a
    tip = a + da * float(gap[0] * db[1] - gap[1] * db[0]) / turn
    t = np.linspace(0, 1, 9)[:, None]
    return np.asarray((1 - t) ** 2 * a + 2 * t * (1 - t) * tip + t**2 * b)


def _bay_spans(street: Street) -> list[tuple[float, float, float]]:
    spans = []
    for left, sign in ((True, 1.0), (False, -1.0)):
        slots = bay_slots(street, left=left)
        if len(slots) > 1:
            spans.append((float(slots[0]), float(slots[-1]), sign))
    return spans


def _paint_repairs(world: World) -> None:
    rng = world.scene.rng("repairs")
    for street in world.layout.streets:
        for _ in range(int(street.length_m / 14)):
            s, width = rng.uniform(5.0, street.length_m - 5.0), street.half_width_m - 0.4
            offset, length, breadth = rng.uniform(-width, width), rng.uniform(0.6, 7.0), rng.uniform(0.4, 1.4)
            low = float(np.clip(offset - breadth, -width, width))
            world.grid.fill(world.material, [street.strip(s, s + length, offset, low)], int(Material.PATCH))
        for s in rng.uniform(3.0, street.length_m - 3.0, max(2, int(street.length_m / 22))):
            offset = rng.uniform(-1.8, 1.8)
            world.grid.disc(world.material, street.at(np.array([s]), offset)[0], 0.33, int(Material.MANHOLE))
