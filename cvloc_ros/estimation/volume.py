# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Score volume to pose: the best peak, its spread, and how unique it is."""

from __future__ import annotations

import math

import numpy as np
import torch

from cvloc_ros.config import Estimation
from cvloc_ros.geo.angles import wrap
from cvloc_ros.types import F64, Pose2, PoseEstimate, ScoreVolume

_OTHER_YAW_RAD = math.radians(15.0)  # a peak at the same place but turned further than this is another pose


def from_volume(volume: ScoreVolume, config: Estimation) -> PoseEstimate | None:
    """Take the best peak, refined between cells, and its spread.

    The posterior is the log-likelihood over the temperature under a uniform prior inside the window. The pose is its
    maximum (the mean of a flattened peak leans towards the longer flank); the covariance is the second moment about
    it within the ambiguity radius; what is outside that radius is compared as another place.

    Returns:
        The estimate with the bare (uncalibrated, unfloored) covariance, None if nothing could be compared.
    """
    log_p = volume.log_likelihood / config.temperature
    best = int(torch.argmax(log_p))
    peak = log_p.flatten()[best].clone()
    if not torch.isfinite(peak):
        return None
    layer, row, column = (int(i) for i in np.unravel_index(best, tuple(log_p.shape)))
    x0, y0, yaw0 = volume.x_m[column], volume.y_m[row], volume.yaw_rad[layer]
    layers = np.flatnonzero(np.abs(wrap(volume.yaw_rad - yaw0)) <= _OTHER_YAW_RAD)
    rows = np.flatnonzero(np.abs(volume.y_m - y0) <= config.ambiguity_radius_m)
    columns = np.flatnonzero(np.abs(volume.x_m - x0) <= config.ambiguity_radius_m)
    near = tuple(torch.as_tensor(index, device=log_p.device) for index in np.ix_(layers, rows, columns))
    p = torch.exp((log_p[near] - peak).double()).cpu().numpy()
    axes = (wrap(volume.yaw_rad[layers] - yaw0), volume.y_m[rows] - y0, volume.x_m[columns] - x0)
    at = tuple(int(np.flatnonzero(axis == 0.0)[0]) for axis in axes)
    yaw_off, y_off, x_off = _summit(np.log(np.maximum(p, 1e-300)), at, axes)
    log_p[near] = -torch.inf
    return PoseEstimate(
        pose=Pose2(float(x0 + x_off), float(y0 + y_off), wrap(float(yaw0 + yaw_off))),
        covariance=_spread(p, (yaw_off, y_off, x_off), axes),
        score=float(volume.scores[layer, row, column]),
        ambiguity=float(torch.exp(log_p.max() - peak)),
        coverage=float(volume.overlap[layer, row, column]),
    )


def _summit(log_p: F64, at: tuple[int, ...], axes: tuple[F64, ...]) -> tuple[float, ...]:
    """Offsets of the maximum from its cell along each axis, by a parabola through three neighbours."""
    offsets = []
    for axis, index in enumerate(at):
        line = log_p[tuple(slice(None) if k == axis else i for k, i in enumerate(at))]
        offset = 0.0
        if 0 < index < len(line) - 1:
            below, here, above = line[index - 1 : index + 2]
            bend = below - 2.0 * here + above
            if bend < 0.0:
                share = float(np.clip(0.5 * (below - above) / bend, -0.5, 0.5))
                offset = share * float(axes[axis][index + 1] - axes[axis][index])
        offsets.append(offset)
    return tuple(offsets)


def _spread(p: F64, centre: tuple[float, ...], axes: tuple[F64, ...]) -> F64:
    """Second moment (3, 3) over x, y, yaw of unnormalised probabilities (yaw, y, x), and that of a cell."""
    grid = np.stack(np.broadcast_arrays(*np.ix_(*(axis - c for axis, c in zip(axes, centre, strict=True)))), -1)
    offsets = grid.reshape(-1, 3)[:, ::-1]
    weight = p.reshape(-1) / p.sum()
    cells = np.diag([_step(axis) ** 2 / 12.0 for axis in axes[::-1]])
    covariance: F64 = (offsets * weight[:, None]).T @ offsets + cells
    return covariance


def _step(axis: F64) -> float:
    return float(np.abs(np.diff(axis)).min()) if len(axis) > 1 else 0.0
