# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The rough pose that bounds the search: recent absolute measurements, carried to the stamp by odometry.

It is recomputed from the history for every stamp (robust least squares over x, y, yaw) and keeps no state of its own,
so late or re-ordered measurements and clock jumps need no special care.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cvloc_ros.config import Prior
from cvloc_ros.estimation.procrustes import procrustes
from cvloc_ros.geo.angles import wrap
from cvloc_ros.types import F64, Pose2, PosePrior

_ITERATIONS = 10
_CAUCHY = 3.0  # sigmas at which a measurement begins to lose weight: GNSS errors have long tails
_NO_KNOWLEDGE = np.diag([1e-8, 1e-8, math.pi**-2])  # keeps what the anchors do not determine solvable


@dataclass(frozen=True, slots=True, eq=False)
class Anchor:
    """One absolute measurement in the map, at an earlier pose of the vehicle.

    `T_ref_then` is the base then, seen from the base at the reference stamp; `position` (2,) is the map position of
    `lever` (2,) in base; `yaw_rad` is the yaw of base then, None if not measured. `covariance` (3, 3) is over x, y,
    yaw, the drift of the odometry since then included.
    """

    T_ref_then: Pose2
    position: F64
    covariance: F64
    yaw_rad: float | None
    lever: F64
    source: str


def drift_covariance(travelled_m: float, elapsed_s: float, config: Prior) -> F64:
    """Covariance (3, 3) of odometry over a distance and a time."""
    yaw = math.radians(config.odom_drift_deg_per_m * travelled_m + config.odom_drift_deg_per_s * elapsed_s)
    position = config.odom_drift_m_per_m * travelled_m + yaw * travelled_m / 2.0
    return np.diag([position**2, position**2, yaw**2])


def align(anchors: Sequence[Anchor], stamp_ns: int, config: Prior) -> PosePrior | None:
    """Find the pose of base in map at the reference stamp that fits the anchors best.

    Returns None without anchors. The covariance is that of the weighted least squares problem; yaw that the anchors
    do not determine comes out near pi.
    """
    if not anchors:
        return None
    starts = _starts(anchors)
    fits = [_fit(anchors, start) for start in starts]
    pose, information, _ = min(fits, key=lambda fit: fit[2])
    covariance = np.linalg.inv(information)
    known = math.sqrt(covariance[2, 2]) <= math.radians(config.yaw_known_deg)
    source = "+".join(dict.fromkeys(anchor.source for anchor in anchors))
    return PosePrior(pose, (covariance + covariance.T) / 2.0, stamp_ns, known, source)


def _starts(anchors: Sequence[Anchor]) -> list[Pose2]:
    """Where the iteration begins: measured yaws, the rigid fit of the track, and without either a few directions."""
    yaws = [anchor.yaw_rad - anchor.T_ref_then.yaw_rad for anchor in anchors if anchor.yaw_rad is not None][-3:]
    here = np.array([anchor.T_ref_then.apply(anchor.lever) for anchor in anchors])
    there = np.array([anchor.position for anchor in anchors])
    rigid = procrustes(here, there, np.array([1.0 / np.trace(anchor.covariance[:2, :2]) for anchor in anchors]))
    if rigid is not None:
        yaws.append(rigid.yaw_rad)
    yaws = yaws or [0.0]
    centre = there.mean(0)
    return [Pose2.at(centre - Pose2(0.0, 0.0, yaw).apply(here.mean(0)), wrap(yaw)) for yaw in yaws]


def _fit(anchors: Sequence[Anchor], pose: Pose2) -> tuple[Pose2, F64, float]:
    """Gauss-Newton with Cauchy weights; returns pose, information (3, 3) and cost."""
    seen = np.array([anchor.T_ref_then.apply(anchor.lever) for anchor in anchors])
    place = np.array([anchor.position for anchor in anchors])
    yaw = np.array([(anchor.yaw_rad or 0.0) - anchor.T_ref_then.yaw_rad for anchor in anchors])
    precision = np.stack([_precision(anchor) for anchor in anchors])
    state = np.array([pose.x_m, pose.y_m, pose.yaw_rad])
    jacobian = np.tile(np.eye(3), (len(anchors), 1, 1))
    residual = np.empty((len(anchors), 3))
    information, cost = np.eye(3), math.inf
    for _ in range(_ITERATIONS):
        offset = Pose2(0.0, 0.0, float(state[2])).apply(seen)
        jacobian[:, 0, 2], jacobian[:, 1, 2] = -offset[:, 1], offset[:, 0]
        residual[:, :2] = place - state[:2] - offset
        residual[:, 2] = wrap(yaw - state[2])
        squared = np.einsum("ni,nij,nj->n", residual, precision, residual)
        weighted = precision / (1.0 + squared / _CAUCHY**2)[:, None, None]
        information = np.einsum("nji,njk,nkl->il", jacobian, weighted, jacobian) + _NO_KNOWLEDGE
        step = np.linalg.solve(information, np.einsum("nji,njk,nk->i", jacobian, weighted, residual))
        cost = float(_CAUCHY**2 * np.log1p(squared / _CAUCHY**2).sum())
        step[2] = np.clip(step[2], -0.5, 0.5)
        state = state + step
        if np.abs(step).max() < 1e-4:
            break
    return Pose2.at(state[:2], wrap(float(state[2]))), information, cost


def _precision(anchor: Anchor) -> F64:
    """Inverse covariance (3, 3); zero for a yaw that was not measured."""
    precision = np.zeros((3, 3))
    size = 2 if anchor.yaw_rad is None else 3
    precision[:size, :size] = np.linalg.inv(anchor.covariance[:size, :size])
    return precision
