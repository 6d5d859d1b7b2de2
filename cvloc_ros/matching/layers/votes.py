# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What points of the ground say of many poses at once: their scores are looked up where they would lie.

Frames are internal ones: axis 0 down, axis 1 right, headings clockwise from up. A point `where` of a frame at
`position` with `heading` lies at position + R(-heading) where, R = [[cos, -sin], [sin, cos]].
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def told(scores: Tensor, doubt: Tensor) -> Tensor:
    """Tell how much likelier than by chance (B, N, k, k), logarithm, each of N points lies at each aerial place.

    Args:
        scores: (B, N, k²), all finite or all -inf for a point; their softmax is the distribution of a point.
        doubt: share (scalar) that is spread evenly: a point that errs says no more than that.
    """
    side = round(scores.shape[2] ** 0.5)
    share = torch.softmax(torch.where(torch.isfinite(scores), scores, 0.0), 2)
    return torch.log((1.0 - doubt) * share * scores.shape[2] + doubt).view(*scores.shape[:2], side, side)


def vote(told: Tensor, weight: Tensor, where: Tensor, heading: Tensor, axis: Tensor, extent_m: float) -> Tensor:
    """Sum (B, Y, n, n) what weighted points say of frames at all (axis, axis) with all headings.

    Args:
        told: (B, N, k, k), see `told`, over a square of `extent_m` around the origin; 0 outside of it.
        weight: (B, N).
        where: (B, N, 2), metres.
        heading: (Y,) or (B, Y).
        axis: (n,), metres.
        extent_m: side of the square.
    """
    turned = _turned(where, heading)  # (B, N, Y, 2)
    x = (turned[..., 1, None, None] + axis).expand(-1, -1, -1, len(axis), -1)
    y = (turned[..., 0, None, None] + axis[:, None]).expand(-1, -1, -1, -1, len(axis))
    at = torch.stack([x, y], -1).flatten(2, 3) / (extent_m / 2)
    return _summed(told, weight, at).view(len(told), -1, len(axis), len(axis))


def vote_at(
    told: Tensor, weight: Tensor, where: Tensor, heading: Tensor, position: Tensor, extent_m: float
) -> Tensor:
    """Sum (B,) what weighted points say of one frame each: heading (B,), position (B, 2); else as `vote`."""
    c, s = torch.cos(heading)[:, None], torch.sin(heading)[:, None]
    down, right = where[..., 0], where[..., 1]
    lies = torch.stack([c * down + s * right, c * right - s * down], -1) + position[:, None]
    return _summed(told, weight, lies.flip(-1)[:, :, None, None] / (extent_m / 2))[:, 0]


def _turned(where: Tensor, heading: Tensor) -> Tensor:
    c, s = (part if part.ndim == 1 else part[:, None] for part in (torch.cos(heading), torch.sin(heading)))
    down, right = where[..., 0, None], where[..., 1, None]
    return torch.stack([c * down + s * right, c * right - s * down], -1)


def _summed(told: Tensor, weight: Tensor, at: Tensor) -> Tensor:
    """Look `told` up at places (B, N, ..., 2), x then y, -1 to 1; sum (B, M) over the points."""
    batch, count, side, _ = told.shape
    flat = told.reshape(batch * count, 1, side, side)
    found = functional.grid_sample(flat, at.flatten(0, 1).to(flat), align_corners=False)
    return torch.einsum("bn,bnk->bk", weight, found.view(batch, count, -1))
