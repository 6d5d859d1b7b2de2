# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Lens distortion polynomials with their range of validity, and their inverse by Newton's method.

Formulas as in OpenCV's calib3d (plumb_bob, rational_polynomial) and fisheye (equidistant) modules, which is what
`sensor_msgs/CameraInfo.distortion_model` refers to.
"""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from cvloc_ros.types import F64

Coefficients = tuple[float, ...]

# A lens polynomial is used only up to where it still spreads rays: there it turns back and maps two rays to one pixel.
_LEAST_SPREAD = 0.01
_NEWTON_STEPS = 20
_LONGEST_STEP = 0.05  # of 1 + radius: where the polynomial is nearly flat, a full step would leave its valid part
_WIDEST_PINHOLE_RAD = math.radians(89.0)


def distort(x: F64, y: F64, coefficients: Coefficients) -> tuple[F64, F64]:
    """Distort normalised image coordinates by k1, k2, p1, p2, k3, k4, k5, k6 (8 numbers)."""
    k1, k2, p1, p2, k3, k4, k5, k6 = coefficients
    x2, y2, xy = x * x, y * y, x * y
    r2 = x2 + y2
    radial = 1.0 + r2 * (k1 + r2 * (k2 + r2 * k3))
    if k4 or k5 or k6:
        radial /= 1.0 + r2 * (k4 + r2 * (k5 + r2 * k6))
    if not (p1 or p2):
        return x * radial, y * radial
    return (
        x * radial + 2.0 * p1 * xy + p2 * (r2 + 2.0 * x2),
        y * radial + p1 * (r2 + 2.0 * y2) + 2.0 * p2 * xy,
    )


def _jacobian(x: F64, y: F64, coefficients: Coefficients) -> tuple[F64, F64, F64, F64]:
    """Return d(xd, yd)/d(x, y) as a, b, c, d of [[a, b], [c, d]]."""
    k1, k2, p1, p2, k3, k4, k5, k6 = coefficients
    r2 = x * x + y * y
    upper, lower = 1.0 + r2 * (k1 + r2 * (k2 + r2 * k3)), 1.0 + r2 * (k4 + r2 * (k5 + r2 * k6))
    d_upper, d_lower = k1 + r2 * (2.0 * k2 + r2 * 3.0 * k3), k4 + r2 * (2.0 * k5 + r2 * 3.0 * k6)
    radial = upper / lower
    slope = 2.0 * (d_upper - radial * d_lower) / lower
    cross = x * y * slope + 2.0 * (p1 * x + p2 * y)
    return (
        radial + x * x * slope + 2.0 * p1 * y + 6.0 * p2 * x,
        cross,
        cross,
        radial + y * y * slope + 6.0 * p1 * y + 2.0 * p2 * x,
    )


@functools.lru_cache(maxsize=64)
def _table(coefficients: Coefficients) -> tuple[F64, F64]:
    """Return undistorted and distorted radii from 0 to the largest radius at which the model can be inverted."""
    r = np.tan(np.linspace(0.0, _WIDEST_PINHOLE_RAD, 2000))
    angle = np.linspace(0.0, math.tau, 16, endpoint=False)[:, None]
    with np.errstate(all="ignore"):
        a, b, c, d = _jacobian(r * np.cos(angle), r * np.sin(angle), coefficients)
        x, y = distort(r * np.cos(angle), r * np.sin(angle), coefficients)
        outward = x * np.cos(angle) + y * np.sin(angle)
        good = ((a * d - b * c > _LEAST_SPREAD) & (a + d > 0) & (outward >= -1e-12)).all(axis=0)
        k4, k5, k6 = coefficients[5:]
        good &= 1.0 + r**2 * (k4 + r**2 * (k5 + r**2 * k6)) > _LEAST_SPREAD  # no pole of the fraction is passed
        radial, _ = distort(r, np.zeros_like(r), (*coefficients[:2], 0.0, 0.0, *coefficients[4:]))
    end = len(r) if good.all() else max(2, int(np.argmin(good)))
    return r[:end], np.maximum.accumulate(radial[:end])


def radius_limit(coefficients: Coefficients) -> float:
    """Return the largest normalised radius (tangent of the angle to the axis) at which the model holds."""
    return float(_table(coefficients)[0][-1])


def undistort(xd: F64, yd: F64, coefficients: Coefficients) -> tuple[F64, F64]:
    """Invert `distort`; NaN where no ray within `radius_limit` is imaged at (xd, yd)."""
    if not any(coefficients):
        return xd, yd
    radii, distorted = _table(coefficients)
    rd = np.hypot(xd, yd)
    # Tangential terms shift the edge a little; what is far beyond it need not be tried.
    rd = np.where(rd > 1.2 * distorted[-1], np.nan, rd)
    scale = np.interp(rd, distorted, radii) / np.maximum(rd, 1e-12)
    x, y = np.where(rd == 0, xd, xd * scale), np.where(rd == 0, yd, yd * scale)
    with np.errstate(all="ignore"):
        for _ in range(_NEWTON_STEPS):
            xe, ye = distort(x, y, coefficients)
            ex, ey = xd - xe, yd - ye
            if np.nanmax(np.abs(ex) + np.abs(ey), initial=0.0) < 1e-13:
                break
            a, b, c, d = _jacobian(x, y, coefficients)
            det = a * d - b * c
            dx, dy = (d * ex - b * ey) / det, (a * ey - c * ex) / det
            damping = np.minimum(1.0, _LONGEST_STEP * (1.0 + np.hypot(x, y)) / np.hypot(dx, dy))
            x, y = x + dx * damping, y + dy * damping
        xe, ye = distort(x, y, coefficients)
        good = (np.abs(xd - xe) + np.abs(yd - ye) < 1e-9) & (x * x + y * y <= radii[-1] ** 2 * (1 + 1e-9))
    return np.where(good, x, np.nan), np.where(good, y, np.nan)


def bend(theta: F64, coefficients: Coefficients) -> F64:
    """Return the image radius of the equidistant model, theta (1 + k1 theta^2 + ... + k4 theta^8)."""
    k1, k2, k3, k4 = coefficients
    t2 = theta * theta
    return theta * (1.0 + t2 * (k1 + t2 * (k2 + t2 * (k3 + t2 * k4))))


def _bend_slope(theta: F64, coefficients: Coefficients) -> F64:
    k1, k2, k3, k4 = coefficients
    t2 = theta * theta
    return 1.0 + t2 * (3.0 * k1 + t2 * (5.0 * k2 + t2 * (7.0 * k3 + t2 * 9.0 * k4)))


@functools.lru_cache(maxsize=64)
def _bend_table(coefficients: Coefficients) -> tuple[F64, F64]:
    theta = np.linspace(0.0, math.pi, 2000)
    good = _bend_slope(theta, coefficients) > _LEAST_SPREAD
    end = len(theta) if good.all() else max(2, int(np.argmin(good)))
    return theta[:end], bend(theta[:end], coefficients)


def angle_limit(coefficients: Coefficients) -> float:
    """Return the largest angle to the axis, in radians, at which the equidistant model holds (at most pi)."""
    return float(_bend_table(coefficients)[0][-1])


def unbend(radius: F64, coefficients: Coefficients) -> F64:
    """Invert `bend`; NaN where no ray within `angle_limit` is imaged at that radius."""
    angles, radii = _bend_table(coefficients)
    theta = np.interp(radius, radii, angles)
    for _ in range(_NEWTON_STEPS):
        error = bend(theta, coefficients) - radius
        if np.nanmax(np.abs(error), initial=0.0) < 1e-13:
            break
        theta = np.clip(theta - error / _bend_slope(theta, coefficients), 0.0, angles[-1])
    return np.where(np.abs(bend(theta, coefficients) - radius) < 1e-9, theta, np.nan)
