# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Where a recorded path lies best on what looks like road: a search over its parts, turns and places."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from scipy import fft
from scipy.ndimage import distance_transform_edt, map_coordinates

from cvloc_ros.errors import ConfigError
from cvloc_ros.simulation.motion import Recording, Replayed
from cvloc_ros.simulation.raster import Grid
from cvloc_ros.types import F32, F64, Mask, Pose2

_COARSE = 8
_TURNS = 144
_PARTS = 6
_KEPT = 12
_EDGE_M = 25.0
_HALF_LANE_M = 2.0
_WIDEST_M = 9.0


@dataclass(frozen=True, slots=True)
class _Guess:
    score: float
    start_s: float
    pose: Pose2


def place_recording(
    recording: Recording, duration_s: float, grid: Grid, road: Mask, blocked: Mask, *, least: float = 0.0
) -> Replayed:
    """Move a part of a recording rigidly so that most of it lies on road cells and least on blocked ones.

    Args:
        recording: the motion; of a longer one the part that fits best is taken.
        duration_s: length of the part.
        grid: where the masks (rows, columns) lie.
        road: cells that look like road.
        blocked: cells that nobody drives on, such as roofs.
        least: share of the path that must lie on road.

    Raises:
        ConfigError: the recording is too short, covers more ground than the world, or finds no road.
    """
    length = float(recording.time_s[-1])
    if length < duration_s:
        msg = f"motion: it lasts {length:.1f} s, the drive {duration_s:.1f} s; make the drive shorter"
        raise ConfigError(msg)
    liked = _liking(grid, road, blocked)
    guesses: list[_Guess] = []
    for start in np.unique(np.linspace(0.0, length - duration_s, _PARTS).round(3)).tolist():
        guesses += _correlate(recording.part(start, duration_s), start, liked, grid)
    if not guesses:
        extent = float(np.ptp(recording.part(0.0, duration_s).xy, axis=0).max())
        msg = (
            f"motion: {duration_s:.0f} s of it reach over {extent:.0f} m, which does not fit into "
            f"{grid.columns * grid.resolution_m:.0f} m x {grid.rows * grid.resolution_m:.0f} m with {_EDGE_M:.0f} m "
            "around it; make the drive shorter or size_m larger"
        )
        raise ConfigError(msg)
    best = sorted(guesses, key=lambda guess: -guess.score)[:_KEPT]
    fine = max((_refine(recording.part(g.start_s, duration_s), g, liked, grid) for g in best), key=lambda g: g.score)
    part = recording.part(fine.start_s, duration_s)
    share = float((_sample(road.astype(np.float32), grid, fine.pose.apply(_points(part))) > 0.5).mean())
    if share < least:
        msg = f"motion: at best {share:.0%} of it lies on road, {least:.0%} is asked for; choose another --place"
        raise ConfigError(msg)
    return Replayed(part, fine.pose, on_road=share)


def _liking(grid: Grid, road: Mask, blocked: Mask) -> F32:
    """How good (rows, columns) a cell is to drive on: 1 in the middle of a road, far below 0 on a roof."""
    depth = distance_transform_edt(road) * grid.resolution_m
    inside = np.where(depth < _WIDEST_M, np.minimum(depth / _HALF_LANE_M, 1.0), -1.5)  # bare fields, rail yards
    near = np.exp(-distance_transform_edt(~road) * grid.resolution_m / 3.0)
    liked = np.where(road, 0.4 + 0.6 * inside, near * 0.4 - 0.8)
    return np.asarray(np.where(blocked, -3.0, liked), dtype=np.float32)


def _points(part: Recording) -> F64:
    """Places (N, 2) every metre or so along a part."""
    way = part.travelled_m
    at = np.linspace(0.0, way[-1], max(2, int(way[-1])))
    return np.column_stack([np.interp(at, way, part.xy[:, axis]) for axis in (0, 1)])


def _correlate(part: Recording, start_s: float, liked: F32, grid: Grid) -> list[_Guess]:
    """Best place of a part for each turn, on coarse cells."""
    shape = (grid.columns // _COARSE, grid.rows // _COARSE)
    coarse = np.asarray(cv2.resize(liked, shape, interpolation=cv2.INTER_AREA), np.float32)
    cell, points = grid.resolution_m * _COARSE, _points(part)
    margin = int(np.ceil(_EDGE_M / cell))
    rows, columns = coarse.shape
    size = tuple(fft.next_fast_len(int(side), real=True) for side in coarse.shape)
    ground = fft.rfft2(coarse, size)
    found = []
    for turn in np.arange(_TURNS) * 2 * np.pi / _TURNS:
        turned = Pose2(0.0, 0.0, float(turn)).apply(points)
        low = turned.min(axis=0)
        pixels = np.floor((turned - low) / cell).astype(np.int64)
        wide, high = pixels.max(axis=0) + 1
        free = rows - high - 2 * margin, columns - wide - 2 * margin
        if min(free) < 1:
            continue
        drawn = np.zeros(size, np.float32)
        np.add.at(drawn, (high - 1 - pixels[:, 1], pixels[:, 0]), 1.0 / len(pixels))
        score = fft.irfft2(ground * np.conj(fft.rfft2(drawn)), size)
        score = score[margin : margin + free[0], margin : margin + free[1]]
        row, column = np.unravel_index(int(score.argmax()), score.shape)
        west = grid.west_m + (column + margin) * cell - low[0]
        south = grid.north_m - (row + margin + high) * cell - low[1]
        found.append(_Guess(float(score.max()), start_s, Pose2(float(west), float(south), float(turn))))
    return found


def _refine(part: Recording, guess: _Guess, liked: F32, grid: Grid) -> _Guess:
    """Move and turn a guess in ever smaller steps about the middle of the part."""
    points = _points(part)
    middle = points.mean(axis=0)
    centre, turn = guess.pose.apply(middle), guess.pose.yaw_rad
    best = (-np.inf, centre, turn)
    reach = float(np.linalg.norm(points - middle, axis=1).max())
    for step in (3.0, 1.5, 0.7, 0.3):
        around = best if np.isfinite(best[0]) else (0.0, centre, turn)
        for angle in np.arange(-3, 4) * step / max(reach, 1.0):
            turned = Pose2(0.0, 0.0, around[2] + angle).apply(points - middle)
            for dx in np.arange(-2, 3) * step:
                for dy in np.arange(-2, 3) * step:
                    at = around[1] + [dx, dy]
                    score = float(_sample(liked, grid, turned + at).mean())
                    if score > best[0]:
                        best = (score, at, around[2] + angle)
    shift = best[1] - Pose2(0.0, 0.0, best[2]).apply(middle)
    turn = float(np.remainder(best[2] + np.pi, 2 * np.pi) - np.pi)
    return _Guess(best[0], guess.start_s, Pose2(float(shift[0]), float(shift[1]), turn))


def _sample(values: F32, grid: Grid, points: F64) -> F32:
    u, v = grid.px(points).T
    return np.asarray(map_coordinates(values, [v, u], order=1, mode="constant", cval=-3.0), np.float32)
