# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""From a planned world to a stage: what stands on it, on the day of the drive or of the map."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import pairwise
from typing import cast

import numpy as np

from cvloc_ros.simulation.gl import furniture, vehicles
from cvloc_ros.simulation.gl.buildings import Roof, add_building
from cvloc_ros.simulation.gl.ground import paint_ground
from cvloc_ros.simulation.gl.mesh import MeshBuilder, chunked, moved
from cvloc_ros.simulation.gl.plants import add_hedge, add_tree
from cvloc_ros.simulation.gl.relief import add_relief
from cvloc_ros.simulation.gl.stage import Stage
from cvloc_ros.simulation.gl.terrain import Terrain
from cvloc_ros.simulation.gl.works import add_works, signs
from cvloc_ros.simulation.heights import heights_of
from cvloc_ros.simulation.layout import Box, Layout, Street, box
from cvloc_ros.simulation.looks import LookSpec
from cvloc_ros.simulation.occupancy import Occupancy
from cvloc_ros.simulation.scene import Scene
from cvloc_ros.simulation.styles import STYLES
from cvloc_ros.simulation.world import World
from cvloc_ros.types import F64


def terrain_of(scene: Scene) -> Terrain:
    """Return the slopes of a world."""
    return replace(Terrain.rolling(scene.rng("terrain"), scene.terrain_m), field=heights_of(scene))


def drive_stage(world: World) -> Stage:
    """Make the stage of the day of the drive."""
    return _stage(world, world.scene.look, world.layout.cars, from_above=False)


def map_stage(world: World) -> Stage:
    """Make the stage of the day on which the map was flown."""
    return _stage(world, world.scene.map_look, world.layout.cars_aerial, from_above=True)


def _stage(world: World, look: LookSpec, cars: Iterable[Box], *, from_above: bool) -> Stage:
    scene, layout = world.scene, world.layout
    mesh, terrain = MeshBuilder(), terrain_of(scene)
    add_buildings(mesh, scene, layout.buildings, terrain)
    if terrain.field is not None and world.solid is not None and world.photo is not None:
        add_relief(mesh, terrain.field, world.solid, world.photo, terrain)
    shapes = scene.rng("shapes of trees")
    for tree in layout.trees:
        add_tree(mesh, tree, float(terrain.height(tree.centre)), look.season, shapes)
    lamps = _add_street_things(mesh, scene, layout, terrain, look)
    day = "map" if from_above else "drive"
    parts = [mesh.quads(), *_parked(scene, cars, terrain, day), *_people(scene, layout, terrain, day)]
    return Stage(
        grid=world.grid, ground=paint_ground(world, look, from_above=from_above), mesh=chunked(np.concatenate(parts)),
        terrain=terrain, look=look, lamps=lamps,
    )  # fmt: skip


def add_buildings(mesh: MeshBuilder, scene: Scene, houses: Iterable[Box], terrain: Terrain) -> None:
    """Raise the buildings of a plan."""
    rng, style = scene.rng("facades"), STYLES[scene.style]
    for house in houses:
        own = np.random.default_rng(int(rng.integers(2**31)))
        roof = cast("Roof", style.roofs[int(own.integers(len(style.roofs)))])
        foot = float(terrain.height(house.outline).min()) - (0.3 if scene.terrain_m else 0.0)
        add_building(mesh, house, roof, foot, own, shop=bool(own.random() < style.shop_chance))


def _parked(scene: Scene, cars: Iterable[Box], terrain: Terrain, day: str) -> Iterator[np.ndarray]:
    rng = scene.rng(f"parked vehicles of the {day}")
    for car in cars:
        kind = vehicles.KINDS[int(rng.integers(len(vehicles.KINDS)))]
        a, b = car.outline[0], car.outline[1]
        yaw = float(np.arctan2(*(b - a)[::-1])) + (np.pi if rng.random() < 0.5 else 0.0)
        centre = car.outline.mean(axis=0)
        yield moved(vehicles.vehicle(kind, car.look), _on(terrain, centre).tolist(), yaw)


def _people(scene: Scene, layout: Layout, terrain: Terrain, day: str) -> Iterator[np.ndarray]:
    rng, style = scene.rng(f"people of the {day}"), STYLES[scene.style]
    for street in layout.streets if not scene.imagery else ():
        for _ in range(int(rng.poisson(style.people_per_100m * street.length_m / 100))):
            side = 1.0 if rng.random() < 0.5 else -1.0
            s = rng.uniform(8.0, max(street.length_m - 8.0, 9.0))
            offset = side * (street.corridor_m - rng.uniform(0.4, max(street.pavement_m - 0.3, 0.5)))
            point = street.at(np.array([s]), offset)[0]
            person = vehicles.person(int(rng.integers(24)))
            yield moved(person, _on(terrain, point).tolist(), float(rng.uniform(0, 2 * np.pi)))


def _add_street_things(mesh: MeshBuilder, scene: Scene, layout: Layout, terrain: Terrain, look: LookSpec) -> F64:
    """Add lamps, signs, hedges, fences and barriers; return the feet (N, 2) of the lamps."""
    rng, style = scene.rng("furniture"), STYLES[scene.style]
    lamps: list[F64] = [np.zeros((0, 2))]
    if scene.imagery:  # what stands along a real street is not known
        return lamps[0]
    houses = _ground_of(scene, layout)
    for street in layout.streets:
        if street.motorway:
            _add_motorway_things(mesh, street, terrain)
            continue
        if style.lamps and street.pavement_m > 0:
            lamps.append(_add_lamps(mesh, street, terrain))
        for side in (1.0, -1.0):
            _add_borders(mesh, scene, street, side, terrain, look, rng, houses)
    for point, facing, kind in signs(layout, style.signs_per_street, rng):
        furniture.add_sign(mesh, _on(terrain, point), facing, kind)
    for fence in layout.fences:
        a, b = _on(terrain, fence[0]), _on(terrain, fence[1])
        if rng.random() < 0.45:
            add_hedge(mesh, a, b, float(rng.uniform(0.9, 1.8)), look.season, rng)
        else:
            furniture.add_fence(mesh, a, b, np.array([200, 190, 176]) * rng.uniform(0.5, 1.15))
    add_works(mesh, layout, terrain)
    return np.concatenate(lamps)


def _ground_of(scene: Scene, layout: Layout) -> Occupancy:
    """Return where no hedge may grow: streets, houses, car parks, water, rails."""
    taken = Occupancy(scene.size_m)
    for street in layout.streets:
        taken.add(street.strip(0.0, street.length_m, street.corridor_m, -street.corridor_m))
    for park in layout.car_parks:
        taken.add(park.outline())
        taken.add(park.access())
    for area in layout.areas:
        if area.kind in ("square", "path", "terrace", "track", "yard"):
            taken.add(area.outline)
    across = [(river, river.half_m) for river in layout.rivers]
    for line, half in (*across, *((rail, rail.half_m) for rail in layout.railways if rail.ballast)):
        taken.add(line.strip(0.0, line.length_m, half + 1.0, -half - 1.0))
    for house in layout.buildings:
        taken.add(house.outline)
    return taken


def _add_lamps(mesh: MeshBuilder, street: Street, terrain: Terrain) -> F64:
    s = np.arange(street.clear[0] + 9.0, max(street.length_m - street.clear[1] - 3.0, street.clear[0] + 9.0), 27.0)
    feet = street.at(s, street.corridor_m - 0.35)
    for foot, middle in zip(feet, street.at(s, 0.0), strict=True):
        furniture.add_lamp(mesh, _on(terrain, foot), _unit(middle - foot))
    return feet


def _add_borders(
    mesh: MeshBuilder, scene: Scene, street: Street, side: float, terrain: Terrain, look: LookSpec,
    rng: np.random.Generator, taken: Occupancy,
) -> None:  # fmt: skip
    style = STYLES[scene.style]
    s = street.clear[0] + 4.0
    while s < street.length_m - street.clear[1] - 8.0:
        length = rng.uniform(6.0, 16.0)
        chosen, kind = rng.random() < style.border_chance, rng.random()
        tint, height = np.array([200, 190, 176]) * rng.uniform(0.5, 1.15), rng.uniform(0.8, 1.7)
        if chosen and style.border_chance > 0:
            end = min(s + length - 3.4, street.length_m - street.clear[1] - 4.0)
            knots = np.linspace(s, end, max(2, int((end - s) / 3) + 1))
            points = street.at(knots, side * (street.corridor_m + 0.9))
            for a, b in pairwise(points):
                if not taken.free(box((a + b) / 2, _unit(b - a), float(np.linalg.norm(b - a)), 0.4)):
                    continue
                if kind < 0.6:
                    add_hedge(mesh, _on(terrain, a), _on(terrain, b), height, look.season, rng)
                else:
                    furniture.add_fence(mesh, _on(terrain, a), _on(terrain, b), tint)
        s += length


def _add_motorway_things(mesh: MeshBuilder, street: Street, terrain: Terrain) -> None:
    s = np.arange(0.0, street.length_m, 4.0)
    for offset in (0.0, street.half_width_m + 0.6, -street.half_width_m - 0.6):
        line = street.at(s, offset)
        furniture.add_barrier(mesh, np.column_stack([line, terrain.height(line)]))
    for place in np.arange(140.0, street.length_m - 60.0, 330.0):
        feet = [_on(terrain, street.at(np.array([place]), offset)[0]) for offset in (1.0, -street.half_width_m - 1.2)]
        ahead = _unit(street.at(np.array([place + 1]), 0.0)[0] - street.at(np.array([place]), 0.0)[0])
        furniture.add_gantry(mesh, feet[0], feet[1], ahead)


def _on(terrain: Terrain, point: F64) -> F64:
    return np.append(point, float(terrain.height(point)))


def _unit(vector: F64) -> F64:
    return np.asarray(vector / max(float(np.linalg.norm(vector)), 1e-9))
