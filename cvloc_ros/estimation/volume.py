# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Score volume to pose: the best peak, its spread, and how unique it is."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from cvloc_ros.config import Estimation
from cvloc_ros.estimation.gates import prior_log_likelihood
from cvloc_ros.geo.angles import wrap
from cvloc_ros.types import F32, F64, Pose2, PoseEstimate, PosePrior, ScoreVolume

Index = tuple[int, int, int]
_OTHER_YAW_RAD = math.radians(15.0)  # a peak at the same place but turned further than this is another pose

def from_volume(
    volume: ScoreVolume, config: Estimation, prior: PosePrior | None = None, earlier: F32 | None = None
) -> PoseEstimate | None:
    """Take the best peak, refined between cells, and its spread.

    The posterior is the log-likelihood over the temperature under a uniform prior inside the window. The pose is its
    maximum (the mean of a flattened peak leans towards the longer flank); the covariance is the second moment about
    it within the ambiguity radius; what is outside that radius is compared as another place.

    With a prior, another place counts as ambiguous too where it is the likelier one once the prior is heard. That can
    only refuse a pose, never move it or make it more certain: along a road whose markings repeat, the best peak may be
    any of them, and then one far from the prior is no better than one close to it.

    With what `earlier` attempts say (`estimation.earlier`), the best peak of both is taken. They choose among the
    places of this volume; where in that place the pose is, and how certain, is told by this volume alone.

    Returns:
        The estimate with the bare (uncalibrated, unfloored) covariance, None if nothing could be compared.
    """
    log_p = volume.log_likelihood / config.temperature
    heard = log_p if earlier is None else log_p + torch.from_numpy(earlier).to(log_p)
    at = _best(heard)
    if at is None:
        return None
    if earlier is not None:
        at = _best(log_p, _near(volume, at, config)) or at
    layers, rows, columns = box = _near(volume, at, config)
    on_slope = earlier is not None and _best(log_p, box) != at  # of a place that earlier attempts hold for unlikely
    layer, row, column = at
    x0, y0, yaw0 = volume.x_m[column], volume.y_m[row], volume.yaw_rad[layer]
    near = _index(box, log_p.device)
    relative = (log_p[near] - log_p[at]).double().cpu().numpy()
    p = np.exp(relative)
    axes = (wrap(volume.yaw_rad[layers] - yaw0), volume.y_m[rows] - y0, volume.x_m[columns] - x0)
    middle = tuple(int(np.flatnonzero(axis == 0.0)[0]) for axis in axes)
    summit = _summit(relative, middle, axes)
    yaw_off, y_off, x_off = summit.offset
    peak = float(heard[near].max())
    heard[near] = -torch.inf
    return PoseEstimate(
        pose=Pose2(float(x0 + x_off), float(y0 + y_off), wrap(float(yaw0 + yaw_off))),
        covariance=_spread(p, summit, axes)[::-1, ::-1],
        score=float(volume.scores[layer, row, column]),
        ambiguity=1.0 if on_slope else _ambiguity(heard, peak, (row, column), volume, prior),
        coverage=float(volume.overlap[layer, row, column]),
    )


def _near(volume: ScoreVolume, at: Index, config: Estimation) -> tuple[NDArray[np.intp], ...]:
    """Layers, rows and columns of the same place as a cell (layer, row, column)."""
    layer, row, column = at
    return _within(volume, Pose2(volume.x_m[column], volume.y_m[row], volume.yaw_rad[layer]), config)


def _within(volume: ScoreVolume, pose: Pose2, config: Estimation) -> tuple[NDArray[np.intp], ...]:
    radius_m = max(config.ambiguity_radius_m, volume.resolution_m)
    return (
        np.flatnonzero(np.abs(wrap(volume.yaw_rad - pose.yaw_rad)) <= _OTHER_YAW_RAD),
        np.flatnonzero(np.abs(volume.y_m - pose.y_m) <= radius_m),
        np.flatnonzero(np.abs(volume.x_m - pose.x_m) <= radius_m),
    )


def _index(box: tuple[NDArray[np.intp], ...], device: torch.device) -> tuple[torch.Tensor, ...]:
    return tuple(torch.as_tensor(index, device=device) for index in np.ix_(*box))


def _best(log_p: torch.Tensor, box: tuple[NDArray[np.intp], ...] | None = None) -> Index | None:
    """Cell of the maximum, of a box alone where one is given; None where nothing could be compared."""
    part = log_p if box is None else log_p[_index(box, log_p.device)]
    flat = int(torch.argmax(part))
    if not torch.isfinite(part.flatten()[flat]):
        return None
    cell = tuple(int(i) for i in np.unravel_index(flat, tuple(part.shape)))
    layer, row, column = cell if box is None else (int(axis[i]) for axis, i in zip(box, cell, strict=True))
    return layer, row, column


def _ambiguity(
    others: torch.Tensor, peak: float, at: tuple[int, int], volume: ScoreVolume, prior: PosePrior | None
) -> float:
    """Likelihood of the best other place relative to the peak at (row, column), without or with prior: the larger."""
    gap = others.amax(dim=0).double().cpu().numpy() - peak
    worst = float(gap.max())
    if prior is not None:
        places = np.stack(np.meshgrid(volume.x_m, volume.y_m), axis=-1)
        log_prior = prior_log_likelihood(prior, places)
        worst = max(worst, float((gap + log_prior).max() - log_prior[at]))
    return math.exp(min(worst, 0.0))


def probability_near(volume: ScoreVolume, pose: Pose2, config: Estimation) -> float:
    """Log of the posterior probability that base is within the ambiguity radius, and the same way round, of a pose.

    This is what the ambiguity gate asks about: which place, not where exactly in it.
    """
    log_p = volume.log_likelihood.double() / config.temperature
    near = log_p[_index(_within(volume, pose, config), log_p.device)]
    return float(torch.logsumexp(near.flatten(), 0) - torch.logsumexp(log_p.flatten(), 0))


@dataclass(frozen=True, slots=True, eq=False)
class _Summit:
    """A peak between cells, over (yaw, y, x): its offset (3,) from the best cell and its curvature as a covariance.

    `steps` (3,) are the signed sizes of a cell. `covariance` (3, 3) is None where the cells around the best one are no
    paraboloid.
    """

    offset: F64
    steps: F64
    covariance: F64 | None


_AROUND = np.stack(np.meshgrid(*[[-1.0, 0.0, 1.0]] * 3, indexing="ij"), -1).reshape(-1, 3)
_PAIRS = ((0, 1), (0, 2), (1, 2))
_FIT = np.linalg.pinv(
    np.column_stack(
        [np.ones(27), _AROUND, 0.5 * _AROUND**2, *(_AROUND[:, i] * _AROUND[:, k] for i, k in _PAIRS)]
    )
)
"""Takes the 27 values around a cell to the coefficients of the paraboloid that fits them best."""

_SAMPLED = 0.5
"""A Gaussian of this variance (cells²) or more keeps its second moment within 0.2 % when it is sampled at the cells."""


def _summit(log_p: F64, at: tuple[int, ...], axes: tuple[F64, ...]) -> _Summit:
    """Fit a paraboloid to the best cell and its 26 neighbours: position and yaw are one where views reach far.

    Along each axis alone the maximum would be off by some centimetres.
    """
    around = [slice(index - 1, index + 2) for index in at]
    steps = np.array([_step(axis) for axis in axes])
    inside = all(0 < index < len(axis) - 1 for index, axis in zip(at, axes, strict=True))
    if not inside or not np.isfinite(log_p[tuple(around)]).all():
        return _Summit(np.zeros(3), steps, None)
    bounds = np.array([np.diff(axis[part]) for axis, part in zip(axes, around, strict=True)])
    values = _FIT @ log_p[tuple(around)].reshape(-1)
    bend = np.diag(values[4:7])
    for (i, k), value in zip(_PAIRS, values[7:], strict=True):
        bend[i, k] = bend[k, i] = value
    if not np.allclose(bounds[:, 0], bounds[:, 1]) or np.linalg.eigvalsh(bend)[-1] >= 0.0:
        return _Summit(np.zeros(3), steps, None)
    covariance, steps = np.asarray(np.linalg.inv(-bend), dtype=np.float64), bounds[:, 0]
    offset = np.clip(covariance @ values[1:4], -1.0, 1.0) * steps
    return _Summit(offset, steps, covariance * np.outer(steps, steps))


def _spread(p: F64, summit: _Summit, axes: tuple[F64, ...]) -> F64:
    """Second moment (3, 3) about the summit over (yaw, y, x) of unnormalised probabilities.

    Across a peak that is narrower than the cells, which then hardly sample it, the curvature takes its place; where
    there is none, the variance of a cell is added.
    """
    grid = np.stack(np.broadcast_arrays(*np.ix_(*(axis - c for axis, c in zip(axes, summit.offset, strict=True)))), -1)
    offsets = grid.reshape(-1, 3)
    moment: F64 = (offsets * (p.reshape(-1) / p.sum())[:, None]).T @ offsets
    if summit.covariance is None:
        return np.asarray(moment + np.diag(summit.steps**2 / 12.0))
    unit = np.outer(summit.steps, summit.steps)
    variance, axes_of_peak = np.linalg.eigh(summit.covariance / unit)
    seen = axes_of_peak.T @ (moment / unit) @ axes_of_peak
    beside = axes_of_peak.T @ (summit.offset / summit.steps)
    narrow = (variance < _SAMPLED) & (np.diag(seen) - beside**2 < _SAMPLED)
    seen[narrow, :] = seen[:, narrow] = 0.0
    seen[narrow, narrow] = variance[narrow]
    return np.asarray(axes_of_peak @ seen @ axes_of_peak.T * unit)


def _step(axis: F64) -> float:
    return float(np.abs(np.diff(axis)).min()) if len(axis) > 1 else 0.0
