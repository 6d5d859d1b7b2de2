# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Worlds whose ground is a real orthophoto. Roofs and trees found in it are raised, and vehicles put on its roads.

What is raised follows the colours of the picture, and is right often enough to hide and to be seen; nothing here claims
to be the real height of a real house. The map shows the same picture on another day (`gl.survey`).
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, replace

import cv2
import numpy as np
from scipy.ndimage import distance_transform_edt

from cvloc_ros.config import Tiles
from cvloc_ros.errors import ConfigError
from cvloc_ros.geo.projection import Projection
from cvloc_ros.simulation.heights import CELL_M, HeightField, heights_of
from cvloc_ros.simulation.layout import STEP_M, Box, Layout, Street, Tree, box, resample
from cvloc_ros.simulation.motion import Replayed, read_recording
from cvloc_ros.simulation.paths import find_path
from cvloc_ros.simulation.placing import place_recording
from cvloc_ros.simulation.raster import Grid
from cvloc_ros.simulation.scene import Scene
from cvloc_ros.simulation.world import World
from cvloc_ros.tiles.aerial_map import AerialMap
from cvloc_ros.tiles.opening import bounds_of, open_map
from cvloc_ros.types import F64, U8, Mask

_CELL_M = 0.5
_COVERED = 0.9
_TALL_M = 2.2
_SURFACE = 0.01
"""Share of tall cells from which on a height model is taken for one of the surface, not of the bare ground."""


@dataclass(frozen=True, slots=True, eq=False)
class Finds:
    """What the picture seems to show, as masks (rows, columns) with cells of 0.5 m."""

    green: Mask
    roof: Mask
    road: Mask


def middle_of(file: str) -> tuple[float, float]:
    """Latitude and longitude of the middle of a map.

    Raises:
        TileSourceError: it cannot be opened.
        ConfigError: it does not say where it lies.
    """
    bounds = bounds_of(Tiles(source=file))
    if bounds is None:
        msg = f"{file}: it does not say where it lies; give --place LATITUDE LONGITUDE"
        raise ConfigError(msg)
    west, south, east, north = bounds
    return round((south + north) / 2, 6), round((west + east) / 2, 6)


def imagery_world(scene: Scene) -> World:
    """Make the world of a scene with `imagery`.

    Raises:
        TileSourceError: the map cannot be opened.
        ConfigError: it does not cover the world, or shows nothing like a road.
    """
    projection = Projection(scene.projection, *scene.datum)
    grid = Grid.centred(scene.size_m, scene.resolution_m)
    with closing(
        open_map(Tiles(source=scene.imagery, resolution_m=max(0.1, scene.resolution_m)), projection)
    ) as imagery:
        photo, attribution = _photo(imagery, grid, scene), imagery.attribution
    coarse = Grid.centred(scene.size_m, _CELL_M)
    small = np.asarray(cv2.resize(photo, (coarse.columns, coarse.rows), interpolation=cv2.INTER_AREA), dtype=np.uint8)
    finds = find(small)
    layout, replayed = _layout(scene, coarse, finds)
    solid = None
    field = heights_of(scene)
    if field is not None and float((field.above > _TALL_M).mean()) > _SURFACE:
        layout, solid = _by_heights(scene, field, small, layout)
    empty = grid.empty()
    return World(scene, layout, grid, empty, empty, empty, empty, empty, photo=photo, attribution=attribution,
                 replayed=replayed, solid=solid)  # fmt: skip


def _photo(imagery: AerialMap, grid: Grid, scene: Scene) -> U8:
    radius = max(scene.size_m) / 2
    patch = imagery.patch(np.zeros(2), radius)
    centre = patch.px_from_map(np.array([[grid.west_m, grid.north_m], [-grid.west_m, grid.north_m],
                                         [grid.west_m, -grid.north_m]])).astype(np.float32)  # fmt: skip
    corners = np.array([[-0.5, -0.5], [grid.columns - 0.5, -0.5], [-0.5, grid.rows - 0.5]], np.float32)
    affine = cv2.getAffineTransform(corners, centre)
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    valid = cv2.warpAffine(patch.valid.astype(np.uint8), affine, (grid.columns, grid.rows), flags=cv2.WARP_INVERSE_MAP)
    if float(valid.mean()) < _COVERED:
        msg = (
            f"imagery = {scene.imagery}: it covers {valid.mean():.0%} of the {scene.size_m[0]:.0f} m x "
            f"{scene.size_m[1]:.0f} m around {scene.datum}, at least {_COVERED:.0%} are needed; choose another --place"
        )
        raise ConfigError(msg)
    return np.asarray(cv2.warpAffine(patch.rgb, affine, (grid.columns, grid.rows), flags=flags))


def find(photo: U8) -> Finds:
    """Sort the cells of a picture (rows, columns, 3) by colour and shape."""
    soft = cv2.GaussianBlur(photo, (0, 0), 1.5).astype(np.float32)
    red, green, blue = soft[..., 0], soft[..., 1], soft[..., 2]
    light = soft.mean(axis=-1)
    plants = (green > red * 1.02) & (green > blue * 1.04)
    spread = cv2.GaussianBlur((cv2.GaussianBlur(light, (0, 0), 4.0) - light) ** 2, (0, 0), 3.0)
    dark = plants & (light < np.percentile(light[plants], 45) if plants.any() else plants)
    warm = (red > blue * 1.16) & (red > green * 1.04) & (light > 45)
    grey = (np.abs(red - blue) < 0.14 * light) & (np.abs(red - green) < 0.09 * light) & ~plants
    even = spread < np.percentile(spread, 60)
    bright = (light > np.percentile(light, 25)) & (light < np.percentile(light, 93))
    kernel = np.ones((5, 5), np.uint8)
    roof = np.asarray(cv2.morphologyEx(warm.astype(np.uint8), cv2.MORPH_OPEN, kernel))
    road = np.asarray(cv2.morphologyEx((grey & even & bright).astype(np.uint8), cv2.MORPH_OPEN, kernel))
    return Finds(np.asarray(dark), roof > 0, road > 0)


def _layout(scene: Scene, grid: Grid, finds: Finds) -> tuple[Layout, Replayed | None]:
    rng = scene.rng("things on imagery")
    houses = tuple(_houses(grid, finds.roof, rng))
    hidden = np.zeros(finds.roof.shape, np.uint8)
    for house in houses:
        grid.fill(hidden, [house.outline], 1)
    free = finds.road & (hidden == 0)
    replayed = None
    if scene.motion_mode == "path":
        replayed = place_recording(read_recording(scene.motion), scene.duration_s, grid, free, hidden > 0)
    line = find_path(grid, free, hidden > 0, rng) if replayed is None else replayed.line
    street = Street(resample(line, STEP_M), -1, -1, main=True, half_width_m=2.6, verge_m=0.0, pavement_m=1.0,
                    bays=(False, False))  # fmt: skip
    near = np.zeros(finds.roof.shape, np.uint8)
    grid.fill(near, [street.strip(0.0, street.length_m, 3.2, -3.2)], 1)
    trees = tuple(_trees(grid, finds.green & (hidden == 0) & (near == 0), rng))
    cars, others = (tuple(_cars(street, scene.rng(f"cars on imagery, {day}"))) for day in ("drive", "map"))
    return Layout((), (street,), houses, trees, cars, others), replayed


def _by_heights(scene: Scene, field: HeightField, photo: U8, layout: Layout) -> tuple[Layout, Mask]:
    """Take buildings and trees from a surface model: what is tall and green is a tree, what else is tall is solid."""
    size = (field.grid.columns, field.grid.rows)
    green = cv2.resize(find(photo).green.astype(np.uint8), size, interpolation=cv2.INTER_AREA) > 0
    tall = field.above > _TALL_M
    near = field.grid.empty()
    for street in layout.streets:  # a vehicle or a wire above the road is not to be driven into
        field.grid.fill(near, [street.strip(0.0, street.length_m, 2.2, -2.2)], 1)
    solid = (tall & ~green & (near == 0)).astype(np.uint8)
    solid = cv2.morphologyEx(solid, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8)) > 0
    room = distance_transform_edt(tall & green & ~solid & (near == 0)) * CELL_M
    trees = []
    rng = scene.rng("trees of the surface model")
    for _ in range(900):
        row, column = np.unravel_index(int(room.argmax()), room.shape)
        radius = float(room[row, column])
        if radius < 1.0:
            break
        centre = np.array([field.grid.west_m + column + 0.5, field.grid.north_m - row - 0.5])
        top = float(field.above[max(row - 1, 0) : row + 2, max(column - 1, 0) : column + 2].max())
        trees.append(Tree(centre, min(radius, 3.6) * float(rng.uniform(1.0, 1.2)), top))
        reach = int(1.3 * min(radius, 3.6)) + 1
        room[max(0, row - reach) : row + reach + 1, max(0, column - reach) : column + reach + 1] = 0
    return replace(layout, buildings=(), trees=tuple(trees)), np.asarray(solid, dtype=np.bool_)


def _houses(grid: Grid, roof: Mask, rng: np.random.Generator) -> list[Box]:
    outlines, _ = cv2.findContours(roof.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    found = []
    for outline in outlines:
        (u, v), (across, down), turn = cv2.minAreaRect(outline)
        area = cv2.contourArea(outline) * _CELL_M**2
        if not (45 < area < 900 and area > 0.62 * across * down * _CELL_M**2 and min(across, down) * _CELL_M > 5):
            continue
        corners = cv2.boxPoints(((u, v), (across + 1, down + 1), turn)).astype(np.float64)
        points = (corners + 0.5) * _CELL_M * [1, -1] + [grid.west_m, grid.north_m]
        found.append(Box(points, float(rng.choice([3.0, 5.6, 5.6, 8.4])), int(rng.integers(6))))
    return found


def _trees(grid: Grid, green: Mask, rng: np.random.Generator) -> list[Tree]:
    """Put trees where dark green is widest, the widest first."""
    room = distance_transform_edt(green) * _CELL_M
    found = []
    for _ in range(900):
        row, column = np.unravel_index(int(room.argmax()), room.shape)
        radius = min(float(room[row, column]), 3.6) * 1.15
        if radius < 1.2:
            break
        centre = np.array([grid.west_m + (column + 0.5) * _CELL_M, grid.north_m - (row + 0.5) * _CELL_M])
        found.append(Tree(centre, radius, float(radius * rng.uniform(2.0, 3.0) + 1.0)))
        reach = int(1.5 * radius / _CELL_M) + 1
        room[max(0, row - reach) : row + reach + 1, max(0, column - reach) : column + reach + 1] = 0
    return found


def _cars(street: Street, rng: np.random.Generator) -> list[Box]:
    found = []
    for s in np.arange(14.0, max(street.length_m - 14.0, 14.0), 13.0):
        if rng.random() < 0.5:
            continue
        side = 1.0 if rng.random() < 0.5 else -1.0
        at = np.array([s - 1.0, s, s + 1.0])
        points = street.at(at, side * 4.1)
        ahead = points[2] - points[0]
        outline: F64 = box(points[1], ahead / max(float(np.linalg.norm(ahead)), 1e-6), 4.3, 1.8)
        found.append(Box(outline, 1.5, int(rng.integers(8))))
    return found
