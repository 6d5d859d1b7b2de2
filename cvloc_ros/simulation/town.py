# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The whole plan of a place: streets first, then what crosses them, then what fills the blocks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from cvloc_ros.simulation import lots
from cvloc_ros.simulation.across import railways, rivers
from cvloc_ros.simulation.blocks import Bend
from cvloc_ros.simulation.gardens import Plot, make_gardens
from cvloc_ros.simulation.layout import BAY_LENGTH_M, BAY_M, Area, Box, Layout, Railway, River, Street, Tree, box
from cvloc_ros.simulation.network import FLARE_M, Network, make_network
from cvloc_ros.simulation.occupancy import Occupancy
from cvloc_ros.simulation.scene import Scene
from cvloc_ros.simulation.styles import STYLES
from cvloc_ros.types import F64


def make_layout(scene: Scene) -> Layout:
    """Plan the place of a scene."""
    network = make_network(scene)
    rails = railways(scene, network)
    water = rivers(scene, network, rails)
    taken = _taken(scene, network, rails, water)
    farmland = lots.fields(scene)
    parks = lots.car_parks(scene, network, taken)
    public = [*lots.squares(scene, network, taken), *lots.pitches(scene, network, taken)]
    built = _taken(scene, network, rails, water)
    for area in (*(park.outline() for park in parks), *(area.outline for area in public)):
        built.add(area)
    plots = _houses(scene, network.streets, taken)
    for plot in plots:
        built.add(plot.house.outline)
    gardens = make_gardens(scene, plots, taken)
    for shed in gardens.sheds:
        built.add(shed.outline)
    walks = lots.paths(scene, network, built)
    for walk in walks:
        taken.add(walk.outline)
    cars, others = (
        (*_parked(network.streets, scene.rng(f"cars of the {day}")),
         *(car for park in parks for car in park.cars(scene.rng(f"car parks of the {day}"))))
        for day in ("drive", "aerial image")
    )  # fmt: skip
    return Layout(
        junctions=network.junctions,
        streets=network.streets,
        buildings=(*(plot.house for plot in plots), *gardens.sheds),
        trees=_trees(scene, network, taken, farmland, public),
        cars=cars,
        cars_aerial=others,
        areas=(*farmland, *gardens.areas, *walks, *public),
        railways=rails,
        rivers=water,
        fences=gardens.fences,
        car_parks=parks,
    )


def _taken(scene: Scene, network: Network, rails: tuple[Railway, ...], water: tuple[River, ...]) -> Occupancy:
    """Return the ground that streets, rails and water take."""
    taken = Occupancy(scene.size_m)
    for street in network.streets:
        taken.add(street.strip(0.0, street.length_m, street.corridor_m + 0.4, -street.corridor_m - 0.4))
        for node, at_start in ((street.start, True), (street.end, False)):
            if node >= 0 and network.junctions[node].kind == "roundabout":
                s0, s1 = (0.0, FLARE_M + 12) if at_start else (street.length_m - FLARE_M - 12, street.length_m)
                edge = street.half_width_m + street.pavement_m + 3.0
                taken.add(street.strip(s0, s1, edge, -edge))
    for junction in network.junctions:
        taken.disc(junction.centre, junction.radius_m + 3.0 if junction.radius_m else 9.0)
    for rail in rails:
        if rail.ballast:
            taken.add(rail.strip(0.0, rail.length_m, rail.half_m + 2.5, -rail.half_m - 2.5))
    for river in water:
        edge = river.half_m + river.bank_m + 1.5
        taken.add(river.strip(0.0, river.length_m, edge, -edge))
    return taken


def _houses(scene: Scene, streets: tuple[Street, ...], taken: Occupancy) -> list[Plot]:
    """Put houses along the streets, each with the plot it stands on."""
    rng, style = scene.rng("buildings"), STYLES[scene.style]
    found: list[Plot] = []
    for street in streets if scene.style != "motorway" else ():
        for sign in (1.0, -1.0):
            s = float(rng.uniform(6.0, 12.0))
            setback = float(rng.choice(style.setbacks_m))
            while s < street.length_m - 8.0:
                length, depth = float(rng.uniform(*style.house_length_m)), float(rng.uniform(*style.house_depth_m))
                middle, gap = s + length / 2, float(rng.choice(style.gaps_m))
                look = Box(np.zeros((4, 2)), float(rng.choice(style.heights_m)), int(rng.integers(6)))
                offset = sign * (street.corridor_m + setback + depth / 2)
                outline = box(street.at(np.array([middle]), offset)[0], street.ahead(middle), length, depth)
                centre = outline.mean(axis=0)
                if taken.free(centre + (outline - centre) * style.core):
                    taken.add(outline)
                    house = replace(look, outline=outline)
                    found.append(Plot(street, sign, s - gap / 2, s + length + gap / 2, setback, depth, house))
                s += length + gap
    return found


def _trees(
    scene: Scene, network: Network, taken: Occupancy, farmland: list[Area], public: list[Area]
) -> tuple[Tree, ...]:
    rng, style = scene.rng("trees"), STYLES[scene.style]
    half = np.array(scene.size_m) / 2
    thickets = Bend.drawn(rng, 1.0)
    count = int(2.2 * scene.size_m[0] * scene.size_m[1] / style.tree_area_m2)
    drawn = rng.uniform(-half, half, (count, 2))
    # Trees stand in groups: where smooth waves are high there are many, elsewhere few.
    waves = np.sin(2.6 * drawn @ thickets.number.T + thickets.phase).sum(axis=1)
    centres = list(drawn[rng.random(count) < np.clip(0.42 + 0.42 * waves, 0.1, 1.0)])
    if farmland:
        centres = [c for c in centres if rng.random() < 0.35 or min(s.near(c)[1] for s in network.streets) < 34.0]
        for field in farmland:
            if field.kind != "track" and rng.random() < 0.35:
                a, b = field.outline[0], field.outline[1]
                centres += [a + (b - a) * share for share in rng.uniform(0, 1, int(np.linalg.norm(b - a) / 9))]
    for street in network.streets:
        for sign in (1.0, -1.0) if street.verge_m > 0 else ():
            centres += list(street.at(_between(street, 8.0, 13.0), sign * (street.corridor_m + 1.2)))
    trees = []
    for centre in centres:
        radius = float(rng.uniform(*style.tree_radius_m))
        height = float(rng.uniform(*style.tree_height_m))
        if taken.free(box(centre, np.array([1.0, 0.0]), 1.6, 1.6)):
            trees.append(Tree(np.asarray(centre), radius, height))
    trees += [_planted(place, style.tree_radius_m[0], rng) for area in public for place in _rows(area, rng)]
    return (*trees, *_planted_on_islands(network, rng))


def _between(street: Street, margin_m: float, step_m: float) -> F64:
    """Distances along a street, away from its junctions."""
    first = street.clear[0] + margin_m
    return np.arange(first, max(street.length_m - street.clear[1] - margin_m, first), step_m)


def _planted_on_islands(network: Network, rng: np.random.Generator) -> list[Tree]:
    """Trees of roundabouts and between carriageways."""
    trees: list[Tree] = []
    for junction in network.junctions:
        if junction.kind == "roundabout":
            places = junction.centre + rng.uniform(-0.45, 0.45, (int(rng.integers(1, 5)), 2)) * junction.island_m
            trees += [_planted(place, 0.8, rng) for place in places]
    for street in network.streets:
        if street.median_m > 0 and not street.tram:
            trees += [_planted(place, 1.2, rng) for place in street.at(_between(street, 6.0, 10.0), 0.0)]
    return trees


def _rows(area: Area, rng: np.random.Generator) -> list[F64]:
    """Places of trees around a square."""
    if area.kind != "square":
        return []
    centre = area.outline.mean(axis=0)
    ring = centre + (area.outline - centre) * 0.82
    return [ring[int(k)] for k in np.arange(0, len(ring), max(3, len(ring) // 12)) if rng.random() < 0.8]


def _planted(centre: F64, radius_m: float, rng: np.random.Generator) -> Tree:
    radius = radius_m * float(rng.uniform(0.9, 1.3))
    return Tree(np.asarray(centre), radius, radius * float(rng.uniform(2.8, 3.4)))


def _parked(streets: tuple[Street, ...], rng: np.random.Generator) -> tuple[Box, ...]:
    cars = []
    for street in streets:
        for left in (True, False):
            for s in street.bay_slots(left=left)[:-1]:
                if rng.random() < 0.5:
                    middle = float(s) + BAY_LENGTH_M / 2 + float(rng.uniform(-0.3, 0.3))
                    offset = (street.half_width_m + BAY_M / 2 + rng.uniform(-0.12, 0.12)) * (1 if left else -1)
                    angle = rng.normal(0, 0.015)
                    direction = street.ahead(middle) @ np.array([[1, angle], [-angle, 1]])
                    length, width = rng.uniform(3.9, 4.7), rng.uniform(1.7, 1.85)
                    outline = box(street.at(np.array([middle]), offset)[0], direction, length, width)
                    cars.append(Box(outline, float(rng.uniform(1.4, 1.65)), int(rng.integers(8)), "car"))
    return tuple(cars)
