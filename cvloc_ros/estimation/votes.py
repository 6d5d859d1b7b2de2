# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Correspondences to a score volume: every match votes for the poses that it agrees with."""

from __future__ import annotations

import dataclasses
import math

import cv2
import numpy as np
import torch

from cvloc_ros.config import Estimation
from cvloc_ros.estimation.procrustes import procrustes
from cvloc_ros.estimation.volume import from_volume
from cvloc_ros.types import F32, F64, Correspondences, Pose2, PoseEstimate, PosePrior, ScoreVolume, SearchWindow

STEP_M = 0.5
STEP_RAD = math.radians(1.5)
_ROUNDS, _LEAST = 20, 3


def from_votes(matches: Correspondences, window: SearchWindow, sigma_m: float) -> ScoreVolume | None:
    """Let matches vote for the poses of base in a window (a generalised Hough transform; Ballard 1981).

    A match agrees with a pose by exp(-d² / 2 sigma²), where d (m) is what it is off there. The score of a pose is the
    weighted mean agreement, 0 to 1; one observation that agrees makes a pose e times as likely. Where matches scatter
    along a street, least squares put the pose into the middle of them; here the pose is where most of them agree, and
    a second place where many do is seen as one.

    Returns:
        The volume over the window in steps of 0.5 m and 1.5 degrees; None where fewer than three matches with weight
        are finite.
    """
    ground, aerial, weights = _voters(matches)
    if len(weights) < _LEAST:
        return None
    x_m, y_m, yaw_rad = _axes(window)
    low = np.array([x_m[0], y_m[0]])
    layers = [
        _layer((aerial - Pose2(0.0, 0.0, float(yaw)).apply(ground) - low) / STEP_M, weights, (len(y_m), len(x_m)))
        for yaw in yaw_rad
    ]
    spread = sigma_m / STEP_M
    peak = 2.0 * math.pi * spread**2 / float(weights.sum())  # makes a bell of height 1 of the filter's of volume 1
    blurred = [cv2.GaussianBlur(layer, (0, 0), spread, borderType=cv2.BORDER_CONSTANT) * peak for layer in layers]
    scores = torch.from_numpy(np.stack(blurred))
    observations = float(weights.sum()) ** 2 / float((weights**2).sum())
    return ScoreVolume(observations * scores, scores, torch.ones_like(scores), x_m, y_m, yaw_rad)


def solve(
    matches: Correspondences, volume: ScoreVolume, config: Estimation, prior: PosePrior | None = None,
    earlier: F32 | None = None,
) -> PoseEstimate | None:  # fmt: skip
    """Take the best peak of what `from_votes` made of these matches, its pose moved to the exact summit."""
    found = from_volume(volume, config, prior, earlier)
    if found is None:
        return None
    return dataclasses.replace(found, pose=refine(matches, found.pose, config.vote_sigma_m))


def refine(matches: Correspondences, pose: Pose2, sigma_m: float) -> Pose2:
    """Move a pose to the nearest summit of the agreement, exactly (least squares, weights renewed each time).

    Returns the pose itself where the way leads further than two steps of the volume.
    """
    ground, aerial, weights = _voters(matches)
    found = pose
    for _ in range(_ROUNDS):
        off = found.apply(ground) - aerial
        better = procrustes(ground, aerial, weights * np.exp(-0.5 * (off**2).sum(1) / sigma_m**2))
        if better is None or np.hypot(*(better.xy - pose.xy)) > 2.0 * STEP_M:
            return pose
        found = better
    return found


def _voters(matches: Correspondences) -> tuple[F64, F64, F64]:
    """Return ground (N, 2), aerial (N, 2) and weights (N,) of the matches that have weight and a place."""
    use = (matches.weights > 0) & np.isfinite(matches.ground + matches.aerial).all(axis=1)
    return matches.ground[use], matches.aerial[use], matches.weights[use]


def _axes(window: SearchWindow) -> tuple[F64, F64, F64]:
    """Places and yaws in steps from the middle of the window outwards; a whole circle without its end twice."""
    reach = np.arange(-math.ceil(window.radius_m / STEP_M), math.ceil(window.radius_m / STEP_M) + 1) * STEP_M
    count = math.ceil(window.yaw_half_rad / STEP_RAD)
    turns = np.arange(-count, count + 1) * STEP_RAD
    if window.yaw_half_rad >= math.pi:
        turns = np.arange(-count, count) * (math.pi / count)
    pose = np.array([window.centre.x_m, window.centre.y_m, window.centre.yaw_rad])
    return pose[0] + reach, pose[1] + reach, pose[2] + turns


def _layer(place: F64, weights: F64, shape: tuple[int, int]) -> F32:
    """Share each vote among the four cells (row y, column x) around its place (N, 2) in cells; others are lost."""
    corner = np.floor(place).astype(np.int64)
    part = place - corner
    layer = np.zeros(shape[0] * shape[1])
    for dx in (0, 1):
        for dy in (0, 1):
            column, row = corner[:, 0] + dx, corner[:, 1] + dy
            inside = (column >= 0) & (column < shape[1]) & (row >= 0) & (row < shape[0])
            share = weights * np.abs(1 - dx - part[:, 0]) * np.abs(1 - dy - part[:, 1])
            layer += np.bincount((row * shape[1] + column)[inside], share[inside], len(layer))
    return layer.reshape(shape).astype(np.float32)
