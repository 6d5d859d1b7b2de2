# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Fill the blocks between the streets: buildings, trees and parked vehicles."""

from __future__ import annotations

import cv2
import numpy as np

from cvloc_ros.simulation.layout import BAY_M, Box, Layout, Street, Tree, make_streets
from cvloc_ros.simulation.scene import Scene
from cvloc_ros.simulation.styles import STYLES
from cvloc_ros.types import F64, U8

CLEAR_M = 9.0
BAY_LENGTH_M = 5.5
BAY_START_M = 26.0
_CELL_M = 0.5


def make_layout(scene: Scene) -> Layout:
    """Plan the town of a scene."""
    junctions, streets = make_streets(scene)
    taken = _Occupancy(scene.size_m)
    for street in streets:
        taken.add(street.strip(0.0, street.length_m, street.corridor_m + 0.4, -street.corridor_m - 0.4))
    buildings = _buildings(scene, streets, taken)
    return Layout(
        junctions=junctions,
        streets=streets,
        clear_m=CLEAR_M,
        buildings=buildings,
        trees=_trees(scene, streets, taken),
        cars=_cars(streets, scene.rng("cars of the drive")),
        cars_aerial=_cars(streets, scene.rng("cars of the aerial image")),
    )


def bay_slots(street: Street, *, left: bool) -> F64:
    """Distances along the street at which the parking bays of one side begin and end (empty without bays)."""
    if not street.bays[0 if left else 1]:
        return np.zeros(0)
    end = street.length_m - BAY_START_M
    return np.arange(BAY_START_M, max(end, BAY_START_M), BAY_LENGTH_M)


def box(centre: F64, direction: F64, length_m: float, width_m: float) -> F64:
    """Corners (4, 2) of a rectangle whose length lies along a unit direction (2,)."""
    side = np.array([-direction[1], direction[0]])
    ahead, left = direction * length_m / 2, side * width_m / 2
    return np.array([centre - ahead - left, centre + ahead - left, centre + ahead + left, centre - ahead + left])


class _Occupancy:
    """Coarse raster of the ground that is taken."""

    def __init__(self, size_m: tuple[float, float]) -> None:
        self._half = np.array(size_m) / 2
        self._cells: U8 = np.zeros((int(size_m[1] / _CELL_M), int(size_m[0] / _CELL_M)), np.uint8)

    def _px(self, outline: F64) -> np.ndarray:
        return np.rint((outline + self._half) / _CELL_M).astype(np.int32)

    def add(self, outline: F64) -> None:
        cv2.fillPoly(self._cells, [self._px(outline)], 1)

    def free(self, outline: F64) -> bool:
        points = self._px(outline)
        low, high = np.maximum(points.min(axis=0), 0), points.max(axis=0) + 1
        part = self._cells[low[1] : high[1], low[0] : high[0]]
        if part.size == 0:
            return False
        mask = np.zeros_like(part)
        cv2.fillPoly(mask, [points - low.astype(np.int32)], 1)
        return not bool(np.any(part & mask))


def _buildings(scene: Scene, streets: tuple[Street, ...], taken: _Occupancy) -> tuple[Box, ...]:
    rng, style = scene.rng("buildings"), STYLES[scene.style]
    found: list[Box] = []
    if scene.style == "motorway":
        return ()
    for street in streets:
        for sign in (1.0, -1.0):
            s = rng.uniform(6.0, 12.0)
            setback = rng.choice(style.setbacks_m)
            while s < street.length_m - 8.0:
                length, depth = rng.uniform(*style.house_length_m), rng.uniform(*style.house_depth_m)
                middle = np.array([s + length / 2])
                centre = street.at(middle, sign * (street.corridor_m + setback + depth / 2))[0]
                ahead = street.at(middle + 1.0, 0.0)[0] - street.at(middle - 1.0, 0.0)[0]
                if not ahead.any():
                    break
                outline = box(centre, ahead / np.linalg.norm(ahead), length, depth)
                middle_xy = outline.mean(axis=0)
                if taken.free(middle_xy + (outline - middle_xy) * style.core):
                    taken.add(outline)
                    found.append(Box(outline, float(rng.choice(style.heights_m)), int(rng.integers(6))))
                s += length + rng.choice(style.gaps_m)
    return tuple(found)


def _trees(scene: Scene, streets: tuple[Street, ...], taken: _Occupancy) -> tuple[Tree, ...]:
    rng, style = scene.rng("trees"), STYLES[scene.style]
    half = np.array(scene.size_m) / 2
    centres = [rng.uniform(-half, half) for _ in range(int(scene.size_m[0] * scene.size_m[1] / style.tree_area_m2))]
    for street in streets:
        if street.verge_m > 0:
            s = np.arange(15.0, max(street.length_m - 15.0, 15.0), 13.0)
            for sign in (1.0, -1.0):
                centres += list(street.at(s, sign * (street.corridor_m + 1.2)))
    trees = []
    for centre in centres:
        radius = float(rng.uniform(*style.tree_radius_m))
        if taken.free(box(centre, np.array([1.0, 0.0]), 1.6, 1.6)):
            trees.append(Tree(np.asarray(centre), radius, float(rng.uniform(*style.tree_height_m))))
    return tuple(trees)


def _cars(streets: tuple[Street, ...], rng: np.random.Generator) -> tuple[Box, ...]:
    cars = []
    for street in streets:
        for left in (True, False):
            for s in bay_slots(street, left=left)[:-1]:
                if rng.random() < 0.5:
                    middle = np.array([s + BAY_LENGTH_M / 2 + rng.uniform(-0.3, 0.3)])
                    offset = (street.half_width_m + BAY_M / 2 + rng.uniform(-0.12, 0.12)) * (1 if left else -1)
                    ahead = street.at(middle + 1.0, 0.0)[0] - street.at(middle - 1.0, 0.0)[0]
                    angle = rng.normal(0, 0.015)
                    direction = ahead / np.linalg.norm(ahead) @ np.array([[1, angle], [-angle, 1]])
                    length, width = rng.uniform(3.9, 4.7), rng.uniform(1.7, 1.85)
                    outline = box(street.at(middle, offset)[0], direction, length, width)
                    cars.append(Box(outline, float(rng.uniform(1.4, 1.65)), int(rng.integers(8))))
    return tuple(cars)
