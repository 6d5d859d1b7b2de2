# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cvloc_ros.geo import se3
from cvloc_ros.simulation.camera import GroundPyramid, SimulatedCamera, cast_rays, model, mounting, own_vehicle
from cvloc_ros.simulation.layout import Box, Layout, Tree
from cvloc_ros.simulation.raster import Grid
from cvloc_ros.simulation.scene import FRONT, REAR, CameraSpec
from cvloc_ros.simulation.uprights import Kind, Uprights
from cvloc_ros.types import F64, Pose2

POSE = Pose2(3.1, -2.4, 0.7)
BARE = Layout((), (), (), (), (), ())


def _camera(spec: CameraSpec, landmark: F64, layout: Layout = BARE) -> SimulatedCamera:
    grid = Grid.centred((60.0, 60.0), 0.025)
    ground = np.full((grid.rows, grid.columns, 3), 90, np.uint8)
    grid.disc(ground, landmark, 0.3, (250, 250, 250))
    return SimulatedCamera(spec, GroundPyramid(grid, ground), Uprights(layout, ()), np.random.default_rng(0))


@pytest.mark.parametrize(
    ("spec", "place"), [(FRONT, (7.0, 1.3)), (FRONT, (14.0, -3.0)), (REAR, (-7.5, 1.0)), (FRONT, (5.2, -2.4))]
)
def test_a_painted_landmark_appears_where_the_camera_model_says(spec: CameraSpec, place: tuple[float, float]) -> None:
    image = _camera(spec, POSE.apply(np.array(place))).render(POSE, 0).astype(float).mean(axis=-1)
    angle = np.linspace(0, 2 * np.pi, 60, endpoint=False)
    ring = np.array([*place, 0.0]) + 0.3 * np.stack([np.cos(angle), np.sin(angle), 0 * angle], axis=-1)
    uv, seen = model(spec).project(se3.apply(se3.inverse(mounting(spec)), ring))
    assert seen.all()
    low, high = np.floor(uv.min(axis=0)).astype(int) - 4, np.ceil(uv.max(axis=0)).astype(int) + 5
    part = image[low[1] : high[1], low[0] : high[0]]
    weight = np.clip(part - np.median(part[[0, -1]]) - 15, 0, None)
    v, u = np.mgrid[low[1] : high[1], low[0] : high[0]]
    found = np.array([(weight * u).sum(), (weight * v).sum()]) / weight.sum()
    assert np.abs(found - _centroid(uv)).max() < 0.35


def _centroid(outline: F64) -> F64:
    """Centre of the area of a polygon (N, 2)."""
    ahead = np.roll(outline, -1, axis=0)
    cross = outline[:, 0] * ahead[:, 1] - ahead[:, 0] * outline[:, 1]
    return ((outline + ahead) * cross[:, None]).sum(axis=0) / (3 * cross.sum())


def test_exposure_and_noise_change_from_frame_to_frame_but_not_between_runs() -> None:
    landmark = np.array([10.0, 2.0])
    first, again = (_camera(FRONT, landmark).render(POSE, 5) for _ in range(2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, _camera(FRONT, landmark).render(POSE, 6))


def test_rays_point_at_the_ground_below_the_horizon() -> None:
    rays = cast_rays(FRONT)
    below = rays.direction[..., 2] < -0.01
    assert np.isfinite(rays.ground[below]).all()
    assert np.isinf(rays.distance[rays.direction[..., 2] > 0]).all()
    assert 1.5 < rays.distance[-1].min() < 4.0


def test_own_vehicle_fills_the_lower_edge_only() -> None:
    mask = own_vehicle(FRONT)
    assert mask[-1].all()
    assert not mask[: FRONT.height * 3 // 4].any()


def test_a_house_hides_what_is_behind_it() -> None:
    corner = np.array([[12.0, -8.0], [20.0, -8.0], [20.0, 8.0], [12.0, 8.0]])
    house = Box(POSE.apply(corner), 6.0, 2)
    landmark = POSE.apply(np.array([25.0, 0.0]))
    plain, hidden = (
        _camera(FRONT, landmark, replace(BARE, buildings=houses)).render(POSE, 0).astype(float)
        for houses in ((), (house,))
    )
    wall = np.array([[12.0, 0.0, 0.0], [12.0, 0.0, 6.0]])
    uv, _ = model(FRONT).project(se3.apply(se3.inverse(mounting(FRONT)), wall))
    foot, eave = uv[0, 1], uv[1, 1]
    column = round(uv[0, 0])
    assert np.abs(plain - hidden)[int(foot) + 2 : int(foot) + 60, column].mean() < 3, "ground before it stays"
    assert np.abs(plain - hidden)[max(0, int(eave) + 4) : int(foot) - 2, column].mean() > 15


def test_uprights_are_met_at_their_distance() -> None:
    house = Box(np.array([[10.0, -4.0], [18.0, -4.0], [18.0, 4.0], [10.0, 4.0]]), 6.0, 0)
    tree = Tree(np.array([0.0, 20.0]), 2.0, 7.0)
    uprights = Uprights(replace(BARE, buildings=(house,), trees=(tree,)), ())
    angle = np.linspace(-0.1, 0.1, 21)
    east = uprights.seen_from(np.zeros(2), np.stack([np.cos(angle), np.sin(angle)], axis=-1))
    walls = next(c for c in east if c.kind is Kind.HOUSE)
    assert np.allclose(walls.distance * np.cos(angle), 10.0, atol=1e-3)
    north = uprights.seen_from(np.zeros(2), np.stack([np.sin(angle), np.cos(angle)], axis=-1))
    crown = next(c for c in north if c.kind is Kind.CROWN)
    assert crown.distance.min() == pytest.approx(18.0, abs=1e-3)
    assert crown.top.max() == pytest.approx(7.0, abs=0.01)
