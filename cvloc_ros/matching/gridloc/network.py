# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The network of GridLoc from backbone tokens to a distribution over cells (and bins of heading) with offsets."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from cvloc_ros.matching.gridloc.settings import GridLocSettings
from cvloc_ros.matching.layers.projector import sine_code


@dataclass(frozen=True, slots=True, eq=False)
class Head:
    """What the head tells.

    `logits` (B, cells², bins or 1), `offset` (B, cells², 2) in cells, `turn` (B, cells², bins or 1) in bins.

    Offsets of position hold for all headings in a cell, which is chosen because the place inside a cell hardly depends
    on the heading; offsets of heading are given for each cell and bin.
    """

    logits: Tensor
    offset: Tensor
    turn: Tensor


class CrossAttention(nn.Module):
    """Queries of one view attend to keys and values of the other: softmax(QKᵀ)V, `plain` without scale."""

    def __init__(self, width: int, heads: int, *, plain: bool) -> None:
        super().__init__()
        self.heads = heads
        self.scale = 1.0 if plain else (width // heads) ** -0.5
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        if plain:  # products of unscaled queries and keys must not saturate the softmax at the start
            for layer in (self.query, self.key):
                nn.init.xavier_uniform_(layer.weight, gain=width**-0.25)

    def forward(self, x: Tensor, other: Tensor) -> Tensor:
        """Map x (B, N, C) and other (B, M, C) to (B, N, C)."""
        q, k, v = (
            layer(tokens).unflatten(2, (self.heads, -1)).transpose(1, 2)
            for layer, tokens in ((self.query, x), (self.key, other), (self.value, other))
        )
        mixed = functional.scaled_dot_product_attention(q, k, v, scale=self.scale)
        return mixed.transpose(1, 2).flatten(2)


class Block(nn.Module):
    """Attention and two layers, each beside the identity, normalised before."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.norm_other = nn.LayerNorm(width)
        self.attention = CrossAttention(width, heads, plain=False)
        self.merge = nn.Linear(width, width)
        self.norm2 = nn.LayerNorm(width)
        self.ffn = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))

    def forward(self, x: Tensor, other: Tensor) -> Tensor:
        """Map x (B, N, C) and other (B, M, C) to (B, N, C)."""
        x = x + self.merge(self.attention(self.norm1(x), self.norm_other(other)))
        out: Tensor = x + self.ffn(self.norm2(x))
        return out


class GridLocNetwork(nn.Module):
    """Learned part of GridLoc; the backbones of both views stay outside."""

    def __init__(self, settings: GridLocSettings) -> None:
        super().__init__()
        self.settings = settings
        width = settings.width
        self.ground_in = nn.Conv2d(settings.channels, width, 1)
        self.aerial_in = nn.Conv2d(settings.channels, width, 1)
        if settings.plain:
            blocks: list[nn.Module] = [CrossAttention(width, 1, plain=True)]
        else:
            blocks = [Block(width, settings.heads) for _ in range(settings.depth)]
        self.blocks = nn.ModuleList(blocks)
        self.back = Block(width, settings.heads) if settings.fuse == "attend" else None
        self.bins = max(settings.yaw_bins, 1)
        self.offsets = settings.regression * (2 + settings.yaw_bins)
        self.head = nn.Sequential(
            nn.Linear(2 * width, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(),
            nn.Linear(width, self.bins + self.offsets),
        )  # fmt: skip

    def encode_aerial(self, tokens: Tensor) -> Tensor:
        """Keys and cells (B, cells², C) of aerial tokens (B, C, h, w)."""
        size = (self.settings.cells,) * 2
        if tokens.shape[2:] != size:
            tokens = functional.interpolate(tokens, size, mode="bilinear", align_corners=False)
        return _tokens(self.aerial_in(tokens))

    def encode_ground(self, tokens: Tensor) -> Tensor:
        """Queries (B, N, C) of ground tokens (B, C, h, w)."""
        return _tokens(self.ground_in(tokens))

    def locate(self, aerial: Tensor, ground: Tensor, where: Tensor | None = None) -> Head:
        """Find the distribution of the camera's pose; this network does not ask `where` tokens lie."""
        del where
        fused = ground
        for block in self.blocks:
            fused = block(fused, aerial)
        if self.back is not None:
            told = self.back(aerial, fused)
        else:
            told = fused.mean(1, keepdim=True).expand(-1, aerial.shape[1], -1)
        out = self.head(torch.cat([aerial, told], 2)).float()
        logits = out[..., : self.bins]
        if not self.offsets:
            return Head(logits, torch.zeros_like(out[..., :1]).expand(-1, -1, 2), torch.zeros_like(logits))
        limited = self.settings.offset_limit * torch.tanh(out[..., self.bins :])
        turn = limited[..., 2:] if self.settings.yaw_bins else torch.zeros_like(logits)
        return Head(logits, limited[..., :2], turn)


def _tokens(x: Tensor) -> Tensor:
    """Make tokens (B, h w, C) with a position code of (B, C, h, w)."""
    return (x + sine_code(*x.shape[1:]).to(x)).flatten(2).transpose(1, 2)
