# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The network of FG² from backbone tokens to match probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from cvloc_ros.matching.fg2.settings import Fg2Settings
from cvloc_ros.matching.layers.attention import DeformableAttention, Selected, TokenGrid
from cvloc_ros.matching.layers.matching_matrix import MatchingMatrix
from cvloc_ros.matching.layers.projector import Projector

_REUSED_ROUND = 3  # the released models use the feed-forward part of round 1 again here


@dataclass(frozen=True, slots=True, eq=False)
class GroundTokens:
    """Tokens of one image (B, C, h, w) and where the plane lies in it.

    `reference` (B or 1, N, heights, 2), x then y in 0..1 of the image, not finite where a point has no image;
    `visible` (B or 1, N, heights) whether it is in the image and usable. `wraps`: a panorama without a seam.
    """

    tokens: Tensor
    reference: Tensor
    visible: Tensor
    wraps: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class GroundCode:
    """Descriptors (B, D, N) of the plane, cells with evidence (B or 1, N), and what each cell took (last round).

    `share` (B, N, images x heights) are the weights of the candidates, image by image.
    """

    descriptors: Tensor
    valid: Tensor
    logits: Tensor
    share: Tensor


class FeedForward(nn.Module):
    """Two layers beside the identity."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(channels, channels)
        self.fc2 = nn.Linear(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, N, C) to (B, N, C)."""
        y: Tensor = x + self.fc2(functional.relu(self.fc1(x)))
        return y


class LiftingRound(nn.Module):
    """One round: the plane looks at itself, then at the images at all heights, and selects."""

    def __init__(self, settings: Fg2Settings) -> None:
        super().__init__()
        channels, heads = settings.channels, settings.attention_heads
        self.self_attention = DeformableAttention(channels, heads, dropout=settings.dropout)
        self.cross_attention = DeformableAttention(channels, heads, dropout=settings.dropout)
        self.scorer = nn.Linear(channels, 1)
        self.ffn = FeedForward(channels)
        self.norm1 = nn.LayerNorm(channels)
        self.norm2 = nn.LayerNorm(channels)
        self.norm3 = nn.LayerNorm(channels)
        self.identity = 1.0 if settings.published else 0.0  # the attention adds the query already


class Fg2Network(nn.Module):
    """Learned part of FG²; the frozen backbone stays outside."""

    def __init__(self, settings: Fg2Settings) -> None:
        super().__init__()
        self.settings = settings
        shape = (settings.ground_rows(), settings.cells, settings.channels)
        self.queries = nn.Parameter(torch.rand(shape), requires_grad=not settings.published)
        self.rounds = nn.ModuleList([LiftingRound(settings) for _ in range(settings.rounds)])
        widths, layers = settings.widths, settings.projector_layers
        self.ground_projector = Projector(settings.channels, widths, layers=layers)
        self.aerial_projector = Projector(settings.channels, widths, layers=layers)
        self.matching = MatchingMatrix(settings.temperature)
        self.self_reference: Tensor
        self.register_buffer("self_reference", settings.self_reference(), persistent=False)

    def encode_aerial(self, tokens: Tensor) -> Tensor:
        """Descriptors (B, D, cells²) of aerial tokens (B, C, h, w)."""
        cells = self.settings.cells
        resized = functional.interpolate(tokens, (cells, cells), mode="bilinear", align_corners=False)
        descriptors: Tensor = self.aerial_projector(resized)
        return descriptors.flatten(2)

    def encode_ground(self, images: Sequence[GroundTokens]) -> GroundCode:
        """Lift one or several images into the plane."""
        rows, cols = self.settings.ground_rows(), self.settings.cells
        plane, chosen = self.lift(images)
        descriptors: Tensor = self.ground_projector(plane.transpose(1, 2).reshape(len(plane), -1, rows, cols))
        valid = torch.cat([image.visible for image in images], 2).any(2)
        return GroundCode(descriptors.flatten(2), valid, chosen.logits, chosen.share)

    def lift(self, images: Sequence[GroundTokens]) -> tuple[Tensor, Selected]:
        """Features (B, N, C) of the plane, and the selection of the last round."""
        value = torch.cat([image.tokens.flatten(2).transpose(1, 2) for image in images], 1)
        grids, start = [], 0
        for image in images:
            height, width = image.tokens.shape[2:]
            grids.append(TokenGrid(height, width, start, image.wraps and not self.settings.published))
            start += height * width
        references = [image.reference for image in images]
        visible = None if self.settings.published else torch.cat([image.visible for image in images], 2)
        plane = self.queries.flatten(0, 1)[None].expand(len(value), -1, -1)
        chosen = Selected(plane, plane, plane)
        for number in range(len(self.rounds)):
            plane, chosen = self._round(number, plane, value, grids, references, visible)
        return plane, chosen

    def match(self, aerial: Tensor, ground: GroundCode) -> tuple[Tensor, Tensor]:
        """Scores and probabilities (B, cells², N); columns without evidence are -inf and 0."""
        scores: tuple[Tensor, Tensor] = self.matching(aerial, ground.descriptors, ground.valid)
        return scores

    def _round(
        self,
        number: int,
        plane: Tensor,
        value: Tensor,
        grids: Sequence[TokenGrid],
        references: Sequence[Tensor],
        visible: Tensor | None,
    ) -> tuple[Tensor, Selected]:
        step: LiftingRound = self.rounds[number]  # type: ignore[assignment]
        settings = self.settings
        own = TokenGrid(settings.ground_rows(), settings.cells)
        plane = step.norm1(step.self_attention(plane, plane, own, self.self_reference) + step.identity * plane)
        chosen: Selected = step.cross_attention.select(plane, value, grids, references, step.scorer, visible)
        plane = step.norm2(chosen.out + step.identity * plane)
        reused = settings.published and number == _REUSED_ROUND
        first: LiftingRound = self.rounds[0]  # type: ignore[assignment]
        return step.norm3((first if reused else step).ffn(plane)), chosen
