# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cvloc_ros.simulation.drive import Trajectory, make_trajectory
from cvloc_ros.simulation.materials import CARRIAGEWAY
from cvloc_ros.simulation.scene import Scene
from cvloc_ros.simulation.town import make_layout
from cvloc_ros.simulation.world import build_world

TIMES = np.arange(0.0, 64.0, 0.05)
FULL = Scene(seed=7, resolution_m=0.2)


@pytest.fixture(scope="module")
def trajectory() -> Trajectory:
    return make_trajectory(FULL, make_layout(FULL))


def test_speed_and_acceleration_are_those_of_a_car(trajectory: Trajectory) -> None:
    travelled = trajectory.travelled(TIMES)
    speed = np.diff(travelled) / 0.05
    assert speed.min() >= 0
    assert speed.max() <= FULL.speed_mps + 0.05
    assert 180 < travelled[-1] < 64 * FULL.speed_mps
    assert np.abs(np.diff(speed[::10]) / 0.5).max() < 2.5


def test_it_stands_turns_and_goes_where_it_looks(trajectory: Trajectory) -> None:
    poses = trajectory.poses(TIMES)
    standing = np.diff(trajectory.travelled(TIMES)) < 1e-6
    assert 3.0 < standing[TIMES[:-1] > 2.0].sum() * 0.05 < 12.0, "one halt at a stop line"
    assert np.ptp(poses[:, 2]) > 0.7, "the route has turns"
    step = np.diff(poses[:, :2], axis=0)
    moving = np.linalg.norm(step, axis=1) > 0.05
    course = np.arctan2(step[:, 1], step[:, 0])
    off = (course - poses[:-1, 2] + np.pi) % (2 * np.pi) - np.pi
    assert np.abs(off[moving]).max() < np.radians(4)
    assert np.abs(np.diff(poses[:, 2])).max() < 0.1
    lateral = np.abs(np.diff(poses[:, 2])) / 0.05 * np.linalg.norm(step, axis=1) / 0.05
    assert np.percentile(lateral, 99) < 3.0


@pytest.mark.parametrize("seed", [1, 7, 12])
def test_it_keeps_to_the_carriageway(seed: int) -> None:
    scene = replace(FULL, seed=seed)
    world = build_world(scene)
    poses = make_trajectory(scene, world.layout).poses(TIMES)
    px = np.rint(world.grid.px(poses[:, :2])).astype(int)
    road = [int(m) for m in CARRIAGEWAY]
    assert np.isin(world.material[px[:, 1], px[:, 0]], road).all()
    assert (np.abs(poses[:, :2]) < np.array(scene.size_m) / 2 - 15).all(), "the map must cover the surroundings"


def test_same_seed_same_drive(trajectory: Trajectory) -> None:
    again = make_trajectory(FULL, make_layout(FULL))
    assert np.array_equal(again.poses(TIMES), trajectory.poses(TIMES))
    other = replace(FULL, seed=8)
    assert not np.allclose(make_trajectory(other, make_layout(other)).poses(TIMES), trajectory.poses(TIMES))


def test_pose_is_wrapped_and_equals_poses(trajectory: Trajectory) -> None:
    pose = trajectory.pose(40.0)
    x, y, yaw = trajectory.poses(np.array(40.0))
    assert (pose.x_m, pose.y_m) == (x, y)
    assert -np.pi <= pose.yaw_rad <= np.pi
    assert np.isclose(np.cos(pose.yaw_rad - yaw), 1.0)
