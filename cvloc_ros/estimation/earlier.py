# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What earlier attempts say about the places of the present one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cvloc_ros.geo.angles import wrap
from cvloc_ros.types import F32, F64, Pose2, ScoreVolume

CELL_M = 1.0
"""Places less than a cell, and yaws less than a step, apart are one: odometry drifts by as much on the way."""

DOUBT = 0.05
"""How often an attempt may be wrong altogether: none makes a place less likely than this."""

SHARE = 0.5
"""Of what an attempt says. Neighbours share half of the ground that they see, and what is seen twice is no news."""

_NEAR_YAW = 1.5  # steps of the yaw

Index = NDArray[np.intp]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Outlook:
    """Log-likelihood (yaw, y, x), at most 0, of base in map at an earlier stamp.

    It is the best of each cell of 1 m and its neighbours.
    """

    log_p: F32
    x_m: F64
    y_m: F64
    yaw_rad: F64


Earlier = Sequence[tuple[Outlook, Pose2]]
"""Each with the pose of base then, seen from base now (by odometry)."""


def condense(volume: ScoreVolume, temperature: float) -> Outlook | None:
    """Keep of a volume what later attempts need; None where nothing was compared."""
    log_p = (volume.log_likelihood / temperature).float().cpu().numpy()
    best = float(log_p.max(initial=-math.inf))
    if not math.isfinite(best):
        return None
    rows, cols = _cells(volume.y_m), _cells(volume.x_m)
    log_p = np.maximum.reduceat(np.maximum.reduceat(log_p - best, rows, axis=1), cols, axis=2)
    log_p = np.where(np.isfinite(log_p), np.maximum(log_p, math.log(DOUBT)), 0.0).astype(np.float32)
    for axis in range(3):
        log_p = _widened(log_p, axis)
    return Outlook(log_p, _middles(volume.x_m, cols), _middles(volume.y_m, rows), volume.yaw_rad)


def evidence(earlier: Earlier, volume: ScoreVolume) -> F32 | None:
    """Tell how likely earlier attempts hold the poses of a volume to be: log-likelihood (yaw, y, x), at most 0.

    What an attempt did not see is as likely as its best place, so that a window that has moved excludes nothing. None
    where there are no attempts.
    """
    if not earlier:
        return None
    rows, cols = _cells(volume.y_m), _cells(volume.x_m)
    x, y = _middles(volume.x_m, cols), _middles(volume.y_m, rows)
    yaw = volume.yaw_rad
    told = np.zeros((len(yaw), len(y), len(x)), np.float32)
    for outlook, motion in earlier:
        c, s = np.cos(yaw)[:, None, None], np.sin(yaw)[:, None, None]
        x_then = x[None, None, :] + c * motion.x_m - s * motion.y_m
        y_then = y[None, :, None] + s * motion.x_m + c * motion.y_m
        layer, near = _nearest_yaw(outlook.yaw_rad, yaw + motion.yaw_rad)
        row, on_row = _nearest(outlook.y_m, y_then)
        col, on_col = _nearest(outlook.x_m, x_then)
        seen = near[:, None, None] & on_row & on_col
        told += SHARE * np.where(seen, outlook.log_p[layer[:, None, None], row, col], 0.0)
    told -= told.max()
    counts = np.diff([*rows, len(volume.y_m)]), np.diff([*cols, len(volume.x_m)])
    return np.asarray(np.repeat(np.repeat(told, counts[0], axis=1), counts[1], axis=2))


def _widened(log_p: F32, axis: int) -> F32:
    """Give each cell the best of itself and its two neighbours along an axis."""
    part = np.moveaxis(log_p, axis, 0)
    wide = part.copy()
    np.maximum(wide[1:], part[:-1], out=wide[1:])
    np.maximum(wide[:-1], part[1:], out=wide[:-1])
    return np.moveaxis(wide, 0, axis)


def _cells(axis: F64) -> Index:
    """First index of each cell."""
    return np.arange(0, len(axis), max(1, round(CELL_M / abs(_step(axis)))))


def _middles(axis: F64, first: Index) -> F64:
    return np.array([part.mean() for part in np.split(axis, first[1:])])


def _nearest(axis: F64, at: F64) -> tuple[Index, Flags]:
    """Index of the nearest value of an even axis, and whether there is one."""
    index = np.rint((at - axis[0]) / _step(axis)).astype(np.intp)
    inside = (index >= 0) & (index < len(axis))
    return np.clip(index, 0, len(axis) - 1), inside


def _nearest_yaw(axis: F64, at: F64) -> tuple[Index, Flags]:
    """Nearest layer of each yaw, and whether one is near; a search in all directions keeps but some of them."""
    away = np.abs(wrap(at[:, None] - axis))
    step = float(np.diff(axis).min()) if len(axis) > 1 else math.tau
    layer = away.argmin(axis=1)
    return layer, away[np.arange(len(at)), layer] <= _NEAR_YAW * step


def _step(axis: F64) -> float:
    return float(axis[1] - axis[0]) if len(axis) > 1 else CELL_M
