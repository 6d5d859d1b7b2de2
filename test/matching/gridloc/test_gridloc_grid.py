# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cvloc_ros.matching.gridloc.grid import PoseGrid

GRIDS = [PoseGrid(16, 71.0), PoseGrid(8, 64.0, 36), PoseGrid(1, 10.0, 1), PoseGrid(5, 73.9, 7, math.radians(20))]


def round_trip(grid: PoseGrid, position: torch.Tensor, heading: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    labels = grid.encode(position, heading)
    return grid.decode(labels.cell, labels.offset, labels.bin, labels.turn)


def apart(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return (torch.remainder(a - b + math.pi, math.tau) - math.pi).abs()


@pytest.mark.parametrize("grid", GRIDS, ids=str)
def test_every_border_and_corner_is_exact(grid: PoseGrid) -> None:
    edges = torch.linspace(-grid.extent_m / 2, grid.extent_m / 2, grid.cells + 1, dtype=torch.float64)
    near = [torch.nextafter(edges, torch.full_like(edges, way)) for way in (-1e9, 1e9)]
    axis = torch.cat([edges, near[0][1:], near[1][:-1], (edges[1:] + edges[:-1]) / 2])
    position = torch.cartesian_prod(axis, axis)
    labels = grid.encode(position, torch.zeros(len(position), dtype=torch.float64))
    assert labels.inside.all()
    assert int(labels.cell.min()) == 0
    assert int(labels.cell.max()) == grid.cells**2 - 1
    assert (labels.offset.abs() <= 0.5).all()
    decoded, _ = grid.decode(labels.cell, labels.offset, labels.bin, labels.turn)
    torch.testing.assert_close(decoded, position, rtol=0, atol=1e-12 * grid.extent_m)


@pytest.mark.parametrize("grid", [g for g in GRIDS if g.bins], ids=str)
def test_every_border_of_heading_is_exact(grid: PoseGrid) -> None:
    edges = torch.linspace(-grid.half_rad, grid.half_rad, grid.bins + 1, dtype=torch.float64)
    near = [torch.nextafter(edges, torch.full_like(edges, way)) for way in (-9.0, 9.0)]
    heading = torch.cat([edges, near[0][1:], near[1][:-1]])
    labels = grid.encode(torch.zeros(len(heading), 2, dtype=torch.float64), heading)
    assert labels.inside.all()
    assert (labels.turn.abs() <= 0.5).all()
    _, decoded = grid.decode(labels.cell, labels.offset, labels.bin, labels.turn)
    assert float(apart(decoded, heading).max()) < 1e-12


@settings(deadline=None, max_examples=200)
@given(st.sampled_from(GRIDS), st.floats(-0.5, 0.5), st.floats(-0.5, 0.5), st.floats(-20.0, 20.0))
def test_round_trips_over_the_grid(grid: PoseGrid, r: float, c: float, heading: float) -> None:
    if not grid.whole_circle:
        heading = math.remainder(heading, 2 * grid.half_rad)
    position = torch.tensor([[r, c]], dtype=torch.float64) * grid.extent_m
    found, turned = round_trip(grid, position, torch.tensor([heading], dtype=torch.float64))
    torch.testing.assert_close(found, position, rtol=0, atol=1e-11)
    if grid.bins:
        assert float(apart(turned, torch.tensor(heading, dtype=torch.float64))) < 1e-11
        assert -math.pi <= float(turned) < math.pi
    single, _ = round_trip(grid, position.float(), torch.tensor([heading]))
    torch.testing.assert_close(single, position.float(), rtol=0, atol=1e-4)


def test_poses_beyond_the_grid_are_told() -> None:
    grid = PoseGrid(5, 10.0, 7, math.radians(20))
    position = torch.tensor([[5.1, 0.0], [0.0, -5.1], [0.0, 0.0], [0.0, 0.0]])
    labels = grid.encode(position, torch.deg2rad(torch.tensor([0.0, 0.0, 21.0, -19.0])))
    assert labels.inside.tolist() == [False, False, False, True]
    assert labels.cell.tolist() == [22, 10, 12, 12]
    assert (labels.offset.abs() <= 0.5).all()
    assert labels.bin.tolist() == [3, 3, 6, 0]


def test_cells_count_by_rows_from_the_upper_left() -> None:
    grid = PoseGrid(4, 8.0)
    position = torch.tensor([[-3.9, -3.9], [-3.9, 3.9], [3.9, -3.9], [0.1, 0.1], [0.0, 0.0]])
    assert grid.encode(position, torch.zeros(5)).cell.tolist() == [0, 3, 12, 10, 10]
