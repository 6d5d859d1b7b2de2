# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""From backbone tokens to unit descriptors: residual blocks, a position code, linear self-attention."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

_EPS_LENGTH = 1e-10
_EPS_ATTENTION = 1e-6


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions with batch norm beside a 1x1 shortcut (identity where the width stays)."""

    def __init__(self, channels_in: int, channels_out: int, *, last: bool = False) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels_out, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels_out)
        self.conv2 = nn.Conv2d(channels_out, channels_out, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels_out)
        self.shortcut: nn.Module | None = None
        if channels_in != channels_out:
            self.shortcut = nn.Conv2d(channels_in, channels_out, 1, bias=False)
        self.last = last

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, in, h, w) to (B, out, h, w); the last block of a projector ends without ReLU."""
        y = self.bn2(self.conv2(functional.relu(self.bn1(self.conv1(x)))))
        y = y + (x if self.shortcut is None else self.shortcut(x))
        return y if self.last else functional.relu(y)


class LinearAttentionLayer(nn.Module):
    """Self-attention with the kernel elu + 1: cost linear in the number of tokens (Katharopoulos et al. 2020)."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.q_proj = nn.Linear(channels, channels, bias=False)
        self.k_proj = nn.Linear(channels, channels, bias=False)
        self.v_proj = nn.Linear(channels, channels, bias=False)
        self.merge = nn.Linear(channels, channels, bias=False)
        self.mlp = nn.Sequential(
            nn.Linear(2 * channels, 2 * channels, bias=False), nn.ReLU(), nn.Linear(2 * channels, channels, bias=False)
        )
        self.norm1 = nn.LayerNorm(channels)
        self.norm2 = nn.LayerNorm(channels)
        for parameter in self.parameters():
            if parameter.ndim > 1:
                nn.init.xavier_uniform_(parameter)

    def forward(self, x: Tensor) -> Tensor:
        """Map tokens (B, N, C) to (B, N, C)."""
        shape = (*x.shape[:2], self.heads, -1)
        q = functional.elu(self.q_proj(x).view(shape)) + 1.0
        k = functional.elu(self.k_proj(x).view(shape)) + 1.0
        v = self.v_proj(x).view(shape)
        summary = torch.einsum("bnhd,bnhe->bhde", k, v)
        norm = torch.einsum("bnhd,bhd->bnh", q, k.sum(1)) + _EPS_ATTENTION
        message = torch.einsum("bnhd,bhde->bnhe", q, summary) / norm[..., None]
        message = self.norm1(self.merge(message.flatten(2)))
        update: Tensor = self.norm2(self.mlp(torch.cat([x, message], -1)))
        return x + update


class Projector(nn.Module):
    """Tokens (B, C, h, w) to descriptors (B, D, h, w) of unit length over the channels."""

    def __init__(
        self,
        channels: int = 1024,
        widths: Sequence[int] = (512, 256, 128),
        *,
        heads: int = 8,
        layers: int = 3,
        positions: bool = True,
    ) -> None:
        super().__init__()
        ins = (channels, *widths)
        blocks = [ResidualBlock(a, b) for a, b in zip(ins[:-1], widths, strict=True)]
        self.blocks = nn.ModuleList([*blocks, ResidualBlock(widths[-1], widths[-1], last=True)])
        self.attention = nn.ModuleList([LinearAttentionLayer(widths[-1], heads) for _ in range(layers)])
        self.positions = positions

    def forward(self, x: Tensor) -> Tensor:
        """Project."""
        for block in self.blocks[:-1]:
            x = block(x)
        if self.positions:
            x = x + sine_code(x.shape[1], x.shape[2], x.shape[3]).to(x)
        shape = x.shape
        tokens = x.flatten(2).transpose(1, 2)
        for layer in self.attention:
            tokens = layer(tokens)
        x = self.blocks[-1](tokens.transpose(1, 2).reshape(shape))
        return functional.normalize(x, dim=1, eps=_EPS_LENGTH)


def sine_code(channels: int, rows: int, cols: int) -> Tensor:
    """Position code (channels, rows, cols): sine and cosine of column and row, both counted from 1."""
    k = torch.arange(channels // 4, dtype=torch.float32)
    rate = torch.exp(-2.0 * k * math.log(1e4) / (channels // 2))[:, None, None]
    x = torch.arange(1, cols + 1, dtype=torch.float32)[None, None, :].expand(1, rows, cols)
    y = torch.arange(1, rows + 1, dtype=torch.float32)[None, :, None].expand(1, rows, cols)
    code = torch.stack([torch.sin(x * rate), torch.cos(x * rate), torch.sin(y * rate), torch.cos(y * rate)], 1)
    return code.flatten(0, 1)
