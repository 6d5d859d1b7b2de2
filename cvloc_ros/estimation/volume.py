# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Score volume to pose: moments of the best peak, and how unique that peak is."""

from __future__ import annotations

import math

import numpy as np
import torch

from cvloc_ros.config import Estimation
from cvloc_ros.geo.angles import wrap
from cvloc_ros.types import F64, Pose2, PoseEstimate, ScoreVolume

_OTHER_YAW_RAD = math.radians(15.0)  # a peak at the same place but turned further than this is another pose


def from_volume(volume: ScoreVolume, config: Estimation) -> PoseEstimate | None:
    """Take the best peak's mean and covariance.

    The posterior is the log-likelihood over the temperature under a uniform prior inside the window. Its moments are
    taken within the ambiguity radius of the maximum; what is outside is compared as another place.

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
    mean, covariance = _moments(p, volume.x_m[columns], volume.y_m[rows], wrap(volume.yaw_rad[layers] - yaw0))
    covariance += np.diag([_step(axis) ** 2 / 12.0 for axis in (volume.x_m, volume.y_m, volume.yaw_rad)])
    log_p[near] = -torch.inf
    return PoseEstimate(
        pose=Pose2(float(mean[0]), float(mean[1]), float(wrap(mean[2] + yaw0))),
        covariance=covariance,
        score=float(volume.scores[layer, row, column]),
        ambiguity=float(torch.exp(log_p.max() - peak)),
        coverage=float(volume.overlap[layer, row, column]),
    )


def _moments(p: F64, x: F64, y: F64, yaw: F64) -> tuple[F64, F64]:
    """Mean (3,) and covariance (3, 3) over x, y, yaw of unnormalised probabilities (yaw, y, x)."""
    grid = np.stack(np.broadcast_arrays(x[None, None, :], y[None, :, None], yaw[:, None, None]), -1).reshape(-1, 3)
    weight = p.reshape(-1) / p.sum()
    mean = weight @ grid
    centred = grid - mean
    return mean, (centred * weight[:, None]).T @ centred


def _step(axis: F64) -> float:
    return abs(float(axis[1] - axis[0])) if len(axis) > 1 else 0.0
