# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The network of Loc²: two projectors and a matching matrix on top of a backbone."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional

from cvloc_ros.matching.layers.backbone import Backbone
from cvloc_ros.matching.layers.matching_matrix import MatchingMatrix
from cvloc_ros.matching.layers.projector import Projector


class Loc2Network(nn.Module):
    """Descriptors of both images and their matching matrix. The aerial projector has no position code."""

    def __init__(
        self,
        backbone: Backbone | None = None,
        *,
        channels: int = 1024,
        widths: Sequence[int] = (512, 256, 128),
        heads: int = 8,
        layers: int = 3,
        cells: int = 41,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        channels = channels if backbone is None else backbone.channels
        self.ground = Projector(channels, widths, heads=heads, layers=layers)
        self.aerial = Projector(channels, widths, heads=heads, layers=layers, positions=False)
        self.matching = MatchingMatrix()
        self.cells = cells

    def describe_ground(self, tokens: Tensor) -> Tensor:
        """Map tokens (B, C, h, w) to unit descriptors (B, D, h w), by rows."""
        described: Tensor = self.ground(tokens)
        return described.flatten(2)

    def describe_aerial(self, tokens: Tensor) -> Tensor:
        """Map tokens (B, C, h, w) to unit descriptors (B, D, cells²) of the aerial grid, by rows from the top."""
        size = (self.cells, self.cells)
        described: Tensor = self.aerial(functional.interpolate(tokens, size, mode="bilinear", align_corners=False))
        return described.flatten(2)

    def compare(self, aerial: Tensor, ground: Tensor, valid: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return scores and probabilities (B, cells², N) of descriptors; `valid` (B, N) marks tokens that may match."""
        scores, probability = self.matching(aerial, ground, valid)
        return scores, probability

    def forward(self, ground: Tensor, aerial: Tensor, valid: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Compare images (B, 3, H, W) in 0..1, as `compare`."""
        if self.backbone is None:
            msg = "Loc2Network was made without a backbone; give it one, or call describe_* with tokens"
            raise ValueError(msg)
        return self.compare(
            self.describe_aerial(self.backbone(aerial)), self.describe_ground(self.backbone(ground)), valid
        )
