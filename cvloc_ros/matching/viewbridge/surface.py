# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The Surface Model: of each column of the bird's-eye plane only what lies at or below the surface is kept.

An aerial camera sees the highest solid thing of a column. Going up from the lowest height, the weights of the heights
(a softmax) are added until they reach a threshold; that height is the surface.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from cvloc_ros.matching.layers.pose import Alignment

_HIDDEN = -1e4  # finite, so that columns without any evidence have gradients
_SPREAD_BINS = 0.75


@dataclass(frozen=True, slots=True, eq=False)
class Surface:
    """The surface of N columns with H heights.

    `log_weight` and `visible` (B, N, H): log softmax over the heights, and which of them any image shows. `index`
    (B, N): the highest height that is kept. `height` (B, N), metres: the mean of the kept heights by their weights,
    which has a gradient. `share` (B, N, images x H): the weights that were mixed.
    """

    log_weight: Tensor
    visible: Tensor
    index: Tensor
    height: Tensor
    share: Tensor


@dataclass(frozen=True, slots=True)
class SurfaceModel:
    """Cuts the weights of each column off above its surface.

    The threshold is not stated by the source; 0.9 is chosen because the drawn example drops only a small rest. The
    gradient is not stated either: the cut itself is hard, so that what lies above the surface is truly absent, and its
    gradient is that of sigmoid((threshold - sum below) / softness). That the kept weights are normalised again is
    chosen because features then do not fade where much lies above the surface. With threshold 1 nothing is cut.
    """

    heights: int
    threshold: float = 0.9
    softness: float = 0.05
    renormalise: bool = True

    def gate(self, weight: Tensor) -> Tensor:
        """Return 1 for heights at or below the surface and 0 above, for weights (..., H) that sum to 1."""
        if self.threshold >= 1.0:
            return torch.ones_like(weight)
        below = torch.cumsum(weight, -1) - weight
        soft = torch.sigmoid((self.threshold - below) / self.softness)
        return (below < self.threshold).to(weight) + soft - soft.detach()

    def cut(self, share: Tensor) -> Tensor:
        """Cut shares (..., images x H), image by image, at the surface of their sum over the images."""
        if self.threshold >= 1.0:
            return share
        by_image = self._by_image(share)
        kept: Tensor = (by_image * self.gate(by_image.sum(-2))[..., None, :]).flatten(-2)
        if not self.renormalise:
            return kept
        total: Tensor = kept.sum(-1, keepdim=True).clamp_min(torch.finfo(kept.dtype).tiny)
        return kept / total

    def _by_image(self, values: Tensor) -> Tensor:
        return values.view(*values.shape[:-1], -1, self.heights)

    def surface(self, logits: Tensor, visible: Tensor, heights_m: Tensor) -> Surface:
        """Find the surface.

        Args:
            logits: (B, N, images x H), heights in rising order, image by image.
            visible: (B or 1, N, images x H).
            heights_m: (H,).
        """
        ranked = torch.where(visible, logits.float(), _HIDDEN)
        log_share = torch.log_softmax(ranked, -1)
        share = log_share.exp() * visible
        weight = self._by_image(share).sum(-2)
        gate = self.gate(weight)
        kept = (gate > 0.5) & (weight > 0.0)
        order = torch.arange(self.heights, device=logits.device)
        mixed = weight * gate
        height = (mixed * heights_m).sum(-1) / mixed.sum(-1).clamp_min(torch.finfo(mixed.dtype).tiny)
        return Surface(
            torch.logsumexp(self._by_image(log_share), -2),
            self._by_image(visible).any(-2).expand(weight.shape),
            torch.where(kept, order, 0).amax(-1),
            height,
            self.cut(share),
        )


def height_loss(surface: Surface, target: Tensor, keep: Tensor) -> Tensor:
    """Cross-entropy (B,) between the height weights and a soft label, over ln H: 1 is no knowledge.

    The form of a later method of the same group is used, since that of the source is not stated: a Gaussian of 0.75
    bins around the true height. Of the heights that no image shows nothing is asked.

    Args:
        surface: what the model found.
        target: (B, N) true heights in bins, fractions allowed.
        keep: (B, N), False where the truth is unknown.
    """
    count = surface.log_weight.shape[-1]
    order = torch.arange(count, device=target.device)
    label = torch.exp(-((order - target[..., None]) ** 2) / (2 * _SPREAD_BINS**2)) * surface.visible
    total = label.sum(-1)
    used = keep & (total > 1e-3)
    label = label / torch.where(used, total, 1.0)[..., None]
    entropy = -(label * torch.where(surface.visible, surface.log_weight, 0.0)).sum(-1) / math.log(max(count, 2))
    return torch.where(used, entropy, 0.0).sum(1) / used.sum(1).clamp_min(1)


def bins_of_heights(height_m: Tensor, lowest_m: float, highest_m: float, count: int) -> Tensor:
    """Turn true heights (...), metres above the ground, into bins; what is beyond the ends is at the ends."""
    step = (highest_m - lowest_m) / max(count - 1, 1)
    return ((height_m - lowest_m) / (step or 1.0)).clamp(0.0, count - 1.0)


def bins_of_aerial_depth(
    nearness: Tensor, truth: Alignment, ground_points: Tensor, extent_m: float, count: int
) -> tuple[Tensor, Tensor]:
    """Turn a depth network's view of the aerial image into height bins of the ground columns.

    The nearest point of each image is the highest bin, the furthest the lowest (minimum and maximum of the image).

    Args:
        nearness: (B, h, w) of the aerial image, larger is nearer to the sky (disparity, or minus the depth).
        truth: ground to aerial, internal frames.
        ground_points: (N, 2) columns, axis 0 down and axis 1 right, metres.
        extent_m: side of the aerial image.
        count: heights.

    Returns:
        Bins (B, N), and which columns lie in the image (B, N).
    """
    low, high = nearness.amin((1, 2), keepdim=True), nearness.amax((1, 2), keepdim=True)
    level = (nearness - low) / (high - low).clamp_min(1e-9)
    there = truth.apply(ground_points.expand(len(nearness), -1, -1)) / (extent_m / 2)
    where = there.flip(-1)[:, None].to(level)
    found = functional.grid_sample(level[:, None], where, padding_mode="border", align_corners=False)[:, 0, 0]
    return found * (count - 1), (there.abs() <= 1.0).all(-1) & ((high - low)[:, :, 0] > 0)
