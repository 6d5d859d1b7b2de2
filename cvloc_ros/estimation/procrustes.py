# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Correspondences to pose: weighted planar Procrustes and RANSAC."""

from __future__ import annotations

import math

import numpy as np

from cvloc_ros.types import F64, Correspondences, Mask, Pose2, PoseEstimate

_TRIALS = 256
_INLIER_M = 1.0


def procrustes(ground: F64, aerial: F64, weights: F64) -> Pose2 | None:
    """Find the pose that takes ground points (N, 2) onto aerial points (N, 2), least squares with weights (N,).

    Returns None where fewer than two distinct points carry weight (Umeyama 1991 in two dimensions, scale 1).
    """
    total = weights.sum()
    if total <= 0 or np.count_nonzero(weights) < 2:
        return None
    w = weights / total
    centre_g, centre_a = w @ ground, w @ aerial
    g, a = ground - centre_g, aerial - centre_a
    cosine = float((w[:, None] * g * a).sum())
    sine = float((w * (g[:, 0] * a[:, 1] - g[:, 1] * a[:, 0])).sum())
    if math.hypot(cosine, sine) < 1e-9:
        return None
    yaw = math.atan2(sine, cosine)
    turned = Pose2(0.0, 0.0, yaw).apply(centre_g)
    return Pose2(float(centre_a[0] - turned[0]), float(centre_a[1] - turned[1]), yaw)


def ransac(matches: Correspondences, rng: np.random.Generator, inlier_m: float = _INLIER_M) -> Mask | None:
    """Find the largest weighted set of matches that agree within `inlier_m`; None if no pair defines a pose."""
    weights = np.maximum(matches.weights, 0.0)
    if np.count_nonzero(weights) < 2:
        return None
    pairs = rng.choice(len(weights), size=(_TRIALS, 2), p=weights / weights.sum())
    best: Mask | None = None
    most = 0.0
    for pair in pairs[pairs[:, 0] != pairs[:, 1]]:
        pose = procrustes(matches.ground[pair], matches.aerial[pair], np.ones(2))
        if pose is None:
            continue
        inliers = np.linalg.norm(pose.apply(matches.ground) - matches.aerial, axis=1) < inlier_m
        votes = float(weights[inliers].sum())
        if votes > most:
            best, most = inliers, votes
    return best


def from_matches(matches: Correspondences, rng: np.random.Generator) -> PoseEstimate | None:
    """Fit the pose to the matches that agree, with a covariance from their spread (residual variance, weighted).

    The covariance is s² (JᵀWJ)⁻¹ with the effective number of matches (Kish) instead of their count.
    """
    inliers = ransac(matches, rng)
    if inliers is None:
        return None
    weights = np.where(inliers, matches.weights, 0.0)
    pose = procrustes(matches.ground, matches.aerial, weights)
    effective = weights.sum() ** 2 / max(float((weights**2).sum()), 1e-12)
    if pose is None or effective <= 2.0:
        return None
    residual = pose.apply(matches.ground) - matches.aerial
    w = weights / weights.sum() * effective
    variance = float((w[:, None] * residual**2).sum()) / (2.0 * effective - 3.0)
    lever = Pose2(0.0, 0.0, pose.yaw_rad).apply(matches.ground)
    jacobian = np.zeros((len(w), 2, 3))
    jacobian[:, 0, 0] = jacobian[:, 1, 1] = 1.0
    jacobian[:, 0, 2], jacobian[:, 1, 2] = -lever[:, 1], lever[:, 0]
    information = np.einsum("nij,n,nik->jk", jacobian, w, jacobian)
    share = float(weights.sum() / matches.weights.sum())
    return PoseEstimate(pose, variance * np.linalg.inv(information), score=share, ambiguity=1.0 - share, inliers=share)
