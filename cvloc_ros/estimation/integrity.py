# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Protection level: a bound on the horizontal error of a pose at a stated risk."""

from __future__ import annotations

import math

import numpy as np

from cvloc_ros.types import F64, PoseEstimate, SearchWindow

_ANGLES = (np.arange(64) + 0.5) * (math.pi / 128)
_HALVINGS = 40


def protection_level(estimate: PoseEstimate, window: SearchWindow | None, risk: float) -> float:
    """Return the radius in metres that the horizontal error exceeds with no more than this probability.

    The place found holds 1 / (1 + ambiguity) of the probability, spread by the covariance as a Gaussian; the rest is
    at the best other place, wherever in the window that is. Where this rest alone exceeds the risk, the level reaches
    to the far corner of the window (infinite without one). NaN where the covariance is not finite.

    It rests on the calibration of covariance and likelihood, and on the vehicle being inside the window: faults
    of both (imagery out of place, a prior that is wrong) are not in it.
    """
    if not np.isfinite(estimate.covariance).all():
        return math.nan
    elsewhere = estimate.ambiguity / (1.0 + estimate.ambiguity)
    if elsewhere < risk:
        return ellipse_radius(estimate.covariance[:2, :2], (risk - elsewhere) / (1.0 - elsewhere))
    if window is None:
        return math.inf
    reach = np.abs(estimate.pose.xy - window.centre.xy) + window.radius_m
    return max(float(np.hypot(*reach)), ellipse_radius(estimate.covariance[:2, :2], risk))


def ellipse_radius(covariance: F64, risk: float) -> float:
    """Return the radius of the circle that a Gaussian with covariance (2, 2) leaves with the probability `risk`."""
    variances = np.maximum(np.linalg.eigvalsh(covariance), 0.0)
    # In units of the two axes the distance is a Rayleigh variable and its direction is uniform.
    spread = variances[0] * np.sin(_ANGLES) ** 2 + variances[1] * np.cos(_ANGLES) ** 2
    low, high = 0.0, math.sqrt(-2.0 * math.log(risk) * variances[1])
    for _ in range(_HALVINGS if high > 0.0 else 0):
        middle = (low + high) / 2
        if np.exp(-(middle**2) / (2.0 * spread)).mean() > risk:
            low = middle
        else:
            high = middle
    return high
