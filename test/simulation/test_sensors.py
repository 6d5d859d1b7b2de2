# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cvloc_ros.simulation.drive import Trajectory, make_trajectory
from cvloc_ros.simulation.scene import GnssSpec, OdomSpec, Scene
from cvloc_ros.simulation.sensors import drive_gnss, drive_odometry
from cvloc_ros.simulation.town import make_layout

LONG = Scene(seed=4, duration_s=1200.0)


@pytest.fixture(scope="module")
def trajectory() -> Trajectory:
    return make_trajectory(LONG, make_layout(LONG))


def test_gnss_errors_have_the_stated_bias_spread_and_correlation(trajectory: Trajectory) -> None:
    errors = np.concatenate([
        drive_gnss(replace(LONG, seed=seed, gnss=GnssSpec(bias_m=0.0, white_m=0.0)), trajectory).errors
        for seed in range(4, 10)
    ])
    assert errors.std() == pytest.approx(LONG.gnss.sigma_m, rel=0.1)
    keep = (errors[:-1] * errors[1:]).mean() / errors.var()
    assert keep == pytest.approx(np.exp(-1 / LONG.gnss.correlation_s), abs=0.04)


def test_gnss_bias_is_constant_and_of_the_stated_length(trajectory: Trajectory) -> None:
    track = drive_gnss(replace(LONG, gnss=GnssSpec(sigma_m=0.0, white_m=0.0)), trajectory)
    assert np.allclose(track.errors, track.errors[0])
    assert np.linalg.norm(track.errors[0]) == pytest.approx(1.0)


def test_gnss_is_taken_at_the_antenna(trajectory: Trajectory) -> None:
    track = drive_gnss(replace(LONG, gnss=GnssSpec(bias_m=0.0, sigma_m=0.0, white_m=0.0)), trajectory)
    poses = trajectory.poses(track.time_s)
    behind = -0.4 * np.stack([np.cos(poses[:, 2]), np.sin(poses[:, 2])], axis=-1)
    assert np.allclose(track.positions, poses[:, :2] + behind)
    assert len(track.time_s) == 1200


def test_odometry_without_errors_is_the_truth_seen_from_the_start(trajectory: Trajectory) -> None:
    exact = OdomSpec(scale=1.0, speed_noise_mps=0.0, gyro_bias_radps=0.0, gyro_noise_radps=0.0)
    track = drive_odometry(replace(LONG, duration_s=60.0, odom=exact), trajectory)
    start = trajectory.pose(0.0)
    expected = start.inverse().apply(trajectory.poses(track.time_s)[:, :2])
    assert np.abs(track.poses[:, :2] - expected).max() < 0.3
    assert np.allclose(track.poses[0], 0.0)


def test_odometry_drifts_as_stated(trajectory: Trajectory) -> None:
    track = drive_odometry(replace(LONG, duration_s=60.0), trajectory)
    travelled = np.linalg.norm(np.diff(track.poses[:, :2], axis=0), axis=1).sum()
    assert travelled / trajectory.travelled(np.array([60.0]))[0] == pytest.approx(LONG.odom.scale, abs=0.003)
    yaw = trajectory.poses(track.time_s)[:, 2]
    drift = (track.poses[-1, 2] - (yaw[-1] - yaw[0])) / 60.0
    assert drift == pytest.approx(LONG.odom.gyro_bias_radps, abs=5e-5)
    assert track.speed_mps.max() < LONG.speed_mps * 1.1
