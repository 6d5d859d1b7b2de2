# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The data behind the charts, as plain lists for JSON; times are seconds since the first image."""

from __future__ import annotations

import base64
import html
import math
import textwrap
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

from cvloc_ros.evaluation.attempts import Judged
from cvloc_ros.evaluation.metrics import nees, pose_error
from cvloc_ros.evaluation.mosaic import PatchMosaic
from cvloc_ros.evaluation.replayed import Replayed
from cvloc_ros.evaluation.truth import Trajectory
from cvloc_ros.types import F64, Pose2, PoseEstimate

MAX_POINTS = 4000
MAX_ELLIPSES = 1200
ELLIPSE_95 = math.sqrt(5.991)
CHI2_3_95 = 7.815


def collect(replayed: Replayed) -> dict[str, Any]:
    """Return everything that the script of the page draws."""
    judged = _thinned(replayed.judged)
    start_ns = replayed.judged[0].attempt.stamp_ns
    end_ns = replayed.judged[-1].attempt.stamp_ns
    published = [j for j in judged if j.attempt.estimate is not None]
    return {
        "map": {
            "image": _background(replayed.mosaic, _places(judged, replayed.truth, start_ns, end_ns)),
            "truth": _track(replayed.truth, start_ns, end_ns),
            "gnss": _track(replayed.gnss, start_ns, end_ns),
            "published": [_published(j, start_ns) for j in published],
            "ellipses": _ellipses([j.attempt.estimate for j in published if j.attempt.estimate]),
            "refused": [row for j in judged if (row := _refused(j, start_ns))],
        },
        "errors": [_errors(j, start_ns) for j in judged],
        "nees": _nees_histogram([
            nees(j.attempt.estimate, j.truth) for j in replayed.judged if j.attempt.estimate and j.truth
        ]),
        "stages": replayed.metrics["latency_ms"]["stages"],
        "statuses": replayed.metrics["statuses"],
        "fusion": {key: replayed.fusion[key] for key in ("scenarios", "series") if key in replayed.fusion},
    }


def _thinned(judged: Sequence[Judged]) -> list[Judged]:
    return list(judged[:: max(1, math.ceil(len(judged) / MAX_POINTS))])


def _places(judged: Sequence[Judged], truth: Trajectory | None, start_ns: int, end_ns: int) -> F64:
    shown = [j.truth or j.attempt.candidate or j.attempt.prior for j in judged]
    points = [(place if isinstance(place, Pose2) else place.pose).xy for place in shown if place is not None]
    if truth is not None:
        points.extend(truth.xy[(truth.stamps_ns >= start_ns) & (truth.stamps_ns <= end_ns)])
    return np.array(points, dtype=np.float64).reshape(-1, 2)


def _background(mosaic: PatchMosaic, points: F64) -> dict[str, Any] | None:
    picture = mosaic.picture(points)
    if picture is None:
        return None
    bgra = picture.rgba[..., [2, 1, 0, 3]]
    done, data = cv2.imencode(".webp", bgra, [cv2.IMWRITE_WEBP_QUALITY, 82])
    if not done:
        return None
    box = [picture.x_min_m, picture.y_min_m, picture.x_max_m, picture.y_max_m]
    low, high = points.min(0) - 8.0, points.max(0) + 8.0
    return {"uri": "data:image/webp;base64," + base64.b64encode(data.tobytes()).decode(), "box": box,
            "view": [*map(float, low), *map(float, high)]}


def _track(track: Trajectory | None, start_ns: int, end_ns: int) -> list[list[float]]:
    if track is None:
        return []
    margin_ns = 2_000_000_000
    chosen = np.flatnonzero((track.stamps_ns >= start_ns - margin_ns) & (track.stamps_ns <= end_ns + margin_ns))
    chosen = chosen[:: max(1, math.ceil(len(chosen) / MAX_POINTS))]
    return [[_m(track.xy[i, 0]), _m(track.xy[i, 1]), _s(int(track.stamps_ns[i]) - start_ns)] for i in chosen]


def _published(judged: Judged, start_ns: int) -> list[Any]:
    attempt, estimate = judged.attempt, judged.attempt.estimate
    if estimate is None:
        return []
    sigma = np.sqrt(np.diag(estimate.covariance))
    lines = [
        f"<b>#{attempt.number}</b> at {_s(attempt.stamp_ns - start_ns):.1f} s",
        f"x {estimate.pose.x_m:.2f} m, y {estimate.pose.y_m:.2f} m, yaw {math.degrees(estimate.pose.yaw_rad):.1f}°",
        f"σ {sigma[0]:.2f} m, {sigma[1]:.2f} m, {math.degrees(sigma[2]):.1f}°",
        f"score {estimate.score:.3f}, ambiguity {estimate.ambiguity:.2f}",
    ]
    if judged.truth:
        error = pose_error(estimate.pose, judged.truth)
        lines.append(f"<b>error {math.hypot(error[0], error[1]):.2f} m, {abs(math.degrees(error[2])):.2f}°</b>")
    return [_m(estimate.pose.x_m), _m(estimate.pose.y_m), round(estimate.pose.yaw_rad, 4), "<br>".join(lines)]


def _refused(judged: Judged, start_ns: int) -> list[Any] | None:
    attempt = judged.attempt
    shown = attempt.candidate or attempt.prior
    if attempt.estimate is not None or shown is None or not attempt.tried:
        return None
    place = "candidate" if attempt.candidate else "prior"
    reasons = "<br>".join(_wrap(reason) for reason in attempt.reasons)
    text = f"<b>#{attempt.number} {attempt.status.value}</b> at {_s(attempt.stamp_ns - start_ns):.1f} s<br>{reasons}"
    if attempt.candidate and judged.truth:
        error = pose_error(attempt.candidate.pose, judged.truth)
        text += f"<br>it would have been {math.hypot(error[0], error[1]):.2f} m off"
    return [_m(shown.pose.x_m), _m(shown.pose.y_m), attempt.status.value, f"{text}<br><i>shown at its {place}</i>"]


def _errors(judged: Judged, start_ns: int) -> dict[str, Any]:
    attempt, truth = judged.attempt, judged.truth
    row: dict[str, Any] = {"n": attempt.number, "t": _s(attempt.stamp_ns - start_ns), "status": attempt.status.value,
                           "tried": attempt.tried, "inside": judged.inside}
    if truth is None:
        return row
    if judged.gnss is not None:
        row["gnss"] = _m(np.hypot(*(judged.gnss - truth.xy)))
    if attempt.estimate is not None:
        error = pose_error(attempt.estimate.pose, truth)
        variance = attempt.estimate.covariance
        row |= {
            "ours": _m(math.hypot(error[0], error[1])),
            "yaw": round(math.degrees(error[2]), 3),
            "sigma": _m(math.sqrt(float(np.linalg.eigvalsh(variance[:2, :2])[-1]))),
            "sigma_yaw": round(math.degrees(math.sqrt(variance[2, 2])), 3),
        }
    return row


def _ellipses(estimates: Sequence[PoseEstimate]) -> list[list[float | None]]:
    chosen = estimates[:: max(1, math.ceil(len(estimates) / MAX_ELLIPSES))]
    angle = np.linspace(0.0, math.tau, 33)
    circle = np.stack([np.cos(angle), np.sin(angle)]) * ELLIPSE_95
    x: list[float | None] = []
    y: list[float | None] = []
    for estimate in chosen:
        values, vectors = np.linalg.eigh(estimate.covariance[:2, :2])
        points = (vectors * np.sqrt(np.maximum(values, 0.0))) @ circle + estimate.pose.xy[:, None]
        x += [*map(_m, points[0]), None]
        y += [*map(_m, points[1]), None]
    return [x, y]


def _nees_histogram(values: Sequence[float]) -> dict[str, Any] | None:
    """Bins of equal width with the density of chi² with 3 degrees of freedom; the last bin holds all larger ones."""
    if not values:
        return None
    data = np.array(values)
    edges = np.linspace(0.0, 16.0, 17 if len(data) >= 40 else 9)
    counts, _ = np.histogram(np.minimum(data, edges[-1] - 1e-9), edges)
    grid = np.linspace(0.0, 16.0, 161)
    density = np.sqrt(grid) * np.exp(-grid / 2) / math.sqrt(math.tau)
    width = float(edges[1] - edges[0])
    return {
        "centres": [round(float(c), 3) for c in (edges[:-1] + edges[1:]) / 2],
        "width": width,
        "density": [round(float(c) / (len(data) * width), 5) for c in counts],
        "counts": counts.tolist(),
        "chi_x": [round(float(g), 2) for g in grid],
        "chi_y": [round(float(d), 5) for d in density],
        "mean": round(float(data.mean()), 3),
        "share_95": round(float((data <= CHI2_3_95).mean()), 4),
        "n": len(data),
    }


def _wrap(text: str, width: int = 60) -> str:

    return "<br>".join(html.escape(line) for line in textwrap.wrap(text, width))


def _m(value: Any) -> float:
    return round(float(value), 3)


def _s(nanoseconds: int) -> float:
    return round(nanoseconds * 1e-9, 3)


