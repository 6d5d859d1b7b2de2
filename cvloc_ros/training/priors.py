# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Priors around the truth: what GNSS and odometry would have said."""

from __future__ import annotations

import math

import numpy as np

from cvloc_ros.training.config import PriorDraw
from cvloc_ros.types import Pose2, PosePrior

_LEAST_M, _LEAST_RAD = 0.3, math.radians(0.3)
_UNKNOWN_RAD = math.pi / math.sqrt(3.0)


def draw_prior(
    settings: PriorDraw, truth: Pose2, rng: np.random.Generator, stamp_ns: int = 0, start: Pose2 | None = None
) -> PosePrior:
    """Draw a prior whose error has the spread that its covariance states; `start` is that of a published test."""
    half = settings.shape != "normal"
    draw = rng.uniform(-1.0, 1.0, 3) if half else np.clip(rng.normal(0.0, 1.0, 3), -3.0, 3.0)
    sigma_m, sigma_rad = settings.sigma_m, math.radians(settings.sigma_deg)
    turn = float(draw[2] * sigma_rad) if settings.yaw_known else float(rng.uniform(-math.pi, math.pi))
    yaw = math.remainder(truth.yaw_rad + turn, math.tau)
    spread = 1.0 / math.sqrt(3.0) if half else 1.0
    sigma_m = max(spread * sigma_m, _LEAST_M)
    sigma_rad = max(spread * sigma_rad, _LEAST_RAD) if settings.yaw_known else _UNKNOWN_RAD
    pose = Pose2(truth.x_m + float(draw[0]) * settings.sigma_m, truth.y_m + float(draw[1]) * settings.sigma_m, yaw)
    if settings.shape == "given" and start is not None:
        pose = start if settings.yaw_known else Pose2(start.x_m, start.y_m, yaw)
    return PosePrior(
        pose,
        np.diag([sigma_m**2, sigma_m**2, sigma_rad**2]), stamp_ns, settings.yaw_known, "drawn around the truth",
    )  # fmt: skip
