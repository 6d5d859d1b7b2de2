# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Recorded motion of a real vehicle: read from a file, and replayed as it was on the roads of another place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol
from zipfile import BadZipFile

import numpy as np
from scipy.interpolate import CubicSpline, PchipInterpolator

from cvloc_ros.errors import ConfigError
from cvloc_ros.types import F64, Pose2


class Motion(Protocol):
    """The true planar motion of a drive; times are seconds since its start."""

    def travelled(self, time_s: F64) -> F64:
        """Travelled distance (...,) in metres at times (...,)."""
        ...

    def poses(self, time_s: F64) -> F64:
        """Poses (..., 3): x, y in map metres and unwrapped yaw of base at times (...,)."""
        ...

    def pose(self, time_s: float) -> Pose2:
        """Pose of base in map at one time."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Recording:
    """A recorded motion: times (N,) s from 0, positions (N, 2) m, yaw (N,) rad, and what the body does.

    `sway` (N, 2) is roll and pitch against the road, rad; zero where the file has no attitude. The yaw is the
    vehicle's: where the file has attitude the constant angle between sensor and travel is taken off, else it is the
    course.
    """

    time_s: F64
    xy: F64
    yaw_rad: F64
    sway: F64

    @property
    def travelled_m(self) -> F64:
        """Travelled distance (N,)."""
        return np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(self.xy, axis=0), axis=1))])

    def part(self, start_s: float, duration_s: float) -> Recording:
        """Return what lies between two times, one second more at each end where there is one."""
        inside = (self.time_s >= start_s - 1.0) & (self.time_s <= start_s + duration_s + 1.0)
        return Recording(self.time_s[inside] - start_s, self.xy[inside], self.yaw_rad[inside], self.sway[inside])


def read_recording(file: str) -> Recording:
    """Read a recorded motion: `pose_t` (N,) s, `pose_enu` (N, 3) m, and `pose_ypr` (N, 3) rad if it is there.

    Raises:
        ConfigError: the file cannot be read, or its arrays do not fit.
    """
    try:
        with np.load(file, allow_pickle=False) as data:
            time_s, points = np.asarray(data["pose_t"], np.float64), np.asarray(data["pose_enu"], np.float64)
            ypr = np.asarray(data["pose_ypr"], np.float64) if "pose_ypr" in data else None
            steps = np.diff(points[:, :2], axis=0)
    except (OSError, KeyError, ValueError, IndexError, EOFError, BadZipFile) as err:
        msg = f"motion = {file}: {err}; wanted is an .npz with pose_t (N,) in seconds and pose_enu (N, 3) in metres"
        raise ConfigError(msg) from err
    good = len(time_s) == len(points) and len(time_s) > 1 and (np.diff(time_s) > 0).all() and np.isfinite(steps).all()
    if not good:
        msg = f"motion = {file}: pose_t ({len(time_s)}) must rise and be as long as pose_enu ({len(points)}), finite"
        raise ConfigError(msg)
    if ypr is not None and (ypr.shape != (len(time_s), 3) or not np.isfinite(ypr).all()):
        msg = f"motion = {file}: pose_ypr has the shape {ypr.shape}; {(len(time_s), 3)} finite angles are needed"
        raise ConfigError(msg)
    yaw, sway = _attitude(time_s, points, ypr)
    return Recording(time_s - time_s[0], points[:, :2] - points[0, :2], yaw, sway)


def _attitude(time_s: F64, points: F64, ypr: F64 | None) -> tuple[F64, F64]:
    velocity = np.gradient(points, time_s, axis=0)
    flat = np.linalg.norm(velocity[:, :2], axis=1)
    moving = flat > 1.0
    if not moving.any():
        return np.zeros(len(time_s)) if ypr is None else np.unwrap(ypr[:, 0]), np.zeros((len(time_s), 2))
    course = np.unwrap(np.arctan2(velocity[moving, 1], velocity[moving, 0]))
    course = np.interp(time_s, time_s[moving], course)
    if ypr is None:
        return course, np.zeros((len(time_s), 2))
    yaw = np.unwrap(ypr[:, 0])
    aside = np.angle(np.exp(1j * (yaw - course)))[moving]
    climb = np.interp(time_s, time_s[moving], np.arctan2(velocity[moving, 2], flat[moving]))
    roll, pitch = ypr[:, 2], ypr[:, 1] + climb  # nose down is positive: on a climb the pitch is minus the slope
    sway = np.column_stack([roll - np.median(roll), pitch - np.median(pitch)])
    return yaw - float(np.median(aside)), sway


class Replayed:
    """A part of a recording on a place of the map."""

    def __init__(self, recording: Recording, place: Pose2, *, on_road: float = 1.0) -> None:
        """Move the recording; `place` takes its coordinates to the map, `on_road` is how much of it lies on road."""
        self.place, self.on_road = place, on_road
        time_s = recording.time_s
        self._range = float(time_s[0]), float(time_s[-1])
        self.line: F64 = place.apply(recording.xy)
        self._path = CubicSpline(time_s, np.column_stack([self.line, recording.yaw_rad + place.yaw_rad]))
        way = recording.travelled_m
        self._way = PchipInterpolator(time_s, way - np.interp(0.0, time_s, way))
        self._sway = CubicSpline(time_s, recording.sway)

    def travelled(self, time_s: F64) -> F64:
        """Travelled distance (...,) in metres at times (...,)."""
        return np.asarray(self._way(np.clip(time_s, *self._range)))

    def poses(self, time_s: F64) -> F64:
        """Poses (..., 3) at times (...,): beyond its ends the recording goes on as it was going."""
        time = np.asarray(time_s, np.float64)
        inside = np.clip(time, *self._range)
        found: F64 = self._path(inside) + self._path(inside, 1) * (time - inside)[..., None]
        return found

    def pose(self, time_s: float) -> Pose2:
        """Pose of base in map at one time."""
        x, y, yaw = self.poses(np.array(time_s)).tolist()
        return Pose2(x, y, float(np.remainder(yaw + np.pi, 2 * np.pi) - np.pi))

    def sway(self, time_s: F64) -> F64:
        """Roll and pitch (..., 2) of the body against the road, rad."""
        return np.asarray(self._sway(np.clip(time_s, *self._range)))
