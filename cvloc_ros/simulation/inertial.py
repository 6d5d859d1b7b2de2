# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What an inertial sensor and a receiver with two antennas report of the true motion, errors included."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter1d

from cvloc_ros.simulation.motion import Motion
from cvloc_ros.simulation.ride import Ride
from cvloc_ros.simulation.scene import Scene
from cvloc_ros.types import F64

GRAVITY = 9.80665
_AROUND = 20
"""Samples before and after the drive, so that derivatives are right at its ends."""


@dataclass(frozen=True, slots=True, eq=False)
class ImuTrack:
    """Times (N,) s; angular velocity (N, 3) rad/s and specific force (N, 3) m/s² in the sensor's frame.

    `attitude` (N, 3, 3) is the sensor's own estimate of its rotation: level, with a yaw that starts at 0 and drifts.
    """

    time_s: F64
    rate_radps: F64
    force_mps2: F64
    attitude: F64


@dataclass(frozen=True, slots=True, eq=False)
class HeadingTrack:
    """Times (N,) s and absolute yaw (N,) rad of base, counter-clockwise from the map's x."""

    time_s: F64
    yaw_rad: F64


def true_inertia(scene: Scene, motion: Motion, ride: Ride) -> tuple[F64, F64, F64, F64]:
    """Return times (N,), angular velocity (N, 3), specific force (N, 3) and rotation (N, 3, 3) of an ideal sensor."""
    spec, dt = scene.imu, 1.0 / scene.imu.rate_hz
    count = int(np.floor(scene.duration_s / dt + 1e-6)) + 1
    time: F64 = np.arange(-_AROUND, count + _AROUND, dtype=np.float64) * dt
    poses = motion.poses(time)
    # The path is made of straight steps of 0.1 m: what is faster than the vehicle's body follows is smoothed away.
    poses = np.asarray(gaussian_filter1d(poses, spec.smooth_s / dt, axis=0, mode="nearest"))
    base = ride.transforms(poses, time)
    R = base[:, :3, :3]
    place = base[:, :3, 3] + R @ np.array(spec.place_m)
    accelerated = np.gradient(np.gradient(place, dt, axis=0), dt, axis=0)
    force = np.einsum("nji,nj->ni", R, accelerated + np.array([0.0, 0.0, GRAVITY]))
    step = np.swapaxes(R[:-2], 1, 2) @ R[2:]
    axis = np.stack([step[:, 2, 1] - step[:, 1, 2], step[:, 0, 2] - step[:, 2, 0], step[:, 1, 0] - step[:, 0, 1]], -1)
    rate = np.zeros_like(force)
    rate[1:-1] = axis / (4 * dt)  # the sine of a turn of two steps, which is small
    inside = slice(_AROUND, _AROUND + count)
    return time[inside], rate[inside], force[inside], R[inside]


def drive_imu(scene: Scene, motion: Motion, ride: Ride) -> ImuTrack:
    """Add constant biases and white noise, and the errors of the sensor's own attitude filter."""
    spec, rng = scene.imu, scene.rng("inertial sensor")
    time, rate, force, R = true_inertia(scene, motion, ride)
    bias = rng.normal(0.0, spec.gyro_bias_radps, 3)
    measured = rate + bias + rng.normal(0, spec.gyro_noise_radps, rate.shape)
    pushed = force + rng.normal(0, spec.force_bias_mps2, 3) + rng.normal(0, spec.force_noise_mps2, force.shape)
    turned = R[:, 1, 0], R[:, 0, 0]
    yaw = np.unwrap(np.arctan2(*turned))
    drift = yaw - yaw[0] + bias[2] * time
    tilt = np.radians(spec.attitude_deg)
    slow = [
        tilt * np.sin(2 * np.pi * (time / rng.uniform(20.0, 60.0) + rng.uniform())) * np.sqrt(2) for _ in range(2)
    ]
    error = _small_turns(np.column_stack([*slow, drift - yaw]))
    return ImuTrack(time, measured, pushed, error @ R)


def drive_heading(scene: Scene, motion: Motion) -> HeadingTrack:
    """Heading of a receiver with two antennas: white noise on a slow error."""
    spec, rng = scene.heading, scene.rng("heading")
    time = np.arange(0.05, scene.duration_s, 1.0 / spec.rate_hz)
    yaw = motion.poses(time)[:, 2]
    slow = np.sin(2 * np.pi * (time / rng.uniform(30.0, 90.0) + rng.uniform())) * np.sqrt(2)
    errors = np.radians(spec.sigma_deg) * (0.8 * slow + 0.6 * rng.normal(0.0, 1.0, len(time)))
    return HeadingTrack(time, yaw + errors)


def _small_turns(angles: F64) -> F64:
    """Rotations (N, 3, 3) about the world's z by the third angle, after small ones about x and y."""
    x, y = angles[:, 0], angles[:, 1]
    c, s = np.cos(angles[:, 2]), np.sin(angles[:, 2])
    one, zero = np.ones_like(c), np.zeros_like(c)
    about_z = np.stack([c, -s, zero, s, c, zero, zero, zero, one], axis=-1).reshape(-1, 3, 3)
    cx, sx, cy, sy = np.cos(x), np.sin(x), np.cos(y), np.sin(y)
    level = np.stack([cy, sx * sy, cx * sy, zero, cx, -sx, -sy, sx * cy, cx * cy], axis=-1).reshape(-1, 3, 3)
    turns: F64 = about_z @ level
    return turns
