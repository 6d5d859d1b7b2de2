# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A way to drive through a picture: the cheapest path along what looks like road."""

from __future__ import annotations

import cv2
import numpy as np
from scipy.ndimage import distance_transform_edt, gaussian_filter1d
from scipy.sparse import coo_array
from scipy.sparse.csgraph import dijkstra

from cvloc_ros.errors import ConfigError
from cvloc_ros.simulation.raster import Grid
from cvloc_ros.types import F64, Mask

_COARSE = 4
_EDGE_M = 45.0
_LEAST_M = 60.0


def find_path(grid: Grid, road: Mask, blocked: Mask, rng: np.random.Generator) -> F64:
    """Return a smooth line (N, 2) in metres along the road cells of a grid, away from its edges.

    Raises:
        ConfigError: there is nothing like a road.
    """
    wide = np.minimum(distance_transform_edt(road) * grid.resolution_m, 4.0)
    shape = (road.shape[1] // _COARSE, road.shape[0] // _COARSE)
    room = np.asarray(cv2.resize(wide.astype(np.float32), shape, interpolation=cv2.INTER_AREA), dtype=np.float64)
    shut = np.asarray(cv2.resize(blocked.astype(np.float32), shape, interpolation=cv2.INTER_AREA)) > 0.1
    cost = 1.0 / (0.04 + (room / 3.0) ** 2) + 400.0 * shut
    cell = grid.resolution_m * _COARSE
    margin = int(_EDGE_M / cell)
    starts = np.flatnonzero((room > 1.5) & ~shut & _inner(room.shape, margin))
    if len(starts) < 2:
        msg = "the imagery shows nothing like a road here; choose another --place"
        raise ConfigError(msg)
    cost[~_inner(room.shape, margin // 2)] += 1000.0
    start = int(starts[int(rng.integers(len(starts)))])
    graph = _graph(cost)
    # The farthest road from anywhere, and then the farthest from there: the way runs through the whole picture.
    for _ in range(2):
        away, before = dijkstra(graph, indices=start, return_predecessors=True)
        reach = np.hypot(
            *(np.array(np.unravel_index(starts, room.shape)) - np.array(np.unravel_index(start, room.shape))[:, None])
        )
        end, begin = int(starts[int(np.argmax(reach - 0.02 * away[starts]))]), start
        start = end
    cells = [end]
    while cells[-1] != begin:
        cells.append(int(before[cells[-1]]))
    rows, columns = np.unravel_index(np.array(cells), room.shape)
    line = np.column_stack([grid.west_m + (columns + 0.5) * cell, grid.north_m - (rows + 0.5) * cell])
    line = gaussian_filter1d(line, 5.0, axis=0, mode="nearest")
    if np.linalg.norm(np.diff(line, axis=0), axis=1).sum() < _LEAST_M:
        msg = f"the imagery shows no road of {_LEAST_M:.0f} m here; choose another --place"
        raise ConfigError(msg)
    return np.asarray(line)


def _inner(shape: tuple[int, ...], margin: int) -> Mask:
    inside = np.zeros(shape, np.bool_)
    inside[margin : shape[0] - margin, margin : shape[1] - margin] = True
    return inside


def _graph(cost: F64) -> coo_array:
    """Neighbours of a raster, eight of each; the edges cost what lies under them."""
    index = np.arange(cost.size).reshape(cost.shape)
    rows, columns, weights = [], [], []
    for down, right in ((0, 1), (1, 0), (1, 1), (1, -1)):
        left = slice(max(0, -right), cost.shape[1] - max(0, right))
        other = slice(max(0, right), cost.shape[1] + min(0, right))
        a, b = (slice(0, cost.shape[0] - down), left), (slice(down, None), other)
        rows.append(index[a].ravel())
        columns.append(index[b].ravel())
        weights.append((np.hypot(down, right) * (cost[a] + cost[b]) / 2).ravel())
    near, far, price = (np.concatenate(part) for part in (rows, columns, weights))
    both = np.concatenate([near, far]), np.concatenate([far, near])
    return coo_array((np.concatenate([price, price]), both), shape=(cost.size, cost.size)).tocsr()
