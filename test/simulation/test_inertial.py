# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The inertial sensor feels the true motion: what it reports integrates to where the vehicle goes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from cvloc_ros.geo import se3
from cvloc_ros.simulation.bag_messages import MessageFactory
from cvloc_ros.simulation.drive import make_trajectory
from cvloc_ros.simulation.inertial import GRAVITY, drive_heading, drive_imu, true_inertia
from cvloc_ros.simulation.ride import Ride
from cvloc_ros.simulation.scene import HeadingSpec, Scene
from cvloc_ros.simulation.world import World, build_world
from cvloc_ros.types import F64, Pose2


@dataclass
class Circle:
    """Radius 20 m, 10 m/s, to the left."""

    def travelled(self, time_s: F64) -> F64:
        return 10.0 * time_s

    def poses(self, time_s: F64) -> F64:
        angle = 0.5 * np.asarray(time_s)
        return np.stack([20 * np.cos(angle), 20 * np.sin(angle), angle + np.pi / 2], axis=-1)

    def pose(self, time_s: float) -> Pose2:
        return Pose2(*self.poses(np.array(time_s)).tolist())


@pytest.fixture(scope="module")
def hilly(world: World) -> World:
    scene = replace(world.scene, renderer="gl", terrain_m=8.0, sway_deg=1.5, duration_s=20.0)
    return build_world(scene)


def test_a_circle_gives_its_rate_its_pull_and_gravity(world: World) -> None:
    flat = replace(world.scene, imu=replace(world.scene.imu, place_m=(0.0, 0.0, 0.0)))
    _, rate, force, _ = true_inertia(flat, Circle(), Ride(world))
    assert np.allclose(rate, [0, 0, 0.5], atol=1e-3)
    assert np.allclose(force, [0, 5.0, GRAVITY], atol=0.01)


def test_rates_integrate_to_the_turns_of_a_swaying_vehicle_on_hills(hilly: World) -> None:
    time, rate, _, R = true_inertia(hilly.scene, make_trajectory(hilly.scene, hilly.layout), Ride(hilly))
    turned, dt = R[0], time[1] - time[0]
    for before, after in pairwise(rate):
        turn = (before + after) / 2 * dt
        cross = np.array([[0, -turn[2], turn[1]], [turn[2], 0, -turn[0]], [-turn[1], turn[0], 0]])
        turned = turned @ (np.eye(3) + cross + cross @ cross / 2)
    assert np.abs(turned - R[-1]).max() < 0.003
    assert np.degrees(np.ptp(np.arcsin(-R[:, 2, 0]))) > 1.0


def test_forces_integrate_to_the_way(hilly: World) -> None:
    scene = replace(hilly.scene, imu=replace(hilly.scene.imu, place_m=(0.0, 0.0, 0.0)))
    motion, ride = make_trajectory(scene, hilly.layout), Ride(hilly)
    time, _, force, R = true_inertia(scene, motion, ride)
    accelerated = np.einsum("nij,nj->ni", R, force) - [0, 0, GRAVITY]
    dt = time[1] - time[0]
    place = ride.transforms(motion.poses(time), time)[:, :3, 3]
    velocity = np.cumsum(accelerated, axis=0) * dt
    moved = np.cumsum(velocity, axis=0) * dt
    assert np.linalg.norm(place[-1] - place[0]) > 20
    assert np.linalg.norm(moved[-1] - (place[-1] - place[0])) < 1.0


def test_bias_noise_and_a_yaw_of_its_own(hilly: World) -> None:
    motion, ride = make_trajectory(hilly.scene, hilly.layout), Ride(hilly)
    _, rate, force, R = true_inertia(hilly.scene, motion, ride)
    track = drive_imu(hilly.scene, motion, ride)
    spec = hilly.scene.imu
    assert (track.rate_radps - rate).std(axis=0) == pytest.approx(spec.gyro_noise_radps, rel=0.1)
    assert (track.force_mps2 - force).std(axis=0) == pytest.approx(spec.force_noise_mps2, rel=0.1)
    assert abs(np.arctan2(track.attitude[0, 1, 0], track.attitude[0, 0, 0])) < 0.01
    tilt = np.degrees(np.arccos((R[:, 2] * track.attitude[:, 2]).sum(axis=1).clip(-1, 1)))
    assert 0.05 < tilt.mean() < 1.5


def test_heading_is_absolute_and_as_exact_as_said(world: World) -> None:
    scene = replace(world.scene, duration_s=600.0, heading=HeadingSpec(rate_hz=10.0, sigma_deg=1.0))
    track = drive_heading(scene, Circle())
    error = np.degrees(track.yaw_rad - Circle().poses(track.time_s)[:, 2])
    assert error.std() == pytest.approx(1.0, rel=0.1)


def test_messages_follow_rep_145(scene: Scene) -> None:
    factory = MessageFactory()
    attitude = se3.from_rpy(0.02, -0.03, 1.0)[:3, :3]
    raw = factory.imu(5, attitude, np.array([0.1, 0.2, 0.3]), np.array([0, 0, GRAVITY]), np.array([1e-4, 4e-6, 0.01]))
    message: Any = factory.typestore.deserialize_cdr(raw, "sensor_msgs/msg/Imu")
    q = message.orientation
    assert np.allclose(se3.from_quaternion([q.x, q.y, q.z, q.w])[:3, :3], attitude)
    assert message.linear_acceleration.z == pytest.approx(GRAVITY)
    assert message.orientation_covariance[8] > 100 > message.orientation_covariance[0] > 0
    message = factory.typestore.deserialize_cdr(factory.heading(5, 2.0, 1e-4), "sensor_msgs/msg/Imu")
    assert message.angular_velocity_covariance[0] == message.linear_acceleration_covariance[0] == -1
    assert se3.yaw_from_quaternion([0, 0, message.orientation.z, message.orientation.w]) == pytest.approx(2.0)
