# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""How exact single matches are: distance in the aerial image to where the matched pixel truly lies.

The measurement of the CVFM benchmark: of each pair of images the 30 strongest matches, the share of them within 5, 10
and 15 pixels of the aerial image (0.12 m each), and the share of valid ones. What makes a match valid there is not
published; here it is one that was delivered and whose pixel has a known true place.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from cvloc_ros.types import F64, Correspondences, GroundView, Pose2

TOP = 30
LIMITS_PX = (5.0, 10.0, 15.0)
METRES_PER_PX = 0.12
_ALONG_AXIS = ("plumb_bob", "rational_polynomial")
_KNOWN_PX = 4.0


@dataclass(frozen=True, slots=True)
class MatchScore:
    """Shares over all matches asked for: `within` 5, 10, 15 px (a match that is not valid is a miss), and `valid`.

    `median_px` is over the valid ones, NaN without any. `pairs` were measured.
    """

    within: tuple[float, ...]
    valid: float
    median_px: float
    pairs: int


def true_places(matches: Correspondences, views: Sequence[GroundView], truth: Pose2) -> F64:
    """Find where the matched pixels truly lie (N, 2), map metres, by the measured depth of the views.

    NaN where there is no depth. `truth` is the true pose of base in map at the reference stamp.
    """
    places = np.full((len(matches.uv), 2), np.nan)
    for number, view in enumerate(views):
        mine = np.flatnonzero((matches.view == number) & np.isfinite(matches.uv).all(axis=1))
        if view.depth is None or not len(mine):
            continue
        rows, cols = view.depth.shape
        column, row = np.round(matches.uv[mine]).astype(np.int64).T
        inside = (column >= 0) & (column < cols) & (row >= 0) & (row < rows)
        depth = np.where(inside, view.depth[np.clip(row, 0, rows - 1), np.clip(column, 0, cols - 1)], np.nan)
        rays = view.camera.unproject(matches.uv[mine])
        if view.camera.kind in _ALONG_AXIS:
            rays = rays / rays[:, 2:]
        points = (rays * np.where(depth > 0, depth, np.nan)[:, None]) @ view.T_base_camera[:3, :3].T
        places[mine] = (truth @ view.T_ref_base).apply(points[:, :2] + view.T_base_camera[:2, 3])
    return places


def known_places(matches: Correspondences, known: Correspondences, within_px: float = _KNOWN_PX) -> F64:
    """Find where the matched pixels truly lie (N, 2), map metres, by the nearest pixel of the view that is `known`.

    NaN where none is within `within_px` of the ground image.
    """
    places = np.full((len(matches.uv), 2), np.nan)
    for index, (uv, view) in enumerate(zip(matches.uv, matches.view, strict=True)):
        away = np.where(known.view == view, np.linalg.norm(known.uv - uv, axis=1), np.inf)
        if len(away) and away.min() <= within_px:
            places[index] = known.aerial[away.argmin()]
    return places


def top_errors_px(
    matches: Correspondences, places: F64, top: int = TOP, metres_per_px: float = METRES_PER_PX
) -> F64:
    """Errors (top,) of the strongest matches in aerial pixels; NaN for each that is missing or has no known place.

    `places` (N, 2) are the true map points of the matched pixels.
    """
    best = np.argsort(-matches.weights, kind="stable")[:top]
    best = best[matches.weights[best] > 0.0]
    errors = np.full(top, np.nan)
    errors[: len(best)] = np.linalg.norm(matches.aerial[best] - places[best], axis=1) / metres_per_px
    return errors


def summarise(errors_px: Iterable[F64]) -> MatchScore:
    """Join the errors of all pairs."""
    given = list(errors_px)
    if not given:
        return MatchScore(tuple(math.nan for _ in LIMITS_PX), math.nan, math.nan, 0)
    errors = np.concatenate(given)
    valid = np.isfinite(errors)
    within = tuple(float(np.mean(np.where(valid, errors, np.inf) <= limit)) for limit in LIMITS_PX)
    median = float(np.median(errors[valid])) if valid.any() else math.nan
    return MatchScore(within, float(valid.mean()), median, len(given))
