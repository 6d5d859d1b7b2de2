# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the vehicle's receivers report of the true motion, errors included."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cvloc_ros.simulation.motion import Motion
from cvloc_ros.simulation.scene import Scene
from cvloc_ros.types import F64, Mask


@dataclass(frozen=True, slots=True, eq=False)
class OdomTrack:
    """Simulated odometry: times (N,) s, poses (N, 3) of base in odom, and speed (N,) m/s and yaw rate (N,) rad/s."""

    time_s: F64
    poses: F64
    speed_mps: F64
    yaw_rate_radps: F64


@dataclass(frozen=True, slots=True, eq=False)
class GnssTrack:
    """Simulated fixes: times (N,) s, antenna positions (N, 2) m in map with their errors (N, 2).

    `variance_m2` (N,) is what is reported per axis, `latency_s` (N,) what each fix takes beyond its usual delay.
    """

    time_s: F64
    positions: F64
    errors: F64
    variance_m2: F64
    latency_s: F64


def drive_odometry(scene: Scene, trajectory: Motion) -> OdomTrack:
    """Integrate wheel travel with its scale error and a gyro with its bias, starting at the origin of odom."""
    spec, rng = scene.odom, scene.rng("odometry")
    time = np.arange(0.0, scene.duration_s + 1e-9, 1.0 / spec.rate_hz)
    dt = 1.0 / spec.rate_hz
    travelled = np.diff(trajectory.travelled(time))
    turned = np.diff(trajectory.poses(time)[:, 2])
    moving = travelled > 1e-4
    ahead = travelled * spec.scale + moving * rng.normal(0, spec.speed_noise_mps * dt, len(travelled))
    turn = turned + (spec.gyro_bias_radps + rng.normal(0, spec.gyro_noise_radps, len(turned))) * dt
    yaw = np.concatenate([[0.0], np.cumsum(turn)])
    middle = yaw[:-1] + turn / 2
    steps = ahead[:, None] * np.stack([np.cos(middle), np.sin(middle)], axis=-1)
    xy = np.concatenate([np.zeros((1, 2)), np.cumsum(steps, axis=0)])
    rates = np.concatenate([[0.0], ahead / dt]), np.concatenate([[0.0], turn / dt])
    return OdomTrack(time, np.column_stack([xy, yaw]), *rates)


def drive_gnss(scene: Scene, trajectory: Motion) -> GnssTrack:
    """Add a constant bias, first-order Gauss-Markov error and white noise to the antenna's true position."""
    spec, rng = scene.gnss, scene.rng("gnss")
    time = np.arange(0.3, scene.duration_s, 1.0 / spec.rate_hz)
    poses = trajectory.poses(time - spec.age_s)
    cos, sin = np.cos(poses[:, 2]), np.sin(poses[:, 2])
    x, y, _ = spec.antenna_m
    antenna = poses[:, :2] + np.stack([cos * x - sin * y, sin * x + cos * y], axis=-1)
    angle = rng.uniform(0, 2 * np.pi)
    bias = spec.bias_m * np.array([np.cos(angle), np.sin(angle)])
    keep = np.exp(-1.0 / (spec.rate_hz * spec.correlation_s))
    walk = np.empty((len(time), 2))
    walk[0] = rng.normal(0, spec.sigma_m, 2)
    for index in range(1, len(time)):
        walk[index] = keep * walk[index - 1] + rng.normal(0, spec.sigma_m * np.sqrt(1 - keep**2), 2)
    errors = bias + walk + rng.normal(0, spec.white_m, (len(time), 2))
    variance = spec.sigma_m**2 + spec.white_m**2 + spec.bias_m**2 / 2
    return _on_a_bad_day(scene, GnssTrack(time, antenna + errors, errors, np.full(len(time), variance), 0.0 * time))


def _on_a_bad_day(scene: Scene, track: GnssTrack) -> GnssTrack:
    """Add what the scene asks for beyond the usual error; streams of their own leave the rest as it is."""
    spec, time = scene.gnss, track.time_s
    rng, count = scene.rng("gnss faults"), len(track.time_s)
    extra = np.cumsum(rng.normal(0, 1, (count, 2)), axis=0) * spec.walk_m / np.sqrt(spec.rate_hz)
    for start, length in _spells(scene, "gnss jumps", spec.jump_every_s, 5.0):
        angle = rng.uniform(0, 2 * np.pi)
        extra[(time >= start) & (time < start + length)] += spec.jump_m * np.array([np.cos(angle), np.sin(angle)])
    wrong = rng.random(count) < spec.covariance_wrong_share
    variance = track.variance_m2 * np.where(wrong, spec.covariance_factor**2, 1.0)
    latency = np.abs(rng.normal(0, 1, count)) * spec.latency_sigma_s
    keep = np.ones(count, np.bool_)
    for start, length in _spells(scene, "gnss outages", spec.outage_every_s, spec.outage_s):
        keep &= (time < start) | (time >= start + length)
    return GnssTrack(
        time[keep], (track.positions + extra)[keep], (track.errors + extra)[keep], variance[keep], latency[keep]
    )


def _spells(scene: Scene, purpose: str, every_s: float, length_s: float) -> list[tuple[float, float]]:
    """Beginnings and lengths (s) of what happens now and then; the first seconds are spared."""
    if every_s <= 0 or length_s <= 0:
        return []
    rng, spells, at = scene.rng(purpose), [], 5.0
    while (at := at + float(rng.exponential(every_s))) < scene.duration_s:
        spells.append((at, float(rng.exponential(length_s))))
    return spells


@dataclass(frozen=True, slots=True, eq=False)
class Delivery:
    """Which messages (N,) of one topic arrive, how much later than usual (s), and the error of their stamps (s)."""

    arrives: Mask
    late_s: F64
    stamp_error_s: F64


def deliver(scene: Scene, topic: str, count: int) -> Delivery:
    """Draw the fate of all messages of a topic."""
    spec, rng = scene.delays, scene.rng(f"delivery {topic}")
    arrives = rng.random(count) >= spec.drop_share
    late = np.where(rng.random(count) < spec.late_share, spec.late_s * rng.uniform(0.3, 1.0, count), 0.0)
    return Delivery(arrives, late, rng.normal(0, 1, count) * spec.stamp_jitter_s)
