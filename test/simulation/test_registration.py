# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The registration error is a smooth field with the stated size and reach, and is what the map shows."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from cvloc_ros.errors import ConfigError
from cvloc_ros.simulation.raster import Grid
from cvloc_ros.simulation.registration import registration_error, resampled, true_places, warped
from cvloc_ros.simulation.scene import Scene
from cvloc_ros.types import U8

SCENE = Scene(seed=3, map_error_m=2.0, map_error_length_m=100.0)


def test_size_and_reach_are_as_stated() -> None:
    origin, there = np.zeros((1, 2)), np.array([[100.0, 0.0]])
    drawn = [replace(SCENE, seed=seed) for seed in range(400)]
    first = np.concatenate([registration_error(scene, origin) for scene in drawn])
    second = np.concatenate([registration_error(scene, there) for scene in drawn])
    assert first.std() == pytest.approx(2.0, rel=0.1)
    assert np.abs(first.mean(axis=0)).max() < 0.3
    assert (first * second).mean() / 4.0 == pytest.approx(np.exp(-0.5), abs=0.12)


def test_a_large_length_is_one_constant() -> None:
    points = np.random.default_rng(0).uniform(-300, 300, (50, 2))
    error = registration_error(replace(SCENE, map_error_length_m=1e9), points)
    assert np.ptp(error, axis=0).max() < 1e-4
    assert np.linalg.norm(error[0]) > 0.1


def test_no_error_without_being_asked_for() -> None:
    assert not registration_error(replace(SCENE, map_error_m=0.0), np.ones((4, 2))).any()


def test_true_places_are_the_inverse() -> None:
    true = np.random.default_rng(1).uniform(-200, 200, (200, 2))
    shown = true + registration_error(SCENE, true)
    assert np.abs(true_places(SCENE, shown) - true).max() < 1e-4


def test_the_map_shows_a_thing_as_far_off_as_the_field_says() -> None:
    world = Grid.centred((240.0, 240.0), 0.2)
    image = np.zeros((world.rows, world.columns, 3), np.uint8)
    spots = np.array([[-60.0, 50.0], [70.0, -20.0], [10.0, -75.0]])
    for spot in spots:
        world.disc(image, spot, 1.5, (255, 255, 255))

    def render(grid: Grid) -> U8:
        return resampled(world, image, grid)

    grid = Grid.centred((200.0, 180.0), 0.25)
    shown = warped(SCENE, grid, render)
    count, _, _, centres = cv2.connectedComponentsWithStats((shown[..., 0] > 127).astype(np.uint8))
    found = (centres[1:] + 0.5) * 0.25 * [1, -1] + [grid.west_m, grid.north_m]
    assert count == 4
    for spot in spots + registration_error(SCENE, spots):
        assert np.linalg.norm(found - spot, axis=1).min() < 0.08


def test_a_field_that_folds_is_refused() -> None:
    with pytest.raises(ConfigError, match="map_error_length_m"):
        Scene(map_error_m=10.0, map_error_length_m=40.0)
