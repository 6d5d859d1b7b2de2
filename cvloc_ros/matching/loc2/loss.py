# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Training loss of Loc²: error of virtual points, and contrast between the sampled matches and all other pairs."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from cvloc_ros.matching.layers.losses import info_nce, virtual_correspondence_error, virtual_points
from cvloc_ros.matching.layers.pose import Alignment, procrustes, take
from cvloc_ros.matching.layers.sampling import Matches, sample_matches

_APART_M = 1.0


@dataclass(frozen=True, slots=True)
class LossSettings:
    """Published values: weight of the contrast, matches drawn, how near a partner must be.

    Ours: tokens used (0: all), weight of the true pose against others (`training.methods.pose_votes`).
    """

    beta: float = 1.0
    matches: int = 1024
    near_m: float = 71.0 / 41.0
    tokens: int = 0
    poses: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class Loss:
    """Losses (B,) and the pose (ground to aerial, metres) that the drawn matches give."""

    total: Tensor
    points_m: Tensor
    contrast: Tensor
    alignment: Alignment


def loss(
    scores: Tensor,
    probability: Tensor,
    aerial: Tensor,
    ground: Tensor,
    truth: Alignment,
    settings: LossSettings | None = None,
    generator: torch.Generator | None = None,
    sure: Tensor | None = None,
) -> Loss:
    """Compare drawn matches with the truth.

    Args:
        scores: (B, Ns, Ng), -inf in the columns of tokens that may not match.
        probability: (B, Ns, Ng).
        aerial: (Ns, 2) or (B, Ns, 2), metres.
        ground: (B, Ng, 2), lifted points, metres if `truth.scale` is 1.
        truth: ground to aerial.
        settings: weights and distances; None: as published.
        generator: source of the draws.
        sure: (B, Ng), False for tokens that are not where `ground` says: no examples. None: all are, as published.
    """
    settings = settings or LossSettings()
    drawn = sample_matches(probability, settings.matches, generator)
    found = procrustes(take(ground, drawn.ground), take(aerial, drawn.aerial), drawn.weight, with_scale=True)
    grid = virtual_points().to(scores)
    points_m = virtual_correspondence_error(
        found.rotation, found.translation, truth.rotation, truth.translation, grid
    )
    points_m = torch.where(found.ok, points_m, 0.0)
    contrast = match_contrast(scores, drawn, aerial, ground, truth, settings.near_m, sure)
    return Loss(points_m + settings.beta * contrast, points_m, contrast, found)


def match_contrast(
    scores: Tensor,
    drawn: Matches,
    aerial: Tensor,
    ground: Tensor,
    truth: Alignment,
    near_m: float,
    sure: Tensor | None = None,
) -> Tensor:
    """InfoNCE (B,) of the drawn points against their true partners, both ways.

    From the aerial side only ground points more than a metre away from the partner count as wrong: tokens of one
    column of the image lie close together.
    """
    aerial = aerial.expand(len(scores), -1, -1)
    valid = torch.isfinite(scores).any(1)
    valid = valid if sure is None else valid & sure
    scale = truth.scale.detach()[:, None]
    moved = (take(aerial, drawn.aerial) - truth.translation[:, None]) @ truth.rotation / scale[..., None]
    distances = torch.cdist(moved, ground)
    distance, partner = (distances if sure is None else distances.masked_fill(~sure[:, None], torch.inf)).min(2)
    keep = (distance <= near_m / scale) & valid.gather(1, partner)
    away = torch.cdist(take(ground, partner), ground) > _APART_M / scale[..., None]
    from_aerial = info_nce(scores, drawn.aerial, partner, keep, away)
    distance, partner = torch.cdist(truth.apply(take(ground, drawn.ground)), aerial).min(2)
    keep = (distance <= near_m) & valid.gather(1, drawn.ground)
    from_ground = info_nce(scores.transpose(1, 2), drawn.ground, partner, keep)
    return (from_aerial + from_ground) / 2
