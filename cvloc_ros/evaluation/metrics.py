# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The numbers of a replay. Nothing is aligned: the absolute error is what the package exists for."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from cvloc_ros.estimation.integrity import protection_level
from cvloc_ros.evaluation.attempts import Judged
from cvloc_ros.types import F64, NOT_ATTEMPTED, Pose2, PoseEstimate

DEFINITIONS = {
    "images": "camera images read from the bag, all cameras",
    "image_sets": "moments with images (cameras within inputs.sync_tolerance_s); each is handed to the localizer",
    "attempts": "image sets that were tried, that is without " + ", ".join(sorted(s.value for s in NOT_ATTEMPTED)),
    "attempts_inside": "attempts made inside the map: at least 80 % of the street around the true pose (10 m ahead and "
    "behind, 3 m to each side) has imagery; around the prior without truth; unknown places count as inside",
    "published": "poses published, inside the map or not",
    "availability": "published inside / attempts_inside",
    "within_1m": "published inside and less than 1 m off / attempts_inside with truth; a failure counts as a miss",
    "within_1m_3deg": "the same with yaw less than 3 degrees off as well",
    "false_accepts_3m": "published, anywhere, more than 3 m off / attempts_inside with truth; _count is their number",
    "nees": "e' C^-1 e over x, y, yaw of published poses, C the published covariance; 3 is ideal",
    "position_error_m": "distance of base in map to the truth, published poses; no alignment",
    "lateral_error_m": "absolute part across the true heading; longitudinal along it",
    "yaw_error_deg": "absolute, wrapped",
    "gnss_position_error_m": "GNSS alone, interpolated at the stamps of attempts with truth, without antenna offset",
    "latency_ms": "wall clock of one attempt, and of its stages; attempts only",
    "integrity": "protection levels of published poses (docs/ros.md); failures: error above the level, n with truth; "
    "an honest level has at most risk times n of them",
    "late": "attempts slower than estimation.max_latency_s: a live node would have withheld them",
    "n": "sample size",
}


def evaluate(judged: Sequence[Judged], images: int, max_latency_s: float = math.inf) -> dict[str, Any]:
    """Return all numbers as a tree for JSON; what has no sample is None."""
    tried = [j for j in judged if j.attempt.tried]
    inside = [j for j in tried if j.inside]
    known = [j for j in inside if j.truth is not None]
    published = [j for j in judged if j.attempt.estimate is not None]
    errors = [(j, *_error(j)) for j in published if j.truth is not None]
    hits = [j for j, e, _ in errors if j.inside and math.hypot(e[0], e[1]) < 1.0]
    straight = [j for j, e, _ in errors if j.inside and math.hypot(e[0], e[1]) < 1.0 and abs(e[2]) < math.radians(3.0)]
    false = sum(math.hypot(e[0], e[1]) > 3.0 for _, e, _ in errors)
    return {
        "images": images,
        "image_sets": len(judged),
        "attempts": len(tried),
        "attempts_inside": len(inside),
        "attempts_inside_with_truth": len(known),
        "published": len(published),
        "published_with_truth": len(errors),
        "availability": _share(sum(j.attempt.estimate is not None for j in inside), len(inside)),
        "within_1m": _share(len(hits), len(known)),
        "within_1m_3deg": _share(len(straight), len(known)),
        "false_accepts_3m": _share(false, len(known)),
        "false_accepts_3m_count": false,
        **_calibration([value for *_, value in errors]),
        **_accuracy([e for _, e, _ in errors], [j.truth.yaw_rad for j, *_ in errors if j.truth]),
        "gnss_position_error_m": statistics(
            float(np.hypot(*(j.gnss - j.truth.xy))) for j in tried if j.gnss is not None and j.truth is not None
        ),
        "statuses": dict(sorted(Counter(j.attempt.status.value for j in judged).items())),
        "late": sum(j.attempt.wall_s > max_latency_s for j in tried),
        "latency_ms": latencies(tried),
        "definitions": DEFINITIONS,
    }


def integrity(judged: Sequence[Judged], risk: float) -> dict[str, Any]:
    """Return how large the protection levels of published poses are, and how often the error exceeds them."""
    published = [(j, j.attempt.estimate) for j in judged if j.attempt.estimate is not None]
    levels = [(j, estimate, protection_level(estimate, j.attempt.window, risk)) for j, estimate in published]
    known = [(pose_error(estimate.pose, j.truth), level) for j, estimate, level in levels if j.truth is not None]
    return {
        "risk": risk,
        "protection_level_m": statistics(level for *_, level in levels if math.isfinite(level)),
        "failures": sum(math.hypot(error[0], error[1]) > level for error, level in known),
        "n": len(known),
    }


def pose_error(pose: Pose2, truth: Pose2) -> F64:
    """Return (x, y, yaw) of pose minus truth in m, m, rad (wrapped)."""
    return np.array([
        pose.x_m - truth.x_m, pose.y_m - truth.y_m, math.remainder(pose.yaw_rad - truth.yaw_rad, math.tau)
    ])


def nees(estimate: PoseEstimate, truth: Pose2) -> float:
    """Normalised estimation error squared over x, y, yaw; its mean is 3 for an honest covariance."""
    return float(mahalanobis_squared(pose_error(estimate.pose, truth), estimate.covariance))


def mahalanobis_squared(error: F64, covariance: F64) -> F64:
    """Return e' C^-1 e (...) of errors (..., k) and covariances (..., k, k); NaN where either is."""
    found: F64 = (error * np.linalg.solve(covariance, error[..., None])[..., 0]).sum(-1)
    return found


def along_across(error: F64, yaw_rad: F64 | float) -> tuple[F64, F64]:
    """Split errors (..., x and y first) into their parts along and across (to the left of) the headings (...)."""
    c, s = np.cos(yaw_rad), np.sin(yaw_rad)
    return c * error[..., 0] + s * error[..., 1], c * error[..., 1] - s * error[..., 0]


def statistics(values: Iterable[float]) -> dict[str, float | int | None]:
    """Return mean, median, p95 (linear between samples), max and n."""
    data = np.array(list(values), dtype=np.float64)
    if not len(data):
        return {"mean": None, "median": None, "p95": None, "max": None, "n": 0}
    return {
        "mean": rounded(data.mean()),
        "median": rounded(np.median(data)),
        "p95": rounded(np.percentile(data, 95)),
        "max": rounded(data.max()),
        "n": len(data),
    }


def latencies(judged: Sequence[Judged]) -> dict[str, Any]:
    """Return p50, p95 and n of the whole attempt and of every stage, in ms."""
    stages: dict[str, list[float]] = {}
    for j in judged:
        for stage, seconds in j.attempt.timings_s.items():
            stages.setdefault(stage, []).append(seconds)
    total = quantiles([j.attempt.wall_s for j in judged])
    names = sorted(stages, key=lambda stage: stage == "total")
    return {**total, "stages": {stage: quantiles(stages[stage]) for stage in names}}


def quantiles(seconds: Sequence[float] | F64) -> dict[str, float | int | None]:
    """Return p50, p95 in ms and n of durations in s."""
    if not len(seconds):
        return {"p50": None, "p95": None, "n": 0}
    p50, p95 = np.percentile(np.array(seconds) * 1e3, [50, 95])
    return {"p50": rounded(p50), "p95": rounded(p95), "n": len(seconds)}


def rounded(value: Any) -> float:
    """Return the number as it is written to JSON."""
    return round(float(value), 6)


def _error(judged: Judged) -> tuple[F64, float]:
    estimate, truth = judged.attempt.estimate, judged.truth
    if estimate is None or truth is None:
        msg = "an error needs a published pose and truth"
        raise ValueError(msg)
    return pose_error(estimate.pose, truth), nees(estimate, truth)


def _calibration(values: Sequence[float]) -> dict[str, Any]:
    if not values:
        return {"nees_mean": None, "nees_median": None, "nees_n": 0}
    return {"nees_mean": rounded(np.mean(values)), "nees_median": rounded(np.median(values)), "nees_n": len(values)}


def _accuracy(errors: Sequence[F64], yaws: Sequence[float]) -> dict[str, Any]:
    parts = [along_across(error, yaw) for error, yaw in zip(errors, yaws, strict=True)]
    return {
        "position_error_m": statistics(math.hypot(e[0], e[1]) for e in errors),
        "lateral_error_m": statistics(abs(float(across)) for _, across in parts),
        "longitudinal_error_m": statistics(abs(float(along)) for along, _ in parts),
        "yaw_error_deg": statistics(abs(math.degrees(e[2])) for e in errors),
    }


def _share(part: int, whole: int) -> float | None:
    return rounded(part / whole) if whole else None
