# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Calibration of the covariance, and the gates that keep a bad pose from being published."""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from cvloc_ros.config import Estimation
from cvloc_ros.geo import se2
from cvloc_ros.geo.angles import wrap
from cvloc_ros.types import F64, AerialPatch, Pose2, PoseEstimate, PosePrior, SearchWindow, Status

STREET_HALF_LENGTH_M = 10.0
STREET_HALF_WIDTH_M = 3.0
_TAIL = 4.0
"""Degrees of freedom of the Student distribution by which a prior is heard: GNSS errors have long tails."""

Refusal = tuple[Status, str]


def calibrate(estimate: PoseEstimate, config: Estimation) -> PoseEstimate:
    """Scale the covariance, and add the geo-registration error of the imagery as a floor."""
    covariance = config.covariance_scale * estimate.covariance + _floor(config)
    return dataclasses.replace(estimate, covariance=(covariance + covariance.T) / 2.0)


def bare(estimate: PoseEstimate, config: Estimation) -> PoseEstimate:
    """Undo `calibrate`."""
    return dataclasses.replace(estimate, covariance=(estimate.covariance - _floor(config)) / config.covariance_scale)


def _floor(config: Estimation) -> F64:
    return np.diag([config.sigma_floor_m**2, config.sigma_floor_m**2, math.radians(config.sigma_floor_deg) ** 2])


def street_coverage(patch: AerialPatch, pose: Pose2) -> float:
    """Share of the street around a pose, 10 m ahead and behind by 3 m to each side, that has imagery."""
    along = np.linspace(-STREET_HALF_LENGTH_M, STREET_HALF_LENGTH_M, 41)
    across = np.linspace(-STREET_HALF_WIDTH_M, STREET_HALF_WIDTH_M, 13)
    points = pose.apply(np.stack(np.meshgrid(along, across), -1).reshape(-1, 2))
    column, row = np.rint(patch.px_from_map(points)).astype(np.int64).T
    height, width = patch.valid.shape
    inside = (column >= 0) & (row >= 0) & (column < width) & (row < height)
    return float(patch.valid[row[inside], column[inside]].sum() / len(points))


def innovation_sigma(pose: Pose2, covariance: F64, prior: PosePrior) -> float:
    """Mahalanobis distance of a pose to the prior in sigma (not squared); yaw counts where the prior knows it."""
    return se2.mahalanobis(pose, prior.pose, covariance + prior.covariance, use_yaw=prior.yaw_known)


def prior_log_likelihood(prior: PosePrior, positions: F64) -> F64:
    """How likely the prior holds base to be at map positions (..., 2), relative to its middle: at most 0, (...).

    It is heard about places only: to refuse one of several alike, never to move a pose or to make it more certain.
    """
    offset = positions - prior.pose.xy
    sigmas2 = np.einsum("...i,ij,...j->...", offset, np.linalg.inv(prior.covariance[:2, :2]), offset)
    return np.asarray(-0.5 * (_TAIL + 2.0) * np.log1p(sigmas2 / _TAIL))


def check(estimate: PoseEstimate, prior: PosePrior, window: SearchWindow, config: Estimation) -> Refusal | None:
    """Return why a calibrated estimate must not be published, None if it may."""
    sigma_m, sigma_deg = largest_sigma(estimate.covariance)
    distance = innovation_sigma(estimate.pose, estimate.covariance, prior)
    offset = estimate.pose.xy - window.centre.xy
    turn = abs(float(wrap(estimate.pose.yaw_rad - window.centre.yaw_rad)))
    edge_m = window.radius_m - float(np.abs(offset).max())
    limits: tuple[tuple[bool, Status, str], ...] = (
        (not _healthy(estimate), Status.ERROR, "covariance not positive definite or pose not finite"),
        (
            estimate.coverage < config.min_coverage,
            Status.LOW_COVERAGE,
            f"imagery under {estimate.coverage:.2f} of the street, least {config.min_coverage}",
        ),
        (estimate.score < config.min_score, Status.LOW_SCORE, f"score {estimate.score:.3f}, least {config.min_score}"),
        (edge_m < config.edge_m, Status.WINDOW_EDGE, f"{edge_m:.2f} m from the edge of the search window"),
        (
            window.yaw_half_rad < math.pi - 0.1 and turn > window.yaw_half_rad - math.radians(config.edge_deg),
            Status.WINDOW_EDGE,
            f"{math.degrees(turn):.1f} deg from the centre of a window of {math.degrees(window.yaw_half_rad):.1f}",
        ),
        (
            distance > config.gate_sigma,
            Status.PRIOR_DISTANCE,
            f"{distance:.1f} sigma from the prior, largest {config.gate_sigma}",
        ),
        (
            estimate.ambiguity > config.max_ambiguity,
            Status.AMBIGUOUS,
            f"another place is {estimate.ambiguity:.2f} times as likely, largest {config.max_ambiguity}",
        ),
        (sigma_m > config.max_sigma_m, Status.UNCERTAIN, f"sigma {sigma_m:.2f} m, largest {config.max_sigma_m}"),
        (
            sigma_deg > config.max_sigma_deg,
            Status.UNCERTAIN,
            f"sigma {sigma_deg:.1f} deg, largest {config.max_sigma_deg}",
        ),
    )
    return next(((status, text) for failed, status, text in limits if failed), None)


def largest_sigma(covariance: F64) -> tuple[float, float]:
    """Long half axis of the position ellipse in metres, and yaw in degrees (one sigma)."""
    return (
        float(math.sqrt(max(0.0, np.linalg.eigvalsh(covariance[:2, :2])[-1]))),
        math.degrees(math.sqrt(max(0.0, covariance[2, 2]))),
    )


def _healthy(estimate: PoseEstimate) -> bool:
    values = [estimate.pose.x_m, estimate.pose.y_m, estimate.pose.yaw_rad]
    if not (np.isfinite(values).all() and np.isfinite(estimate.covariance).all()):
        return False
    return bool(np.linalg.eigvalsh(estimate.covariance)[0] > 0.0)
