# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Planar poses with covariance.

Covariances (3, 3) are over (x, y, yaw) of a `Pose2` as it stands: x and y along the axes of the parent frame, in
metres and radians. First-order propagation.
"""

from __future__ import annotations

import math

import numpy as np

from cvloc_ros.geo import angles
from cvloc_ros.types import F64, Pose2


def compose_jacobians(first: Pose2, second: Pose2) -> tuple[F64, F64]:
    """Return the derivatives (3, 3) of `first @ second` with respect to each of the two."""
    c, s = math.cos(first.yaw_rad), math.sin(first.yaw_rad)
    by_first = np.eye(3)
    by_first[0, 2] = -s * second.x_m - c * second.y_m
    by_first[1, 2] = c * second.x_m - s * second.y_m
    return by_first, np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])


def inverse_jacobian(pose: Pose2) -> F64:
    """Return the derivative (3, 3) of `pose.inverse()`."""
    c, s = math.cos(pose.yaw_rad), math.sin(pose.yaw_rad)
    inverse = pose.inverse()
    return np.array([[-c, -s, inverse.y_m], [s, -c, -inverse.x_m], [0.0, 0.0, -1.0]])


def compose(first: Pose2, covariance_first: F64, second: Pose2, covariance_second: F64) -> tuple[Pose2, F64]:
    """Return `first @ second` and its covariance; the errors of the two are independent."""
    by_first, by_second = compose_jacobians(first, second)
    covariance = by_first @ covariance_first @ by_first.T + by_second @ covariance_second @ by_second.T
    return first @ second, symmetric(covariance)


def invert(pose: Pose2, covariance: F64) -> tuple[Pose2, F64]:
    """Return the inverse of a pose and its covariance."""
    jacobian = inverse_jacobian(pose)
    return pose.inverse(), symmetric(jacobian @ covariance @ jacobian.T)


def transport(covariance: F64, T_new_old: Pose2) -> F64:
    """Covariance (3, 3) of a pose after its parent frame is changed by an exact transform."""
    _, jacobian = compose_jacobians(T_new_old, T_new_old)
    return symmetric(jacobian @ covariance @ jacobian.T)


def relative(origin: Pose2, pose: Pose2) -> Pose2:
    """Return `pose` as seen from `origin`, both given in the same frame."""
    return origin.inverse() @ pose


def interpolate(first: Pose2, second: Pose2, fraction: float) -> Pose2:
    """Interpolate linearly, the yaw along the shorter way; 0 gives the first pose, 1 the second."""
    turn = angles.wrap(second.yaw_rad - first.yaw_rad)
    return Pose2(
        first.x_m + fraction * (second.x_m - first.x_m),
        first.y_m + fraction * (second.y_m - first.y_m),
        angles.wrap(first.yaw_rad + fraction * turn),
    )


def difference(pose: Pose2, reference: Pose2) -> F64:
    """Return (x, y, yaw) of pose minus reference in the axes of their common frame, yaw wrapped."""
    return np.array(
        [pose.x_m - reference.x_m, pose.y_m - reference.y_m, angles.wrap(pose.yaw_rad - reference.yaw_rad)]
    )


def mahalanobis(pose: Pose2, reference: Pose2, covariance: F64, *, use_yaw: bool = True) -> float:
    """Return the distance in sigma of `covariance`; infinite where it is not positive definite or not finite."""
    size = 3 if use_yaw else 2
    delta, part = difference(pose, reference)[:size], covariance[:size, :size]
    if not np.isfinite(part).all():
        return math.inf
    try:
        factor = np.linalg.cholesky(part)
    except np.linalg.LinAlgError:
        return math.inf
    return float(np.linalg.norm(np.linalg.solve(factor, delta)))


def symmetric(covariance: F64) -> F64:
    """Remove the asymmetry of rounding."""
    result: F64 = (covariance + covariance.T) / 2.0
    return result
