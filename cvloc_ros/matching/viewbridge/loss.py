# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Training loss of ViewBridge: pose, contrast of the matches, and heights where they are known."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from cvloc_ros.matching.layers.losses import info_nce, virtual_correspondence_error, virtual_points
from cvloc_ros.matching.layers.pose import Alignment, procrustes, take
from cvloc_ros.matching.layers.sampling import Matches, sample_matches
from cvloc_ros.matching.viewbridge.network import Scores
from cvloc_ros.matching.viewbridge.surface import Surface, height_loss


@dataclass(frozen=True, slots=True)
class LossSettings:
    """Weights of contrast (published: 1, with unknown orientation 100) and height, and the matches drawn.

    The weight of the height is not stated by the source; 0.1 is chosen so that heights, whose truth is coarse where it
    comes from a depth network, guide and do not rule.
    """

    contrast: float = 1.0
    height: float = 0.1
    matches: int = 1024


@dataclass(frozen=True, slots=True, eq=False)
class Loss:
    """Losses (B,) and the pose (ground to aerial, metres) that the drawn matches give."""

    total: Tensor
    points_m: Tensor
    contrast: Tensor
    height: Tensor
    alignment: Alignment


@dataclass(frozen=True, slots=True, eq=False)
class HeightTruth:
    """True heights in bins (B, N) and where they are known (B, N)."""

    bins: Tensor
    known: Tensor


def loss(
    scores: Scores,
    surface: Surface,
    points: tuple[Tensor, Tensor],
    truth: Alignment,
    heights: HeightTruth | None = None,
    settings: LossSettings | None = None,
    generator: torch.Generator | None = None,
) -> Loss:
    """Compare with the truth.

    Args:
        scores: of the network.
        surface: of the network.
        points: aerial (Ns, 2) and ground (Ng, 2), internal metres.
        truth: ground to aerial.
        heights: None where there are none.
        settings: weights; None: the defaults.
        generator: source of the draws.
    """
    settings = settings or LossSettings()
    aerial, ground = (part.to(scores.refined) for part in points)
    drawn = sample_matches(scores.probability, settings.matches, generator)
    found = procrustes(take(ground, drawn.ground), take(aerial, drawn.aerial), drawn.weight)
    points_m = virtual_correspondence_error(
        found.rotation, found.translation, truth.rotation, truth.translation, virtual_points().to(aerial)
    )
    points_m = torch.where(found.ok, points_m, 0.0)
    contrast = match_contrast(scores.refined, drawn, aerial, ground, truth)
    height = torch.zeros_like(points_m) if heights is None else height_loss(surface, heights.bins, heights.known)
    total = points_m + settings.contrast * contrast + settings.height * height
    return Loss(total, points_m, contrast, height, found)


def match_contrast(scores: Tensor, drawn: Matches, aerial: Tensor, ground: Tensor, truth: Alignment) -> Tensor:
    """InfoNCE (B,) of the drawn cells against the nearest cells at their true places, both ways.

    Cells whose true place is further than a cell from every cell of the other plane take no part.
    """
    valid = torch.isfinite(scores).any(1)
    near_m = torch.linalg.vector_norm(aerial[1] - aerial[0])
    there = (take(aerial, drawn.aerial) - truth.translation[:, None]) @ truth.rotation
    distance, partner = torch.cdist(there, ground.expand(len(scores), -1, -1)).min(2)
    keep = (distance <= near_m) & valid.gather(1, partner)
    from_aerial = info_nce(scores, drawn.aerial, partner, keep)
    distance, partner = torch.cdist(truth.apply(take(ground, drawn.ground)), aerial.expand(len(scores), -1, -1)).min(2)
    keep = (distance <= near_m) & valid.gather(1, drawn.ground)
    from_ground = info_nce(scores.transpose(1, 2), drawn.ground, partner, keep)
    return (from_aerial + from_ground) / 2
