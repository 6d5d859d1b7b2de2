# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A recorded motion gives the speeds along the route, or its own path on the roads of another place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cvloc_ros.errors import ConfigError
from cvloc_ros.simulation.drive import make_trajectory, motion_of
from cvloc_ros.simulation.imagery import middle_of
from cvloc_ros.simulation.motion import read_recording
from cvloc_ros.simulation.placing import place_recording
from cvloc_ros.simulation.raster import Grid
from cvloc_ros.simulation.scene import Scene
from cvloc_ros.simulation.town import make_layout
from cvloc_ros.simulation.worlds import make_world
from cvloc_ros.types import Pose2

SCENE = Scene(seed=7, duration_s=20.0, resolution_m=0.2)


def test_the_recorded_speeds_are_driven(tmp_path: Path) -> None:
    time_s = np.arange(0.0, 20.0, 0.1) + 5.0
    x = 3.0 * (time_s - 5.0) + np.sin(time_s)
    np.savez(tmp_path / "m.npz", pose_t=time_s, pose_enu=np.stack([x, 0 * x, 0 * x], axis=-1))
    trajectory = make_trajectory(replace(SCENE, motion=str(tmp_path / "m.npz")), make_layout(SCENE))
    assert np.allclose(trajectory.travelled(time_s - 5.0), x - x[0], atol=1e-6)


@pytest.mark.parametrize("fault", ["gone", "text", "keys", "length"])
def test_other_files_are_refused_by_name(fault: str, tmp_path: Path) -> None:
    path = tmp_path / "m.npz"
    if fault == "text":
        path.write_text("no archive")
    elif fault == "keys":
        np.savez(path, pose_t=np.arange(3.0))
    elif fault == "length":
        np.savez(path, pose_t=np.arange(3.0), pose_enu=np.zeros((2, 3)))
    with pytest.raises(ConfigError, match=r"m\.npz"):
        make_trajectory(replace(SCENE, motion=str(path)), make_layout(SCENE))


def _recording(seconds: float = 24.0, turn: float = 0.0) -> dict[str, np.ndarray]:
    """10 m/s with a bend, attitude of a sensor that looks 2 degrees left of and 3 below the way."""
    time_s = np.arange(0.0, seconds, 0.05)
    yaw = 0.3 * np.sin(time_s / 5.0) + turn
    steps = 0.5 * np.column_stack([np.cos(yaw), np.sin(yaw)])
    xy = np.concatenate([np.zeros((1, 2)), np.cumsum((steps[1:] + steps[:-1]) / 2, axis=0)])
    nod = 0.01 * np.sin(6 * time_s)
    ypr = np.column_stack([yaw + np.radians(2), np.radians(3) + nod, 0 * yaw])
    return {"pose_t": time_s + 3, "pose_enu": np.column_stack([xy, 0 * yaw]), "pose_ypr": ypr}


def test_yaw_and_sway_are_those_of_the_vehicle(tmp_path: Path) -> None:
    made = _recording()
    np.savez(tmp_path / "m.npz", **made)
    recording = read_recording(str(tmp_path / "m.npz"))
    assert np.abs(recording.yaw_rad - made["pose_ypr"][:, 0] + np.radians(2)).max() < 0.004
    assert np.abs(recording.sway[:, 1] - 0.01 * np.sin(6 * recording.time_s)).max() < 0.002
    assert recording.time_s[0] == 0


def test_a_path_is_found_again_on_the_road_that_it_made(tmp_path: Path) -> None:
    np.savez(tmp_path / "m.npz", **_recording())
    recording = read_recording(str(tmp_path / "m.npz"))
    truth = Pose2(-95.0, -60.0, 0.5)
    grid = Grid.centred((400.0, 400.0), 0.5)
    road = grid.empty()
    for point in truth.apply(recording.xy):
        grid.disc(road, point, 4.0, 1)
    placed = place_recording(recording, 20.0, grid, road > 0, grid.empty() > 0)
    assert placed.on_road > 0.98
    poses = placed.poses(np.linspace(0, 20, 41))
    steps = np.linalg.norm(np.diff(poses[:, :2], axis=0), axis=1)
    assert np.abs(steps - 5.0).max() < 0.05  # the recorded speed
    course = np.arctan2(*np.diff(poses[:, :2], axis=0).T[::-1])
    middle = (poses[1:, 2] + poses[:-1, 2]) / 2
    assert np.abs(np.angle(np.exp(1j * (course - middle)))).max() < 0.02
    assert np.degrees(np.abs(placed.sway(np.linspace(0, 20, 400))[:, 1])).max() == pytest.approx(0.57, abs=0.1)


@pytest.mark.parametrize(("duration_s", "told"), [(30.0, "it lasts"), (20.0, "does not fit")])
def test_a_drive_that_cannot_be_is_refused(duration_s: float, told: str, tmp_path: Path) -> None:
    np.savez(tmp_path / "m.npz", **_recording())
    grid = Grid.centred((150.0, 150.0), 0.5)
    with pytest.raises(ConfigError, match=told):
        place_recording(
            read_recording(str(tmp_path / "m.npz")), duration_s, grid, grid.empty(1) > 0, grid.empty() > 0
        )


def test_the_real_car_drive_is_replayed_over_the_real_town(shared_data: Callable[[str], Path]) -> None:
    motion = str(shared_data("motion/comma2k19_example.npz"))
    town = str(shared_data("swissimage_brig/swissimage_brig.mbtiles"))
    scene = Scene(
        seed=1, duration_s=30.0, renderer="gl", imagery=town, datum=middle_of(town), size_m=(700.0, 700.0),
        resolution_m=0.5, motion=motion, motion_mode="path",
    )  # fmt: skip
    world = make_world(scene)
    assert world.replayed is not None and world.replayed.on_road > 0.8
    recorded = read_recording(motion)
    time_s = np.linspace(0, 30, 61)
    driven = np.diff(motion_of(world).travelled(time_s))
    start = np.linspace(0, recorded.time_s[-1] - 30, 600)
    off = [np.abs(np.diff(np.interp(s + time_s, recorded.time_s, recorded.travelled_m)) - driven).max() for s in start]
    assert min(off) < 0.1
    for tree in world.layout.trees:
        assert np.linalg.norm(world.replayed.line - tree.centre, axis=1).min() > 2.0
