# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The true motion of the vehicle: a route along the streets, driven at a plausible speed."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy.ndimage import gaussian_filter1d

from cvloc_ros.simulation.layout import Junction, Layout, Street, hermite, resample
from cvloc_ros.simulation.markings import STOP_M
from cvloc_ros.simulation.motion import Motion, read_recording
from cvloc_ros.simulation.scene import Scene
from cvloc_ros.simulation.world import World
from cvloc_ros.types import F64, Pose2

_STEP_M = 0.1
_ACCELERATION = 1.4
_LATERAL = 1.9
_HALT_S = 4.0
_NOSE_M = 4.0
_EDGE_M = 45.0
_WALKS = 60
_BARE_M = 34.0


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
    wanted = scene.duration_s * scene.speed_mps
    rng = scene.rng("route")
    # Of many walks the one that is long enough and sees most; each street that is driven again counts against it.
    walks = [_walk(layout, wanted, rng) for _ in range(_WALKS)]
    half = np.array(scene.size_m) / 2
    legs = max(walks, key=lambda walk: _worth(walk, layout, wanted, half))
    pieces = [_lane(*legs[0])]
    stops: list[float] = []
    length = 0.5 * len(pieces[0])
    for (street, forward), (onward, ahead) in pairwise(legs):
        node = layout.junctions[street.end if forward else street.start]
        if not stops and street.controls[1 if forward else 0] in ("stop", "signal") and length > 20.0:
            whole = float(sum(np.linalg.norm(np.diff(np.concatenate(pieces), axis=0), axis=1)))
            stops.append(whole - STOP_M - _NOSE_M)
        lane = _lane(onward, ahead)
        turn = _through(pieces[-1], lane, node)
        pieces += [turn, lane]
        length += 0.5 * (len(turn) + len(lane))
        if length > wanted + 30.0:
            break
    path = resample(np.concatenate(pieces), _STEP_M)
    smooth = gaussian_filter1d(path, 12.0, axis=0, mode="nearest")
    return resample(smooth[15:-15], _STEP_M), [stop - 15 * _STEP_M for stop in stops if stop > 8.0]


def _walk(layout: Layout, wanted_m: float, rng: np.random.Generator) -> list[tuple[Street, bool]]:
    """Streets in the order in which they are driven, and whether along their line."""
    usable = [s for s in layout.streets if _drivable(s)]
    inner = [s for s in usable if min(s.start, s.end) >= 0 and s.length_m > 40.0] or usable or list(layout.streets)
    street = inner[int(rng.integers(len(inner)))]
    forward = bool(rng.random() < 0.5) if min(street.start, street.end) >= 0 else street.end >= 0
    legs, length = [(street, forward)], street.length_m
    while length < wanted_m + 60.0:
        node = street.end if forward else street.start
        ways = _ways(layout, node, street)
        if not ways:
            break
        street, forward = ways[int(rng.integers(len(ways)))]
        legs.append((street, forward))
        length += street.length_m
    return legs


def _worth(walk: list[tuple[Street, bool]], layout: Layout, wanted_m: float, half: F64) -> float:
    seen: set[int] = set()
    worth, length = 0.0, 0.0
    for street, forward in walk:
        new = id(street) not in seen
        seen.add(id(street))
        worth += street.length_m * (1.0 if new else -0.3)
        length += street.length_m
        if float((half - np.abs(street.line)).min()) < _BARE_M:  # the world ends there, and it shows
            worth -= street.length_m
        node = street.end if forward else street.start
        if node >= 0 and layout.junctions[node].kind == "roundabout":
            worth += 30.0
    return min(length, wanted_m) * 2 + min(worth, wanted_m * 1.2)


def _ways(layout: Layout, node: int, arrived: Street) -> list[tuple[Street, bool]]:
    """Streets that leave a junction and whether they are driven along their line; out of the world only at the last."""
    if node >= 0 and layout.junctions[node].kind == "turning":
        return [(arrived, arrived.start == node)]
    ways = [
        (street, street.start == node)
        for street in layout.streets
        if node >= 0 and street is not arrived and node in (street.start, street.end)
        and _drivable(street)
    ]  # fmt: skip
    onward = [
        (street, ahead) for street, ahead in ways
        if min(street.start, street.end) >= 0 and layout.junctions[street.end if ahead else street.start].kind != "end"
    ]  # fmt: skip
    return onward or ways


def _drivable(street: Street) -> bool:
    """Tell whether a lane has room between its junctions, or after the edge of the world where it comes from there."""
    inside = street.start >= 0 or street.length_m > _EDGE_M + 1.0
    return inside and street.length_m > sum(street.clear) + 4.0


def _lane(street: Street, forward: bool) -> F64:  # noqa: FBT001
    """Middle of the right-hand lane (N, 2), from behind one junction to before the next."""
    near = street.clear[0] if street.start >= 0 else _EDGE_M
    far = street.length_m - (street.clear[1] if street.end >= 0 else _EDGE_M)
    if max(street.start, street.end) < 0 and far < near:  # all there is of this world's streets
        near, far = 0.25 * street.length_m, 0.75 * street.length_m
    s = np.arange(near, max(far, near + 1.0), 0.5)
    return street.at(s, -street.lane_m) if forward else street.at(s[::-1], street.lane_m)


def _through(lane: F64, onward: F64, node: Junction) -> F64:
    """Path (N, 2) from the end of one lane to the beginning of the next."""
    a, b = lane[-1], onward[0]
    da, db = _unit(lane[-1] - lane[-2]), _unit(onward[1] - onward[0])
    if node.kind not in ("roundabout", "turning"):
        return hermite(a, b, da, db)[1:-1]
    # Around the middle with it on the left: counter-clockwise, from right of the way in to right of the way out.
    lead = 0.62 if node.kind == "roundabout" else 1.0
    start = float(np.arctan2(*(a - node.centre)[::-1])) + lead
    sweep = (float(np.arctan2(*(b - node.centre)[::-1])) - lead - start) % (2 * np.pi)
    sweep = sweep if sweep < 2 * np.pi - 0.9 else 0.05
    angle = start + np.linspace(0.0, sweep, max(3, int(sweep * node.drive_m / 0.5)))
    ring = node.centre + node.drive_m * np.column_stack([np.cos(angle), np.sin(angle)])
    tangent = np.column_stack([-np.sin(angle), np.cos(angle)])
    way_in = hermite(a, ring[0], da, tangent[0])
    way_out = hermite(ring[-1], b, tangent[-1], db)
    return np.concatenate([way_in[1:], ring[1:-1], way_out[:-1]])


def _unit(vector: F64) -> F64:
    return vector / float(np.linalg.norm(vector))
