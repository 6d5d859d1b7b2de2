# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The map's registration error: imagery lies some way off the truth, by an amount that changes over the area.

A Gaussian random field (random Fourier features of a squared-exponential kernel) on each axis: `map_error_m` is its
standard deviation, `map_error_length_m` the distance at which its correlation has fallen to 0.61. Mosaics of aerial
images behave so: each image is off by its own amount, and seams are blended. A large length is one constant shift.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import cv2
import numpy as np

from cvloc_ros.simulation.raster import Grid
from cvloc_ros.simulation.scene import Scene
from cvloc_ros.types import F32, F64, U8

_WAVES = 48
_KNOT_PX = 32
_ROUNDS = 4


def registration_error(scene: Scene, points: F64) -> F64:
    """How far (..., 2) the map's imagery lies east and north of where it should, metres, at true places (..., 2)."""
    rng = scene.rng("registration of the map")
    number = rng.normal(0.0, 1.0, (2, _WAVES, 2)) / scene.map_error_length_m
    phase = rng.uniform(0.0, 2.0 * np.pi, (2, _WAVES))
    waves = np.cos(np.einsum("...k,awk->...aw", np.asarray(points, np.float64), number) + phase)
    field: F64 = scene.map_error_m * np.sqrt(2.0 / _WAVES) * waves.sum(axis=-1)
    return field


def true_places(scene: Scene, shown: F64) -> F64:
    """Where (..., 2) that truly is which the map shows at places (..., 2): the inverse of adding the error."""
    true: F64 = np.asarray(shown, np.float64)
    for _ in range(_ROUNDS):
        true = shown - registration_error(scene, true)
    return true


def warped(scene: Scene, grid: Grid, render: Callable[[Grid], U8]) -> U8:
    """Return the map (rows, columns, 3) on a grid, given what renders the true world on any grid of its size."""
    if scene.map_error_m == 0:
        return render(grid)
    rows, columns = _knots(grid.rows), _knots(grid.columns)
    pixels = np.stack(np.meshgrid(columns, rows), axis=-1)
    source = true_places(scene, (pixels + 0.5) * grid.resolution_m * [1.0, -1.0] + [grid.west_m, grid.north_m])
    moved = covering(grid, source)
    uv = moved.px(source)
    along, down = _between(columns, grid.columns), _between(rows, grid.rows)
    u, v = ((down @ uv[..., axis].astype(np.float32)) @ along.T for axis in (0, 1))
    return np.asarray(cv2.remap(render(moved), u, v, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT), dtype=np.uint8)


def resampled(grid: Grid, image: U8, other: Grid) -> U8:
    """Sample an image on another grid of about the same resolution; beyond its edges it is mirrored."""
    corners = np.array([[0.0, 0.0], [other.columns - 1.0, 0.0], [0.0, other.rows - 1.0]], np.float32)
    places = (corners + 0.5) * other.resolution_m * [1.0, -1.0] + [other.west_m, other.north_m]
    affine = cv2.getAffineTransform(corners, grid.px(places).astype(np.float32))
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    size = (other.columns, other.rows)
    return np.asarray(cv2.warpAffine(image, affine, size, flags=flags, borderMode=cv2.BORDER_REFLECT), dtype=np.uint8)


def covering(grid: Grid, places: F64) -> Grid:
    """Return a grid of the same number of cells whose cell centres reach all places (..., 2)."""
    low, high = places.reshape(-1, 2).min(axis=0), places.reshape(-1, 2).max(axis=0)
    pixel = float(((high - low) / [grid.columns - 1, grid.rows - 1]).max())
    return replace(grid, west_m=float(low[0]) - pixel / 2, north_m=float(high[1]) + pixel / 2, resolution_m=pixel)


def _knots(count: int) -> F64:
    return np.linspace(0.0, count - 1.0, max(2, count // _KNOT_PX + 1))


def _between(knots: F64, count: int) -> F32:
    """Weights (count, K) that interpolate linearly between values at the knots."""
    cells = np.arange(count)
    unit = np.eye(len(knots))
    return np.stack([np.interp(cells, knots, column) for column in unit], axis=-1).astype(np.float32)
