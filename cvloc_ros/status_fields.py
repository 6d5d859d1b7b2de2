# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The fields of `cvloc_ros/msg/LocalizationStatus`, filled alike by the node and by the replay."""

from __future__ import annotations

import math
import re
from typing import Any

from cvloc_ros.estimation.gates import innovation_sigma
from cvloc_ros.estimation.integrity import protection_level
from cvloc_ros.types import F64, Pose2, PoseEstimate, PosePrior, SearchWindow, TileState

_SECRETS = re.compile(r"((?:key|token|access|sig|signature|apikey|password)[\w-]*=)[^&\s]+", re.IGNORECASE)
_USER = re.compile(r"(https?://)[^/@\s]+@")


def without_secrets(text: str) -> str:
    """Return text without the user names and keys of addresses in it: what is published is passed on."""
    return _SECRETS.sub(r"\1***", _USER.sub(r"\1***@", text))


def evidence(
    candidate: PoseEstimate | None, prior: PosePrior | None, window: SearchWindow | None, tiles: TileState, risk: float
) -> dict[str, Any]:
    """Return the fields that tell what was found, from where and on what; numbers that were not computed are NaN.

    `risk` is that of the protection level (`estimation.integrity_risk`).
    """
    return {
        "has_candidate": candidate is not None,
        **{name: float(getattr(candidate, name, math.nan)) for name in ("score", "ambiguity", "coverage", "inliers")},
        "depth_scale": math.nan if candidate is None or candidate.scale is None else float(candidate.scale),
        **_pose("", candidate.pose if candidate else None),
        "covariance": _nine(candidate.covariance if candidate else None),
        "protection_level_m": protection_level(candidate, window, risk) if candidate else math.nan,
        "has_prior": prior is not None,
        **_pose("prior_", prior.pose if prior else None),
        "prior_covariance": _nine(prior.covariance if prior else None),
        "prior_yaw_known": bool(prior and prior.yaw_known),
        "prior_source": prior.source if prior else "",
        "innovation_sigma": innovation(candidate, prior),
        "has_window": window is not None,
        **_pose("window_", window.centre if window else None),
        "window_radius": float(window.radius_m) if window else math.nan,
        "window_yaw_half": float(window.yaw_half_rad) if window else math.nan,
        "tiles": int(tiles.tiles),
        **{
            f"tiles_{name}": int(getattr(tiles, name))
            for name in ("cached", "fetched", "pending", "missing", "failed", "stale")
        },
        "tiles_message": without_secrets(tiles.message),
    }


def innovation(candidate: PoseEstimate | None, prior: PosePrior | None) -> float:
    """Distance of a candidate to the prior in sigma of both; NaN without one of them."""
    if candidate is None or prior is None:
        return math.nan
    return float(innovation_sigma(candidate.pose, candidate.covariance, prior))


def _pose(prefix: str, pose: Pose2 | None) -> dict[str, float]:
    values = (math.nan,) * 3 if pose is None else (float(pose.x_m), float(pose.y_m), float(pose.yaw_rad))
    return {prefix + name: value for name, value in zip(("x", "y", "yaw"), values, strict=True)}


def _nine(covariance: F64 | None) -> list[float]:
    return [math.nan] * 9 if covariance is None else [float(value) for value in covariance.ravel()]
