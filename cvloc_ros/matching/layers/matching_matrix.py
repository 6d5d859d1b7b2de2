# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""All aerial points against all ground points, with a learned bin for what has no partner."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class MatchingMatrix(nn.Module):
    """Descriptor similarity and its dual softmax with a dustbin."""

    def __init__(self, temperature: float = 0.1) -> None:
        super().__init__()
        self.temperature = temperature
        self.dustbin_score = nn.Parameter(torch.tensor(1.0))

    def forward(self, aerial: Tensor, ground: Tensor, valid: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Compare.

        Args:
            aerial: (B, D, Ns) unit descriptors.
            ground: (B, D, Ng) unit descriptors.
            valid: (B, Ng), False for ground points without evidence: -inf in the scores, 0 in the probabilities.

        Returns:
            Scores (B, Ns, Ng), without the bin, and probabilities (B, Ns, Ng).
        """
        scores = aerial.transpose(1, 2) @ ground / self.temperature
        if valid is not None:
            scores = scores.masked_fill(~valid[:, None], -torch.inf)
        return scores, dual_softmax(scores, self.dustbin_score)


def dual_softmax(scores: Tensor, dustbin: Tensor) -> Tensor:
    """Multiply the softmax over rows and over columns of scores (B, Ns, Ng) bordered by `dustbin`; bins are dropped.

    A column of -inf stays well defined: its bin takes all, its probabilities are 0.
    """
    batch, rows, cols = scores.shape
    over_ground = torch.logsumexp(torch.cat([scores, dustbin.expand(batch, rows, 1)], 2), 2)
    over_aerial = torch.logsumexp(torch.cat([scores, dustbin.expand(batch, 1, cols)], 1), 1)
    return torch.exp(2.0 * scores - over_ground[:, :, None] - over_aerial[:, None, :])
