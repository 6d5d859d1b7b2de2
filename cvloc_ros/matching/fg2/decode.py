# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""From match probabilities to pairs of points that a consistent pose explains."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from cvloc_ros.matching.fg2.settings import Fg2Settings
from cvloc_ros.matching.layers.pose import Alignment, RansacSettings, procrustes, ransac
from cvloc_ros.matching.layers.sampling import sample_matches


@dataclass(frozen=True, slots=True, eq=False)
class Drawn:
    """Pairs of one item: cells of the ground (N,), aerial points (N, 2) internal metres, weights (N,), turn.

    `turn_rad` is the direction of the plane's forward axis, clockwise from up of the aerial crop; None without a pose.
    """

    ground: Tensor
    aerial: Tensor
    weight: Tensor
    turn_rad: float | None


def draw(
    probability: Tensor,
    aerial_xy: Tensor,
    settings: Fg2Settings,
    count: int,
    *,
    robust: bool,
    generator: torch.Generator | None = None,
) -> Drawn:
    """Draw matches from the probabilities (1, Ns, Ng) of one item.

    Args:
        probability: finite.
        aerial_xy: (Ns, 2) internal metres.
        settings: of the model.
        count: matches to draw.
        robust: keep those that agree with the best RANSAC hypothesis; the others get weight 0.
        generator: source of the draws.
    """
    aerial_xy = aerial_xy.to(probability)
    ground_xy = settings.ground_points().to(probability)
    if robust:
        pairs_of = probability.shape[1] * probability.shape[2]
        rules = RansacSettings(matches=min(RansacSettings().matches, pairs_of))
        found = ransac(probability, aerial_xy, ground_xy, rules, to_aerial=False, generator=generator)
        pairs, weight = found.matches, found.matches.weight * found.inliers
        return settle(pairs.ground[0], aerial_xy[pairs.aerial[0]], weight[0], found.alignment, settings)
    pairs = sample_matches(probability, count, generator)
    aerial = aerial_xy[pairs.aerial]
    fitted = procrustes(aerial, ground_xy[pairs.ground], pairs.weight)
    return settle(pairs.ground[0], aerial[0], pairs.weight[0], fitted, settings)


def settle(ground: Tensor, aerial: Tensor, weight: Tensor, fitted: Alignment, settings: Fg2Settings) -> Drawn:
    """Order pairs (N,) by weight, and make them consistent with the pose (batch of 1) that the model means by them."""
    order = torch.argsort(weight, descending=True)
    if not bool(fitted.ok[0]):
        return Drawn(ground[order], aerial[order], torch.zeros_like(weight), None)
    moved = aerial + shift(fitted)[0] if settings.shifted else aerial
    return Drawn(ground[order], moved[order], weight[order], float(heading(fitted)[0]))


def heading(aerial_to_ground: Alignment) -> Tensor:
    """Heading (B,), clockwise from up of the crop."""
    return torch.atan2(aerial_to_ground.rotation[..., 1, 0], aerial_to_ground.rotation[..., 0, 0])


def position(aerial_to_ground: Alignment, *, shifted: bool) -> Tensor:
    """Position (B, 2) of the plane's origin in the crop; `shifted` models state minus it as the translation."""
    if shifted:
        return -aerial_to_ground.translation
    turned = aerial_to_ground.rotation.transpose(-1, -2) @ aerial_to_ground.translation[..., None]
    return -turned[..., 0]


def shift(aerial_to_ground: Alignment) -> Tensor:
    """What to add to aerial points (B, 2) so that a consistent solver finds the pose that a shifted model means.

    Such a model gives pairs with ground = R aerial - p. With the points moved by p - Rᵀp a solver finds p and R.
    """
    meant = position(aerial_to_ground, shifted=True)
    return meant - position(aerial_to_ground, shifted=False)
