# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`LocalizationResult` as the package's own message."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any

from cvloc_ros.config import Config
from cvloc_ros.ros import convert
from cvloc_ros.ros.compat import LocalizationStatus
from cvloc_ros.types import F64, LocalizationResult, Status, TileState

_SECRETS = re.compile(r"((?:key|token|access|sig|signature|apikey|password)[\w-]*=)[^&\s]+", re.IGNORECASE)
_USER = re.compile(r"(https?://)[^/@\s]+@")


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What a result does not know of itself. `latency_s` is image stamp to end of attempt on the ROS clock."""

    sequence: int
    latency_s: float
    dropped_images: int


def without_secrets(source: str) -> str:
    """Return a map source without user names and keys in its address."""
    return _SECRETS.sub(r"\1***", _USER.sub(r"\1***@", source))


def status_message(result: LocalizationResult, config: Config, around: Circumstances) -> Any:
    """Make the message; numbers that were not computed are NaN."""
    message = LocalizationStatus(
        header=convert.header(result.stamp_ns, config.frames.map),
        sequence=around.sequence,
        status=result.status.value,
        reasons=list(result.reasons),
        accepted=result.status is Status.OK,
        innovation_sigma=convert.innovation_sigma(result),
        latency_s=float(around.latency_s),
        stages=list(result.timings_s),
        stage_s=[float(value) for value in result.timings_s.values()],
        dropped_images=around.dropped_images,
        matcher=config.matcher.name,
        map_source=without_secrets(config.tiles.source),
    )
    _fill_candidate(message, result)
    _fill_prior(message, result)
    _fill_window(message, result)
    patch = result.patch
    message.attribution = patch.attribution if patch is not None else ""
    _fill_tiles(message, patch.tiles if patch is not None else TileState())
    return message


def _fill_candidate(message: Any, result: LocalizationResult) -> None:
    candidate = result.estimate or result.candidate
    message.has_candidate = candidate is not None
    for name in ("score", "ambiguity", "coverage", "inliers"):
        setattr(message, name, float(getattr(candidate, name)) if candidate is not None else math.nan)
    pose = None if candidate is None else candidate.pose
    message.x, message.y, message.yaw = _numbers(pose)
    message.covariance = _nine(None if candidate is None else candidate.covariance)


def _fill_prior(message: Any, result: LocalizationResult) -> None:
    prior = result.prior
    message.has_prior = prior is not None
    message.prior_x, message.prior_y, message.prior_yaw = _numbers(None if prior is None else prior.pose)
    message.prior_covariance = _nine(None if prior is None else prior.covariance)
    message.prior_yaw_known = prior is not None and bool(prior.yaw_known)
    message.prior_source = "" if prior is None else prior.source


def _fill_window(message: Any, result: LocalizationResult) -> None:
    window = result.window
    message.has_window = window is not None
    message.window_x, message.window_y, message.window_yaw = _numbers(None if window is None else window.centre)
    message.window_radius = math.nan if window is None else float(window.radius_m)
    message.window_yaw_half = math.nan if window is None else float(window.yaw_half_rad)


def _fill_tiles(message: Any, tiles: TileState) -> None:
    message.tiles = int(tiles.tiles)
    for name in ("cached", "fetched", "pending", "missing", "failed", "stale"):
        setattr(message, f"tiles_{name}", int(getattr(tiles, name)))
    message.tiles_message = without_secrets(tiles.message)


def _numbers(pose: Any) -> tuple[float, float, float]:
    return (math.nan,) * 3 if pose is None else (float(pose.x_m), float(pose.y_m), float(pose.yaw_rad))


def _nine(covariance: F64 | None) -> list[float]:
    return [math.nan] * 9 if covariance is None else [float(value) for value in covariance.ravel()]
