# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Correspondences to pose: weighted planar Procrustes with or without scale, RANSAC, covariance from the matches."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cvloc_ros.estimation.gates import prior_log_likelihood
from cvloc_ros.types import F64, Correspondences, Mask, Pose2, PoseEstimate, PosePrior

_TRIALS = 256
_INLIER_M = 1.0
_SCALE_LIMIT = 2.0
"""A hypothesis that stretches points, to which the method has applied its scale already, by more is passed over."""

_DEPENDENT = 3.0
"""Matches of neighbouring cells err together: as many count as one observation when hypotheses are compared."""


@dataclass(frozen=True, slots=True)
class Similarity:
    """`aerial = Rot(yaw) (scale ground) + (x, y)`."""

    pose: Pose2
    scale: float

    def apply(self, points: F64) -> F64:
        """Take ground points (N, 2) to the map."""
        return self.pose.apply(self.scale * points)


def procrustes(ground: F64, aerial: F64, weights: F64) -> Pose2 | None:
    """Find the pose that takes ground points (N, 2) onto aerial points (N, 2), least squares with weights (N,).

    Returns None where fewer than two distinct points carry weight (Umeyama 1991 in two dimensions, scale 1).
    """
    found = similarity(ground, aerial, weights, free_scale=False)
    return None if found is None else found.pose


def similarity(ground: F64, aerial: F64, weights: F64, *, free_scale: bool = True) -> Similarity | None:
    """As `procrustes`, and with `free_scale` also find the factor on the ground points that fits best."""
    total = weights.sum()
    if total <= 0 or np.count_nonzero(weights) < 2:
        return None
    w = weights / total
    centre_g, centre_a = w @ ground, w @ aerial
    g, a = ground - centre_g, aerial - centre_a
    cosine = float((w[:, None] * g * a).sum())
    sine = float((w * (g[:, 0] * a[:, 1] - g[:, 1] * a[:, 0])).sum())
    length = math.hypot(cosine, sine)
    if not length >= 1e-9:
        return None
    scale = length / float((w[:, None] * g * g).sum()) if free_scale else 1.0
    yaw = math.atan2(sine, cosine)
    turned = Pose2(0.0, 0.0, yaw).apply(scale * centre_g)
    return Similarity(Pose2(float(centre_a[0] - turned[0]), float(centre_a[1] - turned[1]), yaw), scale)


def ransac(matches: Correspondences, rng: np.random.Generator, inlier_m: float = _INLIER_M) -> Mask | None:
    """Find the largest weighted set of matches that agree within `inlier_m`; None if no pair defines a pose."""
    tried = _trials(matches, rng, inlier_m)
    return None if tried is None else tried.inliers


def from_matches(
    matches: Correspondences, rng: np.random.Generator, prior: PosePrior | None = None
) -> PoseEstimate | None:
    """Fit the pose to the matches that agree, with a covariance from their spread (residual variance, weighted).

    The covariance is s² (JᵀWJ)⁻¹ with the effective number of matches (Kish) instead of their count. Where the depth of
    the matches has no sure scale, the scale is fitted too, and its uncertainty is part of that of the pose.
    As for score volumes, another place is ambiguous also where it is the likelier one once the prior is heard.
    """
    tried = _trials(matches, rng, matches.inlier_m)
    if tried is None:
        return None
    free_scale = matches.scale is not None
    weights = np.where(tried.inliers, np.maximum(matches.weights, 0.0), 0.0)
    fitted = similarity(matches.ground, matches.aerial, weights, free_scale=free_scale)
    squares = float((weights**2).sum())
    effective = float(weights.sum()) ** 2 / squares if squares > 0 else 0.0
    if fitted is None or effective <= 2.0 or not np.isfinite(fitted.pose.xy).all():
        return None
    w = weights / weights.sum() * effective
    covariance = _covariance(matches, fitted, w, effective, free_scale=free_scale)
    if covariance is None:
        return None
    share = float(weights.sum() / np.maximum(matches.weights, 0.0).sum())
    ambiguity = tried.ambiguity(fitted.pose, effective / share, prior)
    scale = None if matches.scale is None else matches.scale * fitted.scale
    return PoseEstimate(fitted.pose, covariance, score=share, ambiguity=ambiguity, inliers=share, scale=scale)


def _covariance(
    matches: Correspondences, fitted: Similarity, w: F64, effective: float, *, free_scale: bool
) -> F64 | None:
    """Covariance (3, 3) of x, y, yaw; None where the matches leave the pose open."""
    unknowns = 4 if free_scale else 3
    residual = fitted.apply(matches.ground) - matches.aerial
    variance = float((w[:, None] * residual**2).sum()) / max(2.0 * effective - unknowns, 1.0)
    lever = Pose2(0.0, 0.0, fitted.pose.yaw_rad).apply(fitted.scale * matches.ground)
    jacobian = np.zeros((len(w), 2, unknowns))
    jacobian[:, 0, 0] = jacobian[:, 1, 1] = 1.0
    jacobian[:, 0, 2], jacobian[:, 1, 2] = -lever[:, 1], lever[:, 0]
    if free_scale:
        jacobian[:, :, 3] = lever
    information = np.einsum("nij,n,nik->jk", jacobian, w, jacobian)
    if not np.linalg.cond(information) < 1e12:
        return None
    return np.asarray(variance * np.linalg.inv(information)[:3, :3], dtype=np.float64)


@dataclass(frozen=True, slots=True, eq=False)
class _Trials:
    """Hypotheses of RANSAC: positions and yaws (T,), their share of the weight (T,), inliers (N,) of the best."""

    x_m: F64
    y_m: F64
    yaw_rad: F64
    share: F64
    inliers: Mask
    apart_m: float
    apart_rad: float

    def ambiguity(self, pose: Pose2, observations: float, prior: PosePrior | None) -> float:
        """Likelihood of the best hypothesis elsewhere relative to the best of all, without or with prior: the larger.

        Each observation that agrees with one of the two and not the other makes it e times less likely.
        """
        turn = np.abs(np.remainder(self.yaw_rad - pose.yaw_rad + math.pi, math.tau) - math.pi)
        away = np.hypot(self.x_m - pose.x_m, self.y_m - pose.y_m)
        other = (away > self.apart_m) | (turn > self.apart_rad)
        if not other.any():
            return 0.0
        gap = (self.share[other] - self.share.max()) * observations / _DEPENDENT
        worst = float(gap.max())
        if prior is not None:
            places = np.column_stack([self.x_m, self.y_m])[other]
            heard = gap + prior_log_likelihood(prior, places) - prior_log_likelihood(prior, pose.xy)
            worst = max(worst, float(heard.max()))
        return math.exp(min(worst, 0.0))


def _trials(matches: Correspondences, rng: np.random.Generator, inlier_m: float) -> _Trials | None:
    """Try the poses of random pairs, drawn by weight; with an infinite distance all matches agree and none is tried."""
    weights = np.maximum(matches.weights, 0.0)
    if np.count_nonzero(weights) < 2 or not np.isfinite(weights).all():
        return None
    if math.isinf(inlier_m):
        none = np.zeros(0)
        return _Trials(none, none, none, none, np.ones(len(weights), bool), math.inf, math.inf)
    # Points of the plane as complex numbers: a similarity is one product and one sum.
    ground, aerial = (points[:, 0] + 1j * points[:, 1] for points in (matches.ground, matches.aerial))
    pairs = rng.choice(len(weights), size=(_TRIALS, 2), p=weights / weights.sum())
    factor, shift = _solve_pairs(ground[pairs], aerial[pairs], free_scale=matches.scale is not None)
    if not len(factor):
        return None
    distance = np.abs(factor[:, None] * ground + shift[:, None] - aerial)
    near = distance < inlier_m
    share = near @ weights / weights.sum()
    best = int(np.argmax(share))
    if not share[best] > 0:
        return None
    reach = max(float(np.sqrt(np.mean(np.abs(ground - ground.mean()) ** 2))), inlier_m)
    apart = 2 * inlier_m
    return _Trials(shift.real, shift.imag, np.angle(factor), share, near[best], apart, min(apart / reach, math.pi / 4))


def _solve_pairs(
    ground: NDArray[np.complex128], aerial: NDArray[np.complex128], *, free_scale: bool
) -> tuple[NDArray[np.complex128], NDArray[np.complex128]]:
    """Factor and shift of each pair (T, 2) of points that defines a pose."""
    span_g, span_a = ground[:, 1] - ground[:, 0], aerial[:, 1] - aerial[:, 0]
    usable = (np.abs(span_g) * np.abs(span_a) > 1e-9) & np.isfinite(span_g) & np.isfinite(span_a)
    stretch = np.abs(span_a[usable]) / np.abs(span_g[usable])
    factor = span_a[usable] / span_g[usable]
    if free_scale:
        plausible = (stretch > 1 / _SCALE_LIMIT) & (stretch < _SCALE_LIMIT)
        usable[usable] = plausible
        factor = factor[plausible]
    else:
        factor = factor / stretch
    return factor, aerial[usable].mean(axis=1) - factor * ground[usable].mean(axis=1)
