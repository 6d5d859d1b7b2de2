# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""GridLoc whose attention votes: our extension, for models that are trained on little.

The published head has to learn from examples how far ahead a token of the image lies. Here the camera model says it:
each ground token that sees the road attends to the aerial tokens, softmax(QᵀK) as published, and its attention is
looked up, for each class of place and heading, where the token would lie were the camera there. The logarithms add up
to the logits of the classes, which a small convolution corrects, and of which it makes the offsets.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from cvloc_ros.matching.gridloc.network import Head
from cvloc_ros.matching.gridloc.settings import GridLocSettings
from cvloc_ros.matching.layers.projector import Projector
from cvloc_ros.matching.layers.sampling import draw_known
from cvloc_ros.matching.layers.votes import told, vote

_TEMPERATURE = 0.1
_CROWD_M = 2.0
_ENOUGH = 192
"""Tokens that vote; more cost time and tell the same."""
_HIDDEN = 64
_FINER = 2
"""Places looked up along each side of a cell: aerial places are finer than cells, and the offsets want to know."""


class VotingNetwork(nn.Module):
    """Learned part of GridLoc with `fuse: vote`; the backbones of both views stay outside.

    `most` limits the tokens of an image while training, drawn anew each time; 0: all that see the road.
    """

    def __init__(self, settings: GridLocSettings) -> None:
        super().__init__()
        self.settings = settings
        self.most = 0
        widths = (settings.width, settings.width)
        self.query = Projector(settings.channels, widths, heads=settings.heads, layers=settings.depth)
        self.key = Projector(settings.channels, widths, heads=settings.heads, layers=settings.depth, positions=False)
        self.doubt = nn.Parameter(torch.tensor(0.0))
        self.weight = nn.Linear(settings.width, 1)
        self.bins = max(settings.yaw_bins, 1)
        self.gain = nn.Parameter(torch.tensor(math.log(0.1)))
        self.norm = nn.GroupNorm(1, self.bins * _FINER**2)
        self.head = nn.Sequential(
            nn.Conv2d(self.bins * _FINER**2, _HIDDEN, 3, padding=1), nn.GELU(),
            nn.Conv2d(_HIDDEN, _HIDDEN, 3, padding=1), nn.GELU(),
            nn.Conv2d(_HIDDEN, self.bins + settings.regression * (2 + settings.yaw_bins), 1),
        )  # fmt: skip
        nn.init.zeros_(self.weight.weight)
        nn.init.zeros_(self.head[-1].weight)  # type: ignore[arg-type]

    def encode_aerial(self, tokens: Tensor) -> Tensor:
        """Keys (B, keys², D) of aerial tokens (B, C, h, w)."""
        size = (self.settings.keys,) * 2
        resized = functional.interpolate(tokens, size, mode="bilinear", align_corners=False)
        return _rows(self.key(resized))

    def encode_ground(self, tokens: Tensor) -> Tensor:
        """Queries (B, N, D) of ground tokens (B, C, h, w)."""
        return _rows(self.query(tokens))

    def locate(self, aerial: Tensor, ground: Tensor, where: Tensor | None = None) -> Head:
        """Find the distribution of the camera's pose.

        Args:
            aerial: (B, keys², D).
            ground: (B, N, D).
            where: (B, N, 2) metres ahead of the camera and to its right, NaN for tokens that do not see the road; None:
                no token does.
        """
        where = ground.new_full((*ground.shape[:2], 2), torch.nan) if where is None else where.to(ground)
        known = torch.isfinite(where).all(2)
        use = draw_known(known, self.most) if self.training else thinned(where, known, _ENOUGH)
        where = where.gather(1, use[..., None].expand(-1, -1, 2))
        ground = ground.gather(1, use[..., None].expand(-1, -1, ground.shape[2]))
        votes = functional.pixel_unshuffle(torch.exp(self.gain) * self._votes(aerial, ground, where), _FINER)
        settings = self.settings
        out = self.head(self.norm(votes)).flatten(2).transpose(1, 2).float()
        likely = torch.logsumexp(votes.view(len(votes), self.bins, -1, *votes.shape[2:]), 2)
        logits = likely.flatten(2).transpose(1, 2).float() + out[..., : self.bins]
        if not settings.regression:
            return Head(logits, torch.zeros_like(logits[..., :1]).expand(-1, -1, 2), torch.zeros_like(logits))
        limited = settings.offset_limit * torch.tanh(out[..., self.bins :])
        return Head(logits, limited[..., :2], limited[..., 2:] if settings.yaw_bins else torch.zeros_like(logits))

    def _votes(self, aerial: Tensor, ground: Tensor, where: Tensor) -> Tensor:
        """Sum (B, bins, n, n) of how much likelier than by chance the tokens find each place; n x n on the grid."""
        settings = self.settings
        known = torch.isfinite(where).all(2)
        where = torch.where(known[..., None], where, 0.0)
        said = told(ground @ aerial.transpose(1, 2) / _TEMPERATURE, torch.sigmoid(self.doubt))
        weight = torch.sigmoid(self.weight(ground)[..., 0]) * known / crowd(where, known)
        places = settings.cells * _FINER
        axis = (torch.arange(places, device=where.device) - places / 2 + 0.5) * (settings.extent_m / places)
        bins = torch.arange(self.bins, device=where.device)
        heading = (bins + 0.5) * settings.grid.bin_rad - (settings.yaw_half_rad if settings.yaw_bins else 0.0)
        down_right = torch.stack([-where[..., 0], where[..., 1]], -1)
        return vote(said, weight, down_right, heading, axis, settings.extent_m)


def thinned(where: Tensor, known: Tensor, most: int) -> Tensor:
    """Numbers (B, M) of at most about `most` known tokens (B, N), M alike for all items: of a crowd only some."""
    if int(known.sum(1).max()) <= most:
        return draw_known(known)
    worth = known / crowd(torch.where(known[..., None], where, 0.0), known)
    total = torch.cumsum(worth, 1)
    # Every so often along the sum of worth: a token far away is taken for sure, of many near ones some are.
    mark = torch.floor(total / total[:, -1:] * (most - 1e-3)).long()
    taken = known & torch.cat([known[:, :1], mark[:, 1:] > mark[:, :-1]], 1)
    return draw_known(taken)


def crowd(where: Tensor, known: Tensor) -> Tensor:
    """How many known tokens (B, N) lie in the same square of the road, itself included: near ones are many."""
    square = torch.floor(where / _CROWD_M).long()
    index = (square[..., 0] % 64) * 64 + square[..., 1] % 64
    counts = torch.zeros(len(where), 64 * 64, device=where.device).scatter_add_(1, index, known.float())
    return counts.gather(1, index).clamp_min(1.0)


def _rows(x: Tensor) -> Tensor:
    return x.flatten(2).transpose(1, 2)
