# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a surface model says stands on the ground, as it is: roofs in the colours of the picture, walls below them."""

from __future__ import annotations

import cv2
import numpy as np

from cvloc_ros.simulation.gl.mesh import MeshBuilder
from cvloc_ros.simulation.gl.patterns import Pattern
from cvloc_ros.simulation.gl.terrain import Terrain
from cvloc_ros.simulation.heights import CELL_M, HeightField
from cvloc_ros.types import F64, U8, Mask

_WALL = np.array([168.0, 162, 154])


def add_relief(mesh: MeshBuilder, field: HeightField, solid: Mask, photo: U8, terrain: Terrain) -> None:
    """Raise the cells (rows, columns) that are solid.

    Args:
        mesh: where to.
        field: heights.
        solid: which cells stand above the ground and are no trees.
        photo: picture of the world, of any size.
        terrain: the ground that it stands on.
    """
    rows, columns = solid.shape
    if not solid.any():
        return
    corners, feet = _corners(field, solid, terrain)
    colour = np.asarray(cv2.resize(photo, (columns, rows), interpolation=cv2.INTER_AREA), dtype=np.float64)
    r, c = np.nonzero(solid)
    quad = [(r + 1, c), (r + 1, c + 1), (r, c + 1), (r, c)]
    mesh.add(np.stack([corners[at] for at in quad], axis=1), colour[r, c], int(Pattern.PLAIN))
    padded = np.pad(solid, 1)
    edges = (((1, 0), (1, 0), (1, 1)), ((0, 1), (1, 1), (0, 1)), ((-1, 0), (0, 1), (0, 0)), ((0, -1), (0, 0), (1, 0)))
    for (down, right), first, second in edges:
        bare = solid & ~padded[1 + down : 1 + down + rows, 1 + right : 1 + right + columns]
        r, c = np.nonzero(bare)
        a, b = (r + first[0], c + first[1]), (r + second[0], c + second[1])
        wall = np.stack([feet[a], feet[b], corners[b], corners[a]], axis=1)
        mesh.add(wall, 0.5 * colour[r, c] + 0.5 * _WALL, int(Pattern.PLASTER))


def _corners(field: HeightField, solid: Mask, terrain: Terrain) -> tuple[F64, F64]:
    """Points (rows + 1, columns + 1, 3) at the corners of the cells: on top of what is solid, and on the ground."""
    rows, columns = solid.shape
    total, count = np.zeros((rows + 1, columns + 1)), np.zeros((rows + 1, columns + 1))
    height = np.where(solid, field.above, 0.0)
    for down in (0, 1):
        for right in (0, 1):
            part = np.s_[down : down + rows, right : right + columns]
            total[part] += height
            count[part] += solid
    above = total / np.maximum(count, 1)
    v, u = np.mgrid[0 : rows + 1, 0 : columns + 1]
    points = np.stack([field.grid.west_m + u * CELL_M, field.grid.north_m - v * CELL_M], axis=-1)
    ground = terrain.height(points)
    top = np.concatenate([points, (ground + above)[..., None]], axis=-1)
    return top, np.concatenate([points, ground[..., None] - 0.3], axis=-1)
