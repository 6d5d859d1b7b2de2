# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Squares of imagery that cover a window, and what is joined of them."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cvloc_ros.matching.layers.aerial import Crop, compare_all, crop_near, crops_over, grid_axis, to_device
from cvloc_ros.matching.layers.views import to_tensor
from cvloc_ros.types import AerialPatch

EXTENT_M = 64.0
PLACE = st.floats(-1e6, 1e6)


def points(cells=16):
    axis = grid_axis(EXTENT_M, cells, ends=False)
    return torch.cartesian_prod(axis, axis)


@settings(max_examples=60, deadline=None)
@given(PLACE, PLACE, st.floats(-3.2, 3.2), st.floats(16.1, 48.0), st.floats(0.0, 6.3), st.floats(0.0, 1.0))
def test_wherever_the_vehicle_is_in_the_window_its_surroundings_are_compared(x, y, up, radius_m, bearing, part):
    centre = np.array([x, y])
    crops = crops_over(crop_near(centre, up), centre, radius_m, EXTENT_M, 64)
    assert len(set(crops)) == len(crops) > 1
    place = centre + part * radius_m * np.array([math.cos(bearing), math.sin(bearing)])
    inside = [np.abs(crop.from_map(place)).max() for crop in crops]
    assert min(inside) <= EXTENT_M / 4 + 1e-6
    away = [math.hypot(*(crop.xy - centre)) for crop in crops]
    assert away == pytest.approx(sorted(away), abs=1e-6)
    few = crops_over(crop_near(centre, up), centre, radius_m, EXTENT_M, 3)
    assert few == crops[:3]


def test_a_window_within_the_reach_of_one_square_and_a_limit_of_one():
    near = crop_near(np.array([3.0, 5.0]), None)
    assert crops_over(near, np.array([3.0, 5.0]), 16.0, EXTENT_M, 9) == [near]
    assert crops_over(near, np.array([3.0, 5.0]), 50.0, EXTENT_M, 1) == [near]


def test_squares_serve_while_the_vehicle_moves_on():
    chosen = [
        set(crops_over(crop_near(np.array([x, 0.0]), None), np.array([x, 0.0]), 30.0, EXTENT_M, 64))
        for x in np.arange(0.0, 64.0, 2.0)
    ]
    assert max(map(len, chosen)) <= 9
    assert len(set().union(*chosen)) <= 15


@pytest.mark.parametrize("turn", [0.0, 0.7])
def test_each_place_is_taken_once_from_the_square_it_is_nearest_to(turn):
    centre = np.array([448_261.0, 5_411_932.0])
    crops = crops_over(crop_near(centre, turn), centre, 40.0, EXTENT_M, 9)
    grid = points()

    def compare(crop):
        place = torch.from_numpy(crop.to_map(grid.numpy()) - centre)
        return torch.cat([place, torch.full((len(grid), 1), float(crops.index(crop)))], 1)

    seen = compare_all(crops, grid, compare)
    there = seen.crop.to_map(seen.points.numpy()) - centre
    np.testing.assert_allclose(there, seen.probability[:, :2], atol=1e-6)
    nearest = np.array([[np.abs(crop.from_map(place + centre)).max() for crop in crops] for place in there])
    mine = seen.probability[:, 2].long().numpy()
    np.testing.assert_allclose(nearest[np.arange(len(mine)), mine], nearest.min(1), atol=2e-3)
    rows = {(round(float(x), 3), round(float(y), 3)) for x, y in there}
    assert len(rows) == len(there)
    alone = compare_all(crops[:1], grid, compare)
    assert torch.equal(alone.points, grid)


def test_pictures_that_must_not_be_written_to_are_taken_without_a_warning(recwarn):
    rgb, valid = np.zeros((8, 8, 3), np.uint8), np.ones((8, 8), bool)
    for part in (rgb, valid):
        part.flags.writeable = False
    patch = AerialPatch(rgb, valid, 1.0, np.array([[1.0, 0.0, 0.0], [0.0, -1.0, 0.0]]), "", 1.0, ())
    side = to_device(patch, torch.device("cpu"))
    to_tensor(rgb, (4, 4), torch.device("cpu"))
    assert float(side.valid.min()) == 1.0
    assert not recwarn.list


def test_crop_and_map_are_inverse():
    crop = Crop(448_264.0, 5_411_932.0, 2.1)
    there = np.random.default_rng(0).normal(0, 30, (20, 2))
    np.testing.assert_allclose(crop.from_map(crop.to_map(there)), there, atol=1e-8)
