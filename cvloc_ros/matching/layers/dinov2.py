# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""DINOv2 vision transformers (Oquab et al. 2023), forward pass for patch tokens; weights from a local file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from cvloc_ros.errors import ModelError
from cvloc_ros.matching import weights

_GRID = 37  # the embedding was learned on 518 x 518 px
_OFFSET = 0.1
_EPS = 1e-6
_HUGGING_FACE = (
    ("embeddings.cls_token", "cls_token"),
    ("embeddings.mask_token", "mask_token"),
    ("embeddings.register_tokens", "register_tokens"),
    ("embeddings.position_embeddings", "pos_embed"),
    ("embeddings.patch_embeddings.projection.", "patch_embed.proj."),
    ("layernorm.", "norm."),
    ("encoder.layer.", "blocks."),
    (".attention.attention.", ".attn."),
    (".attention.output.dense.", ".attn.proj."),
    (".layer_scale1.lambda1", ".ls1.gamma"),
    (".layer_scale2.lambda1", ".ls2.gamma"),
)


@dataclass(frozen=True, slots=True)
class Size:
    """Width, depth and heads of one published model."""

    channels: int
    depth: int
    heads: int


SIZES = {"vits14": Size(384, 12, 6), "vitb14": Size(768, 12, 12), "vitl14": Size(1024, 24, 16)}


class Attention(nn.Module):
    """Self-attention, fused."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(channels, 3 * channels)
        self.proj = nn.Linear(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map tokens (B, N, C) to (B, N, C)."""
        q, k, v = self.qkv(x).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        mixed: Tensor = self.proj(functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))
        return mixed


class Mlp(nn.Module):
    """Two layers with exact GELU between them."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(channels, 4 * channels)
        self.fc2 = nn.Linear(4 * channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map tokens (B, N, C) to (B, N, C)."""
        y: Tensor = self.fc2(functional.gelu(self.fc1(x)))
        return y


class LayerScale(nn.Module):
    """A learned factor for each channel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Scale (..., C)."""
        return x * self.gamma


class Block(nn.Module):
    """One transformer block."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(channels, eps=_EPS)
        self.attn = Attention(channels, heads)
        self.ls1 = LayerScale(channels)
        self.norm2 = nn.LayerNorm(channels, eps=_EPS)
        self.mlp = Mlp(channels)
        self.ls2 = LayerScale(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map tokens (B, N, C) to (B, N, C)."""
        x = x + self.ls1(self.attn(self.norm1(x)))
        y: Tensor = x + self.ls2(self.mlp(self.norm2(x)))
        return y


class PatchEmbed(nn.Module):
    """One token for each patch."""

    def __init__(self, channels: int, patch: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, channels, patch, stride=patch)

    def forward(self, image: Tensor) -> Tensor:
        """Map (B, 3, H, W) to (B, N, C), by rows."""
        tokens: Tensor = self.proj(image).flatten(2).transpose(1, 2)
        return tokens


class DinoV2(nn.Module):
    """Patch tokens of the last layer after the final norm; the keys of its state dict are the original ones."""

    patch = 14

    def __init__(self, size: Size, *, registers: int = 0) -> None:
        super().__init__()
        self.channels = size.channels
        self.cls_token = nn.Parameter(torch.zeros(1, 1, size.channels))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + _GRID**2, size.channels))
        self.mask_token = nn.Parameter(torch.zeros(1, size.channels))
        self.registers = registers
        if registers:
            self.register_tokens = nn.Parameter(torch.zeros(1, registers, size.channels))
        self.patch_embed = PatchEmbed(size.channels, self.patch)
        self.blocks = nn.ModuleList([Block(size.channels, size.heads) for _ in range(size.depth)])
        self.norm = nn.LayerNorm(size.channels, eps=_EPS)
        nn.init.trunc_normal_(self.pos_embed, std=0.02)
        nn.init.normal_(self.cls_token, std=1e-6)

    def forward(self, image: Tensor) -> Tensor:
        """Map images (B, 3, H, W) in 0..1 to tokens (B, C, H // 14, W // 14); what exceeds whole patches is cut off."""
        rows, cols = image.shape[2] // self.patch, image.shape[3] // self.patch
        x = self.tokens_in(image[:, :, : rows * self.patch, : cols * self.patch])
        for block in self.blocks:
            x = block(x)
        tokens: Tensor = self.norm(x)[:, 1 + self.registers :]
        return tokens.transpose(1, 2).reshape(len(tokens), self.channels, rows, cols)

    def tokens_in(self, image: Tensor) -> Tensor:
        """Input of the first block (B, 1 + registers + N, C)."""
        rows, cols = image.shape[2] // self.patch, image.shape[3] // self.patch
        tokens = self.patch_embed(image.to(self.cls_token.dtype))
        x = torch.cat([self.cls_token.expand(len(tokens), -1, -1), tokens], 1)
        x = x + self.positions(rows, cols).to(x.dtype)
        if self.registers:
            x = torch.cat([x[:, :1], self.register_tokens.expand(len(x), -1, -1), x[:, 1:]], 1)
        return x

    def positions(self, rows: int, cols: int) -> Tensor:
        """Position embedding (1, 1 + rows cols, C), float32.

        Bicubic from the learned 37 x 37; the models without registers were used with a scale that is 0.1 tokens too
        large, which also shifts the positions, those with registers with the size itself and an antialias filter.
        """
        learned = self.pos_embed.float()
        if rows == cols == _GRID:
            return learned
        grid = learned[:, 1:].reshape(1, _GRID, _GRID, -1).permute(0, 3, 1, 2)
        if self.registers:
            grid = functional.interpolate(grid, size=(rows, cols), mode="bicubic", antialias=True)
        else:
            scale = ((rows + _OFFSET) / _GRID, (cols + _OFFSET) / _GRID)
            grid = functional.interpolate(grid, scale_factor=scale, mode="bicubic")
        return torch.cat([learned[:, :1], grid.flatten(2).transpose(1, 2)], 1)


def load(name: str, path: Path | str) -> DinoV2:
    """Make `vits14`, `vitb14`, `vitl14` or one of them with `_reg`, with the weights of a file or folder.

    Raises:
        ModelError: the name is unknown, or the weights are missing, damaged or of another model.
    """
    model = create(name)
    tensors = original_keys(weights.read_tensors(path))
    tensors.setdefault("mask_token", torch.zeros(1, model.channels))  # for training of the backbone only
    weights.load_into(model, tensors, f"DINOv2 {name}", path)
    return model


def create(name: str) -> DinoV2:
    """Make a model with random weights.

    Raises:
        ModelError: the name is unknown.
    """
    size, _, suffix = name.partition("_")
    if size not in SIZES or suffix not in ("", "reg"):
        known = ", ".join([*SIZES, *(f"{size}_reg" for size in SIZES)])
        msg = f"backbone {name!r} is unknown; there are {known} of DINOv2, dinov3_vits16, _vitb16, _vitl16, and conv"
        raise ModelError(msg)
    return DinoV2(SIZES[size], registers=4 if suffix else 0)


def original_keys(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename the keys of a Hugging Face checkpoint to the original ones; others are returned as they are."""
    bare = {key.removeprefix("dinov2.").removeprefix("dinov2_with_registers."): value for key, value in tensors.items()}
    if not any(key.startswith("embeddings.") for key in bare):
        return dict(tensors)
    renamed: dict[str, Tensor] = {}
    for key, value in bare.items():
        for theirs, ours in _HUGGING_FACE:
            key = key.replace(theirs, ours)  # noqa: PLW2901
        renamed[key] = value
    for key in [key for key in renamed if ".attn.query." in key]:
        parts = [key.replace(".query.", f".{part}.") for part in ("query", "key", "value")]
        if all(part in renamed for part in parts):
            renamed[key.replace(".query.", ".qkv.")] = torch.cat([renamed.pop(part) for part in parts])
    return renamed
