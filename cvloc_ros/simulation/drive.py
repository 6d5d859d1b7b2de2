# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The true motion of the vehicle: a route along the streets, driven at a plausible speed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter1d

from cvloc_ros.simulation.layout import Layout, Street, hermite, resample
from cvloc_ros.simulation.markings import STOP_LINE_M
from cvloc_ros.simulation.motion import Motion, read_recording
from cvloc_ros.simulation.scene import Scene
from cvloc_ros.simulation.world import World
from cvloc_ros.types import F64, Pose2

_STEP_M = 0.1
_ACCELERATION = 1.4
_LATERAL = 1.9
_HALT_S = 4.0
_NOSE_M = 4.0


@dataclass(frozen=True, slots=True, eq=False)
class Trajectory:
    """Exact truth: time in seconds since the start of the drive, path length, and the pose of base along the path."""

    _time_s: F64
    _at_m: F64
    _path: F64
    _yaw: F64
    """Unwrapped yaw at each path point, radians."""

    def travelled(self, time_s: F64) -> F64:
        """Travelled distance (...,) in metres at times (...,)."""
        return np.interp(time_s, self._time_s, self._at_m)

    def poses(self, time_s: F64) -> F64:
        """Poses (..., 3): x, y in map metres and unwrapped yaw of base at times (...,)."""
        index = self.travelled(np.asarray(time_s, dtype=np.float64)) / _STEP_M
        knots = np.arange(len(self._path))
        columns = (self._path[:, 0], self._path[:, 1], self._yaw)
        return np.stack([np.interp(index, knots, column) for column in columns], axis=-1)

    def pose(self, time_s: float) -> Pose2:
        """Pose of base in map at one time."""
        x, y, yaw = self.poses(np.array(time_s)).tolist()
        return Pose2(x, y, float(np.remainder(yaw + np.pi, 2 * np.pi) - np.pi))


def motion_of(world: World) -> Motion:
    """Return how the vehicle moves in a world: as recorded where a recorded path is driven, else along a route."""
    return world.replayed or make_trajectory(world.scene, world.layout)


def make_trajectory(scene: Scene, layout: Layout) -> Trajectory:
    """Choose a route by the seed and drive it. A route that is shorter than the drive ends with the vehicle at rest."""
    path, stops = _route(scene, layout)
    tangent = np.gradient(path, _STEP_M, axis=0)
    yaw: F64 = np.unwrap(np.arctan2(tangent[:, 1], tangent[:, 0])).astype(np.float64)
    bend = np.abs(np.gradient(gaussian_filter1d(yaw, 10.0, mode="nearest"), _STEP_M))
    limit: F64 = np.minimum(scene.speed_mps, np.sqrt(_LATERAL / np.maximum(bend, 1e-4))).astype(np.float64)
    if scene.motion:
        recording = read_recording(scene.motion)
        return Trajectory(recording.time_s, np.minimum(recording.travelled_m, _STEP_M * (len(path) - 1)), path, yaw)
    limit[[0, -1, *(round(stop / _STEP_M) for stop in stops)]] = 0.0
    speed = _reachable(_reachable(limit)[::-1])[::-1]
    pace = 2 * _STEP_M / np.maximum(speed[1:] + speed[:-1], 1e-3)
    time: F64 = np.concatenate([[0.0], np.cumsum(pace)]) + 1.0
    at = np.arange(len(path)) * _STEP_M
    for stop in sorted(stops, reverse=True):
        knot = round(stop / _STEP_M)
        time = np.concatenate([time[: knot + 1], time[knot:] + _HALT_S])
        at = np.concatenate([at[: knot + 1], at[knot:]])
    return Trajectory(time, at.astype(np.float64), path, yaw)


def _reachable(limit: F64) -> F64:
    """Lower a speed profile so that it can be reached by accelerating along the path."""
    speed: F64 = limit.copy()
    for index in range(1, len(speed)):
        speed[index] = min(speed[index], np.sqrt(speed[index - 1] ** 2 + 2 * _ACCELERATION * _STEP_M))
    return speed


def _route(scene: Scene, layout: Layout) -> tuple[F64, list[float]]:
    """Return the path (N, 2) in steps of 0.1 m and the distances along it at which the vehicle halts."""
    rng = scene.rng("route")
    wanted = scene.duration_s * scene.speed_mps
    streets = [street for street in layout.streets if min(street.start, street.end) >= 0] or list(layout.streets)
    street = streets[int(rng.integers(len(streets)))]
    forward = bool(rng.random() < 0.5) if min(street.start, street.end) >= 0 else street.end >= 0
    pieces = [_lane(street, layout.clear_m, forward=forward)]
    halt = float(np.linalg.norm(np.diff(pieces[0], axis=0), axis=1).sum()) - (STOP_LINE_M - layout.clear_m) - _NOSE_M
    length = halt
    while length < wanted:
        node = street.end if forward else street.start
        ways = _ways(layout, node, street)
        if not ways:
            break
        street, forward = ways[int(rng.integers(len(ways)))]
        lane = _lane(street, layout.clear_m, forward=forward)
        last, first = pieces[-1], lane
        turn = hermite(last[-1], first[0], _unit(last[-1] - last[-2]), _unit(first[1] - first[0]))
        pieces += [turn[1:-1], lane]
        length += 0.5 * (len(turn) + len(lane))
    path = resample(np.concatenate(pieces), _STEP_M)
    smooth = gaussian_filter1d(path, 12.0, axis=0, mode="nearest")
    return resample(smooth[15:-15], _STEP_M), [halt - 15 * _STEP_M] if halt > 8.0 and len(pieces) > 1 else []


def _ways(layout: Layout, node: int, arrived: Street) -> list[tuple[Street, bool]]:
    """Streets that leave a junction and whether they are driven along their line; out of the world only at the last."""
    ways = [
        (street, street.start == node)
        for street in layout.streets
        if node >= 0 and street is not arrived and node in (street.start, street.end)
    ]
    return [way for way in ways if min(way[0].start, way[0].end) >= 0] or ways


def _lane(street: Street, clear_m: float, *, forward: bool) -> F64:
    """Middle of the right-hand lane (N, 2), from behind one junction to before the next."""
    near = clear_m if street.start >= 0 else 45.0
    far = street.length_m - (clear_m if street.end >= 0 else 45.0)
    s = np.arange(near, max(far, near + 1.0), 0.5)
    return street.at(s, -street.lane_m) if forward else street.at(s[::-1], street.lane_m)


def _unit(vector: F64) -> F64:
    return vector / float(np.linalg.norm(vector))
