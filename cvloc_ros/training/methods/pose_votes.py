# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A loss of our own for methods that match points: the true pose against all others that the prior allows."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from cvloc_ros.matching.layers.sampling import draw_known
from cvloc_ros.matching.layers.votes import told, vote, vote_at

_TOKENS = 256
_VOTES = 64.0
"""Sum of the weights: about as many squares of the road as a camera sees."""
_REACH_M, _STEP_M = 20.0, 2.0
_REACH_RAD, _STEP_RAD = math.radians(15.0), math.radians(3.0)


class PoseVotes(nn.Module):
    """Cross-entropy of the true pose among poses up to 20 m off the middle of the crop and turned by up to 15 degrees.

    Each point of the ground says how likely it lies where a pose puts it, by the softmax of its scores over the aerial
    points; weighted by the share that it has of all matches, the logarithms add up. Unlike the contrast, which
    judges points one by one, this asks for what tells places apart; unlike the virtual points it has a slope
    everywhere. The gain of the sum and the share of points that err are learned here and are no part of the weights.
    """

    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.tensor(math.log(0.1)))
        self.doubt = nn.Parameter(torch.tensor(0.0))

    def forward(
        self, scores: Tensor, probability: Tensor, where: Tensor, truth: tuple[Tensor, Tensor], extent_m: float
    ) -> Tensor:
        """Return the loss (B,).

        Args:
            scores: (B, k², N), -inf in the columns of points that may not match.
            probability: (B, k², N) of the matching matrix.
            where: (N, 2) or (B, N, 2), points in the frame that is sought, internal axes, metres.
            truth: position (B, 2), internal metres of the crop, and heading (B,), clockwise from up.
            extent_m: side of the crop.
        """
        position, heading = truth
        known = torch.isfinite(scores).any(1)
        use = draw_known(known, _TOKENS)
        where = where.expand(len(scores), -1, -1).gather(1, use[..., None].expand(-1, -1, 2))
        picked = scores.transpose(1, 2).gather(1, use[..., None].expand(-1, -1, scores.shape[1]))
        weight = probability.sum(1).gather(1, use) * known.gather(1, use)
        weight = _VOTES * weight / weight.sum(1, keepdim=True).clamp_min(1e-6)
        said = told(picked, torch.sigmoid(self.doubt))
        axis = torch.arange(-_REACH_M + _STEP_M / 2, _REACH_M, _STEP_M, device=scores.device)
        turns = torch.arange(-_REACH_RAD, _REACH_RAD + _STEP_RAD / 2, _STEP_RAD, device=scores.device)
        others = vote(said, weight, where, heading[:, None] + turns, axis, extent_m).flatten(1)
        true = vote_at(said, weight, where, heading, position, extent_m)
        votes = torch.exp(self.gain) * torch.cat([true[:, None], others], 1)
        return torch.logsumexp(votes, 1) - votes[:, 0]
